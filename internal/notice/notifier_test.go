package notice

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	spolamail "github.com/spola-cdc/spola/internal/mail"
)

// post is a mail server with a person's mailbox, and who tells him.
type post struct {
	*testing.T
	box     *mailbox.Server
	dir     string
	refuses atomic.Bool
	sees    atomic.Pointer[Sight]
}

func newPost(t *testing.T) *post {
	p := &post{T: t, dir: t.TempDir()}
	var err error
	p.box, err = mailbox.Start(mailbox.Options{Password: "secret", Fault: func(step string, _ mailbox.Mail) mailbox.Fault {
		if step == mailbox.From && p.refuses.Load() {
			return mailbox.Fault{Code: 451}
		}
		return mailbox.Fault{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.box.Close)
	p.see()
	return p
}

func (p *post) see(causes ...Cause) { p.sees.Store(&Sight{Causes: causes}) }

// start starts a notifier, in a hurry; stop ends it.
func (p *post) start() (n *Notifier, stop func()) {
	server := spolamail.Server{Address: p.box.Addr, TLS: &tls.Config{RootCAs: p.box.Roots(), ServerName: "127.0.0.1"}, User: "spola", Password: "secret", From: mail.Address{Name: "Spola", Address: "spola@example.com"}}
	n = &Notifier{Shop: "shop", Dir: p.dir, Every: 10 * time.Millisecond, Rules: Rules{Every: time.Hour, Over: 50 * time.Millisecond, Apart: time.Millisecond}, Log: zerolog.New(zerolog.NewTestWriter(p)),
		Look: func() Sight { return *p.sees.Load() },
		Send: func(ctx context.Context, subject, text string) error {
			return server.Tell(ctx, "anna@example.com", subject, text)
		}}
	ctx, cancel := context.WithCancel(p.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return n, func() {
		cancel()
		if err := <-done; err != nil {
			p.Error(err)
		}
	}
}

func (p *post) until(what string, holds func() bool) {
	p.Helper()
	for end := time.Now().Add(server.Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("not until now: %s; %d mails", what, len(p.box.Mails()))
		}
	}
}

// rest waits until what there is has been told.
func (p *post) rest(n *Notifier) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), server.Patience)
	defer cancel()
	if n.Rest(ctx); ctx.Err() != nil {
		p.Fatal("what there is has not been told")
	}
}

// has waits for so many mails, the last one with these words.
func (p *post) has(n int, words ...string) {
	p.Helper()
	p.until(fmt.Sprintf("%d mails", n), func() bool { return len(p.box.Mails()) >= n })
	mails := p.box.Mails()
	if len(mails) != n {
		p.Fatalf("%d mails, want %d", len(mails), n)
	}
	last := mails[n-1]
	if !last.TLS || last.Login != "spola" || last.To != "anna@example.com" {
		p.Errorf("to %s by %s, TLS %v", last.To, last.Login, last.TLS)
	}
	for _, w := range words {
		if !strings.Contains(string(last.Raw), w) {
			p.Errorf("%q is not in\n%s", w, last.Raw)
		}
	}
}

// A person gets one mail, over TLS and with a login, when something is there, and one when it is over; a server that refuses for a
// while gets it later; a book that can't be written keeps nobody from being told.
func TestNotifierTells(t *testing.T) {
	p := newPost(t)
	n, stop := p.start()
	p.see(Cause{Reason: "stopped.intake", Title: "intake has stopped", Over: "intake runs again", Why: "the log gives record 7", Mend: "systemctl start applier@intake"})
	p.rest(n)
	p.has(1, "Subject: [spola shop] intake has stopped", "the log gives record 7", "To mend: systemctl start applier@intake", "Auto-Submitted: auto-generated")
	p.see()
	p.has(2, "Subject: [spola shop] over: intake runs again")
	stop()

	// While the server refuses, it is known that nobody was told.
	p.refuses.Store(true)
	n, stop = p.start()
	p.see(Cause{Reason: "parked.x", Title: "1 order is parked: x", Over: "none is parked", What: []string{"order 4711"}})
	p.until("the mail is refused", func() bool { since, why := n.Unsent(); return !since.IsZero() && strings.Contains(why.Error(), "451") })
	stop()
	p.has(2)
	p.refuses.Store(false)
	if err := os.Remove(filepath.Join(p.dir, "shop.told.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(p.dir, "shop.told.json", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	n, stop = p.start()
	p.has(3, "order 4711")
	p.rest(n)
	stop()
	p.has(3)
}

// Of two processes one tells; the other takes over when it ends, and tells nothing again.
func TestOneTells(t *testing.T) {
	p := newPost(t)
	p.see(Cause{Reason: "stopped.intake", Title: "intake has stopped", Over: "intake runs again"})
	first, stop := p.start()
	p.rest(first)
	second, end := p.start()
	p.until("the second one waits", func() bool { second.mu.Lock(); defer second.mu.Unlock(); return second.standby })
	p.rest(second) // it does not wait for what the other one does
	stop()
	p.see(Cause{Reason: "stopped.intake", Title: "intake has stopped", Over: "intake runs again"}, Cause{Reason: "stopped.stock", Title: "stock has stopped", Over: "stock runs again"})
	p.has(2, "Subject: [spola shop] stock has stopped", "Still so, as told before", "intake has stopped")
	end()
}

// What is open stands in the book of the process that tells: others see it for as long as that one works, and what has gone no more.
func TestStandingIsOfWhoTells(t *testing.T) {
	dir := t.TempDir()
	is := func(want ...string) {
		t.Helper()
		if got := Standing(dir, "shop"); !slices.EqualFunc(got, want, func(c Cause, reason string) bool { return c.Reason == reason && c.Mend == "its log" }) {
			t.Errorf("standing are %+v, want %q", got, want)
		}
	}
	is()
	b := newBook()
	for _, reason := range []string{"stopped.cdc", "refuses.shop", "down.erp"} {
		b.Open[reason] = &entry{Cause: Cause{Reason: reason, Mend: "its log", Why: "a customer's"}, First: time.Now()}
	}
	b.Open["down.erp"].Gone = time.Now() // not told to be over yet
	if err := b.keep(bookPath(dir, "shop")); err != nil {
		t.Fatal(err)
	}
	is() // of a process that has ended
	lock := lockOf(dir, "shop")
	if mine, err := lock.TryLock(); !mine || err != nil {
		t.Fatal(mine, err)
	}
	is("refuses.shop", "stopped.cdc")
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	is()
}

// A server that refuses is asked again soon, however long it has refused, and not at once.
func TestRefusedIsTriedAgainSoon(t *testing.T) {
	pause := untilAgain()
	for n := range 500 {
		if p := pause.NextBackOff(); p < 5*time.Second || p > 90*time.Second {
			t.Fatalf("pause %d is %v", n, p)
		}
	}
}

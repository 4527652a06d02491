package mail

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// A parcel is mailed once, to the address of its own order, with its link and what is still to come; an invoice with its PDF. However often the log
// comes again, nothing is mailed again. Orders from before the start, of nobody's shop, or that left before, are never mailed.
func TestMails(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	first := w.order(4711, "mario@example.com")
	second := w.order(4712, "anna@example.com")
	w.exec(`update erp.sales_order set invoice_wanted = true where id = $1`, second)
	old := w.order(4001, "old@example.com")
	w.exec(`update erp.sales_order set placed_at = now() - interval '2 days' where id = $1`, old)
	traditional := w.order(4713, "counter@example.com")
	w.exec(`delete from spola.link where erp_order = $1`, traditional)
	early := w.order(4714, "early@example.com")
	w.ship(first, `{"1": 2}`, "002010585132")
	w.ship(second, "", "BRT 17")
	for _, id := range []int64{old, traditional, early} {
		w.ship(id, "", "002010585139")
	}
	w.exec(`update erp.shipment set shipped_at = now() - interval '2 hours' where order_id = $1`, early)
	w.queueAll()
	// An address that is changed behind the queue is for the next mail.
	w.exec(`update erp.sales_order set email = 'new@example.com' where id = $1`, first)
	w.sendAll()
	w.ship(first, "", "002010585133")
	for range 3 {
		w.queueAll()
		w.sendAll()
	}
	w.want("outbox", w.outbox(), `shipment 4711 mario@example.com sent
shipment 4712 anna@example.com sent
invoice 4712 anna@example.com sent
shipment 4711 new@example.com sent`)

	mails := w.box.Mails()
	if len(mails) != 4 {
		t.Fatalf("%d mails", len(mails))
	}
	for _, m := range mails {
		if !m.TLS || m.From != "ordini@bottega.example" {
			t.Errorf("%s: TLS %v, from %s", m.To, m.TLS, m.From)
		}
	}
	one, two, bill, rest := parse(t, mails[0]), parse(t, mails[1]), parse(t, mails[2]), parse(t, mails[3])
	one.has(t, "mario@example.com", "Bottega Aurora srl: il tuo ordine 4711 è partito in parte", "BRT", "https://vas.brt.it/vas/sped_det_show.hsm?nspediz=002010585132",
		"In questa spedizione", "2 × Article 1", "Ancora da spedire", "1 × Article 1", "1 × Article 2", "Via Roma 1")
	two.has(t, "anna@example.com", "il tuo ordine 4712 è partito", "BRT 17", "3 × Article 1")
	if strings.Contains(two.text, "http") || strings.Contains(two.html, "href=\"http") {
		t.Error("a number that is none of the carrier's has a link")
	}
	if len(bill.files) != 1 || !bytes.HasPrefix(bill.files[0], []byte("%PDF-")) {
		t.Errorf("%d files with the invoice", len(bill.files))
	}
	bill.has(t, "anna@example.com", "Fattura F"+time.Now().Format("2006")+"/1 per il tuo ordine 4712", "€ 48,80", "copia di cortesia")
	rest.has(t, "new@example.com", "il tuo ordine 4711 è partito", "002010585133", "1 × Article 1")
	if strings.Contains(rest.text, "Ancora") || strings.Contains(rest.subject, "parte") {
		t.Errorf("something is still to come:\n%s", rest.text)
	}
}

// The log may have a shipment a moment before it can be read: it is mailed all the same.
func TestLogAheadOfTheDatabase(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	id := w.order(4711, "mario@example.com")
	ctx := t.Context()
	other, err := postgres.Connect(ctx, w.url, "clerk")
	w.must(err)
	defer closeConn(other)
	clerk, err := other.Begin(ctx)
	w.must(err)
	var shipment, xid int64
	w.must(clerk.QueryRow(ctx, `select (erp.ship_order($1))[1], pg_current_xact_id()::xid::text::bigint`, id).Scan(&shipment, &xid))
	committed := make(chan error, 1)
	go func() {
		time.Sleep(200 * time.Millisecond)
		committed <- clerk.Commit(ctx)
	}()
	w.must(postgres.InTransaction(ctx, w.conn, func(tx pgx.Tx) error {
		w.must(w.queue.Start(ctx, tx))
		part := w.queue.Part(0)
		w.must(part.Add([]change.Record{{Op: change.Create, Table: "erp.shipment",
			Value: []byte(fmt.Sprintf(`{"before":null,"after":{"id":%d},"source":{"txId":%d},"op":"c","ts_ms":0,"ts_us":0,"transaction":null}`, shipment, xid))}}))
		return part.Apply(ctx, tx, true)
	}))
	w.must(<-committed)
	w.want("outbox", w.outbox(), "shipment 4711 mario@example.com queued")
}

// The language of a mail is the order's; another's templates, and a language of one's own, take the place of Spola's.
func TestTemplates(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"shipment.de.txt": "Subject: Ihr Paket {{.Order}}\nUnterwegs mit {{.Parcel.Carrier}}", "shipment.de.html": `{{define "preheader"}}{{end}}{{define "content"}}<b>{{.Name}}</b>{{end}}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := NewLetters(dir, "Bottega")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ordered, country, want string }{
		{"it-it", "DE", "it"}, {"", "IT", "it"}, {"", "FR", "en"}, {"de-at", "AT", "de"}, {"DE", "DE", "de"}, {"en-gb", "IT", "en"}, {"fr-fr", "FR", "en"}, {"../it", "IT", "en"},
	} {
		if got, err := l.language(Shipment, c.ordered, c.country); err != nil || got != c.want {
			t.Errorf("%q in %s: %s, want %s: %v", c.ordered, c.country, got, c.want, err)
		}
	}
	if got, _ := l.language(Invoice, "de", "DE"); got != "en" {
		t.Errorf("an invoice's mail in German, of which there is no template: %s", got)
	}
	letter, err := l.PreviewSample(Shipment, "de")
	if err != nil || letter.Subject != "Ihr Paket 4711" || letter.Text != "Unterwegs mit BRT" || !strings.Contains(letter.HTML, "<b>Chiara D&#39;Amico</b>") {
		t.Errorf("%q %q: %v", letter.Subject, letter.Text, err)
	}
	for wrong, what := range map[string]string{"Subject: {{.Nme}}\n": "Nme", "no subject": "first line", "Subject: {{": "shipment.de.txt"} {
		if err := os.WriteFile(filepath.Join(dir, "shipment.de.txt"), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewLetters(dir, "Bottega"); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// What customers typed stays text: no header, no recipient and no markup comes of it.
func TestHostileText(t *testing.T) {
	l, err := NewLetters("", "Bottega")
	if err != nil {
		t.Fatal(err)
	}
	s := Server{From: netmail.Address{Name: "Bottega \"Aurora\" <x>", Address: "ordini@bottega.example"}}
	lines := 0
	for _, hostile := range []string{"harmless", "Eve\r\nBcc: all@example.com", "Eve\nSubject: x\n\nbody", "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "=?utf-8?q?Bcc:_x?=",
		"名前 Ω ünï", strings.Repeat("long ", 200), "a\x00b\u202ec\u2028d", "a\u2067b", `Eve" <eve@example.com>, "`, ".\r\n.\r\nQUIT\r\n", "{{.Seller}}"} {
		letter := Sample(Shipment, "it")
		p := &letter.Page
		p.Name, p.Order, p.Parcel.Carrier, p.Parcel.Tracking, p.Parcel.ShipTo.City = hostile, hostile, hostile, hostile, hostile
		p.Parcel.Lines[0].Name, p.Parcel.Lines[0].Options = hostile, hostile
		p.Parcel.Link = "javascript:" + hostile
		if err := l.render(&letter); err != nil {
			t.Fatal(err)
		}
		raw, err := letter.message(s, "eve@example.com", "id@example.com")
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, mailbox.Mail{To: "eve@example.com", Raw: raw})
		if got := slices.Sorted(func(yield func(string) bool) {
			for k := range m.header {
				if !yield(k) {
					return
				}
			}
		}); strings.Join(got, " ") != "Auto-Submitted Content-Type Date From Message-Id Mime-Version Subject To" {
			t.Errorf("%q: headers %v", hostile, got)
		}
		if to, err := m.header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "eve@example.com" {
			t.Errorf("%q: to %v, %v", hostile, to, err)
		}
		if strings.ContainsAny(m.subject, "\r\n\x00") || regexp.MustCompile(`<script|<img|javascript:[^"]*"`).MatchString(m.html) {
			t.Errorf("%q: it is in the markup:\n%s", hostile, m.subject)
		}
		// It stays where it is: no line of its own, and what stands behind it is not turned around.
		if n := strings.Count(m.text, "\n"); lines == 0 {
			lines = n
		} else if n != lines {
			t.Errorf("%q: %d lines, want %d:\n%s", hostile, n, lines, m.text)
		}
		if strings.ContainsAny(m.text+m.html, "\x00\u2028\u202a\u202b\u202d\u202e\u2066\u2067\u2068") {
			t.Errorf("%q: it draws:\n%s", hostile, m.text)
		}
		for _, line := range strings.Split(string(raw), "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
				t.Errorf("%q: a line of %d bytes, or a bare line end", hostile, len(line))
			}
		}
	}
}

// An address to which nothing can be sent is named, and never comes near the server.
func TestAddresses(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	bad := []string{"", "mario", "mario@", "@example.com", "a@b", "mario@example.com, eve@example.com", "mario@example.com\r\nRCPT TO:<eve@example.com>", "Mario <mario@example.com>",
		`"a b"@example.com`, "mario@example.com> SIZE=1", "mario@exam ple.com", "mario@-example.com", strings.Repeat("a", 65) + "@example.com", "mario@example..com", "mäx@example.com", "a..b@example.com"}
	for i, address := range bad {
		w.ship(w.order(int64(100+i), address), "", "")
	}
	good := []string{"mario.rossi+shop@mail.example.co.uk", "o'neil@example.com", " trimmed@example.com "}
	for i, address := range good {
		w.ship(w.order(int64(200+i), address), "", "")
	}
	w.queueAll()
	w.sendAll()
	if got := w.text(`select count(*) from spola.mail where state = 'failed' and reason <> '' and shop_number::int < 200`); got != fmt.Sprint(len(bad)) {
		t.Errorf("%s of %d bad addresses are named:\n%s", got, len(bad), w.outbox())
	}
	var to []string
	for _, m := range w.box.Mails() {
		to = append(to, m.To)
	}
	slices.Sort(to)
	w.want("recipients", strings.Join(to, " "), "mario.rossi+shop@mail.example.co.uk o'neil@example.com trimmed@example.com")
}

// 4xx is tried again, 5xx is not, and a server that refuses us, stalls or hangs up loses no mail and gets none twice; only what it has
// in full without an answer is unknown.
func TestServerThatRefusesStallsAndCuts(t *testing.T) {
	type want struct {
		state  string
		mails  int    // that the server has in the end
		reason string // regular expression
	}
	once := func(step string, f mailbox.Fault) func(string, mailbox.Mail) mailbox.Fault {
		var done atomic.Bool
		return func(at string, _ mailbox.Mail) mailbox.Fault {
			if at == step && done.CompareAndSwap(false, true) {
				return f
			}
			return mailbox.Fault{}
		}
	}
	var mu sync.Mutex
	var fault func(string, mailbox.Mail) mailbox.Fault
	w := newWorld(t, mailbox.Options{Fault: func(step string, m mailbox.Mail) mailbox.Fault {
		mu.Lock()
		f := fault
		mu.Unlock()
		return f(step, m)
	}})
	stall := mailbox.Fault{Stall: 1200 * time.Millisecond}
	for i, c := range []struct {
		step  string
		fault mailbox.Fault
		want
	}{
		{mailbox.Connect, mailbox.Fault{Code: 421}, want{"sent", 1, ""}},
		{mailbox.Connect, mailbox.Fault{Cut: true}, want{"sent", 1, ""}},
		{mailbox.From, mailbox.Fault{Code: 450}, want{"sent", 1, ""}},
		{mailbox.From, mailbox.Fault{Code: 550}, want{"sent", 1, ""}}, // it is we who are not wanted
		{mailbox.From, mailbox.Fault{Cut: true}, want{"sent", 1, ""}},
		{mailbox.To, mailbox.Fault{Code: 450}, want{"sent", 1, ""}}, // greylisting
		{mailbox.To, mailbox.Fault{Code: 550}, want{"failed", 0, "RCPT: 550 .*as told"}},
		{mailbox.To, mailbox.Fault{Cut: true}, want{"sent", 1, ""}},
		{mailbox.Begin, mailbox.Fault{Code: 451}, want{"sent", 1, ""}},
		{mailbox.Begin, mailbox.Fault{Code: 554}, want{"failed", 0, "554"}},
		{mailbox.Begin, mailbox.Fault{Cut: true}, want{"unknown", 0, "did not answer"}}, // small enough to have been sent whole
		{mailbox.End, mailbox.Fault{Code: 452}, want{"sent", 1, ""}},
		{mailbox.End, mailbox.Fault{Code: 552}, want{"failed", 0, "the final dot: 552"}},
		{mailbox.End, mailbox.Fault{Cut: true}, want{"unknown", 0, "did not answer"}},
		{mailbox.End, mailbox.Fault{Code: 421}, want{"sent", 1, ""}}, // it has answered: it does not have it, and hangs up
		{mailbox.Taken, mailbox.Fault{Cut: true}, want{"unknown", 1, "did not answer"}},
		{mailbox.Taken, mailbox.Fault{Code: 251}, want{"sent", 1, ""}}, // it has it, in other words
		{mailbox.Connect, stall, want{"sent", 1, ""}},
		{mailbox.From, stall, want{"sent", 1, ""}},
		{mailbox.To, stall, want{"sent", 1, ""}},
		{mailbox.Taken, stall, want{"unknown", 1, "did not answer.*timeout"}},
	} {
		t.Run(fmt.Sprintf("%s %d cut %v stall %s", c.step, c.fault.Code, c.fault.Cut, c.fault.Stall), func(t *testing.T) {
			mu.Lock()
			fault = once(c.step, c.fault)
			mu.Unlock()
			w.T = t
			email := fmt.Sprintf("c%d@example.com", i)
			w.ship(w.order(int64(5000+i), email), "", "")
			w.queueAll()
			s := w.sender(t.Context())
			defer s.Journal.Close()
			s.Server.Times.Connect, s.Server.Times.Step = time.Second, 300*time.Millisecond // the latter is also how long it waits before it connects again
			w.must(w.send(s))
			n := 0
			for _, m := range w.box.Mails() {
				if m.To == email {
					n++
				}
			}
			state, reason, _ := strings.Cut(w.text(`select state, reason from spola.mail where recipient = $1`, email), " ")
			if state != c.state || n != c.mails || !regexp.MustCompile(c.reason).MatchString(reason) {
				t.Errorf("%s, %d mails, %q; want %+v", state, n, reason, c.want)
			}
		})
	}
}

// What the server does not take now is tried again in 1, 2, 4 … 60 minutes, give or take a fifth, for four days.
func TestPauses(t *testing.T) {
	for attempt, minutes := range map[int]float64{1: 1, 2: 2, 3: 4, 6: 32, 7: 60, 8: 60, 100: 60} {
		if got := again(attempt).Minutes(); got < 0.8*minutes || got > 1.2*minutes {
			t.Errorf("behind attempt %d it waits %.1f minutes, want %.0f", attempt, got, minutes)
		}
	}
	w := newWorld(t, mailbox.Options{Fault: func(step string, m mailbox.Mail) mailbox.Fault {
		if step == mailbox.To {
			return mailbox.Fault{Code: 450}
		}
		return mailbox.Fault{}
	}})
	w.ship(w.order(1, "new@example.com"), "", "")
	w.ship(w.order(2, "old@example.com"), "", "")
	w.queueAll()
	w.exec(`update spola.mail set queued_at = now() - interval '4 days 1 minute' where shop_number = '2'`)
	s := w.sender(t.Context())
	defer s.Journal.Close()
	s.Again = nil
	w.must(w.sendUntil(s, `select bool_and(reason <> '') from spola.mail`))
	w.want("outbox", w.text(`select shop_number, state, attempts, substr(reason, 1, 15), next_at > now() + interval '40 seconds' and next_at < now() + interval '80 seconds' from spola.mail order by id`),
		"1 queued 1 RCPT: 450 \"4.0. true\n2 failed 1 tried for 96h0m false")
}

// A server that is away, or does not want us, is named in the status until a mail has gone; no mail is at fault.
func TestServerIsAway(t *testing.T) {
	var refuses atomic.Bool
	w := newWorld(t, mailbox.Options{Fault: func(step string, _ mailbox.Mail) mailbox.Fault {
		if step == mailbox.From && refuses.Load() {
			return mailbox.Fault{Code: 550}
		}
		return mailbox.Fault{}
	}})
	w.ship(w.order(1, "a@example.com"), "", "")
	w.queueAll()
	s := w.sender(t.Context())
	defer s.Journal.Close()
	standing := func(attempts string, trouble string) {
		t.Helper()
		w.want("outbox", w.text(`select state, attempts > 0 from spola.mail`), attempts)
		c, err := Count(t.Context(), w.conn, testShop)
		if err != nil || !strings.Contains(c.Trouble, trouble) || (trouble == "") != (c.Trouble == "" && c.TroubleSince == nil) {
			t.Errorf("%+v, %v, want trouble %q", c, err, trouble)
		}
	}
	s.Server.Address = "127.0.0.1:1"
	w.must(w.sendUntil(s, `select trouble <> '' from spola.mail_shop`))
	standing("queued false", "mail server 127.0.0.1:1: ")
	s.Server.Address = w.box.Addr
	refuses.Store(true)
	w.must(w.sendUntil(s, `select trouble like '%550%' from spola.mail_shop`))
	standing("queued true", "MAIL: 550")
	refuses.Store(false)
	w.must(w.send(s))
	standing("sent true", "")
}

// An invoice over two orders goes to their common address; where one of them has another by now it goes to neither: it fails, named, and a person
// says where to.
func TestInvoiceOverTwoOrders(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	w.exec(`update erp.seller set invoice_at_shipment = false`)
	for number, email := range []string{"a@example.com", "a@example.com", "b@example.com", "b@example.com"} {
		id := w.order(int64(number), email)
		w.exec(`update erp.sales_order set invoice_wanted = true where id = $1`, id)
		w.ship(id, "", "")
	}
	w.exec(`select erp.invoice_due()`)
	w.want("invoices", w.text(`select count(*), count(order_id) from erp.document where series = 'F'`), "2 0")
	w.exec(`update erp.sales_order set email = 'other@example.com' where shop_number = '3'`)
	w.queueAll()
	w.sendAll()
	w.want("mails of invoices", w.text(`select state, recipient, reason from spola.mail where kind = 'invoice' order by state`),
		"failed  its orders have different e-mail addresses\nsent a@example.com ")
	w.must(postgres.InTransaction(t.Context(), w.conn, func(tx pgx.Tx) error {
		var id int64
		w.must(tx.QueryRow(t.Context(), `select id from spola.mail where state = 'failed'`).Scan(&id))
		if _, err := Resend(t.Context(), tx, testShop, id, ""); err == nil || !strings.Contains(err.Error(), "--to") {
			t.Errorf("sent to nobody: %v", err)
		}
		_, err := Resend(t.Context(), tx, testShop, id, "books@example.com")
		return err
	}))
	w.sendAll()
	w.want("mails", fmt.Sprint(w.received()), "map[a@example.com:3 b@example.com:1 books@example.com:1 other@example.com:1]")
}

// A server without TLS gets nothing but where it is said to have none; nor does one with another's certificate, or a wrong password.
func TestNothingInTheClear(t *testing.T) {
	plain, err := mailbox.Start(mailbox.Options{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	asks, err := mailbox.Start(mailbox.Options{Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	defer asks.Close()
	w := &world{T: t, box: asks}
	right := w.server()
	right.User, right.Password = "spola", "right"
	wrong := right
	wrong.Password = "wr0ng"
	other := right
	other.TLS = other.TLS.Clone()
	other.TLS.RootCAs = nil
	inTheClear := right
	inTheClear.Address = plain.Addr
	none := inTheClear
	none.TLS, none.User = nil, ""
	for _, c := range []struct {
		name   string
		server Server
		says   string
	}{
		{"right", right, ""}, {"wrong password", wrong, "535"}, {"unknown certificate", other, "certificate"}, {"no STARTTLS", inTheClear, "STARTTLS"}, {"said to have none", none, ""},
	} {
		err := c.server.Check(t.Context())
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "wr0ng")) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// A program that is to end does not wait for a server that stalls behind the final dot: what it can't know is unknown.
func TestEndsWhileTheServerStalls(t *testing.T) {
	w := newWorld(t, mailbox.Options{Fault: func(step string, _ mailbox.Mail) mailbox.Fault {
		if step == mailbox.Taken {
			return mailbox.Fault{Stall: 3 * time.Second}
		}
		return mailbox.Fault{}
	}})
	w.ship(w.order(1, "a@example.com"), "", "")
	w.queueAll()
	s := w.sender(t.Context())
	defer s.Journal.Close()
	s.Server.Times.Last, s.Grace = time.Minute, 200*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for len(w.box.Mails()) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	select {
	case err := <-ended:
		w.must(err)
	case <-time.After(s.Server.Times.Last / 2):
		t.Fatal("it waits for the server")
	}
	w.want("outbox", w.outbox(), "shipment 1 a@example.com unknown")
}

// errKilled ends a sender as if it were killed.
var errKilled = errors.New("killed")

// A sender that ends between any two steps is followed by one that knows: what the server can't have is sent, what it may have is unknown, what it has is
// sent; each mail is in the mailbox once at most.
func TestSenderEndsAtEachStep(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	for i, c := range []struct{ step, state string }{{"claimed", "sent"}, {"journaled", "unknown"}, {"given", "unknown"}, {"told", "sent"}} {
		email := c.step + "@example.com"
		w.ship(w.order(int64(6000+i), email), "", "")
		w.queueAll()
		s := w.sender(t.Context())
		s.AfterOf = func(step string) error {
			if step == c.step {
				return errKilled
			}
			return nil
		}
		if err := w.send(s); !errors.Is(err, errKilled) {
			t.Fatalf("%s: %v", c.step, err)
		}
		s.Journal.Close()
		// The next one has the lock, so the first is known to be gone.
		next := w.sender(t.Context())
		w.must(w.send(next))
		for deadline := time.Now().Add(server.Patience); time.Now().Before(deadline) && w.text(`select state from spola.mail where recipient = $1`, email) == "sending"; {
			time.Sleep(10 * time.Millisecond)
		}
		next.Journal.Close()
		w.want(c.step, w.text(`select state from spola.mail where recipient = $1`, email), c.state)
	}
	for to, n := range w.received() {
		if n != 1 || to == "journaled@example.com" {
			t.Errorf("%s got %d mails", to, n)
		}
	}
}

func (w *world) received() map[string]int {
	got := map[string]int{}
	for _, m := range w.box.Mails() {
		got[m.To]++
	}
	return got
}

// A restored ERP knows nothing of yesterday's mails and gives the same ids to other things. What the journal has is not mailed again; what
// it does not have is.
func TestRestoredERP(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	a, b := w.order(4711, "a@example.com"), w.order(4712, "b@example.com")
	backup := `create table %[1]s_%[3]s as table %[2]s.%[1]s`
	tables := []string{"spola.mail", "spola.mail_shop", "erp.shipment", "erp.shipment_line", "erp.commitment", "erp.order_line", "erp.sales_order", "erp.stock", "erp.counter"}
	for _, table := range tables {
		w.exec(fmt.Sprintf(`create table public.%s as table %s`, strings.ReplaceAll(table, ".", "_"), table))
	}
	_ = backup
	w.exec(`update erp.sales_order set invoice_wanted = true where id = $1`, b)
	w.ship(a, `{"1": 1}`, "002010585101")
	w.ship(b, "", "002010585102")
	w.queueAll()
	w.sendAll()
	if n := len(w.box.Mails()); n != 3 {
		t.Fatalf("%d mails", n)
	}
	numbers, err := Numbers(t.Context(), w.journal(t.Context()))
	year := time.Now().Format("2006")
	if err != nil || numbers["F"+year] != 1 || numbers["DDT"+year] != 2 || numbers["T"+year] != 2 {
		t.Errorf("numbers that customers have read: %v, %v", numbers, err)
	}

	w.exec(`set session_replication_role = replica`)
	for _, table := range append(tables, "erp.document", "erp.document_line", "erp.document_vat", "erp.document_payment", "erp.invoiced") {
		w.exec(fmt.Sprintf(`delete from %s`, table))
	}
	for _, table := range tables {
		w.exec(fmt.Sprintf(`insert into %s overriding system value table public.%s`, table, strings.ReplaceAll(table, ".", "_")))
	}
	w.exec(`reset session_replication_role`)
	w.exec(`alter table erp.shipment alter id restart with 1; alter table erp.document alter id restart with 1`)
	w.want("after the restore", w.outbox(), "")
	// What was done since is done again, in another order, and something new beside it.
	c := w.order(4713, "c@example.com")
	w.exec(`update erp.sales_order set invoice_wanted = true where id = $1`, b)
	w.ship(c, "", "002010585103")
	w.ship(b, "", "002010585102")
	w.ship(a, `{"1": 1}`, "002010585101")
	w.ship(a, "", "002010585104")
	s := w.sender(t.Context())
	w.must(w.send(s)) // folds, before the log is read again
	w.queueAll()
	w.must(w.send(s))
	s.Journal.Close()
	w.want("mails", fmt.Sprint(w.received()), "map[a@example.com:2 b@example.com:2 c@example.com:1]")
	w.want("outbox", w.text(`select kind, shop_number, state from spola.mail order by kind, shop_number, state`), `invoice 4712 sent
shipment 4711 sent
shipment 4711 sent
shipment 4712 sent
shipment 4713 sent`)

	// An invoice's number that a customer has read, used again for another: nothing goes on.
	w.exec(`update erp.counter set last = 0 where series = 'F'`)
	w.exec(`set session_replication_role = replica`)
	w.exec(`delete from erp.document where series = 'F'`)
	w.exec(`reset session_replication_role`)
	d := w.order(4715, "d@example.com")
	w.exec(`update erp.sales_order set invoice_wanted = true where id = $1`, d)
	w.ship(d, "", "002010585105")
	if err := w.happened(); !errors.Is(err, postgres.ErrStopped) || !strings.Contains(err.Error(), "F"+year+"/1 of the shop's order 4715 was mailed before for its order 4712") {
		t.Errorf("a number used again: %v", err)
	}
}

// What customers have read of and the ERP has given no number out for tells that it was restored: nothing is mailed before its numbers are lifted.
func TestJournalAheadOfTheERP(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	contract, err := schemas.LoadContract()
	w.must(err)
	first := w.order(1, "a@example.com")
	w.exec(`update erp.sales_order set invoice_wanted = true where id = $1`, first)
	w.ship(first, "", "")
	w.queueAll()
	s := w.sender(t.Context())
	defer s.Journal.Close()
	s.Given = stock.CounterOf(contract).Given
	w.must(w.send(s))
	w.want("mails", fmt.Sprint(w.received()), "map[a@example.com:2]")
	w.must(w.send(s)) // what it has given out itself is no news

	w.exec(`update erp.counter set last = 0 where series = 'F'; delete from spola.mail; update spola.mail_shop set journal = 0`)
	w.ship(w.order(2, "b@example.com"), "", "")
	w.queueAll()
	year := time.Now().Format("2006")
	if err := w.send(s); !errors.Is(err, postgres.ErrRestored) || !strings.Contains(err.Error(), "a customer has read of F"+year+"/1, and the last that it knows is 0") {
		t.Errorf("a number that the ERP has not given out: %v", err)
	}
	w.exec(`select erp.lift_numbers('{F}', array[$1::smallint], '{1}', 'test')`, year)
	w.must(w.send(s))
	w.want("mails", fmt.Sprint(w.received()), "map[a@example.com:2 b@example.com:1]")
}

// Who decides: an unknown mail is sent again with the same Message-ID, or not; a decision outlives the sender.
func TestResend(t *testing.T) {
	var cuts atomic.Int64
	cuts.Store(2)
	w := newWorld(t, mailbox.Options{Fault: func(step string, _ mailbox.Mail) mailbox.Fault {
		return mailbox.Fault{Cut: step == mailbox.Taken && cuts.Add(-1) >= 0}
	}})
	w.ship(w.order(1, "a@example.com"), "", "")
	w.ship(w.order(2, "b@example.com"), "", "")
	w.queueAll()
	w.sendAll()
	w.want("outbox", w.outbox(), "shipment 1 a@example.com unknown\nshipment 2 b@example.com unknown")
	ctx := t.Context()
	w.must(postgres.InTransaction(ctx, w.conn, func(tx pgx.Tx) error {
		_, err := Resend(ctx, tx, testShop, 1, "")
		_, err2 := Decide(ctx, tx, testShop, 2, true, "she has it")
		return errors.Join(err, err2)
	}))
	w.sendAll()
	w.sendAll()
	w.want("outbox", w.outbox(), "shipment 1 a@example.com sent\nshipment 2 b@example.com sent")
	w.want("mails", fmt.Sprint(w.received()), "map[a@example.com:2 b@example.com:1]")
	ids := map[string]bool{}
	for _, m := range w.box.Mails() {
		if m.To == "a@example.com" {
			ids[parse(t, m).header.Get("Message-ID")] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("Message-IDs of one mail: %v", ids)
	}
	list, err := List(ctx, w.conn, testShop, Filter{Of: "2", Last: 10})
	if err != nil || len(list) != 1 || list[0].Reason != "she has it" {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = Resend(ctx, w.begin(), testShop, 99, "")
	if !errors.Is(err, ErrNoMail) {
		t.Errorf("no such mail: %v", err)
	}
}

func (w *world) begin() pgx.Tx {
	w.Helper()
	tx, err := w.conn.Begin(w.Context())
	w.must(err)
	w.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

// A paused mailer sends nothing; a rate is kept.
func TestPauseAndRate(t *testing.T) {
	w := newWorld(t, mailbox.Options{})
	w.exec(`insert into spola.place (applier, source, paused_at, paused_by) values ('mail', $1, now(), 'test')`, testShop)
	for i := range 3 {
		w.ship(w.order(int64(i), fmt.Sprintf("c%d@example.com", i)), "", "")
	}
	w.queueAll()
	s := w.sender(t.Context())
	defer s.Journal.Close()
	w.must(w.sendFor(s, 300*time.Millisecond, `select false`))
	if n := len(w.box.Mails()); n != 0 {
		t.Errorf("%d mails while it is paused", n)
	}
	w.exec(`update spola.place set paused_at = null`)
	s.Server.PerMinute = 300
	began := time.Now() // not the first mail's arrival: a busy machine may hold that one up
	w.must(w.send(s))
	mails := w.box.Mails()
	if len(mails) != 3 || mails[2].At.Sub(began) < 400*time.Millisecond {
		t.Errorf("%d mails at 300 a minute, the last %s behind the start", len(mails), mails[len(mails)-1].At.Sub(began))
	}
}

// killer has a mailer killed at moments that are counted in mails, not in time: each so many mails of which the server has seen a
// step, at another step of one. Half of its kills hit the mailer while the server holds the answer back.
type killer struct {
	mu     sync.Mutex
	random *rand.Rand
	step   string // of a mail, at which the next kill is due …
	left   int    // … behind so many more
	due    chan struct{}
	dead   chan struct{}
}

func newKiller(seed uint64) *killer {
	k := &killer{random: rand.New(rand.NewPCG(seed, 4)), due: make(chan struct{}, 1)}
	k.aim()
	return k
}

// aim says when the next kill is due.
func (k *killer) aim() {
	steps := []string{mailbox.From, mailbox.To, mailbox.Begin, mailbox.Middle, mailbox.End, mailbox.Taken}
	k.step, k.left, k.dead = steps[k.random.IntN(len(steps))], 20+k.random.IntN(100), make(chan struct{})
}

// seen counts a step of a mail. It returns when the mailer is dead, or at once.
func (k *killer) seen(step string) {
	k.mu.Lock()
	if step == k.step {
		k.left--
	}
	now, waits, dead := step == k.step && k.left == 0, k.random.IntN(2) == 0, k.dead
	k.mu.Unlock()
	if !now {
		return
	}
	k.due <- struct{}{}
	if waits {
		<-dead
	}
}

// killed aims anew, when the mailer is dead.
func (k *killer) killed() {
	k.mu.Lock()
	close(k.dead)
	k.aim()
	k.mu.Unlock()
}

// rest kills nobody any more.
func (k *killer) rest() {
	k.mu.Lock()
	close(k.dead)
	k.step = ""
	k.mu.Unlock()
}

// A thousand parcels while the mailer is killed at random, with a server that refuses now and then: one mail each at most, and each that the mailbox does
// not have, or of which the sender could not know, is listed.
func TestThousandParcelsWhileTheMailerIsKilled(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	killer := newKiller(3)
	w := newWorld(t, mailbox.Options{Fault: func(step string, _ mailbox.Mail) mailbox.Fault {
		killer.seen(step)
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(60) == 0 && (step == mailbox.To || step == mailbox.End) {
			return mailbox.Fault{Code: 451}
		}
		return mailbox.Fault{}
	}})
	const parcels = 1000
	w.exec(`do $$ declare o bigint; begin
		for i in 1..1000 loop
			o := erp.enter_order(1, 1::smallint, erp.goods('{"S1": 1}'));
			update erp.sales_order set shop = 'shop1', shop_number = i::text, email = 'c' || i || '@example.com', placed_at = now() where id = o;
			insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, erp_order, state, method, revision, content, consuming)
				values ('shop1', i, 1, i::text, '', 'imported', o, '1', 'cod', 0, '', true);
			perform erp.ship_order(o, carrier => 'BRT', tracking => lpad(i::text, 12, '0'));
		end loop;
	end $$`)
	w.queueAll()
	w.want("queued", w.text(`select count(*) from spola.mail where state = 'queued'`), fmt.Sprint(parcels))
	w.journal(t.Context()).Close()             // the topic is there
	async := w.url + "?synchronous_commit=off" // it is the mailer that is killed, not the server
	if strings.Contains(w.url, "?") {
		async = w.url + "&synchronous_commit=off"
	}
	kills := 0
	for through := false; !through; {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SPOLA_TEST_MAILER="+async, "SPOLA_TEST_SMTP="+w.box.Addr, "SPOLA_TEST_CA="+string(w.box.CA),
			"SPOLA_TEST_BROKERS="+strings.Join(w.kafka.Brokers, ","), "SPOLA_TEST_TOPIC="+w.kafka.Topic)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		w.must(cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		through = w.through(killer.due, ended)
		_ = cmd.Process.Kill()
		if <-ended; said.Len() > 0 {
			t.Fatalf("a mailer ended by itself: %s", &said)
		}
		if !through {
			kills++
			killer.killed()
		}
	}
	killer.rest()
	w.sendAll() // folds what the last one left
	got := w.received()
	twice, missing := 0, 0
	for _, n := range got {
		if n > 1 {
			twice++
		}
	}
	unknown := map[string]bool{}
	for to := range strings.FieldsSeq(w.text(`select recipient from spola.mail where state = 'unknown'`)) {
		unknown[to] = true
	}
	for i := 1; i <= parcels; i++ {
		if to := fmt.Sprintf("c%d@example.com", i); got[to] == 0 && !unknown[to] {
			missing++
		}
	}
	t.Logf("%d kills, %d mails, %d unknown of which the mailbox has %d", kills, len(w.box.Mails()), len(unknown), func() (n int) {
		for to := range unknown {
			n += got[to]
		}
		return n
	}())
	if twice > 0 || missing > 0 || kills < 5 {
		t.Errorf("%d customers got a mail twice, %d got none and are not listed, %d kills", twice, missing, kills)
	}
	w.want("none is left", w.text(`select count(*) from spola.mail where state not in ('sent', 'unknown')`), "0")
}

// through waits for a kill to be due (false), or for the outbox to be through.
func (w *world) through(due <-chan struct{}, ended chan error) bool {
	w.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-due:
			return false
		case err := <-ended:
			ended <- err
			return false
		case <-tick.C:
			if w.text(`select count(*) from spola.mail where state in ('queued', 'sending')`) == "0" {
				return true
			}
		}
	}
}

// parsed is a mail as a mail program sees it.
type parsed struct {
	header              netmail.Header
	subject, text, html string
	files               [][]byte
}

func parse(t *testing.T, m mailbox.Mail) (p parsed) {
	t.Helper()
	msg, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		t.Fatalf("%v:\n%s", err, m.Raw)
	}
	p.header = msg.Header
	if p.subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	var walk func(kind, encoding string, r io.Reader)
	walk = func(kind, encoding string, r io.Reader) {
		media, params, err := mime.ParseMediaType(kind)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(media, "multipart/") {
			for parts := multipart.NewReader(r, params["boundary"]); ; {
				part, err := parts.NextRawPart()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				walk(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
			}
		}
		switch encoding {
		case "quoted-printable":
			r = quotedprintable.NewReader(r)
		case "base64":
			r = base64.NewDecoder(base64.StdEncoding, r)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch media {
		case "text/plain":
			p.text = strings.ReplaceAll(string(body), "\r\n", "\n")
		case "text/html":
			p.html = string(body)
		default:
			p.files = append(p.files, body)
		}
	}
	walk(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
	return p
}

// has looks for the recipient, the subject, and words that stand in both texts.
func (p parsed) has(t *testing.T, to, subject string, words ...string) {
	t.Helper()
	if list, err := p.header.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != to {
		t.Errorf("to %v, want %s", list, to)
	}
	if !strings.Contains(p.subject, subject) {
		t.Errorf("subject %q, want %q", p.subject, subject)
	}
	for _, word := range words {
		if !strings.Contains(p.text, word) {
			t.Errorf("%q is not in the text:\n%s", word, p.text)
		}
		_, article, pieces := strings.Cut(word, " × ")
		if pieces {
			word = article
		}
		if !strings.Contains(p.html, word) && !strings.Contains(p.html, strings.ReplaceAll(word, "&", "&amp;")) {
			t.Errorf("%q is not in the HTML", word)
		}
	}
}

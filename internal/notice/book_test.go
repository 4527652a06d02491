package notice

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is a minute and second of a day on which something happens.
func at(minute, second int) time.Time {
	return time.Date(2026, 11, 28, 9, minute, second, 0, time.UTC)
}

// day plays looks at a book, one every five seconds, and notes what was mailed.
type day struct {
	book  *book
	rules Rules
	now   time.Time
	sees  Sight
	log   []string // 09:01:20 new parked.x, over stopped.y
}

func newDay() *day { return &day{book: newBook(), rules: Rules{}.withDefaults(), now: at(0, 0)} }

func (d *day) until(end time.Time, causes ...Cause) {
	for ; d.now.Before(end); d.now = d.now.Add(5 * time.Second) {
		d.book.see(d.now, Sight{Causes: causes, Blind: d.sees.Blind})
		l := d.book.due(d.now, d.rules)
		if l == nil {
			continue
		}
		var told []string
		for _, e := range l.New {
			told = append(told, "new "+e.Reason)
		}
		for _, e := range l.Over {
			told = append(told, "over "+e.Reason)
		}
		d.log = append(d.log, d.now.Format("04:05 ")+strings.Join(told, ", "))
		d.book.told(d.now, l)
	}
}

func (d *day) want(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(d.log, lines) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(d.log, "\n"), strings.Join(lines, "\n"))
	}
}

func parked(newest int64) Cause {
	return Cause{Reason: "parked.x", Title: "parked", Over: "none parked", Part: "erp", Newest: newest, Patience: 20 * time.Second}
}

var stopped = Cause{Reason: "stopped.intake", Title: "intake has stopped", Over: "intake runs again"}

// A reason is told once it has held, then at most once in 15 minutes while something is added, and once when it is over.
func TestOneReason(t *testing.T) {
	d := newDay()
	d.until(at(1, 0))
	d.until(at(10, 0), parked(1))
	d.until(at(30, 0), parked(2)) // more of it, nine minutes after it was told
	d.until(at(40, 0), parked(3))
	d.until(at(50, 0))
	d.want(t, "01:20 new parked.x", "16:20 new parked.x", "31:20 new parked.x", "41:00 over parked.x")
}

// What is mended before anybody was told is nobody's business, what stays the same is not told again, and what comes and goes all the time is told
// twice in 15 minutes at most: there and over.
func TestFlapping(t *testing.T) {
	d := newDay()
	d.until(at(0, 15), parked(1))
	d.until(at(1, 0))
	d.want(t)
	for minute := 1; minute < 31; minute += 2 { // there for half a minute, away for the rest of two
		d.until(at(minute, 30), stopped)
		d.until(at(minute+2, 0))
	}
	d.until(at(40, 0))
	d.want(t, "01:00 new stopped.intake", "02:30 over stopped.intake", "17:00 new stopped.intake", "18:30 over stopped.intake")
}

// What happens together comes in one mail, within 20 seconds of the one before.
func TestTogether(t *testing.T) {
	d := newDay()
	d.until(at(0, 5), stopped, parked(1))
	d.until(at(0, 40), stopped, parked(1), Cause{Reason: "down.erp"})
	d.want(t, "00:00 new stopped.intake", "00:20 new down.erp, new parked.x")
}

// While the ERP does not answer, what only it can show is neither there nor over.
func TestBlind(t *testing.T) {
	d := newDay()
	d.until(at(1, 0), parked(1))
	d.sees.Blind = map[string]bool{"erp": true}
	d.until(at(10, 0), Cause{Reason: "down.erp", Patience: 30 * time.Second})
	d.sees.Blind = nil
	d.until(at(11, 30), parked(1))
	d.until(at(13, 0))
	d.want(t, "00:20 new parked.x", "01:30 new down.erp", "11:00 over down.erp", "12:30 over parked.x")
}

// A process that starts again tells nothing twice, and tells what is over.
func TestBookIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	d := newDay()
	again := func() {
		if err := d.book.keep(path); err != nil {
			t.Fatal(err)
		}
		b, err := readBook(path)
		if err != nil {
			t.Fatal(err)
		}
		d.book = b
	}
	named := parked(1)
	named.What = []string{"order 4711: Anna Verdi"}
	d.until(at(1, 0), named)
	again()
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "Verdi") || !strings.Contains(string(text), "parked.x") {
		t.Errorf("the book names a customer: %v\n%s", err, text)
	}
	d.until(at(3, 0), parked(1))
	again()
	d.until(at(5, 0))
	again()
	d.until(at(6, 0))
	d.want(t, "00:20 new parked.x", "04:00 over parked.x")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := readBook(path); !errors.Is(err, errBook) || len(b.Open) != 0 {
		t.Errorf("a broken book: %v, %v", b, err)
	}
}

// The digest comes once a day at its hour, late where nobody ran then, and the first one not before the first such hour.
func TestDigestIsDaily(t *testing.T) {
	var sent []string
	b := newBook()
	for now := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC); now.Before(time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)); now = now.Add(10 * time.Minute) {
		if now.Day() == 30 && now.Hour() < 11 {
			continue // nobody runs
		}
		if b.digestDue(now, "08:00") {
			sent = append(sent, now.Format("02 15:04"))
			b.Digested = now.Format(time.DateOnly)
		}
		if b.digestDue(now, "") {
			t.Fatal("off is not off")
		}
	}
	if want := []string{"29 08:00", "30 11:00", "01 08:00"}; !slices.Equal(sent, want) {
		t.Errorf("sent %v, want %v", sent, want)
	}
}

// What customers have typed forges no line and no header.
func TestHostileText(t *testing.T) {
	c := Cause{Reason: "parked.x", Title: "1 order is parked: x\r\nBcc: all@example.com", Why: "\x1b[31mred\u202e", What: []string{"order 4711: Anna\n  To mend: rm -rf /"}, Mend: "applier parked show 4711"}
	l := &letter{New: []entry{{Cause: c}}}
	text := l.text(at(0, 0))
	if strings.ContainsAny(text, "\r\x1b\u202e") || strings.Count(text, "\n  To mend: ") != 1 || !strings.Contains(text, "order 4711") || !strings.Contains(text, "applier parked show 4711") {
		t.Errorf("the mail reads\n%s", text)
	}
	if subject := l.subject("shop"); strings.ContainsAny(subject, "\r\n") {
		t.Errorf("the subject is %q", subject)
	}
}

// Last words are found until the stream is started again, whatever stands beside them.
func TestWords(t *testing.T) {
	dir := t.TempDir()
	for _, stream := range []string{"intake", "cdc erp"} {
		if err := Leave(dir, "shop", Words{Stream: stream, At: at(0, 0), Status: 3, Said: "why " + stream}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(Leave(dir, "shop2", Words{Stream: "stock"}), os.WriteFile(filepath.Join(dir, "shop.mail"+wordsEnd), []byte("{"), 0o600),
		os.WriteFile(filepath.Join(dir, "shop.told.json"), []byte("{}"), 0o600), Begin(dir, "shop", "orders")); err != nil {
		t.Fatal(err)
	}
	left := func() (said string) {
		for _, w := range Left(dir, "shop") {
			said += fmt.Sprintf("%s: %.20s\n", w.Stream, w.Said)
		}
		return said
	}
	if got := left(); got != "cdc erp: why cdc erp\nintake: why intake\nmail: its last words can't\n" {
		t.Errorf("left are\n%s", got)
	}
	if err := Begin(dir, "shop", "cdc erp"); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != "intake: why intake\nmail: its last words can't\n" {
		t.Errorf("left are\n%s", got)
	}
	if got := Left(filepath.Join(dir, "none"), "shop"); len(got) != 0 {
		t.Errorf("left in no directory: %v", got)
	}
}

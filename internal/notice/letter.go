package notice

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/printable"
)

// letter is one mail: what is new, what is over, and what has been told before and still holds.
type letter struct{ New, Over, Still []entry }

// subject names what is new, else what is over.
func (l *letter) subject(shop string) string {
	var titles []string
	for _, e := range l.New {
		titles = append(titles, e.Title)
	}
	if len(titles) == 0 {
		for _, e := range l.Over {
			titles = append(titles, "over: "+e.Over)
		}
	}
	text := titles[0]
	if more := len(titles) - 1; more > 0 {
		text = fmt.Sprintf("%s, and %d more", text, more)
	}
	return short(printable.Text(fmt.Sprintf("[spola %s] %s", shop, text)), 150)
}

// text is the mail's body. What others have typed stays on its line.
func (l *letter) text(now time.Time) string {
	var b strings.Builder
	for _, e := range l.New {
		e.print(&b, now)
	}
	if len(l.Over) > 0 {
		b.WriteString("Over:\n")
		for _, e := range l.Over {
			printable.Printf(&b, "  %s (from %s to %s)\n", e.Over, clock(e.Since, now), clock(e.Gone, now))
		}
		b.WriteString("\n")
	}
	if len(l.Still) > 0 {
		b.WriteString("Still so, as told before:\n")
		for _, e := range l.Still {
			printable.Printf(&b, "  %s (since %s)\n", e.Title, clock(e.Since, now))
		}
		b.WriteString("\n")
	}
	b.WriteString(foot)
	return b.String()
}

// digest is the daily mail: what is open, with all that helps, behind how things are.
func (b *book) digest(how string, now time.Time) string {
	var text strings.Builder
	for line := range strings.Lines(how) {
		printable.Printf(&text, "%s\n", strings.TrimSuffix(line, "\n"))
	}
	text.WriteString("\n")
	open := 0
	for _, reason := range slices.Sorted(maps.Keys(b.Open)) {
		if e := b.Open[reason]; e.Gone.IsZero() {
			e.print(&text, now)
			open++
		}
	}
	if open == 0 {
		text.WriteString("Nothing waits for you.\n\n")
	}
	text.WriteString(foot)
	return text.String()
}

// Test is a mail for who wants to see that notices arrive: what there is now.
func Test(now []Cause) string {
	var text strings.Builder
	text.WriteString("This is a test: notices arrive here.\n\n")
	for _, c := range now {
		entry{Cause: c}.print(&text, time.Now())
	}
	if len(now) == 0 {
		text.WriteString("Nothing waits for you.\n\n")
	}
	text.WriteString(foot)
	return text.String()
}

const foot = `--
"spola notices" shows what is open now. About one thing there is one mail in 15 minutes at most, and one
when it is over. notices in spola.yaml says who gets them.
`

// print writes a cause with all that helps.
func (e entry) print(b *strings.Builder, now time.Time) {
	printable.Printf(b, "%s\n  since %s\n", e.Title, clock(e.Since, now))
	for _, what := range e.What {
		printable.Printf(b, "  %s\n", short(what, 300))
	}
	if e.Why != "" {
		printable.Printf(b, "  %s\n", short(e.Why, 1500))
	}
	if e.Mend != "" {
		printable.Printf(b, "  To mend: %s\n", e.Mend)
	}
	b.WriteString("\n")
}

// clock is a time of the day, with the day where it is another one.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

func short(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/lab/watch"
)

// scene is one moment of the demo.
type scene struct {
	elapsed time.Duration
	placed  int64         // checkouts that came to their end
	working int64         // orders that are being changed: edits, cancellations, shipments, deletions so far
	deeds   int64         // of the ERP's clerk
	behind  int64         // records in the log that are not applied
	delay   time.Duration // age of the oldest of them
	watch   view
	back    Latencies // of stock into the shop
}

// screen shows scenes: on a terminal in place, elsewhere a line every few seconds.
type screen struct {
	out      io.Writer
	terminal bool
	title    string
	drawn    int // lines of the last picture
	lastLine time.Duration
	rates    []int64 // placed at each picture, for the little chart
}

func newScreen(out *os.File, title string) *screen {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &screen{out: out, terminal: terminal, title: title}
}

// paintEvery is how often the picture changes.
const paintEvery = 500 * time.Millisecond

// lineEvery is how often a line is written where there is no terminal.
const lineEvery = 5 * time.Second

// Paint shows a scene: at once on a terminal, else when a line is due.
func (s *screen) Paint(now scene) {
	s.rates = append(s.rates, now.placed)
	if s.terminal {
		s.picture(now)
		return
	}
	if s.lastLine > 0 && now.elapsed-s.lastLine < lineEvery {
		return
	}
	s.lastLine = now.elapsed
	fmt.Fprintf(s.out, "%5.0f s  placed %d, in the ERP %d, parked %d, deeds there %d, latency p50 %s p99 %s, stock back p50 %s p99 %s, lag %d records %.1f s\n",
		now.elapsed.Seconds(), now.placed, now.watch.arrived, now.watch.parked, now.deeds, ms(now.watch.p50), ms(now.watch.p99), ms(now.back.P50), ms(now.back.P99), now.behind, now.delay.Seconds())
}

func (s *screen) picture(now scene) {
	const dim, bold, plain = "\x1b[2m", "\x1b[1m", "\x1b[0m"
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.drawn)
	}
	lines := []string{
		bold + s.title + plain,
		"",
		fmt.Sprintf("  shop     %s%8d%s orders placed   %s%s/s%s  %s", bold, now.placed, plain, dim, s.rate(), plain, s.chart()),
		fmt.Sprintf("    │      %s%8d edits, cancellations, shipments and deletions%s", dim, now.working, plain),
		fmt.Sprintf("   log     %8d records behind, %.1f s", now.behind, now.delay.Seconds()),
		"    │",
		fmt.Sprintf("   ERP     %s%8d%s orders          latency p50 %s%s%s, p99 %s%s%s", bold, now.watch.arrived, plain, bold, ms(now.watch.p50), plain, bold, ms(now.watch.p99), plain),
		fmt.Sprintf("           %8d parked          %ssee `applier parked`%s", now.watch.parked, dim, plain),
		fmt.Sprintf("           %8d deeds of a clerk %swho receives, counts, sells, ships, cancels, takes back%s", now.deeds, dim, plain),
		fmt.Sprintf("    └─▶    stock in the shop         latency p50 %s%s%s, p99 %s%s%s", bold, ms(now.back.P50), plain, bold, ms(now.back.P99), plain),
		"",
		"  " + s.latest(now.watch.newest),
		fmt.Sprintf("  %s%s · ctrl-C ends it and compares shop and ERP%s", dim, clock(now.elapsed), plain),
	}
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	s.drawn = len(lines)
	fmt.Fprint(s.out, b.String())
}

func (s *screen) latest(a watch.Arrival) string {
	if a.Order == 0 {
		return "waiting for the first order …"
	}
	return fmt.Sprintf("order %d → %s · %s · %s · %s", a.Order, a.Number, euro(a.Cents), a.Name, ms(a.Latency))
}

// rate is orders a second over the last five seconds.
func (s *screen) rate() string {
	n := len(s.rates)
	back := min(n-1, int(5*time.Second/paintEvery))
	if back == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", float64(s.rates[n-1]-s.rates[n-1-back])/(time.Duration(back)*paintEvery).Seconds())
}

// chart shows how many orders each of the last pictures brought.
func (s *screen) chart() string {
	const bars = "▁▂▃▄▅▆▇█"
	const width = 24
	from := max(1, len(s.rates)-width)
	most := int64(1)
	for i := from; i < len(s.rates); i++ {
		most = max(most, s.rates[i]-s.rates[i-1])
	}
	var b strings.Builder
	for i := from; i < len(s.rates); i++ {
		b.WriteRune([]rune(bars)[(s.rates[i]-s.rates[i-1])*7/most])
	}
	return b.String()
}

func ms(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func euro(cents int64) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) }

func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

package ops

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/notice"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stock"
)

// parts of the page that change by themselves, by their templates.
var parts = []string{"state", "needs", "flow", "streams", "orders", "parked", "stock", "mails"}

// view is what the page shows. Its texts are ours or printable: html/template escapes them all.
type view struct {
	Shop, Token string
	Retried     int64 // an order; 0: none
	Trace       bool
	Align       bool
	At          string
	Old         bool // nobody has looked for a while
	Mode        string
	Down        []downPart
	Needs       []notice.Cause
	To          string // who is told by mail
	Unsent      string // since when and why he is not
	Arrows      map[string]arrow
	Streams     []streamView
	OrdersRate  string
	Orders      []countView
	Parked      []ParkedOrders
	Waits       []Wait
	Known       bool // what only the ERP can say
	Stock       *stock.Accounts
	Runs        []Reconciliation
	Mails       []countView
	Stuck       []StuckMails
}

type downPart struct{ Name, Why string }

type countView struct {
	What  string
	Count int64
}

// arrow is a stream in the picture.
type arrow struct {
	Class, Sign, Text string // how it does: well, waits, ill, off
}

type streamView struct {
	Name, Behind, Seconds, Rate, Since string
	State                              arrow
	Curve                              template.HTML // an SVG of numbers
	Highest                            string
}

func (p *page) view(token string, retried int64) view {
	pic, trip := p.watch.told()
	v := view{Shop: p.watch.of.Shop, Token: token, Retried: retried, Trace: p.trace != nil, Align: p.align != nil, To: p.to, Needs: printed(p.waiting()), Arrows: map[string]arrow{}}
	if since, why := p.unsent(); why != nil {
		v.Unsent = fmt.Sprintf("since %s: %s", since.Format(time.TimeOnly), printable.Text(why.Error()))
	}
	if pic == nil {
		v.At, v.Old = "not yet", true
		return v
	}
	v.At, v.Old = pic.At.Format(time.TimeOnly), time.Since(pic.At) > tooLong
	for _, part := range []string{PartShop, PartERP, PartKafka} {
		if err := pic.Errors[part]; err != nil {
			v.Down = append(v.Down, downPart{partNames[part], printable.Text(err.Error())})
		}
	}
	v.Known = pic.Errors[PartERP] == nil
	p.flow(&v, pic, trip)
	if !v.Known {
		return v
	}
	v.Mode = map[bool]string{true: "live", false: "observed only: nothing is written to the ERP's orders"}[pic.Live]
	v.OrdersRate = fmt.Sprintf("%.1f a minute", p.watch.history.ordersAMinute())
	for _, k := range intake.OrderKinds {
		if n := pic.Orders[k.Kind]; n > 0 {
			v.Orders = append(v.Orders, countView{map[bool]string{true: k.Live, false: k.Observed}[pic.Live], n})
		}
	}
	v.Orders = append(v.Orders, countView{"settle, or are to be worked out", pic.Settle})
	v.waiting(pic)
	if pic.Slow != nil {
		v.Stock = &pic.Slow.Stock
		v.Mails = append(v.Mails, countView{"sent", pic.Slow.Sent})
		for _, state := range []string{"queued", "sending", "failed", "unknown"} {
			v.Mails = append(v.Mails, countView{state, pic.Slow.Mails[state]})
		}
	}
	return v
}

// waiting takes over what waits, with what others typed as what it is.
func (v *view) waiting(pic *Picture) {
	for _, o := range pic.Open.Parked {
		o.What = lines(o.What)
		v.Parked = append(v.Parked, o)
	}
	for _, w := range pic.Waits {
		v.Waits = append(v.Waits, Wait{w.Applier, printable.Text(w.Why), w.Count})
	}
	for _, r := range pic.Open.Runs {
		r.Held, r.Found = printable.Text(r.Held), lines(r.Found)
		v.Runs = append(v.Runs, r)
	}
	for _, m := range pic.Open.Mails {
		m.What = lines(m.What)
		v.Stuck = append(v.Stuck, m)
	}
}

func lines(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = printable.Text(text)
	}
	return all
}

// printed has what others typed show as what it is.
func printed(causes []notice.Cause) []notice.Cause {
	for i := range causes {
		c := &causes[i]
		c.Title, c.Why, c.Mend = printable.Text(c.Title), printable.Text(c.Why), printable.Text(c.Mend)
		c.What = lines(c.What)
	}
	slices.SortStableFunc(causes, func(a, b notice.Cause) int { return cmp.Compare(rank(a.Reason), rank(b.Reason)) })
	return causes
}

func rank(reason string) int {
	return slices.IndexFunc([]string{"stopped", "down", "stock", ""}, func(first string) bool { return strings.HasPrefix(reason, first) })
}

// How a stream does, by its class in the style sheet, with a sign for who sees no colours.
var (
	isWell  = arrow{Class: "well", Sign: "✓"}
	isLate  = arrow{Class: "waits", Sign: "…"}
	isIll   = arrow{Class: "ill", Sign: "!"}
	unknown = arrow{Class: "off", Sign: "–"}
)

func (a arrow) says(text string) arrow { a.Text = text; return a }

// flow is the picture and the table of the streams.
func (p *page) flow(v *view, pic *Picture, trip Trip) {
	for _, name := range []string{shopReader, erpReader, "intake", "ledger", "stock", "orders", "mail"} {
		v.Arrows[strings.ReplaceAll(name, " ", "_")] = unknown.says("not seen")
	}
	switch {
	case trip.Err != nil && pic.Errors[PartERP] == nil:
		v.Arrows[shopReader] = isIll.says("no probe can be sent")
	case trip.Log.Waiting > stillPatience:
		v.Arrows[shopReader] = isIll.says(fmt.Sprintf("a probe waits for %s", trip.Log.Waiting.Round(time.Second)) + unreadOf(pic.Behind, "%d transactions are not read"))
	case trip.Log.Took > 0:
		v.Arrows[shopReader] = isWell.says(fmt.Sprintf("arrives in %d ms", trip.Log.Took.Milliseconds()))
	}
	if pic.ERPRead != nil {
		v.Arrows["cdc_erp"] = map[bool]arrow{true: isWell.says("reads"), false: isIll.says("nobody reads" + unreadOf(pic.ERPBack, "%d bytes wait"))}[*pic.ERPRead]
	} else if p.watch.of.ERPLog != nil {
		v.Arrows["cdc_erp"] = unknown.says("read elsewhere")
	}
	back, _ := p.watch.back.told() // why none can be sent is what the picture has too
	if log := back[StageLog]; log.Waiting > stillPatience {
		v.Arrows["cdc_erp"] = isIll.says(fmt.Sprintf("a probe waits for %s", log.Waiting.Round(time.Second)) + unreadOf(pic.ERPBack, "%d bytes are not read"))
	} else if log.Took > 0 && v.Arrows["cdc_erp"].Class == isWell.Class {
		v.Arrows["cdc_erp"] = isWell.says(fmt.Sprintf("arrives in %d ms", log.Took.Milliseconds()))
	}
	for _, s := range pic.Streams {
		view := p.stream(pic, s)
		v.Streams, v.Arrows[s.Applier] = append(v.Streams, view), view.State
	}
}

// unreadOf says how much a source has committed that its reader has not brought into the log; nothing where nobody could say.
func unreadOf(n *int64, what string) string {
	if n == nil {
		return ""
	}
	return "; " + fmt.Sprintf(what, *n)
}

func (p *page) stream(pic *Picture, s Stream) streamView {
	one := streamView{Name: s.Applier, Behind: fmt.Sprint(s.End - s.Read), Seconds: fmt.Sprintf("%.1f", s.Age.Seconds()), Rate: fmt.Sprintf("%.1f", p.watch.history.rate(s.Applier)), Since: s.Moved.Local().Format(time.TimeOnly)}
	said := fmt.Sprintf("%s records, %s s", one.Behind, one.Seconds)
	switch {
	case pic.Errors[PartKafka] != nil:
		one.Behind, one.Seconds, one.State = "?", "?", unknown.says("not known")
	case s.Paused:
		one.State = isLate.says("paused, " + said)
	case s.End > s.Read && s.Age > stillPatience && s.Still > stillPatience:
		one.State = isIll.says("stands still, " + said)
	case s.Age > stillPatience/6:
		one.State = isLate.says(said)
	default:
		one.State = isWell.says(said)
	}
	one.Curve, one.Highest = curve(p.watch.history.ages(s.Applier))
	return one
}

// curve draws seconds over the last ten minutes, and says which were the most.
func curve(at []time.Time, seconds []float64) (template.HTML, string) {
	if len(at) < 2 {
		return "", ""
	}
	const width, height = 160.0, 24.0
	top := max(1, slices.Max(seconds))
	var points strings.Builder
	last := at[len(at)-1]
	for i := range at {
		x := width * (1 - last.Sub(at[i]).Seconds()/kept.Seconds())
		fmt.Fprintf(&points, "%.1f,%.1f ", x, height-1-(height-2)*seconds[i]/top)
	}
	return template.HTML(fmt.Sprintf(`<svg class="curve" viewBox="0 0 %.0f %.0f" aria-hidden="true"><polyline points="%s"/></svg>`, width, height, points.String())), //nolint:gosec // numbers alone
		fmt.Sprintf("at most %.1f s", slices.Max(seconds))
}

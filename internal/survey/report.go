package survey

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spola-cdc/spola/internal/printable"
)

// Severity says what a finding means for the merchant.
type Severity string

// The severities, worst first.
const (
	Blocking Severity = "blocking" // a program does not start, or going live is refused
	Parking  Severity = "parking"  // orders are parked until it is mended
	Warning  Severity = "warning"  // something is at risk, or may be meant otherwise
	Note     Severity = "note"     // nothing to be done
)

var severities = []Severity{Blocking, Parking, Warning, Note}

// Parts of an installation in which something is found.
const (
	InShop     = "shop"
	InShopFile = "shop file"
	InLog      = "log"
	InERP      = "erp"
	InConfig   = "configuration"
	InMail     = "mail"
)

// Finding is something that is not as it should be, with what mends it.
type Finding struct {
	Severity Severity `json:"severity"`
	Part     string   `json:"part"`           // shop, shop file, log, erp or configuration
	Code     string   `json:"code"`           // for programs
	File     string   `json:"file,omitempty"` // where the line stands that mends it, or behind which it belongs
	Line     int      `json:"line,omitempty"` // from 1
	What     string   `json:"what"`
	Mend     string   `json:"mend"` // a statement, a line of a file, or what to do
}

// Report is all that was found, worst first.
type Report struct {
	Findings []Finding `json:"findings"`
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
			cmp.Compare(order(a.Part), order(b.Part)), cmp.Compare(a.Line, b.Line))
	})
}

func order(part string) int {
	return slices.Index([]string{InConfig, InShop, InLog, InERP, InMail, InShopFile}, part)
}

// Count is how many findings have one of the severities, in one of the parts; no part: in any.
func (r *Report) Count(in []string, of ...Severity) (n int) {
	for _, f := range r.Findings {
		if slices.Contains(of, f.Severity) && (len(in) == 0 || slices.Contains(in, f.Part)) {
			n++
		}
	}
	return n
}

// String is the report for a person.
func (r *Report) String() string {
	titles := map[Severity]string{
		Blocking: "Keeps Spola from running or going live", Parking: "Parks orders",
		Warning: "Puts something at risk, or may be meant otherwise", Note: "Good to know",
	}
	var b strings.Builder
	for _, severity := range severities {
		n := r.Count(nil, severity)
		if n == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s (%d)\n\n", titles[severity], n)
		for _, f := range r.Findings {
			if f.Severity == severity {
				b.WriteString(f.String())
			}
		}
		b.WriteString("\n")
	}
	if r.Count(nil, Blocking, Parking) == 0 {
		b.WriteString("Nothing keeps Spola from running, and nothing that is known parks orders.\n")
	}
	return b.String()
}

func (f Finding) String() string {
	where := f.Part
	if f.Line > 0 {
		where = fmt.Sprintf("%s:%d", f.File, f.Line)
	} else if f.File != "" {
		where = f.File
	}
	return fmt.Sprintf("  %s: %s\n      %s\n", where, printable.Text(f.What), strings.ReplaceAll(printable.Lines(f.Mend), "\n", "\n      "))
}

// some lists the first few of many.
func some(all []string) string {
	const few = 5
	if len(all) <= few {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:few], ", "), len(all)-few)
}

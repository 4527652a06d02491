package applier

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/intake"
)

// What customers have typed stays on its line of the table, and reads as what it is.
func TestStatusIsOneLineEach(t *testing.T) {
	var out bytes.Buffer
	printOverview(&out, intake.Overview{Shop: "shop", Mode: "live", Snapshot: true, Moved: time.Now(),
		Parked: []intake.ParkedSample{{Sample: intake.Sample{Count: 1, Examples: []int64{4711}}, Reason: "article", Why: "no article",
			What: []string{"Engraving: Anna\nparked    0  nothing is parked\x1b[1A"}, Mend: "map it"}},
		Flagged: []intake.FlagSample{
			{Field: "tax_code", Count: 5, Examples: []string{"order 4711", "account 7", "order 4709"}},
			{Field: "pec", Count: 1, Examples: []string{"order 12"}},
		}})
	want := `
parked         1  article: no article
                  order 4711: Engraving: Anna\nparked    0  nothing is parked\u001b[1A
                  to mend: map it
flagged        5  customers' tax_code can't be right (order 4711, account 7, order 4709 …): applier customers
               1  customers' pec can't be right (order 12): applier customers
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s\nwant at its end%s", out.String(), want)
	}
}

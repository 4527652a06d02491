package applier

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/stock"
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

// What the law says of stock stands on the screen: what drifts, and beside it what is only on its way.
func TestAccountsAreTold(t *testing.T) {
	var out bytes.Buffer
	printAccounts(&out, stock.Accounts{})
	if out.Len() > 0 {
		t.Errorf("of a shop without accounts: %s", &out)
	}
	printAccounts(&out, stock.Accounts{Begun: true, Rows: 40, Drifting: 2, Unpublished: 3, UnpublishedRows: 1, Undelivered: 12, UndeliveredRows: 4,
		Last:    &stock.LastRun{Ended: time.Now().Add(-3 * time.Minute), Drifting: 9, Repaired: 7, Waiting: 2, Held: "shop s: 30 of 40 rows of stock would be repaired at once"},
		Without: []stock.Without{{Why: "shared", Rows: 5, Examples: []string{"SP-1", "SP-2"}}},
		Unsold:  stock.Unsold{Articles: 3, Examples: []string{"A", "B", "C"}}, Restored: "the disk was lost"})
	want := `stock     40 rows have an account, 2 of them drift; unpublished 3 pieces in 1 rows, undelivered 12 pieces in 4 rows
          HELD: no account moves, and no document is given a number, until ` + "`applier recover erp`" + `: the disk was lost
          Reconciled 3m0s ago: 9 rows drifted, 7 repaired, 2 left; the shop's own tables were not compared.
          HELD: shop s: 30 of 40 rows of stock would be repaired at once. If that is right: applier reconcile --allow REASON
               5  rows have no account, share an article with another row (applier articles --export): SP-1, SP-2 …
               3  articles that the ERP stocks are no row of the shop's stock: A, B, C
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}

// A dry run tells the rows that change most, and where all of them stand.
func TestStockPlanIsTold(t *testing.T) {
	var out bytes.Buffer
	p := intake.StockPlan{Same: 3, More: 1, Less: 11, Emptied: 1, Left: 2}
	for i := range 12 {
		p.Rows = append(p.Rows, intake.StockRow{StockRow: fmt.Sprintf("product:%d", i), SKU: fmt.Sprintf("S%d", i), Now: 100, After: int64(i) * 10})
	}
	p.Rows = append([]intake.StockRow{{StockRow: "product:99", Now: 5, After: 5, WhyNot: "unmapped"}}, p.Rows...)
	reportStock(&out, &p, "golive-shop-stock.csv")
	for _, want := range []string{"show what they do now, 1 more, 11 less (1 of these nothing); 2 are left as they are", "S0 (product:0): 100 -> 0\n", "S9 (product:9): 100 -> 90\n", "… and 2 more\n", "all rows: golive-shop-stock.csv"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "product:99") || strings.Contains(out.String(), "product:10)") {
		t.Errorf("too much is told:\n%s", &out)
	}
}

package money_test

import (
	"testing"

	"github.com/spola-cdc/spola/internal/money"
)

// Net against SQL and every cent is held in schemas/erp (TestNetOfEveryCent).
func TestRates(t *testing.T) {
	for _, wrong := range []string{"", "x", "-1", "100.001", "22.0001"} {
		if r, err := money.ParseRate(wrong); err == nil {
			t.Errorf("%q is taken for a rate: %d", wrong, r)
		}
	}
	r, err := money.ParseRate("22.000")
	if err != nil || r.Percent().StringFixed(2) != "22.00" || money.Net(2440, r) != 2000 || money.Net(-2440, r) != -2000 {
		t.Errorf("22 %%: %v, %v, %d", r, err, money.Net(2440, r))
	}
	if got := money.NetExact(money.Cents(123456), r, 8).String(); got != "10.11934426" {
		t.Errorf("12.34 56 at 22 %%: %s", got)
	}
}

package intake

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What some orders that wait cost to derive does not depend on how many others wait, not even for a connection that began when few did: behind a
// snapshot all orders of a shop do.
func TestManyWait(t *testing.T) {
	shop, erp := past(t)
	erp.catchUp(shop.testLog, 1000)
	const most = 1000
	blocks := func(waiting int) (read float64) {
		t.Helper()
		back := errors.New("back")
		err := erp.inTx(func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "insert into spola.due (shop, order_id, tick, settling) select $1, n, 1, false from generate_series(1000000, 1000000 + $2 - 1) n", testShop, waiting); err != nil {
				return err
			}
			var plan []byte
			if err := tx.QueryRow(t.Context(), "explain (analyze, buffers, format json) select * from "+Schema(testShop)+".derive('{}', 1, 0, $1, false, true)", most).Scan(&plan); err != nil {
				return err
			}
			var of []struct {
				Plan map[string]any
			}
			if err := json.Unmarshal(plan, &of); err != nil {
				return err
			}
			read = of[0].Plan["Shared Hit Blocks"].(float64) + of[0].Plan["Shared Read Blocks"].(float64)
			return back
		})
		if !errors.Is(err, back) {
			t.Fatal(err)
		}
		return read
	}
	erp.exec("vacuum spola.due") // as mostly: empty
	blocks(1)                    // plans are kept from here on
	few, many := blocks(most), blocks(30*most)
	if many > 2*few {
		t.Errorf("%d orders cost %.0f blocks where no others wait, %.0f where thirty times as many do", most, few, many)
	}
	t.Logf("%d orders cost %.0f blocks where no others wait, %.0f where thirty times as many do", most, few, many)
}

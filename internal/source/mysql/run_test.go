package mysql

import (
	"testing"

	"github.com/spola-cdc/spola/internal/change"
)

var orders = Capture{Name: "oc_order", Columns: []string{"order_id", "total", "comment"}, Key: []string{"order_id"}, Order: "order_id"}

const ordersTable = `CREATE TABLE oc_order (order_id int NOT NULL AUTO_INCREMENT PRIMARY KEY, secret varchar(20), total decimal(15,4) NOT NULL DEFAULT 0, comment text) ENGINE=InnoDB`

func TestRunStreamsAndSnapshots(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		s.exec("INSERT INTO oc_order (secret, total, comment) VALUES ('x', 1.5, 'before'), ('y', -2, NULL)")
		s.start()
		s.snapshotDone(1)
		s.exec("INSERT INTO oc_order (secret, total, comment) VALUES ('hidden', 3, 'streamed')")
		s.exec("UPDATE oc_order SET total = 4 WHERE order_id = 3")
		s.exec("DELETE FROM oc_order WHERE order_id = 3")
		s.log.wait(t, "delete", func(records []change.Record) bool {
			rows := rowsOf(records, "oc_order")
			return len(rows) > 0 && rows[len(rows)-1].Op == change.Delete
		})
		for _, r := range s.log.all() {
			t.Logf("%d %s %s %s last=%v %s\n%s", r.Seq, r.Op, r.Table, r.Origin, r.Last, r.Key, r.Value)
		}
	})
}

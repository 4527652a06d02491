package mysql

import (
	"errors"
	"fmt"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
)

// A reader that is killed at any record of a snapshot leaves out no row of it: a table of several
// chunks is gone on with behind its last chunk, not given up.
func TestSnapshotKilledAtAnyRecord(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		lines := Capture{Name: "oc_order_product", Columns: []string{"id", "order_id", "name"}, Key: []string{"id"}, Order: "order_id"}
		s := newShop(t, url, orders, lines)
		s.cfg.ChunkRows = 2
		s.exec(ordersTable)
		s.exec("CREATE TABLE oc_order_product (id int NOT NULL PRIMARY KEY, order_id int, name varchar(50))")
		for i := 1; i <= 7; i++ {
			s.exec(fmt.Sprintf("INSERT INTO oc_order (order_id, total) VALUES (%d, 1)", i))
			s.exec(fmt.Sprintf("INSERT INTO oc_order_product VALUES (%d, %d, 'a')", i, i))
		}
		for kills := 0; ; kills++ {
			s.log.takes(3 + kills%9)
			s.start()
			if err := s.ended(); !errors.Is(err, errKilled) {
				t.Fatalf("after %d kills: %v", kills, err)
			}
			read, done := map[string]bool{}, false
			for _, r := range s.log.all() {
				var m change.ChunkMessage
				switch {
				case r.Op == change.Read:
					read[string(r.Key)] = true
				case r.Op == change.Chunk && change.Message(r.Value, &m) == nil:
					done = done || m.LastOfRun
				}
			}
			if done && len(read) != 14 {
				t.Fatalf("after %d kills the snapshot has ended with %d rows, want 14", kills, len(read))
			}
			if done {
				return
			}
			if kills > 300 {
				t.Fatalf("no end after %d kills: %s", kills, summary(s.log.all()))
			}
		}
	})
}

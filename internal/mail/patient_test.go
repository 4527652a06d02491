package mail

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/schemas"
)

// A shipment is queued at once, and what tells of the log itself goes by at once; changes that nobody is mailed about wait for company.
func TestPatientIsWhoHasNothingToQueue(t *testing.T) {
	contract, err := schemas.LoadContract()
	if err != nil {
		t.Fatal(err)
	}
	q := NewQueue("shop", "example.com", time.Time{}, contract, zerolog.Nop())
	row := []byte(`{"before":null,"after":{"id":1},"source":{"txId":1},"op":"c","ts_ms":0,"ts_us":0,"transaction":null}`)
	for _, c := range []struct {
		record  change.Record
		patient bool
	}{
		{change.Record{Op: change.Create, Table: "erp.stock", Value: row}, true},
		{change.Record{Op: change.Create, Table: "erp.shipment", Value: row}, false},
		{change.Record{Op: change.Probe}, false},
	} {
		part := q.Part(0)
		if err := part.Add([]change.Record{c.record}); err != nil {
			t.Fatal(err)
		}
		if got := apply.MayWait(part, []change.Record{c.record}); got != c.patient {
			t.Errorf("%s %s: patient %t, want %t", c.record.Op, c.record.Table, got, c.patient)
		}
	}
}

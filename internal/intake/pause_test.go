package intake

import (
	"errors"
	"testing"
	"time"
)

// Pausing and resuming are noted once each, and the status says who has paused.
func TestPauseAndResume(t *testing.T) {
	erp := newTestERP(t)
	by := By{Who: "anna@office", Reason: "stock-taking"}
	if _, _, err := Pause(t.Context(), erp.conn, testShop, "intake", by); !errors.Is(err, ErrUnknownShop) {
		t.Errorf("pausing what never ran: %v", err)
	}
	profile, _ := testProfile(t)
	erp.catchUp(newTestShop(profile).testLog, 1000)
	reached := time.UnixMilli(1764000000000)
	erp.exec("insert into spola.place (applier, source, record_time) values ('intake', $1, $2)", testShop, reached.UnixMilli())
	since, at, err := Pause(t.Context(), erp.conn, testShop, "intake", by)
	if err != nil || !at.Equal(reached) {
		t.Errorf("paused since %v, at %v: %v", since, at, err)
	}
	if again, _, err := Pause(t.Context(), erp.conn, testShop, "intake", By{Who: "bruno"}); err != nil || !again.Equal(since) {
		t.Errorf("paused again since %v, first %v: %v", again, since, err)
	}
	if o, err := Look(t.Context(), erp.conn, testShop); err != nil || o.Paused == nil || o.PausedBy != "anna@office" {
		t.Errorf("status: %+v, %v", o, err)
	}
	for _, want := range []bool{true, false} {
		if was, err := Resume(t.Context(), erp.conn, testShop, "intake", by); err != nil || was != want {
			t.Errorf("resumed: %v, %v", was, err)
		}
	}
	erp.want("noted", "pause resume", "select string_agg(verb, ' ' order by id) from spola.audit where decision = 'intake' and reason = 'stock-taking'")
}

package ops

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/notice"
)

// Who asks once what is open is told what only a probe shows, as it stands with the process that tells; and of the appliers whose places
// come by way of the shop's log nothing, for nobody knows them while that is not read.
func TestOpenNowKnowsWhatProbesShow(t *testing.T) {
	pic := picture()
	pic.Open = Open{}
	reasons := func(standing ...notice.Cause) (all []string) {
		for _, c := range sinceThen(pic.sight(tripOf(standing), nil).Causes, standing) {
			if c.Title == "" || c.Why == "" || c.Mend == "" || c.Since.IsZero() {
				t.Errorf("told without a word: %+v", c)
			}
			all = append(all, c.Reason)
		}
		return all
	}
	const applier = "stopped.stock"
	began := time.Now().Add(-40 * time.Second)
	if got := reasons(); !slices.Contains(got, applier) || slices.Contains(got, stoppedReader) {
		t.Errorf("nothing stands, and %q is open", got)
	}
	if old := sinceThen([]notice.Cause{{Reason: "down.erp", Since: time.Now()}}, []notice.Cause{{Reason: "down.kafka"}, {Reason: "down.erp", Since: began}}); !old[0].Since.Equal(began) {
		t.Errorf("it is told to be there since %v", old[0].Since)
	}
	for _, reason := range []string{stoppedReader, refusesShop} {
		got := reasons(notice.Cause{Reason: reason, Since: began})
		if !slices.Contains(got, reason) || slices.Contains(got, applier) {
			t.Errorf("%s stands, and %q is open", reason, got)
		}
	}
}

// Who was kept from moving, or could not be seen moving, stands still from then on only: nobody is told of him when all is just well again.
func TestStillFromWhenItCouldMove(t *testing.T) {
	w, now := &watch{stood: map[string]stood{}}, time.Now()
	look := func(trip Trip, change func(*Picture)) map[string]time.Duration {
		now = now.Add(lookEvery)
		pic := &Picture{At: now, Errors: map[string]error{}, Streams: []Stream{{Applier: intakeApplier, Read: 7}, {Applier: "stock", Read: 3}}}
		if change != nil {
			change(pic)
		}
		w.observe(pic, trip)
		still := map[string]time.Duration{}
		for _, s := range pic.Streams {
			still[s.Applier] = s.Still
		}
		return still
	}
	is := func(what string, got map[string]time.Duration, intake, stock int) {
		t.Helper()
		if int(got[intakeApplier]/lookEvery) != intake || int(got["stock"]/lookEvery) != stock {
			t.Errorf("%s: still for %v, want %d and %d looks", what, got, intake, stock)
		}
	}
	away := func(part string) func(*Picture) {
		return func(p *Picture) { p.Errors[part] = errors.New("refused") }
	}
	erpAway := func(p *Picture) { away(PartERP)(p); p.Streams = nil }
	is("first seen", look(Trip{}, nil), 0, 0)
	is("it stands", look(Trip{}, nil), 1, 1)
	look(Trip{}, erpAway)
	is("the ERP was away at one look", look(Trip{}, nil), 3, 3)
	look(Trip{}, erpAway)
	look(Trip{}, erpAway)
	is("the ERP is back", look(Trip{}, nil), 0, 0)
	is("and nothing moves", look(Trip{}, nil), 1, 1)
	look(Trip{}, away(PartKafka))
	look(Trip{}, away(PartKafka))
	is("Kafka is back", look(Trip{}, nil), 0, 0)
	is("and nothing moves", look(Trip{}, nil), 1, 1)
	is("the shop's log is not read", look(Trip{Log: Leg{Waiting: stillPatience}}, nil), 2, 0)
	is("it is read again", look(Trip{}, nil), 3, 1)
	is("the shop takes no row", look(Trip{Refused: time.Second}, nil), 4, 0)
	is("intake is behind", look(Trip{}, func(p *Picture) { p.Streams[0].Age = stillPatience }), 5, 0)
	is("it has caught up", look(Trip{}, nil), 6, 1)
}

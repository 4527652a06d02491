package ops

import (
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
		for _, c := range pic.sight(tripOf(standing), nil).Causes {
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
	for _, reason := range []string{stoppedReader, refusesShop} {
		got := reasons(notice.Cause{Reason: reason, Since: began})
		if !slices.Contains(got, reason) || slices.Contains(got, applier) {
			t.Errorf("%s stands, and %q is open", reason, got)
		}
	}
}

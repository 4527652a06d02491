package mirror

import (
	"slices"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
)

// A table's name may be as long as PostgreSQL takes: the tables that stand beside a second mirror's on one connection have names of their own all the same.
func TestLongNamesBesideASecondMirror(t *testing.T) {
	for _, name := range []string{"oc_order", strings.Repeat("x", maxIdentifier), strings.Repeat("x", maxIdentifier-1) + "y"} {
		shape := change.Table{Name: name, Columns: []change.Column{{Name: "id", Type: change.Int}}, Key: []string{"id"}}
		second, err := newTable(temporary, shape, owner{})
		if err != nil {
			t.Fatal(err)
		}
		names := []string{second.sql.name, temporaryTable("staged", name), second.sql.differing}
		if slices.Sort(names); len(slices.Compact(names)) != 3 {
			t.Errorf("%s: one table for two: %q", name, names)
		}
		for _, n := range names {
			if own := strings.Trim(strings.TrimPrefix(n, `"pg_temp".`), `"`); len(own) > maxIdentifier {
				t.Errorf("%s: %s has %d bytes", name, own, len(own))
			}
		}
	}
	if one, other := strings.Repeat("x", maxIdentifier), strings.Repeat("x", maxIdentifier-1)+"y"; temporaryTable("staged", one) == temporaryTable("staged", other) {
		t.Error("two long names have one staging table")
	}
}

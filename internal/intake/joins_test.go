package intake

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// A function that says by which joins its statements are planned says so of all three, and leaves one on: what its caller has forbidden would hold for it too,
// and with all of them forbidden the pieces of a batch were compared each with each.
func TestFunctionsSayHowTheyJoin(t *testing.T) {
	_, erp := bothLive(t)
	rows, err := erp.conn.Query(t.Context(), `select p.oid::regprocedure::text
		from pg_proc p
		cross join lateral (select count(*) as said, count(*) filter (where c like '%=on') as possible from unnest(p.proconfig) as c where c ~ '^enable_(nestloop|hashjoin|mergejoin)=') j
		where p.pronamespace = $1::regnamespace and j.said > 0 and (j.said < 3 or j.possible = 0)
		order by 1`, Schema(testShop))
	if err != nil {
		t.Fatal(err)
	}
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range functions {
		t.Errorf("%s does not say how it joins", function)
	}
}

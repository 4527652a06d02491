package postgres

import (
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// What happens to rows stands in the log: transactions in commit order, their rows in theirs,
// the last one marked, with the echo of Spola's own.
func TestRowsAndBorders(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.exec("BEGIN; INSERT INTO stock VALUES (1, 31, 5, 'a'), (2, 32, 6, 'b'); UPDATE stock SET on_hand = 4 WHERE id = 1; UPDATE stock SET id = 3 WHERE id = 2; DELETE FROM stock WHERE id = 3; COMMIT")
	e.exec("BEGIN; SELECT pg_logical_emit_message(true, 'spola', 'intake'); INSERT INTO stock VALUES (7, 37, 1, 'echo'); COMMIT")
	e.exec("BEGIN; INSERT INTO stock VALUES (8, 38, 1, 'late message'); SELECT pg_logical_emit_message(true, 'spola', 'intake'); INSERT INTO stock VALUES (11, 41, 1, 'behind it'); COMMIT")
	e.exec("BEGIN; SELECT pg_logical_emit_message(true, 'other', 'intake'); INSERT INTO stock VALUES (9, 39, 1, 'other message'); COMMIT")
	e.exec("INSERT INTO stock VALUES (10, 40, 1, 'the end')")
	e.row("public.stock", "the end")
	if err := e.end(); err == nil {
		t.Error("a reader that is stopped has no error")
	}
	var got []string
	for _, r := range rowsOf(e.log.all(), "public.stock") {
		last := ""
		if r.Last {
			last = " last"
		}
		origin, err := change.ParseOrigin(r.Origin)
		if err != nil {
			t.Fatal(err)
		}
		if r.Last != origin.Tx.End {
			t.Errorf("%s: last %v", r.Origin, r.Last)
		}
		if r.Last != strings.Contains(string(r.Value), `"anchor":"`) {
			t.Errorf("anchor: %s", r.Value)
		}
		before, after, err := change.Rows(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		echo := ""
		if strings.Contains(string(r.Value), `"echo":true`) {
			echo = " echo"
		}
		got = append(got, string(r.Op)+" "+string(before)+" "+string(after)+last+echo)
	}
	one, two := `{"id":1,"article_id":31,"on_hand":5,"note":"a"}`, `{"id":2,"article_id":32,"on_hand":6,"note":"b"}`
	three := strings.Replace(two, `"id":2`, `"id":3`, 1)
	want := []string{
		"c  " + one,
		"c  " + two,
		"u " + one + " " + strings.Replace(one, `"on_hand":5`, `"on_hand":4`, 1),
		"d " + two + " ",
		"c  " + three,
		"d " + three + "  last",
		`c  {"id":7,"article_id":37,"on_hand":1,"note":"echo"} last echo`,
		`c  {"id":8,"article_id":38,"on_hand":1,"note":"late message"}`,
		`c  {"id":11,"article_id":41,"on_hand":1,"note":"behind it"} last`,
		`c  {"id":9,"article_id":39,"on_hand":1,"note":"other message"} last`,
		`c  {"id":10,"article_id":40,"on_hand":1,"note":"the end"} last`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	checkChain(t, e.log.all())
}

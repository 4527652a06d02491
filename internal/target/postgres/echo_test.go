package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// The write-ahead log has Spola's message before everything else of its transactions.
func TestTransactionsBeginWithTheEcho(t *testing.T) {
	url := server.Postgres(t)
	conn, err := Connect(t.Context(), url, "spola test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec("CREATE TABLE stock (id int PRIMARY KEY)")
	slot := "echo_" + conn.Config().Database
	exec("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", slot)
	insert := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO stock SELECT coalesce(max(id), 0) + 1 FROM stock")
		return err
	}
	if err := InTransaction(t.Context(), conn, insert); err != nil {
		t.Fatal(err)
	}
	target := &Target{conns: [2]*pgx.Conn{conn}}
	tx, err := target.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := insert(tx); err != nil {
		t.Fatal(err)
	}
	if err := target.Commit(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL)", slot)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		if word == "message:" && !strings.Contains(line, "transactional: 1 prefix: spola,") {
			t.Error(line)
		}
		got = append(got, word)
	}
	if want := "BEGIN message: table COMMIT BEGIN message: table COMMIT"; strings.Join(got, " ") != want {
		t.Errorf("the write-ahead log has %v, want %s", lines, want)
	}
}

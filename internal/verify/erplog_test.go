package verify_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/witness"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/verify"
	"github.com/spola-cdc/spola/schemas"
)

// numbered gives the records of a log their numbers and sums.
func numbered(log []verify.LogRecord) []verify.LogRecord {
	var sum uint64
	for i := range log {
		r := change.Record{Seq: int64(i + 1), Gen: 1, Key: log[i].Key, Value: log[i].Value}
		sum = r.NextSum(sum)
		log[i].Offset, log[i].Seq, log[i].Gen, log[i].Sum = int64(i), r.Seq, 1, change.FormatSum(sum)
	}
	return log
}

func stockRow(warehouse, onHand int) string {
	return fmt.Sprintf(`{"article_id":1,"warehouse_id":%d,"on_hand":%d,"committed":0}`, warehouse, onHand)
}

// stockChange is a record of the ERP's log as it would be written by hand.
func stockChange(tx int64, op string, warehouse int, before, after string) verify.LogRecord {
	return verify.LogRecord{
		Key:   fmt.Appendf(nil, `{"table":"erp.stock","key":{"article_id":1,"warehouse_id":%d}}`, warehouse),
		Value: fmt.Appendf(nil, `{"before":%s,"after":%s,"source":{"txId":%d},"op":"%s"}`, before, after, tx, op),
	}
}

// What the ERP has witnessed stands in its log once and in full, and the log comes to what the tables
// hold; a change that is missing, there twice, of other rows or never made is found.
func TestCheckERPLog(t *testing.T) {
	url := server.Postgres(t)
	files, err := fs.Sub(schemas.ERP, "erp")
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), url, postgres.Migrations{Name: "erp", Files: files}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	do := func(statement string) (tx int64) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), "begin; "+statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if err := conn.QueryRow(t.Context(), "select (pg_current_xact_id()::text::numeric % 4294967296)::bigint").Scan(&tx); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "commit"); err != nil {
			t.Fatal(err)
		}
		return tx
	}
	do(`insert into erp.warehouse (id, code, name) values (1, 'MI', 'Milano'), (2, 'BO', 'Bologna')`)
	do(`insert into erp.product (code, name) values ('A', 'A')`)
	do(`insert into erp.article (product_id, sku, name, vat_rate, changed_at) values (1, 'A', 'a "b", (c)', 22, '2026-11-28 10:00:00.5+01')`)
	do(`alter table erp.stock replica identity full`)
	tables, err := verify.PublishedTables()
	if err != nil {
		t.Fatal(err)
	}
	if err := witness.Install(t.Context(), conn, tables); err != nil {
		t.Fatal(err)
	}
	do(`insert into erp.stock values (1, 2, 1, 0)`) // before the log begins
	made := do(`insert into erp.stock values (1, 1, 5, 0)`)
	moved := do(`update erp.stock set on_hand = on_hand - 1 where warehouse_id = 1; update erp.stock set on_hand = on_hand + 1 where warehouse_id = 2`)
	if _, err := conn.Exec(t.Context(), "begin; update erp.stock set on_hand = 100; rollback"); err != nil {
		t.Fatal(err)
	}
	gone := do(`delete from erp.stock where warehouse_id = 2`)

	sound := []verify.LogRecord{
		{Key: []byte(`{"spola":"claim"}`), Value: []byte(`{"before":null,"after":null,"op":"m"}`)},
		{Key: []byte(`{"table":"erp.article","key":{"id":1}}`), Value: []byte(`{"before":null,"after":{"id":1,"product_id":1,"sku":"A","ean":"","name":"a \"b\", (c)","vat_rate":"22.000",
			"gross":0,"special":null,"special_from":null,"special_to":null,"weight_kg":"0.000","width_cm":"0.00","height_cm":"0.00","depth_cm":"0.00","stocked":true,
			"changed_at":"2026-11-28T09:00:00.5Z"},"source":{},"op":"r"}`)},
		stockChange(0, "r", 2, "null", stockRow(2, 1)),
		stockChange(made, "c", 1, "null", stockRow(1, 5)),
		stockChange(moved, "u", 1, stockRow(1, 5), stockRow(1, 4)),
		stockChange(moved, "u", 2, stockRow(2, 1), stockRow(2, 2)),
		stockChange(gone, "d", 2, stockRow(2, 2), "null"),
	}
	for name, c := range map[string]struct {
		spoil func(log []verify.LogRecord) []verify.LogRecord
		finds []string
	}{
		"sound": {func(log []verify.LogRecord) []verify.LogRecord { return log }, nil},
		"a change less": {func(log []verify.LogRecord) []verify.LogRecord { return slices.Delete(log, 4, 5) },
			[]string{"lacks", "by the ERP's log erp.stock holds (1,1,5,0)", "erp.stock holds (1,1,4,0)"}},
		"a change twice": {func(log []verify.LogRecord) []verify.LogRecord { return slices.Insert(log, 4, log[4]) }, []string{"too much"}},
		"rolled back": {func(log []verify.LogRecord) []verify.LogRecord {
			return append(log, stockChange(moved, "u", 1, stockRow(1, 4), stockRow(1, 100)))
		}, []string{"too much", "by the ERP's log erp.stock holds (1,1,100,0)", "erp.stock holds (1,1,4,0)"}},
		"another row before": {func(log []verify.LogRecord) []verify.LogRecord {
			log[4] = stockChange(moved, "u", 1, stockRow(1, 6), stockRow(1, 4))
			return log
		}, []string{"lacks", "too much"}},
		"another order": {func(log []verify.LogRecord) []verify.LogRecord { log[3], log[4] = log[4], log[3]; return log },
			[]string{"by the ERP's log erp.stock holds (1,1,5,0)", "erp.stock holds (1,1,4,0)"}},
		"a snapshot's row less": {func(log []verify.LogRecord) []verify.LogRecord { return slices.Delete(log, 1, 2) }, []string{`erp.article holds (1,1,A`}},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := verify.CheckERPLog(t.Context(), conn, records(numbered(c.spoil(slices.Clone(sound)))))
			if err != nil {
				t.Fatal(err)
			}
			if report.Changes != 4 || report.Rows != 2 {
				t.Errorf("%d changes were witnessed, %d rows are there", report.Changes, report.Rows)
			}
			if len(report.Details) != len(c.finds) {
				t.Fatalf("found: %q", report.Details)
			}
			for i, want := range c.finds {
				if !strings.Contains(report.Details[i], want) {
					t.Errorf("found %q, not %q", report.Details[i], want)
				}
			}
		})
	}
}

package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/schemas"
)

// ERPLogReport is what was found when the ERP's log was held against the ERP.
type ERPLogReport struct {
	LogReport
	Changes     int64    `json:"changes"` // rows that the ERP's transactions changed, by its own triggers
	Rows        int64    `json:"rows"`    // of the published tables, at the end
	Differences int64    `json:"differences"`
	Details     []string `json:"details,omitempty"` // the first 100
}

func (r *ERPLogReport) differ(format string, args ...any) {
	r.Differences++
	if len(r.Details) < detailsShown {
		r.Details = append(r.Details, fmt.Sprintf(format, args...))
	}
}

// PublishedTables are the tables whose changes the ERP's log carries, as the contract names them.
func PublishedTables() ([]string, error) {
	contract, err := schemas.LoadContract()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, t := range contract.Publish {
		all = append(all, contract.Schema+"."+t.Table)
	}
	return all, nil
}

// CheckERPLog reads the ERP's log from its first record to its end, numbers and sums as CheckLog does,
// and holds it against the ERP at rest: each change of a published table that the ERP's own triggers
// (table lab.witness) have written down stands in it once, with the rows before and after, and no other;
// and all that the log says of a table, one record after the other, comes to what the table holds.
// What was witnessed before the log's first change is not asked for: a snapshot has brought it.
func CheckERPLog(ctx context.Context, erp *pgx.Conn, records iter.Seq2[LogRecord, error]) (ERPLogReport, error) {
	var report ERPLogReport
	all, err := load(schemas.Verify, erpFile, "")
	if err != nil {
		return report, err
	}
	if _, err := erp.Exec(ctx, "set timezone = 'UTC'; set datestyle = 'ISO'"); err != nil {
		return report, fmt.Errorf("hold the ERP's log against the ERP: %w", err)
	}
	check := &erpLog{report: &report, conn: erp, statements: all, said: map[saidChange]int{}, tables: map[string]*erpTable{}}
	if err := check.readTables(ctx); err != nil {
		return report, err
	}
	if report.LogReport, err = CheckLog(check.through(records)); err != nil {
		return report, err
	}
	if err := check.compareWitness(ctx); err != nil {
		return report, err
	}
	return report, check.compareRows(ctx)
}

type erpLog struct {
	report     *ERPLogReport
	conn       *pgx.Conn
	statements statements
	said       map[saidChange]int   // by the log, how often
	tables     map[string]*erpTable // by schema.table
}

// saidChange is a change of a row in a transaction, rows as PostgreSQL shows them.
type saidChange struct {
	tx                       int64
	table, op, before, after string
}

// erpTable is a published table, and what the log says that it holds.
type erpTable struct {
	columns []erpColumn
	full    bool              // the old row of a change comes whole: REPLICA IDENTITY FULL; else it is not compared
	rows    map[string]string // by key
}

type erpColumn struct{ name, kind string }

func (l *erpLog) readTables(ctx context.Context) error {
	published, err := PublishedTables()
	if err != nil {
		return err
	}
	for _, name := range published {
		rows, err := l.conn.Query(ctx, l.statements["columns"], name)
		if err != nil {
			return fmt.Errorf("read the columns of %s: %w", name, err)
		}
		t := &erpTable{rows: map[string]string{}}
		var c erpColumn
		if _, err := pgx.ForEachRow(rows, []any{&c.name, &c.kind, &t.full}, func() error { t.columns = append(t.columns, c); return nil }); err != nil {
			return fmt.Errorf("read the columns of %s: %w", name, err)
		}
		l.tables[name] = t
	}
	return nil
}

// through takes note of each record that passes.
func (l *erpLog) through(records iter.Seq2[LogRecord, error]) iter.Seq2[LogRecord, error] {
	return func(yield func(LogRecord, error) bool) {
		for r, err := range records {
			if err == nil && !r.Fence {
				err = l.note(r)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// ChangeOf is the transaction of a change that a record of the ERP's log tells of; false if it tells of
// none: it is one of Spola's own, or a row of a snapshot.
func (r LogRecord) ChangeOf() (tx int64, ok bool) {
	var v erpValue
	if r.Fence || json.Unmarshal(r.Value, &v) != nil {
		return 0, false
	}
	return v.Source.Tx, slices.Contains([]string{"c", "u", "d"}, v.Op)
}

type erpValue struct {
	Before, After map[string]any
	Op            string
	Source        struct {
		Tx int64 `json:"txId"`
	}
}

func (l *erpLog) note(r LogRecord) error {
	var v erpValue
	decode := json.NewDecoder(bytes.NewReader(r.Value))
	decode.UseNumber()
	if err := decode.Decode(&v); err != nil {
		return fmt.Errorf("record at offset %d: %w", r.Offset, err)
	}
	if !slices.Contains([]string{"c", "u", "d", "r"}, v.Op) {
		return nil
	}
	var key struct{ Table string }
	if err := json.Unmarshal(r.Key, &key); err != nil {
		return fmt.Errorf("key at offset %d: %w", r.Offset, err)
	}
	t := l.tables[key.Table]
	if t == nil {
		return nil // Spola's own
	}
	said := saidChange{tx: v.Source.Tx, table: key.Table, op: v.Op}
	var err error
	if said.after, err = t.shown(v.After); err == nil && t.full {
		said.before, err = t.shown(v.Before)
	}
	if err != nil {
		return fmt.Errorf("record at offset %d: %w", r.Offset, err)
	}
	if v.Op != "r" {
		l.said[said]++
	}
	if v.Op == "d" {
		delete(t.rows, string(r.Key))
	} else {
		t.rows[string(r.Key)] = said.after
	}
	return nil
}

// shown is a row of the log as PostgreSQL shows it.
func (t *erpTable) shown(row map[string]any) (string, error) {
	if row == nil {
		return "", nil
	}
	var fields []string
	for _, c := range t.columns {
		value, there := row[c.name]
		if !there {
			return "", fmt.Errorf("column %s is not there", c.name)
		}
		fields = append(fields, c.shown(value))
	}
	return "(" + strings.Join(fields, ",") + ")", nil
}

func (c erpColumn) shown(value any) string {
	text := ""
	switch v := value.(type) {
	case nil:
		return ""
	case bool:
		return map[bool]string{true: "t", false: "f"}[v]
	case json.Number:
		return v.String()
	case string:
		text = v
	}
	if strings.HasPrefix(c.kind, "timestamp") {
		text = strings.Replace(text, "T", " ", 1)
		if utc, ok := strings.CutSuffix(text, "Z"); ok {
			text = utc + "+00"
		}
	}
	if text != "" && !strings.ContainsAny(text, "\"\\(), \t\n\v\f\r") {
		return text
	}
	return `"` + strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(text) + `"`
}

var opOf = map[string]string{"INSERT": "c", "UPDATE": "u", "DELETE": "d"}

func (l *erpLog) compareWitness(ctx context.Context) error {
	rows, err := l.conn.Query(ctx, l.statements["witness"])
	if err != nil {
		return fmt.Errorf("read what the ERP has witnessed: %w", err)
	}
	inLog := map[int64]bool{}
	for said := range l.said {
		inLog[said.tx] = true
	}
	begun := false
	var seen saidChange
	_, err = pgx.ForEachRow(rows, []any{&seen.tx, &seen.table, &seen.op, &seen.before, &seen.after}, func() error {
		begun = begun || inLog[seen.tx]
		t := l.tables[seen.table]
		if !begun || t == nil {
			return nil
		}
		l.report.Changes++
		change := seen
		change.op = opOf[seen.op]
		if !t.full {
			change.before = ""
		}
		if l.said[change]--; l.said[change] < 0 {
			l.report.differ("the ERP's log lacks of transaction %d: %s of %s from %s to %s", seen.tx, seen.op, seen.table, seen.before, seen.after)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what the ERP has witnessed: %w", err)
	}
	for said, times := range l.said {
		for ; times > 0; times-- {
			l.report.differ("the ERP's log has too much of transaction %d: %s of %s from %s to %s", said.tx, said.op, said.table, said.before, said.after)
		}
	}
	return nil
}

func (l *erpLog) compareRows(ctx context.Context) error {
	for name, t := range l.tables {
		rows, err := l.conn.Query(ctx, strings.ReplaceAll(l.statements["rows of a table"], "{table}", name))
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		there := map[string]int{}
		var row string
		if _, err := pgx.ForEachRow(rows, []any{&row}, func() error { there[row]++; l.report.Rows++; return nil }); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		for _, said := range t.rows {
			if there[said]--; there[said] < 0 {
				l.report.differ("by the ERP's log %s holds %s", name, said)
			}
		}
		for row, times := range there {
			for ; times > 0; times-- {
				l.report.differ("%s holds %s, which the ERP's log does not say", name, row)
			}
		}
	}
	return nil
}

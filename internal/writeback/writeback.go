// Package writeback brings into the shop what changes in the ERP: its stock, and what became of
// its orders. Each is an effect of an applier on the ERP's log; its place stands in the shop, in the
// transaction of what it writes there.
//
//	stock.go   the newest entry of the ledger for each stock row, as a difference to what was applied
//	deliver.go one transaction of it: lock, take what the columns can hold, add
//	orders.go  parcels and states of orders, one transaction an order
//	decide.go  what becomes of a status: forward only, never into a state that moves stock twice
//	rights.go  what the shop's user lacks, named with the grants
//
// What is written, and into which columns, is SQL: schemas/shop/<platform>/writeback.mysql.sql.
// DESIGN.md says what holds.
package writeback

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/schemas"
)

// Log is the source's name of the ERP's log, and its topic's last part.
const Log = "erp"

// StockApplier is the applier by the name of its place.
const StockApplier = "stock"

// statements are a platform's statements of what is written into a shop.
type statements map[string]string

func load(platform, prefix string) (statements, error) {
	_, dir, err := schemas.Platform(platform)
	if err != nil {
		return nil, err
	}
	return schemas.Statements(dir, schemas.WritebackFile, prefix)
}

// of returns a statement with a list of keys, and what is added for each of them, filled in.
func (s statements) of(name string, ids []int64, added map[int64]int64) (string, error) {
	text, ok := s[name]
	if !ok {
		return "", fmt.Errorf("the platform has no statement %q", name)
	}
	var list, cases strings.Builder
	for i, id := range ids {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(strconv.FormatInt(id, 10))
		if added != nil {
			fmt.Fprintf(&cases, " WHEN %d THEN %d", id, added[id])
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "{ids}", list.String()), "{cases}", cases.String()), nil
}

// check refuses a shop whose tables can't keep what is written and the marker in one transaction.
func (s statements) check(ctx context.Context, tx *mysql.Tx, engines string) error {
	var bad, mend []string
	err := tx.Query(ctx, s[engines], nil, func(scan func(...any) error) error {
		var table, engine string
		if err := scan(&table, &engine); err != nil {
			return err
		}
		bad = append(bad, table+" ("+engine+")")
		mend = append(mend, "ALTER TABLE `"+table+"` ENGINE=InnoDB")
		return nil
	})
	if err != nil || len(bad) == 0 {
		return err
	}
	return &mysql.StopError{What: "tables without transactions can't be written exactly once: " + strings.Join(bad, ", "),
		Mend: "have an administrator of the shop's database run " + strings.Join(mend, "; ")}
}

// life follows which life of the ERP its log tells of: the incarnation of the last claim. It is kept
// in the marker, since the claim may stand long before the place.
type life struct {
	row   string // of the marker
	begun int64  // as the marker had it at the start; 0: it has followed none yet
	since int64  // when that was, ms since 1970
	read  int64  // of the reading goroutine: behind the last record added
	saved int64  // of the writing one: as the marker has it
}

// lifeRow is the name of an applier's life in the marker.
func lifeRow(applier string) string { return "life." + applier + "." + Log }

func (l *life) start(ctx context.Context, tx *mysql.Tx) error {
	l.begun, l.read, l.saved, l.since = 0, 0, 0, time.Now().UnixMilli()
	return tx.Query(ctx, "SELECT generation FROM "+mysql.Marker+" WHERE name = ?", []any{l.row}, func(scan func(...any) error) error {
		err := scan(&l.saved)
		l.begun, l.read = l.saved, l.saved
		return err
	})
}

// claimed follows a claim. Of another life than the one that it has followed it is not known whether the ERP was restored: a
// person has to look. An applier that has followed none yet meets the lives that the log has behind it; one that begins while it follows is another.
func (l *life) claimed(r *change.Record) error {
	var message change.ClaimMessage
	if err := change.Message(r.Value, &message); err != nil {
		return err
	}
	followed := l.begun
	if followed == 0 && r.Time > l.since {
		followed = l.read
	}
	if followed > 0 && message.Incarnation > followed {
		return &mysql.StopError{
			What: fmt.Sprintf("the ERP's log begins another life of the ERP (%d, after %d) in record %d/%d: its database may be an older one than it was", message.Incarnation, followed, r.Gen, r.Seq),
			Mend: "`applier recover erp --dry-run` shows what it lacks; `applier recover erp` lets it go on, also where it lacks nothing",
		}
	}
	l.read = max(l.read, message.Incarnation)
	return nil
}

func (l *life) save(ctx context.Context, tx *mysql.Tx, now int64) error {
	if now == l.saved {
		return nil
	}
	_, err := tx.Exec(ctx, "INSERT INTO "+mysql.Marker+" (name, generation) VALUES (?, ?) ON DUPLICATE KEY UPDATE generation = VALUES(generation)", l.row, now)
	if err == nil {
		l.saved = now
	}
	return err
}

// mark is a row of the marker that is no place.
type mark struct {
	Name       string  `json:"name"`
	Generation int64   `json:"generation"` // life of the ERP
	Number     int64   `json:"number"`
	Applied    int64   `json:"applied"`
	Note       *string `json:"note"`
}

// lockMarks locks rows of the marker, in the order of their names, and returns those that are there.
func lockMarks(ctx context.Context, tx *mysql.Tx, names []string) (map[string]mark, error) {
	return readMarks(ctx, tx, names, " ORDER BY name FOR UPDATE")
}

func readMarks(ctx context.Context, tx *mysql.Tx, names []string, how string) (map[string]mark, error) {
	found := make(map[string]mark, len(names))
	if len(names) == 0 {
		return found, nil
	}
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	query := "SELECT name, generation, number, applied, note FROM " + mysql.Marker + " FORCE INDEX (PRIMARY) WHERE name IN (?" +
		strings.Repeat(",?", len(names)-1) + ")" + how
	err := tx.Query(ctx, query, args, func(scan func(...any) error) error {
		var m mark
		if err := scan(&m.Name, &m.Generation, &m.Number, &m.Applied, &m.Note); err != nil {
			return err
		}
		found[m.Name] = m
		return nil
	})
	return found, err
}

const putMarks = `INSERT INTO ` + mysql.Marker + ` (name, generation, number, applied, note)
SELECT v.name, v.generation, v.number, v.applied, v.note
FROM JSON_TABLE(?, '$[*]' COLUMNS (name varchar(191) PATH '$.name', generation bigint PATH '$.generation', number bigint PATH '$.number',
	applied bigint PATH '$.applied', note text PATH '$.note')) v
ON DUPLICATE KEY UPDATE generation = v.generation, number = v.number, applied = v.applied, note = v.note`

// put makes or changes rows of the marker.
func put(ctx context.Context, tx *mysql.Tx, marks []mark) error {
	if len(marks) == 0 {
		return nil
	}
	text, err := json.Marshal(marks)
	if err != nil {
		return fmt.Errorf("rows of the marker: %w", err)
	}
	_, err = tx.Exec(ctx, putMarks, string(text))
	return err
}

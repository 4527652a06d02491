package mysql

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/spola-cdc/spola/internal/change"
)

//go:embed marker.sql
var markerTable string

// markerRow is a row of the marker table as records carry it.
type markerRow struct {
	Name       string  `json:"name"`
	Generation int64   `json:"generation"`
	Number     int64   `json:"number"`
	Note       *string `json:"note"`
}

// The rows of the marker table that are the reader's.
const (
	tickRow    = "tick"
	lowRow     = "low"
	highRow    = "high"
	requestRow = "request"
)

// ensureMarker makes the marker table and its rows where they are missing.
func ensureMarker(ctx context.Context, db *sql.DB) error {
	var n int
	err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM spola_marker WHERE name IN ('tick', 'low', 'high', 'request')").Scan(&n)
	if isMySQLError(err, 1146) {
		_, err = db.ExecContext(ctx, markerTable)
	}
	if err != nil {
		return fmt.Errorf("make table %s: %w", Marker, err)
	}
	if n == 4 {
		return nil
	}
	_, err = db.ExecContext(ctx, "INSERT IGNORE INTO spola_marker (name) VALUES ('tick'), ('low'), ('high'), ('request')")
	if err != nil {
		return fmt.Errorf("fill table %s: %w", Marker, err)
	}
	return nil
}

// activity is when the last row came that was not Spola's own; the ticks follow it.
type activity struct{ at atomic.Int64 }

func (a *activity) seen() { a.at.Store(time.Now().UnixNano()) }

func (a *activity) recent() bool {
	return time.Since(time.Unix(0, a.at.Load())) < quietAfter
}

// Ticks come every second until quietAfter the last row that is not Spola's own, then slower.
// What counts ticks therefore has enough of them to settle after the last row.
const (
	tickEvery      = time.Second
	quietTickEvery = time.Minute
	quietAfter     = 10 * time.Second
)

// tick updates the tick row: in the binary log it is the source's clock. Like every row of the reader's it is made again
// where somebody has deleted it: an UPDATE would go on without a word, and the clock would stand still.
func tick(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "INSERT INTO spola_marker (name, number) VALUES ('tick', 1) ON DUPLICATE KEY UPDATE number = number + 1")
	if err != nil {
		return fmt.Errorf("tick: %w", err)
	}
	return nil
}

// runTicks ticks until the context ends. A server that is away gets no ticks; a right that is
// missing stops the stream.
func runTicks(ctx context.Context, db *sql.DB, a *activity) error {
	timer := time.NewTicker(tickEvery)
	defer timer.Stop()
	var last time.Time
	for {
		if a.recent() || time.Since(last) >= quietTickEvery {
			switch err := tick(ctx, db); {
			case err == nil:
				last = time.Now()
			case ctx.Err() != nil:
				return ctx.Err()
			case isRefused(err):
				return &StopError{Kind: ErrMarker, Table: Marker, What: err.Error(), Mend: grantMarker}
			}
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const grantMarker = "GRANT SELECT, INSERT, UPDATE ON the shop's database's spola_marker TO the user of cdc; `cdc preflight` writes the statement out"

// SnapshotRequest asks for tables or ranges of them to be read again, or for a probe record.
type SnapshotRequest struct {
	Ranges []KeyRange `json:"ranges,omitempty"`
	Probe  bool       `json:"probe,omitempty"`
}

// askForSnapshot numbers a request by the clock: the log remembers the highest number that it took, and a row that was deleted,
// or came back from a backup, would count from below it, so that its requests were nobody's.
const askForSnapshot = `INSERT INTO spola_marker (name, number, note) VALUES ('request', CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED), ?)
	ON DUPLICATE KEY UPDATE number = GREATEST(number + 1, VALUES(number)), note = VALUES(note)`

// RequestSnapshot asks the reader of this source, whichever process it is, for a snapshot: by
// a row of the marker table, so that the request stands in the log too.
func RequestSnapshot(ctx context.Context, cfg Config, request SnapshotRequest) error {
	for _, wanted := range request.Ranges {
		if _, ok := cfg.capture(wanted.Table); !ok {
			return fmt.Errorf("source %s: table %q is not captured", cfg.Source, wanted.Table)
		}
	}
	note, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("snapshot request: %w", err)
	}
	db, err := cfg.open()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := ensureMarker(ctx, db); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, askForSnapshot, string(note))
	if err != nil {
		return fmt.Errorf("snapshot request: %w", err)
	}
	return nil
}

// ErrNoMarker says that nobody has read the shop yet.
var ErrNoMarker = errors.New("table " + Marker + " is not there: the reader, which makes it, has never run (cdc run, or spola run)")

// Probe writes the row `probe` of the marker table, and returns its number: where a mirror of the shop shows that number or a
// higher one, it shows everything that the shop had committed before. Numbered by the clock, as requests are.
func Probe(ctx context.Context, db *sql.DB) (int64, error) {
	res, err := db.ExecContext(ctx, `INSERT INTO spola_marker (name, number) VALUES ('probe', LAST_INSERT_ID(CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)))
		ON DUPLICATE KEY UPDATE number = LAST_INSERT_ID(GREATEST(number + 1, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)))`)
	if isMySQLError(err, 1146) {
		return 0, ErrNoMarker
	}
	if err != nil {
		return 0, unacknowledged(err)
	}
	return res.LastInsertId()
}

// unacknowledged says why a probe was not written. The driver calls a connection invalid whose answer it has not waited for: of a server that
// waits for room on its disk that would say nothing.
func unacknowledged(err error) error {
	if errors.Is(err, driver.ErrInvalidConn) {
		return fmt.Errorf("table %s: the server has not acknowledged a row in time, or has hung up: %w", Marker, err)
	}
	return fmt.Errorf("table %s: write a row: %w", Marker, err)
}

// markerRow keeps a row of the marker table that the reader itself waits for.
func (r *reader) markerRow(l *layout, image *decoder) error {
	buf := r.out.bytes
	switch string(image.value(buf, l.key[0])) {
	case `"` + lowRow + `"`, `"` + highRow + `"`, `"` + requestRow + `"`:
	default:
		return nil
	}
	object := []byte{'{'}
	for i := range l.columns {
		if l.columns[i].captured {
			object = append(object, buf[image.spans[i].from:image.spans[i].to]...)
			object = append(object, ',')
		}
	}
	object[len(object)-1] = '}'
	var m markerRow
	if err := json.Unmarshal(object, &m); err != nil {
		return fmt.Errorf("row of %s: %w", Marker, err)
	}
	r.tx.marks = append(r.tx.marks, m)
	return nil
}

// mark acts on a row of the marker table whose transaction has ended.
func (r *reader) mark(m *markerRow) error {
	switch m.Name {
	case requestRow:
		return r.request(m)
	case lowRow:
		r.window.begin(r.snapshots.waiting(m))
	case highRow:
		return r.endChunk(m)
	}
	return nil
}

func (r *reader) request(m *markerRow) error {
	row, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("request in the marker table: %w", err)
	}
	before := r.state.Requests
	if err := r.state.foldMarker(row); err != nil {
		return err
	}
	var request SnapshotRequest
	if r.state.Requests == before || m.Note == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(*m.Note), &request); err != nil || !request.Probe {
		return nil //nolint:nilerr // a request that can't be read asks for nothing
	}
	message := struct {
		Kind change.Op `json:"kind"`
	}{change.Probe}
	return r.own(change.Record{Op: change.Probe, Time: time.Now().UnixMilli(), Last: true}, r.state.at, r.state.Anchor, message)
}

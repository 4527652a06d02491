package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/change"
)

// reader turns the events of a binary log into records of a log. One goroutine owns it.
type reader struct {
	cfg      *Config
	log      zerolog.Logger
	flavor   flavor
	database string
	charsets map[uint64]string // by collation
	tables   map[string]*table
	out      output
	state    *State

	// Of the connection.
	done     *executed // what comes before the transaction that is being read
	resume   *resumption
	file     string
	checksum bool
	tx       transaction
	layouts  map[uint64]*layout // by table id, of this transaction
	known    map[string]*layout // by the table map's schema and name
	window   window

	snapshots *snapshots
	activity  *activity

	refusedFirst time.Time // because of another replica's server id
	refusedLast  time.Time

	heldRow    int64 // row of the record that is held back
	sinceState int   // records since the last claim or heartbeat
	stateAt    time.Time
	before     decoder
	after      decoder
	scratch    []byte
	unpacking  unpacking
	source     []byte // of the event that is being decoded: its source block up to the row
	middle     []byte // and what stands behind the row's number
}

// table is a captured table.
type table struct {
	capture Capture
	shape   *change.Table // as announced last in this process; nil if it was not
	allowed map[string]bool
	from    int64 // rows of orders below it stay in the shop; 0: none
}

// where names a place in the binary log, for people.
func (r *reader) where(h *replication.EventHeader) string {
	return r.file + ":" + strconv.FormatUint(uint64(h.LogPos), 10)
}

func (r *reader) stop(kind error, table, what, mend string) error {
	at := r.tx.gtid
	if at == "" {
		at = r.file
	}
	return &StopError{Kind: kind, Table: table, At: at, What: what, Mend: mend}
}

// connected forgets what belonged to the last connection and sets what must be found first.
func (r *reader) connected() error {
	at := r.state.at
	done, err := parseExecuted(r.flavor, at.Before)
	if err != nil {
		return fmt.Errorf("position in the log: %w", err)
	}
	r.done, r.resume = done, nil
	if at.GTID != "" {
		r.resume = &resumption{at: at, time: r.state.Time, anchor: r.state.Anchor}
	}
	r.out.discardHeld()
	r.tx = transaction{collections: map[*table]int64{}}
	r.layouts = map[uint64]*layout{}
	r.checksum = false
	r.snapshots.again(&r.window)
	return nil
}

// handle takes one event as the server sent it; in has the others.
func (r *reader) handle(ctx context.Context, e *replication.BinlogEvent, in *incoming) error {
	switch ev := e.Event.(type) {
	case *replication.FormatDescriptionEvent:
		r.checksum = ev.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32
		return nil
	case *replication.RotateEvent:
		r.file = string(ev.NextLogName)
		return nil
	}
	body, err := r.body(e)
	if err != nil {
		return err
	}
	if t := e.Header.EventType; isPayload(t) {
		more := func() ([]byte, bool, error) { return r.nextPiece(ctx, in) }
		return r.readPayload(ctx, e.Header, &payloadReader{rest: body, last: t != payloadPiece, more: more})
	}
	return r.event(e.Header, body)
}

// body is an event without its header and checksum.
func (r *reader) body(e *replication.BinlogEvent) ([]byte, error) {
	body := e.RawData[replication.EventHeaderSize:]
	if !r.checksum {
		return body, nil
	}
	if len(body) < replication.BinlogChecksumLength {
		return nil, errShort
	}
	return body[:len(body)-replication.BinlogChecksumLength], nil
}

// event takes one event, be it the server's own or from within a compressed transaction.
func (r *reader) event(h *replication.EventHeader, body []byte) error {
	switch h.EventType {
	case replication.GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT, replication.MARIADB_GTID_EVENT:
		return r.readGTID(h, body)
	case replication.QUERY_EVENT, replication.MARIADB_QUERY_COMPRESSED_EVENT:
		return r.readQuery(h, body)
	case replication.TABLE_MAP_EVENT:
		return r.readTableMap(h, body)
	case replication.XID_EVENT, replication.XA_PREPARE_LOG_EVENT:
		return r.endTransaction()
	case replication.EXECUTE_LOAD_QUERY_EVENT:
		return r.readLoadQuery(body)
	case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2, replication.STOP_EVENT, replication.IGNORABLE_EVENT,
		replication.ROWS_QUERY_EVENT, replication.PREVIOUS_GTIDS_EVENT, replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT,
		replication.MARIADB_ANNOTATE_ROWS_EVENT, replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_GTID_LIST_EVENT,
		replication.MARIADB_START_ENCRYPTION_EVENT:
		return nil // they tell about the log or repeat a statement's text
	case replication.INTVAR_EVENT, replication.RAND_EVENT, replication.USER_VAR_EVENT, replication.BEGIN_LOAD_QUERY_EVENT:
		return nil // they go before a statement, which is judged
	case replication.ANONYMOUS_GTID_EVENT:
		return r.stop(ErrFormat, "", "a transaction has no GTID", "SET GLOBAL gtid_mode step by step to ON, as `cdc preflight` shows it")
	case replication.INCIDENT_EVENT:
		return r.stop(ErrEvent, "", "the server says that events were lost at "+r.where(h), beginAnew)
	}
	if _, ok := rowOpOf(h.EventType); ok {
		return r.readRows(h, body)
	}
	return r.stop(ErrEvent, "", fmt.Sprintf("event of type %d (%s) at %s", h.EventType, h.EventType, r.where(h)), "this version of cdc can't read this server's binary log")
}

// readTableMap finds the layout of a table, the same one while the event's bytes are the same.
func (r *reader) readTableMap(h *replication.EventHeader, body []byte) error {
	if len(body) < 8 {
		return errShort
	}
	id, raw := mysql.FixedLengthInt(body[:6]), body[8:]
	name, err := mapName(raw)
	if err != nil {
		return err
	}
	l := r.known[string(name)]
	if l == nil || !bytes.Equal(l.raw, raw) {
		if l, err = parseTableMap(raw, r.flavor); err != nil {
			return r.stop(ErrEvent, "", fmt.Sprintf("at %s: %v", r.where(h), err), "this version of cdc can't read this server's binary log")
		}
		r.bind(l)
		r.known[string(name)] = l
	}
	r.layouts[id] = l
	return nil
}

// mapName is the part of a table map that names schema and table.
func mapName(raw []byte) ([]byte, error) {
	if len(raw) < 1 {
		return nil, errShort
	}
	at := 1 + int(raw[0]) + 1
	if len(raw) <= at || len(raw) <= at+int(raw[at]) {
		return nil, errShort
	}
	return raw[:at+1+int(raw[at])], nil
}

// bind finds out what leaves the shop of a table's rows. What does not fit is an error of the
// first row, not of the layout: a statement may announce tables that it does not touch.
func (r *reader) bind(l *layout) {
	if l.schema != r.database || r.tables[l.name] == nil {
		return
	}
	l.table = r.tables[l.name]
	if l.shape, l.bad = l.capture(&l.table.capture, r.charsets); l.bad != nil {
		return
	}
	l.hash = hashShape(l.shape)
	l.keyHead = append(appendQuoted([]byte(`{"table":`), []byte(l.name)), `,"key":{`...)
	l.names = append(appendQuoted(nil, []byte(l.schema)), `,"table":`...)
	l.names = appendQuoted(l.names, []byte(l.name))
	l.key = l.indexes(l.table.capture.Key)
	l.kept = append(l.indexes(l.table.capture.Key), l.indexes([]string{l.table.capture.Order})...)
	l.order = l.indexes([]string{l.table.capture.Order})
	l.only = -1
	if only := l.table.capture.Only; only != nil {
		l.only = l.indexes([]string{only.Column})[0]
	}
}

// readQuery takes the text of a statement: the borders of transactions, and DDL.
func (r *reader) readQuery(h *replication.EventHeader, body []byte) error {
	if len(body) < 13 {
		return errShort
	}
	schema, status := int(body[8]), int(binary.LittleEndian.Uint16(body[11:]))
	at := 13 + status
	if len(body) < at+schema+1 {
		return errShort
	}
	current, text := string(body[at:at+schema]), body[at+schema+1:]
	if h.EventType == replication.MARIADB_QUERY_COMPRESSED_EVENT {
		var err error
		if text, err = mysql.DecompressMariadbData(text); err != nil {
			return fmt.Errorf("decompress a statement at %s: %w", r.where(h), err)
		}
	}
	return r.statement(current, text)
}

func (r *reader) statement(current string, text []byte) error {
	switch string(text) {
	case "BEGIN":
		r.tx.begun = true
		return nil
	case "COMMIT":
		return r.endTransaction()
	}
	t := &r.tx
	t.add(text)
	word := strings.ToUpper(string(text[:min(len(text), 16)]))
	switch {
	case strings.HasPrefix(word, "ROLLBACK"):
		if t.records > 0 || r.out.held {
			return r.stop(ErrStatement, "", "a transaction with rows of captured tables was rolled back in part or whole", "use InnoDB for every table of such transactions; "+beginAnew)
		}
		if word == "ROLLBACK" {
			return r.endTransaction()
		}
		return nil
	case strings.HasPrefix(word, "XA START"), strings.HasPrefix(word, "XA BEGIN"):
		t.xa, t.begun = true, true // what ends it is a transaction of its own, of this one statement
	}
	v := judge(string(text), current, r.database, func(name string) bool { return r.tables[name] != nil })
	if v.kind == fatal && t.skip != all {
		return r.stop(ErrStatement, strings.Join(v.tables, ", "), v.why, "the binary log does not say which rows that concerned; "+beginAnew)
	}
	if t.begun || strings.HasSuffix(strings.ToUpper(strings.TrimSpace(string(text[max(0, len(text)-32):]))), "START TRANSACTION") {
		t.begun = true
		if v.kind == altered {
			return r.announceAltered(v.tables, false)
		}
		return nil
	}
	if v.kind == altered {
		if err := r.announceAltered(v.tables, true); err != nil {
			return err
		}
	}
	return r.endTransaction()
}

// readLoadQuery judges LOAD DATA in statement format as any other statement.
func (r *reader) readLoadQuery(body []byte) error {
	const fixed = 26
	if len(body) < fixed {
		return errShort
	}
	at := fixed + int(binary.LittleEndian.Uint16(body[11:]))
	schema := int(body[8])
	if len(body) < at+schema+1 {
		return errShort
	}
	return r.statement(string(body[at:at+schema]), body[at+schema+1:])
}

// flushFull hands records over when enough have gathered.
func (r *reader) flushFull(ctx context.Context) error {
	if !r.out.full() {
		return nil
	}
	return r.out.flush(ctx)
}

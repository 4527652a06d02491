package mysql

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/spola-cdc/spola/internal/change"
)

// transaction is the one that is being read.
type transaction struct {
	open  bool
	begun bool // by BEGIN: it has an end of its own; else its one statement is all
	xa    bool

	gtid     string
	before   string
	micros   int64 // commit time, µs; of MariaDB whole seconds
	serverID uint32
	source   string // of gtid: uuid, or uuid:tag
	number   int64
	domain   domain

	row     int64 // row images so far, before any filter
	skip    int64 // row images that stand in the log already
	records int64 // records made of it, in this reading or before
	echo    bool  // its first row is of the marker table: Spola's own
	rows    bool  // a row event was read
	sum     uint32
	verify  *resumption
	marks   []markerRow // rows of the marker table that the snapshot waits for

	collections map[*table]int64
	origin      []byte // its records' origins up to the row
}

// all is a skip above any row.
const all = math.MaxInt64

// resumption is what a new owner, or a new connection, must find first.
type resumption struct {
	at     change.Position
	time   int64 // ms
	anchor string
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// add takes an event's content into the transaction's checksum: what a replica of the server
// has too, so neither table ids nor places in a file.
func (t *transaction) add(parts ...[]byte) {
	for _, part := range parts {
		t.sum = crc32.Update(t.sum, castagnoli, part)
	}
}

// anchor is the checksum's text form.
func (t *transaction) anchor() string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], t.sum)
	return hex.EncodeToString(b[:])
}

// position is a place within the transaction.
func (t *transaction) position(incarnation, row int64, end bool) change.Position {
	return change.Position{Incarnation: incarnation, Before: t.before, GTID: t.gtid, Row: row, End: end}
}

// readGTID begins a transaction with the event that names it.
func (r *reader) readGTID(h *replication.EventHeader, body []byte) error {
	t := &r.tx
	if t.open {
		return r.stop(ErrEvent, "", "transaction "+t.gtid+" has no end", "report this with the output of mysqlbinlog around it")
	}
	collections, origin := t.collections, t.origin
	clear(collections)
	*t = transaction{open: true, serverID: h.ServerID, collections: collections, origin: origin[:0]}
	t.before = string(r.done.append(r.scratch[:0]))
	clear(r.layouts)
	var err error
	switch h.EventType {
	case replication.MARIADB_GTID_EVENT:
		err = t.readMariaDB(h, body)
	case replication.GTID_TAGGED_LOG_EVENT:
		var ev replication.GtidTaggedLogEvent
		if err = ev.Decode(body); err == nil {
			err = t.readMySQL(&ev.GTIDEvent)
		}
	default:
		var ev replication.GTIDEvent
		if err = ev.Decode(body); err == nil {
			err = t.readMySQL(&ev)
		}
	}
	if err != nil {
		return fmt.Errorf("GTID event at %s: %w", r.where(h), err)
	}
	t.origin = t.position(r.state.at.Incarnation, 0, false).Append(t.origin)
	t.origin = t.origin[:len(t.origin)-1]
	return r.resumeAt(t)
}

func (t *transaction) readMySQL(ev *replication.GTIDEvent) error {
	if len(ev.SID) != 16 {
		return fmt.Errorf("server uuid of %d bytes", len(ev.SID))
	}
	var id [36]byte
	hex.Encode(id[0:8], ev.SID[0:4])
	hex.Encode(id[9:13], ev.SID[4:6])
	hex.Encode(id[14:18], ev.SID[6:8])
	hex.Encode(id[19:23], ev.SID[8:10])
	hex.Encode(id[24:36], ev.SID[10:16])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	t.source = string(id[:])
	if tag := ev.Tag.String(); tag != "" {
		t.source += ":" + tag
	}
	t.number = ev.GNO
	t.gtid = t.source + ":" + strconv.FormatInt(ev.GNO, 10)
	t.micros = int64(ev.OriginalCommitTimestamp)
	return nil
}

// Flags of MariaDB's GTID event.
const (
	mariadbStandalone = 1
	mariadbPrepared   = 64
	mariadbCompleted  = 128
)

func (t *transaction) readMariaDB(h *replication.EventHeader, body []byte) error {
	if len(body) < 13 {
		return errShort
	}
	t.domain = domain{id: binary.LittleEndian.Uint32(body[8:]), server: h.ServerID, number: binary.LittleEndian.Uint64(body)}
	flags := body[12]
	t.begun = flags&mariadbStandalone == 0
	t.xa = flags&(mariadbPrepared|mariadbCompleted) != 0
	t.gtid = string(appendDomain(nil, t.domain))
	t.micros = int64(h.Timestamp) * 1e6
	return nil
}

// resumeAt compares the first transaction of a connection with the one that the log ends with.
func (r *reader) resumeAt(t *transaction) error {
	want := r.resume
	r.resume = nil
	if want == nil {
		return nil
	}
	// An origin taken from a log that was moved here has no time.
	if t.gtid != want.at.GTID || want.time != 0 && t.micros/1000 != want.time {
		return r.stop(ErrAnchor, "", fmt.Sprintf("the log ends with transaction %s of %d ms, the server has %s of %d ms there",
			want.at.GTID, want.time, t.gtid, t.micros/1000), beginAnew)
	}
	t.verify = want
	t.skip = want.at.Row
	t.records = want.at.Row
	if want.at.End {
		t.skip = all
	}
	return nil
}

// endTransaction closes the row that was held back and moves the position on.
func (r *reader) endTransaction() error {
	t := &r.tx
	if !t.open {
		return nil
	}
	t.open = false
	if r.flavor == mariadbFlavor {
		r.done.addDomain(t.domain.id, t.domain.server, t.domain.number)
	} else {
		r.done.addInterval(t.source, interval{t.number, t.number})
	}
	if t.verify != nil && t.skip == all {
		if anchor := t.verify.anchor; anchor != "" && anchor != t.anchor() {
			return r.stop(ErrAnchor, "", fmt.Sprintf("transaction %s has the checksum %s, the log has %s for it", t.gtid, t.anchor(), anchor), beginAnew)
		}
		return nil
	}
	r.closeRow(true)
	for i := range t.marks {
		if err := r.mark(&t.marks[i]); err != nil {
			return err
		}
	}
	return r.beat(false)
}

// closeRow ends the row that was held back, if there is one, and notes that it is recorded.
func (r *reader) closeRow(end bool) {
	if !r.out.held {
		return
	}
	anchor := ""
	if end {
		anchor = r.tx.anchor()
	}
	p := r.out.closeHeld(anchor)
	r.state.at = r.tx.position(r.state.at.Incarnation, r.heldRow, end)
	r.state.Time, r.state.Anchor = p.record.Time, anchor
	r.sinceState++
}

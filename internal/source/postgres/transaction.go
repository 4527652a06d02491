package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/jackc/pglogrepl"

	"github.com/spola-cdc/spola/internal/change"
)

// transaction is the one that is being read.
type transaction struct {
	open bool

	before string // history and end of the transaction before
	gtid   string // LSN of the commit
	lsn    pglogrepl.LSN
	xid    uint32
	micros int64 // commit time, µs

	row     int64 // row images so far
	skip    int64 // row images that stand in the log already
	records int64 // records made of it, in this reading or before
	echo    bool  // it began with Spola's own message
	begun   bool  // a row or message was read
	sum     uint32
	verify  *resumption
	marks   []message // Spola's own messages for this reader

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

// add takes a change's content into the transaction's checksum: what another server with the
// same data has too, so no object's number.
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

// count counts images of a row, whether it leaves the ERP or not.
func (t *transaction) count(of *table, images int64) {
	t.row += images
	if of != nil {
		t.collections[of] += images
	}
}

// beginTransaction begins a transaction, and compares the first one of a connection with the one that the
// log ends with.
func (r *reader) beginTransaction(m *pglogrepl.BeginMessage) error {
	t := &r.tx
	if t.open {
		return r.stop(ErrEvent, "", "transaction "+t.gtid+" has no end", "report this")
	}
	collections, origin := t.collections, t.origin
	clear(collections)
	*t = transaction{
		open: true, before: r.history.String() + ":" + r.done.String(), gtid: m.FinalLSN.String(), lsn: m.FinalLSN, xid: m.Xid,
		micros: m.CommitTime.UnixMicro(), collections: collections, origin: origin[:0],
	}
	want := r.resume
	r.resume = nil
	if want != nil {
		// An origin taken from a log that was moved here has no time.
		if t.gtid != want.at.GTID || want.time != 0 && t.micros/1000 != want.time {
			return r.stop(ErrAnchor, "", fmt.Sprintf("the log ends with the transaction of %s, %d ms; the server has that of %s, %d ms there",
				want.at.GTID, want.time, t.gtid, t.micros/1000), beginAnew)
		}
		t.before = want.at.Before
		t.verify, t.skip, t.records = want, want.at.Row, want.at.Row
		if want.at.End {
			t.skip = all
		}
	}
	t.origin = t.position(r.state.at.Incarnation, 0, false).Append(t.origin)
	t.origin = t.origin[:len(t.origin)-1]
	r.recent.add(t.xid, t.lsn)
	return nil
}

// endTransaction closes the row that was held back and moves the position on.
func (r *reader) endTransaction(m *pglogrepl.CommitMessage) error {
	t := &r.tx
	if !t.open || m.CommitLSN != t.lsn {
		return r.stop(ErrEvent, "", "the end of transaction "+m.CommitLSN.String()+" comes without its beginning", "report this")
	}
	t.open = false
	r.done = m.TransactionEndLSN
	if t.verify != nil && t.skip == all {
		if anchor := t.verify.anchor; anchor != "" && anchor != t.anchor() {
			return r.stop(ErrAnchor, "", fmt.Sprintf("transaction %s has the checksum %s, the log has %s for it", t.gtid, t.anchor(), anchor), beginAnew)
		}
		return nil
	}
	r.closeRow(true)
	if at := r.state.at; at.GTID != t.gtid || !at.End {
		// Nothing of it went to the log, or nothing in this reading; it was read nevertheless.
		r.state.at = t.position(at.Incarnation, t.row, true)
		r.state.Time, r.state.Anchor = t.micros/1000, t.anchor()
	}
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
	r.recorded = r.tx.lsn
	r.sinceState++
}

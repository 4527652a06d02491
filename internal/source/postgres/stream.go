package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/change"
)

// reader turns the messages of the server into records of a log. One goroutine owns it.
type reader struct {
	cfg      *Config
	log      zerolog.Logger
	database string
	tables   map[string]*table
	types    types
	out      output
	state    *State

	// Of the connection.
	history  history
	done     pglogrepl.LSN // end of the transaction before the one that is being read
	resume   *resumption
	tx       transaction
	layouts  map[uint32]*layout // by relation id
	window   window
	windowAt pglogrepl.LSN // commit of its low watermark

	snapshots *snapshots
	recent    recentCommits
	sessions  int       // connections so far
	evicted   bool      // an older reader was thrown off the slot once
	busySince time.Time // by another program

	recorded   pglogrepl.LSN // commit of the last transaction that a record tells of; 0: none
	heldRow    int64         // row of the record that is held back
	sinceState int           // records since the last claim or heartbeat
	stateAt    time.Time
	before     decoder
	after      decoder
	scratch    []byte
	source     []byte // of the row that is being decoded: its source block up to the row
	middle     []byte // and what stands behind the row's number
}

// table is a captured table.
type table struct {
	capture Capture
	key     []string      // its primary key
	member  string        // of the publication
	shape   *change.Table // as announced last in this process; nil if it was not
}

func (r *reader) stop(kind error, table, what, mend string) error {
	return &StopError{Kind: kind, Table: table, At: r.tx.gtid, What: what, Mend: mend}
}

// connected forgets what belonged to the last connection and sets what must be found first.
func (r *reader) connected() {
	at := r.state.at
	r.resume = nil
	if at.GTID != "" {
		r.resume = &resumption{at: at, time: r.state.Time, anchor: r.state.Anchor}
	}
	r.out.discardHeld()
	r.tx = transaction{collections: map[*table]int64{}}
	r.layouts = map[uint32]*layout{}
	r.snapshots.again(&r.window)
}

// handle takes one message as the server sent it.
func (r *reader) handle(data []byte) error {
	parsed, err := pglogrepl.Parse(data)
	if err != nil {
		return r.stop(ErrEvent, "", err.Error(), "this version of cdc can't read this server's write-ahead log")
	}
	switch m := parsed.(type) {
	case *pglogrepl.BeginMessage:
		return r.beginTransaction(m)
	case *pglogrepl.CommitMessage:
		return r.endTransaction(m)
	case *pglogrepl.RelationMessage:
		r.layouts[m.RelationID] = r.bind(m)
		return nil
	case *pglogrepl.LogicalDecodingMessage:
		return r.readMessage(m)
	case *pglogrepl.InsertMessage:
		return r.readRow(rowChange{relation: m.RelationID, op: change.Create, after: m.Tuple, raw: data})
	case *pglogrepl.UpdateMessage:
		return r.readRow(rowChange{relation: m.RelationID, op: change.Update, before: m.OldTuple, after: m.NewTuple, keyOnly: m.OldTupleType == pglogrepl.UpdateMessageTupleTypeKey, raw: data})
	case *pglogrepl.DeleteMessage:
		return r.readRow(rowChange{relation: m.RelationID, op: change.Delete, before: m.OldTuple, keyOnly: m.OldTupleType == pglogrepl.DeleteMessageTupleTypeKey, raw: data})
	case *pglogrepl.TruncateMessage:
		return r.readTruncate(m)
	case *pglogrepl.TypeMessage, *pglogrepl.OriginMessage:
		return nil // types are asked for by their number; where a row was first written is no matter here
	}
	return r.stop(ErrEvent, "", fmt.Sprintf("message of type %s", parsed.Type()), "this version of cdc can't read this server's write-ahead log")
}

// readTruncate stops for captured tables: which rows went, nobody says.
func (r *reader) readTruncate(m *pglogrepl.TruncateMessage) error {
	r.tx.add([]byte{'T'})
	r.tx.begun = true
	r.tx.row++
	if r.tx.row <= r.tx.skip {
		return nil
	}
	for _, id := range m.RelationIDs {
		if l := r.layouts[id]; l != nil && l.table != nil {
			return r.stop(ErrStatement, l.name, "it was emptied by TRUNCATE", "use DELETE in the ERP; "+beginAnew)
		}
	}
	return nil
}

// badRow explains an error of decoding.
func (r *reader) badRow(l *layout, err error) error {
	var stop *StopError
	switch {
	case errors.As(err, &stop):
		return err
	case errors.Is(err, errHole):
		return r.stop(ErrShape, l.name, err.Error(), "ALTER TABLE "+quoteTable(l.name)+" REPLICA IDENTITY FULL; "+beginAnew)
	}
	return r.stop(ErrEvent, l.name, err.Error(), "this version of cdc can't read this server's write-ahead log")
}

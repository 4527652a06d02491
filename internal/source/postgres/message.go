package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

// Echo is the prefix of the message with which each of Spola's own transactions in the ERP
// begins: pg_logical_emit_message(true, 'spola', …). It needs no right.
const Echo = "spola"

// readersPrefix is that of messages for the readers: what the marker table is in a shop.
const readersPrefix = "spola.cdc"

// message is what a reader says to itself, or somebody asks of it, through the write-ahead log:
// so it stands between transactions at one place for all times.
type message struct {
	Kind    string           `json:"kind"`
	Slot    string           `json:"slot"` // of the reader that is meant
	Token   string           `json:"token,omitempty"`
	Request *SnapshotRequest `json:"request,omitempty"`
}

// The kinds of messages.
const (
	tickMessage    = "tick" // something to read, where nothing else is written
	lowMessage     = "low"
	highMessage    = "high"
	requestMessage = "request"
)

// SnapshotRequest asks for tables or ranges of them to be read again, or for a probe record.
type SnapshotRequest struct {
	Ranges []KeyRange `json:"ranges,omitempty"`
	Probe  bool       `json:"probe,omitempty"`
}

// emit writes a message for a reader, as a transaction of its own.
func emit(ctx context.Context, conn *pgx.Conn, m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("message %s: %w", m.Kind, err)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, $1, $2::text)", readersPrefix, string(text)); err != nil {
		return fmt.Errorf("write message %s into the ERP's WAL: %w", m.Kind, err)
	}
	return nil
}

// RequestSnapshot asks the reader of this source, whichever process it is, for a snapshot. A
// reader that does not run now finds the request when it does.
func RequestSnapshot(ctx context.Context, cfg Config, request SnapshotRequest) error {
	for _, wanted := range request.Ranges {
		if _, ok := cfg.capture(wanted.Table); !ok {
			return fmt.Errorf("source %s: table %q is not captured", cfg.Source, wanted.Table)
		}
	}
	conn, err := cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return emit(ctx, conn, message{Kind: requestMessage, Slot: cfg.Slot, Request: &request})
}

// Probe asks the reader of a slot, over any connection to the ERP's database, for a probe record in the log: it stands behind all that was
// committed before. Messages need no right.
func Probe(ctx context.Context, conn *pgx.Conn, slot string) error {
	return emit(ctx, conn, message{Kind: requestMessage, Slot: slot, Request: &SnapshotRequest{Probe: true}})
}

// readMessage takes a message of the stream. Other programs' are none of ours.
func (r *reader) readMessage(m *pglogrepl.LogicalDecodingMessage) error {
	t := &r.tx
	if !m.Transactional || !t.open {
		return nil
	}
	t.add([]byte{'M'}, []byte(m.Prefix), m.Content)
	if !t.begun {
		t.echo = m.Prefix == Echo
	}
	t.begun = true
	if m.Prefix != readersPrefix {
		return nil
	}
	var own message
	if err := json.Unmarshal(m.Content, &own); err != nil || own.Slot != r.cfg.Slot {
		return nil //nolint:nilerr // somebody else's writing: what can't be read asks for nothing
	}
	t.marks = append(t.marks, own)
	return nil
}

// mark acts on a message whose transaction has ended.
func (r *reader) mark(m *message) error {
	switch m.Kind {
	case tickMessage:
		if r.recorded == 0 || r.tx.lsn > r.recorded+pglogrepl.LSN(r.cfg.advanceAfter()) {
			return r.tellState(true)
		}
	case requestMessage:
		return r.request(m)
	case lowMessage:
		r.window.begin(r.snapshots.waiting(m))
		r.windowAt = r.tx.lsn
	case highMessage:
		return r.endChunk(m)
	}
	return nil
}

// request takes a request. It stands in the log with the position behind it, or not at all.
func (r *reader) request(m *message) error {
	if m.Request == nil {
		return nil
	}
	for _, wanted := range m.Request.Ranges {
		if r.tables[wanted.Table] != nil {
			r.state.enqueue(wanted, "requested")
		}
	}
	if err := r.tellState(true); err != nil || !m.Request.Probe {
		return err
	}
	probe := struct {
		Kind change.Op `json:"kind"`
	}{change.Probe}
	return r.own(change.Record{Op: change.Probe, Time: time.Now().UnixMilli(), Last: true}, r.state.at, r.state.Anchor, probe)
}

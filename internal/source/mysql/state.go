package mysql

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spola-cdc/spola/internal/change"
)

// State is all that this reader must know to go on. It is nowhere but in the log: claims and
// heartbeats carry it, and each record behind them adds to it (fold).
type State struct {
	Position string `json:"position"`         // of the last recorded transaction, in its origin's form
	Time     int64  `json:"time"`             // commit time of that transaction, ms
	Anchor   string `json:"anchor,omitempty"` // checksum of its rows; empty while it is unfinished

	Database string                `json:"database"` // the shop's, by its name on its server
	Version  int                   `json:"version"`  // configuration versions so far
	Tables   map[string]TableState `json:"tables"`
	Snapshot SnapshotState         `json:"snapshot"`
	Requests int64                 `json:"requests"` // snapshot requests taken so far
	Bound    *Bound                `json:"bound,omitempty"`

	at change.Position
}

// TableState is the shape in which a table was announced last.
type TableState struct {
	Version int    `json:"version"`
	Hash    string `json:"hash"`
}

// SnapshotState is how far the snapshot is.
type SnapshotState struct {
	Run   int64             `json:"run"`           // runs so far; one is going on while Queue has tables
	Chunk int64             `json:"chunk"`         // chunks done in this run
	Queue []KeyRange        `json:"queue"`         // tables to be read, the first one is being read
	Above []json.RawMessage `json:"above"`         // key up to which the first one was read; null: nothing yet
	Rows  int64             `json:"rows"`          // rows read in this run
	Why   string            `json:"why,omitempty"` // what began the run: requested, or a sentence for people
}

// requested is why a run is read that a person asked for: of tables that the mirror has already.
const requested = "requested"

// KeyRange is a table, or the rows of it whose key is above From and up to To (null: unbounded).
type KeyRange struct {
	Table string            `json:"table"`
	From  []json.RawMessage `json:"from,omitempty"`
	To    []json.RawMessage `json:"to,omitempty"`
}

func (k KeyRange) whole() bool { return k.From == nil && k.To == nil }

// Incarnation is the source's incarnation that the state belongs to.
func (s *State) Incarnation() int64 { return s.at.Incarnation }

// Owns refuses a log that another shop's reader has written: two shops that are called the same would take it from each other, and stand
// mixed in one mirror. A new incarnation may have another database.
func (c *Config) Owns(s *State) error {
	at, err := c.address()
	if err != nil || s == nil || c.NewIncarnation {
		return err
	}
	refuse := func(what string) error {
		return &StopError{Kind: ErrOther, What: what, Mend: "give this shop another shop.name in spola.yaml, or another kafka.prefix; if it is the same shop, `cdc run --new-incarnation` goes on with a full snapshot"}
	}
	if s.Database != "" && s.Database != at.database {
		return refuse(fmt.Sprintf("it was read from database %s, spola.yaml names %s", s.Database, at.database))
	}
	others := ""
	for _, name := range slices.Sorted(maps.Keys(s.Tables)) {
		if slices.ContainsFunc(c.Tables, func(t Capture) bool { return t.Name == name }) {
			return nil
		}
		if name != Marker && others == "" {
			others = name
		}
	}
	if others != "" {
		return refuse(fmt.Sprintf("it has table %s, and none of those that shop.prefix in spola.yaml names", others))
	}
	return nil
}

// parseState reads the state of a claim or a heartbeat.
func parseState(text json.RawMessage) (*State, error) {
	s := &State{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("reader's state in the log: %w", err)
	}
	origin, err := change.ParseOrigin(s.Position)
	if err != nil {
		return nil, fmt.Errorf("reader's state in the log: %w", err)
	}
	s.at = origin.Tx
	if s.Tables == nil {
		s.Tables = map[string]TableState{}
	}
	return s, nil
}

// encode is what a claim or a heartbeat carries.
func (s *State) encode() (json.RawMessage, error) {
	s.Position = s.at.String()
	return json.Marshal(s)
}

// fold adds what a record of the log tells about the state before it.
func (s *State) fold(r *change.Record) error {
	switch r.Op {
	case change.Create, change.Update, change.Delete:
		return s.foldRow(r)
	case change.Schema:
		return s.foldSchema(r)
	case change.Chunk:
		var m change.ChunkMessage
		if err := change.Message(r.Value, &m); err != nil {
			return fmt.Errorf("chunk record %d/%d: %w", r.Gen, r.Seq, err)
		}
		s.foldChunk(&m)
	case change.Claim, change.Heartbeat:
		var m change.HeartbeatMessage
		if err := change.Message(r.Value, &m); err != nil {
			return fmt.Errorf("%s record %d/%d: %w", r.Op, r.Gen, r.Seq, err)
		}
		found, err := parseState(m.State)
		if err != nil {
			return err
		}
		*s = *found
	}
	return nil
}

func (s *State) moveTo(r *change.Record) error {
	origin, err := change.ParseOrigin(r.Origin)
	if err != nil {
		return fmt.Errorf("record %d/%d: %w", r.Gen, r.Seq, err)
	}
	s.at, s.Time, s.Anchor = origin.Tx, r.Time, ""
	if s.at.End {
		s.Anchor = anchorOf(r.Value)
	}
	return nil
}

// anchorOf finds the checksum in an envelope's transaction block. Rows stand before it, and a
// row's own quotes are escaped.
func anchorOf(value []byte) string {
	mark := []byte(`"anchor":"`)
	at := bytes.LastIndex(value, mark)
	if at < 0 {
		return ""
	}
	rest := value[at+len(mark):]
	if end := bytes.IndexByte(rest, '"'); end >= 0 {
		return string(rest[:end])
	}
	return ""
}

func (s *State) foldRow(r *change.Record) error {
	if err := s.moveTo(r); err != nil {
		return err
	}
	if r.Table != Marker || r.Op == change.Delete || r.Op == change.Read {
		return nil
	}
	_, after, err := change.Rows(r.Value)
	if err != nil {
		return fmt.Errorf("record %d/%d: %w", r.Gen, r.Seq, err)
	}
	return s.foldMarker(after)
}

// foldMarker takes a snapshot request from the marker table.
func (s *State) foldMarker(row []byte) error {
	if !bytes.HasPrefix(row, []byte(`{"name":"request"`)) {
		return nil
	}
	var m markerRow
	if err := json.Unmarshal(row, &m); err != nil {
		return fmt.Errorf("request in the marker table: %w", err)
	}
	if m.Number <= s.Requests || m.Note == nil {
		return nil
	}
	var request SnapshotRequest
	if err := json.Unmarshal([]byte(*m.Note), &request); err != nil {
		return nil //nolint:nilerr // somebody else's writing: a request that can't be read asks for nothing
	}
	s.Requests = m.Number
	for _, wanted := range request.Ranges {
		s.enqueue(wanted, requested)
	}
	return nil
}

func (s *State) foldSchema(r *change.Record) error {
	var m change.SchemaMessage
	if err := change.Message(r.Value, &m); err != nil {
		return fmt.Errorf("schema record %d/%d: %w", r.Gen, r.Seq, err)
	}
	if err := s.moveTo(r); err != nil {
		return err
	}
	s.announce(&m.Table)
	return nil
}

// announce notes a table's new shape and asks for its snapshot.
func (s *State) announce(t *change.Table) {
	s.Version = max(s.Version, t.Version)
	s.Tables[t.Name] = TableState{Version: t.Version, Hash: hashShape(t)}
	if t.Name != Marker {
		s.enqueue(KeyRange{Table: t.Name}, "shape of "+t.Name)
	}
}

// enqueue asks for a table or a range. A table that stands in the queue whole is not asked for
// twice; one that is being read begins again, for its rows may have changed.
func (s *State) enqueue(wanted KeyRange, why string) {
	snap := &s.Snapshot
	for i, have := range snap.Queue {
		if have.Table == wanted.Table && have.whole() {
			if i == 0 && wanted.whole() {
				snap.Above = nil
			}
			return
		}
	}
	if len(snap.Queue) == 0 {
		snap.Run, snap.Chunk, snap.Rows, snap.Above, snap.Why = snap.Run+1, 0, 0, nil, why
	}
	snap.Queue = append(snap.Queue, wanted)
}

func (s *State) foldChunk(m *change.ChunkMessage) {
	snap := &s.Snapshot
	snap.Chunk = m.Chunk
	snap.Rows += m.Rows
	snap.Above = m.To
	if m.LastOfTable {
		snap.Above = nil
		if len(snap.Queue) > 0 && snap.Queue[0].Table == m.Table {
			snap.Queue = slices.Clone(snap.Queue[1:])
		}
	}
}

// drop forgets a table that is no longer captured.
func (s *State) drop(captured func(string) bool) {
	for name := range s.Tables {
		if !captured(name) {
			delete(s.Tables, name)
		}
	}
	if len(s.Snapshot.Queue) > 0 && !captured(s.Snapshot.Queue[0].Table) {
		s.Snapshot.Above = nil
	}
	s.Snapshot.Queue = slices.DeleteFunc(slices.Clone(s.Snapshot.Queue), func(k KeyRange) bool { return !captured(k.Table) })
}

// hashShape tells shapes apart, their version aside.
func hashShape(t *change.Table) string {
	plain := *t
	plain.Version = 0
	text, err := json.Marshal(&plain)
	if err != nil {
		return "" // strings, numbers and booleans only: it can't be
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

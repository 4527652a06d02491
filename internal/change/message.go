package change

import (
	"encoding/json"
)

// Place is a place in a log: everything up to and including record Seq of generation Gen.
// The zero Place stands before the first record of the first generation.
type Place struct {
	Gen int64
	Seq int64
	Sum uint64
}

// Beyond tells whether p comes later in the log than o.
func (p Place) Beyond(o Place) bool { return p.Gen > o.Gen || p.Gen == o.Gen && p.Seq > o.Seq }

// ClaimMessage is the payload of a Claim: who owns the log now and what he goes on from.
type ClaimMessage struct {
	Kind        Op              `json:"kind"`
	Generation  int64           `json:"generation"`
	Incarnation int64           `json:"incarnation"`
	Owner       string          `json:"owner"` // host and process, for people
	Predecessor *Predecessor    `json:"predecessor,omitempty"`
	State       json.RawMessage `json:"state"`
}

// Predecessor names the last record of the generation before, on the first record of a new one.
// An applier that stands exactly there may cross; any other needs a full snapshot.
type Predecessor struct {
	Gen    int64  `json:"generation"`
	Seq    int64  `json:"seq"`
	Sum    string `json:"sum"`
	Origin string `json:"origin"`
}

// HeartbeatMessage repeats the reader's state.
type HeartbeatMessage struct {
	Kind  Op              `json:"kind"`
	State json.RawMessage `json:"state"`
}

// SchemaMessage announces the shape of a captured table.
type SchemaMessage struct {
	Kind Op `json:"kind"`
	Table
}

// ChunkMessage ends a chunk of a snapshot. Rows of the table whose key is above From and up to
// To (null: unbounded), and which nothing in the log named since the chunk's low watermark,
// no longer exist in the shop.
type ChunkMessage struct {
	Kind        Op                `json:"kind"`
	Run         int64             `json:"run"`   // snapshot runs of this log, from 1
	Chunk       int64             `json:"chunk"` // chunks of the run, from 1
	Table       string            `json:"table"`
	From        []json.RawMessage `json:"from"` // key values as rows carry them
	To          []json.RawMessage `json:"to"`
	Rows        int64             `json:"rows"`
	OrdersFrom  int64             `json:"orders_from,omitempty"` // rows of orders below it were not read, and are not meant; 0: all were
	LastOfTable bool              `json:"last_of_table"`
	LastOfRun   bool              `json:"last_of_run"`
}

// Package apply is the one loop of all appliers: it reads a log, cuts its records into
// batches, and gives each batch one transaction of the target database, in which the place
// moves first, then the effect follows, then both are committed together.
//
//	log ──▶ fetch ──▶ cut: Part.Splits, Part.Add ──▶ write: place, Part.Apply, commit
//	        (each arrow hands over to another goroutine; while one batch is written, the next is decoded)
//
// While a batch is at work, of one that has ended behind it what is Early is done already.
//
// A batch ends at the border of a source transaction. It holds whatever came while the one
// before it was written: a single transaction when there is little, thousands when there is
// a backlog. A source transaction too large to be held is a batch of its own, written in
// several parts inside one database transaction.
//
// There is one way to recover, whatever has failed: roll back, connect again, read the place
// that holds in the database, and read the log on from there. DESIGN.md says why.
package apply

import (
	"context"
	"slices"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// Effect is what an applier makes of a log's records. Tx is the transaction of its target
// database: pgx.Tx for the ERP.
type Effect[Tx any] interface {
	// Start is called before the first record and again after every failure. Whatever the
	// effect remembers of its database is to be read anew from tx.
	Start(ctx context.Context, tx Tx) error

	// Part begins a new part of a batch. applied is the number of records applied before it:
	// its first record is number applied+1 (column spola_at of the mirror).
	Part(applied int64) Part[Tx]
}

// Idler is an effect that has work without records, too: what could not be written is to be tried
// again while the log is quiet. Both are called by the writing goroutine, between batches.
type Idler[Tx any] interface {
	// Due tells whether there is such work now. It must not block.
	Due(now time.Time) bool

	// Idle does it, in transactions that fence an overtaken applier; the place stays where it is.
	Idle(ctx context.Context, tx Tx) error
}

// Eager is an Idler that does a lot of work in small portions: they follow each other as long as no batch has come, which goes
// first, and with a stream of batches there is one now and then.
type Eager interface {
	// More tells whether a portion is left that need not wait for the next look.
	More() bool
}

// Part is a batch, or a piece of a source transaction too large for one. The reading
// goroutine calls Splits and Add; the writing one calls Apply, once, while the reading one is
// already at the next part. What both touch is the effect's to guard.
type Part[Tx any] interface {
	// Splits tells whether the batch, which holds transactions already, must end before this
	// whole source transaction. Earlier batches may not be committed when it is asked, so it
	// answers from the log (and from what Start read) alone. A needless true costs time only;
	// results must not depend on where else a batch ends.
	Splits(transaction []change.Record) bool

	// Add decodes records into the part: whole source transactions, or the next piece of one
	// that is too large. It may not keep the slice, but may keep the records' keys and values.
	Add(records []change.Record) error

	// Bytes is the memory that the part holds, roughly. A part ends when it passes a bound.
	Bytes() int

	// Apply has the part's effect inside tx, where the place stands behind the part already.
	// last tells that tx is committed next: the part ends a batch. An effect that works on
	// whole batches (deriving) waits for it.
	Apply(ctx context.Context, tx Tx, last bool) error
}

// Patient is a Part that may hold no change that anybody waits for: rows that are no business of its effect, or echoes of what
// it has written itself. A batch of nothing else waits a moment for company. Otherwise each transaction of one stream has a
// transaction of every other for nothing but their places; and a place that stands in the shop comes back as a record.
type Patient interface {
	// Patient tells it of all that was added so far.
	Patient() bool
}

// MayWait tells whether a part to which these records were added may wait for company: if it is patient, and they are changes. A
// claim, a probe, or a row that a snapshot has read goes by at once.
func MayWait(part any, records []change.Record) bool {
	p, ok := part.(Patient)
	return ok && p.Patient() && !slices.ContainsFunc(records, func(r change.Record) bool { return !r.Op.IsChange() })
}

// Early is a Part of which something can be done before its place moves, in its own transaction and on
// another connection, while the batch before it is still at work: rows that are new, whatever
// that one does. Nothing of it holds unless the place moves in that transaction afterwards.
type Early[Tx any] interface {
	// Alone tells that the part's batch may be at work at the same time as the one before it or behind it.
	Alone() bool
	// Early does it. Apply then does the rest.
	Early(ctx context.Context, tx Tx) error
}

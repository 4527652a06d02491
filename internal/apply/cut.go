package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// piece is a part on its way to the database, with the places before and behind it.
type piece[Tx any] struct {
	part         Part[Tx]
	from, to     change.Stand
	records      int
	transactions int
	last         bool // ends a batch
}

// cutter makes parts of records. A batch under construction is offered to the writer all the
// time: it goes as soon as the writer is free, with whatever it holds by then.
type cutter[Tx any] struct {
	effect Effect[Tx]
	o      Options
	stand  change.Stand // of the last record seen
	edge   change.Stand // of the last record added to a part
	open   *piece[Tx]   // the batch under construction: whole source transactions
	since  time.Time    // when it was begun
	hurry  bool         // somebody waits for it

	pending      []change.Record // of a source transaction that is not complete
	pendingBytes int
	large        bool // pending continues a transaction of which parts have gone

	out   chan<- piece[Tx] // to the writer when it is idle
	ended chan<- piece[Tx] // to the writer at work: batches that nothing is added to any more
}

func (c *cutter[Tx]) run(ctx context.Context, in <-chan []change.Record) error {
	for {
		ready, offer := c.out, piece[Tx]{}
		var lonely <-chan time.Time
		if c.open == nil {
			ready = nil
		} else {
			offer = *c.open
			if rest := c.patience(); rest > 0 {
				ready, lonely = nil, time.After(rest)
			}
		}
		select {
		case records := <-in:
			if err := c.take(ctx, records); err != nil {
				return err
			}
		case ready <- offer:
			c.open = nil
		case <-lonely:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// companyWithin is how long a batch that nobody waits for waits for company: short beside what a person, or an alarm,
// takes for lag, and long enough that a busy log gives it some.
var companyWithin = 50 * time.Millisecond

// patience is how long the open batch still waits for company.
func (c *cutter[Tx]) patience() time.Duration {
	if c.hurry {
		return 0
	}
	return time.Until(c.since.Add(companyWithin))
}

// take sorts records into source transactions, and these into batches.
func (c *cutter[Tx]) take(ctx context.Context, records []change.Record) error {
	for i := range records {
		r := &records[i]
		repeated, err := c.follow(r)
		if err != nil {
			return err
		}
		if repeated {
			continue
		}
		c.pending = append(c.pending, *r)
		c.pendingBytes += len(r.Key) + len(r.Value)
		switch {
		case r.Last:
			err = c.complete(ctx)
		case len(c.pending) >= c.o.Records || c.pendingBytes >= c.o.Bytes:
			err = c.stream(ctx, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// follow holds the log's order a second time, behind the reader: the next record is the next
// number, or the first of the next generation. Only the very record at the place may repeat.
func (c *cutter[Tx]) follow(r *change.Record) (repeated bool, err error) {
	at := c.stand.Place
	switch {
	case r.Gen == at.Gen && r.Seq == at.Seq+1, r.Gen > at.Gen && r.Seq == 1:
	case r.Gen == at.Gen && r.Seq == at.Seq && r.Sum == at.Sum && r.Seq > 0:
		return true, nil
	default:
		return false, fmt.Errorf("%w: the log gives record %d/%d (sum %s) behind %d/%d (sum %s)", ErrStopped,
			r.Gen, r.Seq, change.FormatSum(r.Sum), at.Gen, at.Seq, change.FormatSum(at.Sum))
	}
	c.stand.Place = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
	c.stand.Applied++
	c.stand.Offset, c.stand.Time = r.Offset, r.Time
	return false, nil
}

// complete adds the pending source transaction, which is whole, to the batch it belongs to.
func (c *cutter[Tx]) complete(ctx context.Context) error {
	if c.large {
		return c.stream(ctx, true)
	}
	if c.open != nil && (c.full() || c.open.part.Splits(c.pending)) {
		if err := c.send(ctx, c.ended, true); err != nil {
			return err
		}
	}
	if err := c.add(); err != nil {
		return err
	}
	c.open.transactions++
	return nil
}

func (c *cutter[Tx]) full() bool {
	return c.open.records+len(c.pending) > c.o.Records || c.open.part.Bytes() >= c.o.Bytes
}

// stream passes on a piece of a transaction that is too large to be held. It shares its batch
// with no other.
func (c *cutter[Tx]) stream(ctx context.Context, last bool) error {
	if c.open != nil {
		if err := c.send(ctx, c.ended, true); err != nil {
			return err
		}
	}
	if err := c.add(); err != nil {
		return err
	}
	c.large = !last
	if last {
		c.open.transactions = 1
	}
	return c.send(ctx, nil, last)
}

// add moves the pending records into the open part, or a new one.
func (c *cutter[Tx]) add() error {
	if c.open == nil {
		c.open, c.since = &piece[Tx]{part: c.effect.Part(c.edge.Applied), from: c.edge, last: true}, time.Now()
		c.hurry = false
	}
	if err := c.open.part.Add(c.pending); err != nil {
		return fmt.Errorf("record %d/%d and before: %w", c.stand.Gen, c.stand.Seq, err)
	}
	c.hurry = c.hurry || !MayWait(c.open.part, c.pending)
	c.open.to, c.edge = c.stand, c.stand
	c.open.records += len(c.pending)
	// The parts have what they need of the records; the slice's memory is used again.
	clear(c.pending)
	c.pending, c.pendingBytes = c.pending[:0], 0
	return nil
}

// send waits until the writer takes the open part: when it is idle or, if ended is given, at work.
func (c *cutter[Tx]) send(ctx context.Context, ended chan<- piece[Tx], last bool) error {
	c.open.last = last
	select {
	case c.out <- *c.open:
		c.open = nil
		return nil
	case ended <- *c.open:
		c.open = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

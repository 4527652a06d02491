package stream

import (
	"fmt"

	"github.com/spola-cdc/spola/internal/change"
)

// checker holds the rule by which a record follows another: the next number, the checksum
// that its content gives, and a new generation only where its predecessor ends.
type checker struct {
	topic string
	place change.Place

	any     bool // the first record may have any number: a tool looks at the oldest ones
	trimmed bool // what is missing before the first record was deleted by retention
}

// check tells whether to keep a record: fences and exact repeats of the last record are not
// kept. Everything else that does not follow is a StopError.
func (c *checker) check(r *change.Record) (keep bool, err error) {
	if r.Op == change.Fence {
		return false, nil
	}
	if c.any {
		c.any = false
		c.place = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
		return true, nil
	}
	at := c.place
	if at.Seq > 0 && (change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}) == at {
		return false, nil
	}
	switch {
	case r.Gen == at.Gen, at.Gen == 0 && r.Gen == 1:
		err = c.follows(r)
	case r.Gen > at.Gen:
		err = c.crosses(r)
	default:
		err = c.stop(ErrMismatch, r, fmt.Sprintf("it belongs to an older generation than %d/%d, which was read before it", at.Gen, at.Seq))
	}
	if err != nil {
		return false, err
	}
	c.place, c.trimmed = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}, false
	return true, nil
}

// follows checks a record of the generation that is being read.
func (c *checker) follows(r *change.Record) error {
	at := c.place
	switch {
	case r.Seq > at.Seq+1 && c.trimmed:
		return c.stop(ErrTrimmed, r, fmt.Sprintf("it is the oldest that the log still has, but %d/%d was to be read next", r.Gen, at.Seq+1))
	case r.Seq > at.Seq+1:
		return c.stop(ErrHole, r, fmt.Sprintf("%d/%d was to come next; %d are missing", r.Gen, at.Seq+1, r.Seq-at.Seq-1))
	case r.Seq <= at.Seq:
		return c.stop(ErrMismatch, r, fmt.Sprintf("it repeats a number, %d/%d was read before it", r.Gen, at.Seq))
	}
	return c.sums(r, at.Sum)
}

// crosses checks the first record of a new generation.
func (c *checker) crosses(r *change.Record) error {
	at := c.place
	if r.Seq != 1 || r.Op != change.Claim {
		return c.stop(ErrGeneration, r, fmt.Sprintf("generation %d is not read from its first record on; %d/%d was read before", r.Gen, at.Gen, at.Seq))
	}
	var claim change.ClaimMessage
	if err := change.Message(r.Value, &claim); err != nil {
		return c.stop(ErrForeign, r, fmt.Sprintf("a claim that can't be read: %v", err))
	}
	before := claim.Predecessor
	if before == nil || before.Gen != at.Gen || before.Seq != at.Seq || before.Sum != change.FormatSum(at.Sum) {
		named := "none"
		if before != nil {
			named = fmt.Sprintf("%d/%d with sum %s", before.Gen, before.Seq, before.Sum)
		}
		return c.stop(ErrGeneration, r, fmt.Sprintf("it names %s as its predecessor, read was %d/%d with sum %s", named, at.Gen, at.Seq, change.FormatSum(at.Sum)))
	}
	return c.sums(r, 0)
}

func (c *checker) sums(r *change.Record, previous uint64) error {
	if sum := r.NextSum(previous); sum != r.Sum {
		return c.stop(ErrMismatch, r, fmt.Sprintf("its content gives sum %s, it carries %s", change.FormatSum(sum), change.FormatSum(r.Sum)))
	}
	return nil
}

// anew is how a log is gone on with that can't be followed.
const anew = "`cdc run --new-generation` goes on with a full snapshot, and `applier cross` takes the applier there"

// mends says, for each kind, what a person can do.
var mends = map[error]string{
	ErrHole:       "look for what deleted them (compaction, unclean election, kafka-delete-records); then " + anew,
	ErrMismatch:   "the log was written by somebody else, or restored; " + anew,
	ErrTrimmed:    "give the topic a longer retention.ms, and cleanup.policy=delete; then " + anew,
	ErrShortened:  "the broker has lost acknowledged records, or was restored; " + anew,
	ErrEmpty:      "`cdc run --new-generation` begins it again, with a full snapshot; an applier that has read of it goes on with `applier cross`",
	ErrGeneration: "if the log was moved, let the applier first read the old one to its end; otherwise `applier cross` goes on by the full snapshot with which the new generation begins",
	ErrSequence:   "the broker has lost the producer's state; look at its log, then start cdc again: it goes on from the tail",
}

func (c *checker) stop(kind error, r *change.Record, what string) error {
	return &StopError{Kind: kind, Topic: c.topic, Offset: r.Offset, Gen: r.Gen, Seq: r.Seq, What: what, Mend: mends[kind]}
}

func stopAt(kind error, topic string, offset int64, place change.Place, what string) error {
	return &StopError{Kind: kind, Topic: topic, Offset: offset, Gen: place.Gen, Seq: place.Seq, What: what, Mend: mends[kind]}
}

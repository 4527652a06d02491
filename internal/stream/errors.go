package stream

import (
	"errors"
	"fmt"
)

// ErrFenced says that another owner has taken the log: this process must exit with status 4
// and not start again by itself, for it would fence the newer owner.
var ErrFenced = errors.New("fenced: another owner has taken this log")

// ErrAway says that the brokers did not answer as long as somebody waited for it.
var ErrAway = errors.New("Kafka does not answer") //nolint:staticcheck // a name

// ErrStopped is what every StopError is: the log can't be gone on with until a person acts.
// The process exits with status 3.
var ErrStopped = errors.New("stream stopped")

// The kinds of a StopError, for errors.Is.
var (
	ErrHole       = errors.New("records are missing")
	ErrMismatch   = errors.New("a record is not the one expected")
	ErrForeign    = errors.New("a record is not one of Spola's")
	ErrTrimmed    = errors.New("records were deleted before they were read")
	ErrShortened  = errors.New("the log is shorter than it was")
	ErrEmpty      = errors.New("the log is empty")
	ErrGeneration = errors.New("the log has begun a new generation")
	ErrTopic      = errors.New("the topic can't be a log")
	ErrSequence   = errors.New("the broker refuses the producer's sequence")
)

// StopError says where a log can't be gone on with, and what a person can do.
type StopError struct {
	Kind   error // one of the kinds above
	Topic  string
	Offset int64  // Kafka offset, -1 if none
	Gen    int64  // generation and number of the record concerned, 0 if none
	Seq    int64  //
	What   string // what was found, and what was expected
	Mend   string // what to do
}

// Error names topic and record, then what a person has to do.
func (e *StopError) Error() string {
	where := "log " + e.Topic
	if e.Seq > 0 {
		where += fmt.Sprintf(", record %d/%d", e.Gen, e.Seq)
	}
	if e.Offset >= 0 {
		where += fmt.Sprintf(", offset %d", e.Offset)
	}
	text := fmt.Sprintf("%s: %v: %s", where, e.Kind, e.What)
	if e.Mend != "" {
		text += "; " + e.Mend
	}
	return text
}

// Is makes errors.Is find ErrStopped and the kind.
func (e *StopError) Is(target error) bool { return target == ErrStopped || target == e.Kind }

// TooBigError says that a record does not fit the log. Nothing of the call was appended; the
// caller puts a stub in the record's place.
type TooBigError struct {
	Index int // of the record in the call
	Table string
	Size  int // bytes, as Writer.Size counts them
	Limit int
}

// Error names the table and both sizes, in bytes.
func (e *TooBigError) Error() string {
	return fmt.Sprintf("record of table %q has %d bytes, the log takes %d", e.Table, e.Size, e.Limit)
}

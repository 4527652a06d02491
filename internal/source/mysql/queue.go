package mysql

import (
	"context"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
)

// queueBytes bounds what was read from the server and is not decoded yet.
const queueBytes = 4 << 20

// queue hands events from the goroutine that reads them to the one that decodes them, as many
// at a time as there are, and holds the reader back when they are too many.
type queue struct {
	mu     sync.Mutex
	events []*replication.BinlogEvent
	spare  []*replication.BinlogEvent
	bytes  int
	came   chan struct{} // there is something to take
	went   chan struct{} // there is room again
	closed chan struct{}
}

func newQueue() *queue {
	return &queue{came: make(chan struct{}, 1), went: make(chan struct{}, 1), closed: make(chan struct{})}
}

// HandleEvent implements replication.EventHandler; it is called on the reading goroutine.
func (q *queue) HandleEvent(e *replication.BinlogEvent) error {
	for {
		q.mu.Lock()
		if q.bytes == 0 || q.bytes+len(e.RawData) <= queueBytes {
			first := len(q.events) == 0
			q.events = append(q.events, e)
			q.bytes += len(e.RawData)
			q.mu.Unlock()
			if first {
				signal(q.came)
			}
			return nil
		}
		q.mu.Unlock()
		select {
		case <-q.went:
		case <-q.closed:
			return replication.ErrSyncClosed
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take waits for events and returns all there are; none if something else is to be done:
// the alarm went off. done gives back the slice of the take before.
func (q *queue) take(ctx context.Context, failed <-chan error, alarm <-chan time.Time, done []*replication.BinlogEvent) ([]*replication.BinlogEvent, error) {
	clear(done)
	if done != nil {
		q.mu.Lock()
		q.spare = done[:0]
		q.mu.Unlock()
	}
	for {
		q.mu.Lock()
		if len(q.events) > 0 {
			events := q.events
			q.events, q.spare, q.bytes = q.spare, nil, 0
			q.mu.Unlock()
			signal(q.went)
			return events, nil
		}
		q.mu.Unlock()
		select {
		case <-q.came:
		case <-alarm:
			return nil, nil
		case err := <-failed:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *queue) close() { close(q.closed) }

// incoming are the events of a connection, in the hands of the goroutine that decodes them.
type incoming struct {
	queue  *queue
	failed <-chan error
	taken  []*replication.BinlogEvent
	at     int
}

// fill waits for events, or for the alarm.
func (in *incoming) fill(ctx context.Context, alarm <-chan time.Time) error {
	var err error
	in.taken, err = in.queue.take(ctx, in.failed, alarm, in.taken)
	in.at = 0
	return err
}

// next is the next event that was waited for, nil if there is none.
func (in *incoming) next() *replication.BinlogEvent {
	if in.at == len(in.taken) {
		return nil
	}
	e := in.taken[in.at]
	in.taken[in.at] = nil
	in.at++
	return e
}

// await is the next event, waited for if need be.
func (in *incoming) await(ctx context.Context) (*replication.BinlogEvent, error) {
	for {
		if e := in.next(); e != nil {
			return e, nil
		}
		if err := in.fill(ctx, nil); err != nil {
			return nil, err
		}
	}
}

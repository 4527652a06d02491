package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// queueBytes bounds what was read from the server and is not decoded yet.
const queueBytes = 4 << 20

// statusEvery is how often the server is told how far the log is, and asked for a sign of life.
const statusEvery = time.Second

// receiver reads messages on a goroutine of its own, which also tells the server how far the log
// is: also while nothing comes, and while the decoder waits for the log.
type receiver struct {
	conn      *pgconn.PgConn
	dead      time.Duration
	messages  chan []byte
	room      chan struct{} // something was taken
	waiting   atomic.Int64  // bytes
	confirmed atomic.Uint64 // commit of the last transaction that the log has acknowledged
	end       atomic.Uint64 // up to where the server has read its log for us
	urged     chan struct{} // the server wants an answer at once
}

func newReceiver(conn *pgconn.PgConn, dead time.Duration, confirmed pglogrepl.LSN) *receiver {
	r := &receiver{conn: conn, dead: dead, messages: make(chan []byte, 4096), room: make(chan struct{}, 1), urged: make(chan struct{}, 1)}
	r.confirmed.Store(uint64(confirmed))
	return r
}

// run reads until the context ends or the connection fails.
func (r *receiver) run(ctx context.Context) error {
	heard, told := time.Now(), time.Time{}
	for {
		if time.Since(told) >= statusEvery {
			if err := r.tell(ctx); err != nil {
				return err
			}
			told = time.Now()
		}
		wait, cancel := context.WithDeadline(ctx, told.Add(statusEvery))
		raw, err := r.conn.ReceiveMessage(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && pgconn.Timeout(err):
			if time.Since(heard) > r.dead {
				return fmt.Errorf("the server was silent for %s", r.dead)
			}
			continue
		case err != nil:
			return fmt.Errorf("replication connection: %w", err)
		}
		heard = time.Now()
		data, err := r.take(raw)
		if err != nil {
			return err
		}
		for data != nil && !r.put(ctx, data) {
			// The decoder waits for the log. The server must not think that we are gone.
			if err := r.tell(ctx); err != nil {
				return err
			}
			told, heard = time.Now(), time.Now()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// take is what a message of the server carries for the decoder, nil if nothing.
func (r *receiver) take(raw pgproto3.BackendMessage) ([]byte, error) {
	switch m := raw.(type) {
	case *pgproto3.ErrorResponse:
		return nil, pgconn.ErrorResponseToPgError(m)
	case *pgproto3.CopyDone:
		return nil, errors.New("the server has ended the stream: it is shutting down")
	case *pgproto3.CopyData:
		if len(m.Data) == 0 {
			return nil, nil
		}
		switch m.Data[0] {
		case pglogrepl.XLogDataByteID:
			data, err := pglogrepl.ParseXLogData(m.Data[1:])
			if err != nil {
				return nil, fmt.Errorf("replication connection: %w", err)
			}
			return append(make([]byte, 0, len(data.WALData)), data.WALData...), nil
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(m.Data[1:])
			if err != nil {
				return nil, fmt.Errorf("replication connection: %w", err)
			}
			r.end.Store(uint64(alive.ServerWALEnd))
			if alive.ReplyRequested {
				signal(r.urged)
			}
		}
	}
	return nil, nil
}

// put hands a message to the decoder; false if it had no room for a while.
func (r *receiver) put(ctx context.Context, data []byte) bool {
	timer := time.NewTimer(statusEvery)
	defer timer.Stop()
	for {
		if n := r.waiting.Load(); n == 0 || n+int64(len(data)) <= queueBytes {
			select {
			case r.messages <- data:
				r.waiting.Add(int64(len(data)))
				return true
			default:
			}
		}
		select {
		case <-r.room:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return true
		}
	}
}

// taken says that the decoder is done with a message.
func (r *receiver) taken(data []byte) {
	r.waiting.Add(-int64(len(data)))
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// tell tells the server what it may let go of, and asks for an answer.
func (r *receiver) tell(ctx context.Context) error {
	at := pglogrepl.LSN(r.confirmed.Load())
	err := pglogrepl.SendStandbyStatusUpdate(ctx, r.conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: at, WALFlushPosition: at, WALApplyPosition: at, ReplyRequested: true,
	})
	if err != nil {
		return fmt.Errorf("tell the server how far the log is: %w", err)
	}
	return nil
}

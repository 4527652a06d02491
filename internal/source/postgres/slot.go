package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

//go:embed slot.sql
var slotQuery string

// plugin is what turns the write-ahead log into messages, on the server.
const plugin = "pgoutput"

// slot is the replication slot as the server has it.
type slot struct {
	database, plugin string
	active           bool
	pid              int32
	confirmed        pglogrepl.LSN
	status           string // reserved, extended, unreserved or lost
	safe             int64  // bytes of WAL until it may be lost, -1: any number
	program          string // that reads it
	user, host       string
}

// readSlot returns the slot, nil if there is none.
func readSlot(ctx context.Context, conn *pgx.Conn, name string) (*slot, error) {
	s := &slot{}
	var confirmed string
	err := conn.QueryRow(ctx, slotQuery, name).
		Scan(&s.database, &s.plugin, &s.active, &s.pid, &confirmed, &s.status, &s.safe, &s.program, &s.user, &s.host)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replication slot %s: %w", name, err)
	}
	if s.confirmed, err = pglogrepl.ParseLSN(confirmed); err != nil {
		return nil, fmt.Errorf("replication slot %s: %w", name, err)
	}
	return s, nil
}

// reader names who reads the slot.
func (s *slot) reader() string {
	return fmt.Sprintf("%q, process %d of user %s from %s", s.program, s.pid, s.user, s.host)
}

// checkSlot looks whether the slot still has what comes behind the position.
func (r *reader) checkSlot(s *slot, at change.Position) error {
	name := r.cfg.Slot
	switch {
	case s == nil:
		return r.stop(ErrSlot, "", "replication slot "+name+" is gone: the server does not keep slots through a restore or a promotion, or somebody dropped it", beginAnew)
	case s.status == "lost":
		return r.stop(ErrSlot, "", "replication slot "+name+" was invalidated: cdc was away for longer than max_slot_wal_keep_size allows", "make max_slot_wal_keep_size larger; "+beginAnew)
	case s.plugin != plugin || s.database != r.database:
		return r.stop(ErrSlot, "", fmt.Sprintf("replication slot %s is of plugin %q and database %q", name, s.plugin, s.database), "give this source another erp.log.slot")
	}
	commit, err := commitOf(at)
	if err != nil {
		return err
	}
	if commit > 0 && s.confirmed > commit {
		return r.stop(ErrSlot, "", fmt.Sprintf("the log ends with the transaction of %s, replication slot %s has let go of everything up to %s: what lies between is lost to the log",
			commit, name, s.confirmed), "if the log was shortened or restored, or another program has read the slot: "+beginAnew)
	}
	return nil
}

// errBusy says that the slot is read by somebody, for now.
var errBusy = errors.New("the replication slot is in use")

// A reader of one's own that has just ended is listed until the server notices. Whoever holds
// the slot for longer is alive.
const busyFor = 15 * time.Second

// freeSlot deals with a slot that somebody reads. Whoever owns the log may read it: an older
// owner is thrown off, once; another program is not.
func (r *reader) freeSlot(ctx context.Context, conn *pgx.Conn, s *slot) error {
	if s == nil || !s.active {
		r.busySince = time.Time{}
		return nil
	}
	if err := r.ownsLog(ctx); err != nil {
		return err
	}
	if s.program == r.cfg.applicationName() && !r.evicted {
		r.evicted = true
		r.log.Warn().Int32("process", s.pid).Msg("an older cdc still reads the replication slot: ending its connection")
		if _, err := conn.Exec(ctx, "SELECT pg_terminate_backend($1, 5000)", s.pid); err != nil && !isRefused(err) {
			return fmt.Errorf("end the older reader of slot %s: %w", r.cfg.Slot, err)
		}
		return errBusy
	}
	if r.busySince.IsZero() {
		r.busySince = time.Now()
	}
	if time.Since(r.busySince) < r.cfg.busyFor() {
		return errBusy
	}
	return r.stop(ErrCollision, "", "replication slot "+r.cfg.Slot+" is read by "+s.reader(), "end that program, or give this source another erp.log.slot and begin anew with `cdc run erp --new-incarnation`")
}

// ownsLog asks the log whether it is still this process's: by a record, for nothing else is as sure.
func (r *reader) ownsLog(ctx context.Context) error {
	if err := r.tellState(border(r.state.at)); err != nil {
		return err
	}
	if err := r.out.flush(ctx); err != nil {
		return err
	}
	return r.settled(ctx)
}

// settled waits until the log has acknowledged all that was handed to it.
func (r *reader) settled(ctx context.Context) error {
	want := r.out.log.Appended()
	for {
		if place, _ := r.out.log.Acked(); place.Gen == want.Gen && place.Seq >= want.Seq {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// makeSlot makes the slot anew. The log says already that nothing was read yet, so nothing of
// an older slot is needed.
func (r *reader) makeSlot(ctx context.Context, conn *pgx.Conn, s *slot) error {
	if s != nil {
		if _, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", r.cfg.Slot); err != nil && codeOf(err) != codeNoSuchObject {
			return fmt.Errorf("drop the old replication slot %s: %w", r.cfg.Slot, err)
		}
	}
	r.log.Info().Str("slot", r.cfg.Slot).Msg("making the replication slot; it begins when all transactions that are open now have ended")
	if _, err := conn.Exec(ctx, "SELECT pg_create_logical_replication_slot($1, $2)", r.cfg.Slot, plugin); err != nil {
		return fmt.Errorf("make replication slot %s: %w", r.cfg.Slot, err)
	}
	return nil
}

// confirmations are what the server may let go of once the log has acknowledged it.
type confirmations struct{ marks []confirmation }

type confirmation struct {
	place change.Place
	lsn   pglogrepl.LSN
}

// add notes that the record at the place tells of the transaction.
func (c *confirmations) add(place change.Place, lsn pglogrepl.LSN) {
	last := len(c.marks) - 1
	if last >= 0 && c.marks[last].lsn == lsn {
		return // the first record that tells of it is enough
	}
	const enough = 64
	if len(c.marks) == enough {
		c.marks[last] = confirmation{place, lsn}
		return
	}
	c.marks = append(c.marks, confirmation{place, lsn})
}

// upTo returns the last transaction that the acknowledged records tell of, 0 if there is none new.
func (c *confirmations) upTo(acked change.Place) pglogrepl.LSN {
	var lsn pglogrepl.LSN
	n := 0
	for _, m := range c.marks {
		if m.place.Gen != acked.Gen || m.place.Seq > acked.Seq {
			break
		}
		lsn = m.lsn
		n++
	}
	c.marks = append(c.marks[:0], c.marks[n:]...)
	return lsn
}

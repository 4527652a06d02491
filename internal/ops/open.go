package ops

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Open is what waits for a person.
type Open struct {
	Parked []ParkedOrders
	Runs   []Reconciliation // the last ones, newest first
	Mails  []StuckMails
}

// ParkedOrders are those that are parked for one reason.
type ParkedOrders struct {
	Reason, Why, Mend string
	Count             int64
	First, Newest     time.Time
	Orders            []int64  // the newest, at most five
	What              []string // of each
}

// Reconciliation is a run of it.
type Reconciliation struct {
	ID                                int64
	Ended                             time.Time
	Why                               string
	Rows, Drifting, Repaired, Waiting int64
	Held                              string
	Found                             []string // the first five rows that it names
}

// StuckMails are mails to customers that can't be sent, or of which nobody knows whether they were.
type StuckMails struct {
	State  string
	Count  int64
	Newest int64 // id
	First  time.Time
	IDs    []int64 // the newest, at most five
	What   []string
}

// lookForPeople reads what waits for a person: little, so at each look.
func (p Pipeline) lookForPeople(ctx context.Context, conn *pgx.Conn) (o Open, err error) {
	if o.Parked, err = rows[ParkedOrders](ctx, conn, query("parked"), p.Shop); err != nil {
		return o, fmt.Errorf("read the parked orders: %w", err)
	}
	if o.Runs, err = rows[Reconciliation](ctx, conn, query("reconciled"), p.Shop); err != nil {
		return o, fmt.Errorf("read the runs of reconciliation: %w", err)
	}
	if o.Mails, err = rows[StuckMails](ctx, conn, query("stuck"), p.Shop); err != nil {
		return o, fmt.Errorf("read the mails that can't be sent: %w", err)
	}
	return o, nil
}

func rows[T any](ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]T, error) {
	found, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByPos[T])
}

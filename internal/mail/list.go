package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Filter says which mails are listed. Zero values leave out nothing.
type Filter struct {
	State string
	Of    string // an order's number, of the ERP or the shop, or an invoice's
	Last  int
}

// List lists a shop's mails, newest first.
func List(ctx context.Context, conn *pgx.Conn, shop string, f Filter) ([]Row, error) {
	rows, err := conn.Query(ctx, statements["list"], shop, f.State, f.Of, f.Last)
	if err == nil {
		var all []Row
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Row, error) { return scanRow(row) })
		if err == nil {
			return all, nil
		}
	}
	return nil, postgres.Explain(fmt.Errorf("list mails: %w", err))
}

// Counts are a shop's mails by state, and what keeps them from being sent.
type Counts struct {
	Queued       int64      `json:"queued"`
	Sending      int64      `json:"sending"`
	Sent         int64      `json:"sent"`
	Unknown      int64      `json:"unknown"`
	Failed       int64      `json:"failed"`
	GivenUp      int64      `json:"given_up"` // a person has said that they are not sent
	Trouble      string     `json:"trouble"`  // why nothing can be sent at present
	TroubleSince *time.Time `json:"trouble_since"`
}

// Count counts them.
func Count(ctx context.Context, conn *pgx.Conn, shop string) (c Counts, err error) {
	err = conn.QueryRow(ctx, statements["count"], shop).Scan(&c.Queued, &c.Sending, &c.Sent, &c.Unknown, &c.Failed, &c.GivenUp, &c.Trouble, &c.TroubleSince)
	if err != nil {
		return c, postgres.Explain(fmt.Errorf("count mails: %w", err))
	}
	return c, nil
}

// ErrNoMail says that the outbox has no such mail.
var ErrNoMail = errors.New("the outbox has no such mail: applier mail list shows what it has")

// Resend queues a mail again that was sent, failed or is unknown; to, if not empty, is where it goes from now on. It is called in
// the transaction that notes who wanted it.
func Resend(ctx context.Context, tx pgx.Tx, shop string, id int64, to string) (Row, error) {
	row, err := find(ctx, tx, shop, id)
	if err != nil {
		return row, err
	}
	if to != "" {
		if flaw := AddressFlaw(to); flaw != "" {
			return row, errors.New(flaw)
		}
		row.Recipient = to
		if _, err := tx.Exec(ctx, statements["readdress"], id, to); err != nil {
			return row, postgres.Explain(err)
		}
	}
	switch {
	case row.State == Queued || row.State == Sending:
		return row, fmt.Errorf("mail %d is %s: it goes by itself", id, row.State)
	case row.cause == nil:
		return row, fmt.Errorf("mail %d is known from the journal alone, for the ERP was restored: it can't be written again", id)
	case AddressFlaw(row.Recipient) != "":
		return row, fmt.Errorf("mail %d: %s; name one with --to", id, AddressFlaw(row.Recipient))
	}
	_, err = tx.Exec(ctx, statements["resend"], id)
	return row, postgres.Explain(err)
}

// Decide settles a mail whose outcome is unknown, or that is not to be tried any more: it has arrived, or it is given up.
func Decide(ctx context.Context, tx pgx.Tx, shop string, id int64, arrived bool, why string) (Row, error) {
	row, err := find(ctx, tx, shop, id)
	if err != nil {
		return row, err
	}
	if row.State == Sending {
		return row, fmt.Errorf("mail %d is on its way to the server at this moment: wait for how it ends", id)
	}
	state := Failed
	if arrived {
		state = Sent
	}
	_, err = tx.Exec(ctx, statements["decide"], id, state, why)
	row.State = state
	return row, postgres.Explain(err)
}

func find(ctx context.Context, tx pgx.Tx, shop string, id int64) (Row, error) {
	row, err := scanRow(tx.QueryRow(ctx, statements["row"], shop, id))
	if errors.Is(err, pgx.ErrNoRows) {
		return row, fmt.Errorf("mail %d: %w", id, ErrNoMail)
	}
	return row, postgres.Explain(err)
}

// Preview writes the mails of an order as they would be sent now: its parcels, then its invoices.
func (l *Letters) Preview(ctx context.Context, conn *pgx.Conn, shop, order string) (all []Letter, err error) {
	var id int64
	var shipments []int64
	var invoices []string
	err = conn.QueryRow(ctx, statements["order"], shop, order).Scan(&id, &shipments, &invoices)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("shop %s has no order %s in the ERP", shop, order)
	}
	if err != nil {
		return nil, postgres.Explain(fmt.Errorf("order %s: %w", order, err))
	}
	for _, shipment := range shipments {
		letter, err := l.parcel(ctx, conn, shipment)
		if err != nil {
			return nil, err
		}
		all = append(all, letter)
	}
	for _, number := range invoices {
		letter, err := l.invoice(ctx, conn, id, number)
		if err != nil {
			return nil, err
		}
		all = append(all, letter)
	}
	return all, nil
}

// PreviewSample writes a mail about an order that never was.
func (l *Letters) PreviewSample(kind, language string) (Letter, error) {
	letter := Sample(kind, language)
	return letter, l.render(&letter)
}

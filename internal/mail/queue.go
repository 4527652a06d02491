package mail

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Queue is the effect of `applier run mail`: what shipments and documents in the ERP's log cause is put into the outbox, in the
// transaction that moves the place. The log only says which to look at; whether a mail is due is read from the ERP, and a key that
// the outbox has causes nothing again, however often its record comes.
type Queue struct {
	shop   string
	domain string    // of Message-IDs
	since  time.Time // orders placed before it are not mailed; zero: no such day
	tables map[string]keys
	log    zerolog.Logger

	// Of the writing goroutine: what the parts of the batch have named so far, and the ERP's transactions in which it changed.
	shipments, documents, transactions map[int64]bool
}

// keys are the columns of a table that name a shipment and a document; empty: none does.
type keys struct{ shipment, document string }

var _ apply.Effect[pgx.Tx] = (*Queue)(nil)

// NewQueue makes the effect for a shop. domain stands behind the @ of Message-IDs.
func NewQueue(shop, domain string, since time.Time, contract *schemas.Contract, log zerolog.Logger) *Queue {
	q := &Queue{shop: shop, domain: domain, since: since, tables: map[string]keys{}, log: log}
	for _, p := range contract.Publish {
		if p.Shipment != "" || p.Document != "" {
			q.tables[contract.Schema+"."+p.Table] = keys{p.Shipment, p.Document}
		}
	}
	return q
}

// Start forgets what a batch that failed has named, and notes since when the shop's customers are mailed.
func (q *Queue) Start(ctx context.Context, tx pgx.Tx) error {
	q.shipments, q.documents, q.transactions = map[int64]bool{}, map[int64]bool{}, map[int64]bool{}
	_, err := tx.Exec(ctx, statements["begin"], q.shop)
	return postgres.Explain(err)
}

// Part begins a part of a batch.
func (q *Queue) Part(int64) apply.Part[pgx.Tx] {
	return &queuePart{q: q, shipments: map[int64]bool{}, documents: map[int64]bool{}, transactions: map[int64]bool{}}
}

// queuePart holds the shipments and documents that its records name.
type queuePart struct {
	q                                  *Queue
	shipments, documents, transactions map[int64]bool
}

// Patient tells that there is nothing to queue.
func (p *queuePart) Patient() bool { return len(p.shipments)+len(p.documents) == 0 }

// Splits is always false: what is due is read as it stands, wherever a batch ends.
func (p *queuePart) Splits([]change.Record) bool { return false }

// Bytes is the memory that the part holds, roughly.
func (p *queuePart) Bytes() int {
	return (len(p.shipments) + len(p.documents) + len(p.transactions)) * 40
}

// Add takes note of shipments and documents.
func (p *queuePart) Add(records []change.Record) error {
	for i := range records {
		r := &records[i]
		k, ok := p.q.tables[r.Table]
		if !ok || !r.Op.IsRow() {
			continue
		}
		_, after, err := change.Rows(r.Value)
		if err == nil && after != nil {
			err = p.name(k, after)
		}
		if err != nil {
			return fmt.Errorf("record %d/%d, table %s, key %s: %w", r.Gen, r.Seq, r.Table, r.Key, err)
		}
		if id, ok := change.SourceTx(r.Value); ok {
			p.transactions[id] = true
		}
	}
	return nil
}

func (p *queuePart) name(k keys, row []byte) error {
	return change.IDs(row, func(column []byte) map[int64]bool {
		switch string(column) {
		case k.shipment:
			return p.shipments
		case k.document:
			return p.documents
		}
		return nil
	})
}

// Apply queues when the batch ends.
func (p *queuePart) Apply(ctx context.Context, tx pgx.Tx, last bool) error {
	maps.Copy(p.q.shipments, p.shipments)
	maps.Copy(p.q.documents, p.documents)
	maps.Copy(p.q.transactions, p.transactions)
	if !last {
		return nil
	}
	shipments, documents := slices.Sorted(maps.Keys(p.q.shipments)), slices.Sorted(maps.Keys(p.q.documents))
	clear(p.q.shipments)
	clear(p.q.documents)
	defer clear(p.q.transactions)
	if len(shipments)+len(documents) == 0 {
		return nil
	}
	if err := postgres.AwaitVisible(ctx, tx, p.q.transactions); err != nil {
		return err
	}
	return p.q.put(ctx, tx, shipments, documents)
}

// due is a mail that something has caused.
type due struct {
	kind               string
	cause, order       int64
	number, shopNumber string
	document, key      string
	recipient          *string // null: its orders do not agree
	seen               string  // the key is in the outbox, for this order of the shop
}

// put puts what is due into the outbox. A mail that can't be sent to anybody is there too, failed, for somebody to see.
func (q *Queue) put(ctx context.Context, tx pgx.Tx, shipments, documents []int64) error {
	rows, err := tx.Query(ctx, statements["due"], q.shop, shipments, documents, nullTime(q.since))
	if err != nil {
		return postgres.Explain(fmt.Errorf("mails that are due: %w", err))
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d due, err error) {
		return d, row.Scan(&d.kind, &d.cause, &d.order, &d.number, &d.shopNumber, &d.document, &d.key, &d.recipient, &d.seen)
	})
	if err != nil {
		return postgres.Explain(fmt.Errorf("mails that are due: %w", err))
	}
	for _, d := range all {
		if d.seen != "" {
			return &postgres.StopError{What: fmt.Sprintf("%s of the shop's order %s was mailed before for its order %s: the ERP has used a number again, as after a restore",
				cmp.Or(d.document, "a shipment"), d.shopNumber, d.seen),
				Mend: "look at both orders; `applier recover` lifts the ERP's numbers above those that customers have read"}
		}
		if err := q.putOne(ctx, tx, d); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) putOne(ctx context.Context, tx pgx.Tx, d due) error {
	state, reason, recipient := Queued, "its orders have different e-mail addresses", ""
	if d.recipient != nil {
		recipient = *d.recipient
		reason = AddressFlaw(recipient)
	}
	if reason != "" {
		state = Failed
		q.log.Warn().Str("kind", d.kind).Str("order", d.number).Stringer("recipient", printable.Personal(recipient)).
			Msg("a mail can't be sent, for its address: applier mail list --state failed says why")
	}
	_, err := tx.Exec(ctx, statements["put"], d.key, q.shop, d.kind, d.cause, d.order, d.number, d.shopNumber, d.document, recipient, state, reason,
		messageID(d.key, q.domain))
	if err != nil {
		return postgres.Explain(fmt.Errorf("queue the mail of order %s: %w", d.number, err))
	}
	return nil
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

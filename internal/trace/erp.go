package trace

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/schemas"
)

// looksMost bounds how much of the ERP's log is read behind a moment: the log has what was committed then, and a
// transaction of intake may be thousands of records long.
const looksMost = 8

// order is what the ERP has.
type order struct {
	id                 int64
	state, cancelledBy string
	reason             string
	backorder          bool
	quantity, left     int64 // pieces
	shipments          []shipment
	invoices           int
}

// shipment is a parcel.
type shipment struct {
	id                int64
	carrier, tracking string
	warehouse         string
	pieces            int64
	at                time.Time
}

// moment is a row of the ERP and when it was made: its log says so a little later.
type moment struct {
	at    time.Time
	table string // of the contract's publication
	id    int64
	step  int // of the trace
}

// followERP adds what the ERP has of the order: taken, sent, issued, mailed.
func (r *tracer) followERP(ctx context.Context) error {
	if r.link == nil || r.link.erpOrder == nil {
		return nil
	}
	o := &order{id: *r.link.erpOrder}
	var placed, taken time.Time
	var total int64
	var currency string
	err := r.conn.QueryRow(ctx, statements["erp"], o.id).Scan(&r.t.Number, &o.state, &o.cancelledBy, &o.reason, &o.backorder, &placed, &taken, &total, &currency, &o.quantity, &o.left)
	if errors.Is(err, pgx.ErrNoRows) {
		r.add(Step{Stage: Intake, What: fmt.Sprintf("the ERP has no order %d any more, to which it was taken over", o.id), Outcome: Failed,
			Why: "its rows were deleted there, or its database is an older one", Mend: "applier verify --orders " + strconv.FormatInt(r.t.Order, 10) + " compares both sides"})
		return nil
	}
	if err != nil {
		return r.failed("read the ERP's order", err)
	}
	r.erp = o
	what := fmt.Sprintf("taken over as %s: %s, %d pieces", r.t.Number, amount(total, currency), o.quantity)
	if r.link.adopted {
		what = fmt.Sprintf("linked to %s, which was entered in the ERP by hand at this time", r.t.Number)
	}
	if r.link.subtracted > 0 {
		what += fmt.Sprintf("; of the shop's stock it has %d", r.link.subtracted)
	}
	var moments []moment
	put := func(at time.Time, stage, what, table string, id int64) {
		r.add(Step{Stage: stage, At: &at, What: what})
		moments = append(moments, moment{at, table, id, len(r.t.Steps) - 1})
	}
	put(taken, Intake, what, "sales_order", o.id)
	if err := r.readShipments(ctx, o); err != nil {
		return err
	}
	for _, s := range o.shipments {
		put(s.at, ERP, fmt.Sprintf("parcel %d leaves %s: %d pieces, %s %s", s.id, s.warehouse, s.pieces, or(s.carrier, "no carrier"), or(s.tracking, "without a tracking number")), "shipment", s.id)
	}
	if err := r.readDocuments(ctx, o, put); err != nil {
		return err
	}
	if o.state == "cancelled" || o.state == "closed_short" {
		by := map[string]string{"shop": "by the shop", "clerk": "by the ERP's people"}[o.cancelledBy]
		r.add(Step{Stage: ERP, What: fmt.Sprintf("%s %s: %s", o.state, by, or(o.reason, "no reason given"))})
	}
	r.findMoments(ctx, moments)
	return r.readMails(ctx)
}

func (r *tracer) readShipments(ctx context.Context, o *order) error {
	rows, err := r.conn.Query(ctx, statements["shipments"], o.id)
	if err == nil {
		o.shipments, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s shipment, err error) {
			return s, row.Scan(&s.id, &s.carrier, &s.tracking, &s.warehouse, &s.pieces, &s.at)
		})
	}
	if err != nil {
		return r.failed("read its shipments", err)
	}
	return nil
}

func (r *tracer) readDocuments(ctx context.Context, o *order, put func(at time.Time, stage, what, table string, id int64)) error {
	own, err := r.there(ctx, "erp.document")
	if err != nil {
		return err
	}
	query := statements["invoices"]
	if own {
		query = statements["documents"]
	}
	rows, err := r.conn.Query(ctx, query, o.id)
	if err != nil {
		return r.failed("read its documents", err)
	}
	var id, total int64
	var number, kind, currency string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &number, &kind, &at, &total, &currency}, func() error {
		what := kindOf(kind) + " " + number + " is issued"
		if currency != "" {
			what += ": " + amount(total, currency)
		}
		if kind == "invoice" || kind == "deferred_invoice" {
			o.invoices++
		}
		put(at, ERP, what, "document", id)
		return nil
	})
	if err != nil {
		return r.failed("read its documents", err)
	}
	return nil
}

func kindOf(kind string) string {
	names := map[string]string{"ddt": "delivery note", "sale": "sale", "invoice": "invoice", "deferred_invoice": "deferred invoice", "credit_note": "credit note", "return": "return"}
	return or(names[kind], kind)
}

// findMoments looks up where the ERP's log tells of its rows.
func (r *tracer) findMoments(ctx context.Context, moments []moment) {
	if r.log == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaWithin)
	defer cancel()
	publish, err := publishedOrders()
	if err != nil {
		r.note("%v", err)
		return
	}
	var read []change.Record // of the last window
	for _, m := range moments {
		found := r.inERPLog(read, m, publish)
		for offset, looks := int64(-1), 0; found == nil && looks < looksMost; looks++ {
			if offset < 0 {
				if offset, err = r.log.Since(ctx, m.at); err != nil {
					break
				}
			}
			if _, end := r.log.Bounds(); offset >= end {
				break
			}
			if read, offset, err = r.log.From(ctx, offset); err != nil || len(read) == 0 {
				break
			}
			found = r.inERPLog(read, m, publish)
		}
		if err != nil {
			r.note("The ERP's log can't be read, so places in it are missing: %v", err)
			return
		}
		r.t.Steps[m.step].Place = found
	}
}

// publishedOrders are the tables of the ERP's log, each with its column that names the order; empty where there is none.
func publishedOrders() (map[string]string, error) {
	contract, err := schemas.LoadContract()
	if err != nil {
		return nil, err
	}
	tables := map[string]string{}
	for _, p := range contract.Publish {
		tables[contract.Schema+"."+p.Table] = p.Order
	}
	return tables, nil
}

// inERPLog is the place of the record that made a row, among those that were read.
func (r *tracer) inERPLog(read []change.Record, m moment, publish map[string]string) *Place {
	for i := range read {
		one := &read[i]
		if one.Table != "erp."+m.table || one.Op != change.Create && one.Op != change.Read || !names(one, "id", m.id) {
			continue
		}
		of, n := transaction(one), 0
		for k := range read {
			column := publish[read[k].Table]
			if transaction(&read[k]) == of && (k == i || column != "" && names(&read[k], column, r.erp.id)) {
				n++
			}
		}
		place := placeOf(r.ERPLog.Topic, of, read[i:i+1])
		place.Records = n
		return place
	}
	return nil
}

// readMails adds what was mailed about the order, and what is to be.
func (r *tracer) readMails(ctx context.Context) error {
	rows, err := r.conn.Query(ctx, statements["mails"], r.Shop, r.erp.id)
	if err != nil {
		return r.failed("read its mails", err)
	}
	var id int64
	var kind, document, state, reason, message string
	var attempts int
	var queued, next time.Time
	var sent *time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &kind, &document, &state, &reason, &attempts, &message, &queued, &next, &sent}, func() error {
		name := fmt.Sprintf("mail %d of its %s", id, kind)
		if document != "" {
			name += " " + document
		}
		at := queued
		r.add(Step{Stage: Mail, At: &at, What: name + " is queued"})
		s := Step{Stage: Mail, What: name}
		switch state {
		case "sent":
			s.At, s.What = sent, fmt.Sprintf("%s is sent, as <%s>", name, message)
		case "queued", "sending":
			s.Outcome, s.Why = Waits, or(reason, "it is due, and goes when the mailer comes to it")
			if attempts > 0 {
				s.Why += fmt.Sprintf(" (begun %d times, next at %s)", attempts, next.Local().Format(time.DateTime))
			}
		case "unknown":
			s.Outcome, s.Why, s.Mend = Waits, or(reason, "nobody knows whether it has arrived"), fmt.Sprintf("applier mail resend %d, or applier mail resolve %d", id, id)
		default:
			s.Outcome, s.Why, s.Mend = Failed, reason, fmt.Sprintf("applier mail resend %d, with --to where the address is wrong", id)
		}
		r.add(s)
		return nil
	})
	if err != nil {
		return r.failed("read its mails", err)
	}
	return nil
}

// followPeople adds what was decided about the order with Spola's commands.
func (r *tracer) followPeople(ctx context.Context) error {
	decided, err := intake.ListAudit(ctx, r.conn, r.Shop, r.t.Order, 100)
	if err != nil {
		return err
	}
	for _, d := range decided {
		at := d.At
		what := fmt.Sprintf("%s: %s %s", d.Who, d.Verb, d.Decision)
		if d.Reason != "" {
			what += " (" + d.Reason + ")"
		}
		r.add(Step{Stage: Person, At: &at, What: what})
	}
	return nil
}

func amount(cents int64, currency string) string {
	return decimal.New(cents, -2).StringFixed(2) + " " + currency
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

package trace

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/writeback"
)

// expect adds what has not happened yet, each with the reason.
func (r *tracer) expect(ctx context.Context) error {
	r.expectReading()
	if err := r.expectTaking(ctx); err != nil {
		return err
	}
	if r.erp == nil {
		return nil
	}
	if err := r.expectLeaving(ctx); err != nil {
		return err
	}
	standings, err := writeback.Standings(ctx, r.conn, r.Shop)
	if err != nil {
		return err
	}
	if err := r.expectTelling(ctx, standings); err != nil {
		return err
	}
	return r.expectMailing(ctx)
}

func (r *tracer) waits(stage, what, why, mend string) {
	r.add(Step{Stage: stage, What: what, Outcome: Waits, Why: why, Mend: mend})
}

// expectReading adds records that intake has not applied, and that somebody has paused it.
func (r *tracer) expectReading() {
	p := r.places["intake"]
	behind := int64(0)
	if r.shop != nil {
		_, end := r.shop.Bounds()
		behind = max(0, end-p.Offset-1)
	}
	unapplied := false
	for i := range r.t.Steps {
		s := &r.t.Steps[i]
		unapplied = unapplied || s.Place != nil && s.Place.Log == r.ShopLog.Topic && s.Why != ""
	}
	switch {
	case unapplied && r.link == nil:
		r.t.Status = "unread"
		r.waits(Intake, "taken over", r.standing(p, "intake", behind), mendOf(p, "intake"))
	case unapplied:
		r.waits(Intake, "what the shop wrote last", r.standing(p, "intake", behind), mendOf(p, "intake"))
	case p.Paused != nil:
		r.waits(Intake, "what the shop writes from now on", r.standing(p, "intake", behind), mendOf(p, "intake"))
	}
}

// standing says why a stream has not come to something.
func (r *tracer) standing(p place, applier string, behind int64) string {
	switch {
	case p.Paused != nil:
		return fmt.Sprintf("%s was paused by %s at %s", applier, p.PausedBy, p.Paused.Local().Format(time.DateTime))
	case p.Moved.IsZero():
		return applier + " has never run"
	}
	return fmt.Sprintf("%s is %d records behind, and last moved %s ago", applier, behind, time.Since(p.Moved).Round(time.Second))
}

func mendOf(p place, applier string) string {
	if p.Paused != nil {
		return "applier resume " + applier
	}
	return "applier status tells whether it comes nearer; where it stands still, see whether it runs (applier run " + applier + ") and what it said last"
}

// expectTaking adds why the ERP does not have the order (as the shop has it).
func (r *tracer) expectTaking(ctx context.Context) error {
	l := r.link
	var tick int64
	var settling bool
	err := r.conn.QueryRow(ctx, statements["due"], r.Shop, r.t.Order).Scan(&tick, &settling)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return r.failed("read whether it settles", err)
	}
	due := err == nil
	parked, _, err := intake.ShowParked(ctx, r.conn, r.Shop, r.t.Order)
	if err != nil && !errors.Is(err, intake.ErrNotParked) {
		return err
	}
	if isParked := err == nil; isParked {
		at := parked.First
		mend := parked.Mend
		for _, c := range parked.Choices {
			mend += fmt.Sprintf(" Or decide: applier parked resolve %d --%s --reason …", r.t.Order, c)
		}
		r.add(Step{Stage: Intake, At: &at, What: "parked: " + parked.Reason, Outcome: Waits, Why: parked.What + " " + parked.Why, Mend: mend})
		if r.t.Status == "cart" || r.t.Status == "seen" {
			r.t.Status = "parked"
		}
	}
	switch {
	case due && settling:
		r.waits(Intake, "derived again", fmt.Sprintf("it settles: a half-written order, a cancellation or an edit counts once it has stood for three ticks of the shop's clock (tick %d, now %d)", tick, r.ticks), "")
	case due:
		r.waits(Intake, "derived again", "it was asked for, and comes with intake's next batch", "")
	case parked.Order != 0:
	case r.t.Status == "unread":
	case l == nil:
		r.waits(Intake, "taken over", "the shop has it as a cart: its checkout was not completed", "")
	case r.mode == "observe" && l.erpOrder == nil:
		r.waits(Intake, "taken over", "the shop is only observed", "applier golive --dry-run shows what would become of each order")
	case l.status == "closed":
		r.add(Step{Stage: Intake, What: "not taken over", Outcome: Failed, Why: "it is closed: from before the shop went live, or by a person's decision", Mend: "enter it in the ERP by hand if it is wanted there"})
	case l.erpOrder == nil && l.deleted:
		r.add(Step{Stage: Intake, What: "not taken over", Outcome: Failed, Why: "the shop has deleted it"})
	case l.erpOrder == nil:
		r.waits(Intake, "taken over", fmt.Sprintf("its state in the shop, %s, is of class %q: an order is taken over in a state of class taken", r.stateName(l.state), l.class),
			"nothing, if it is not paid yet; else set its state in the shop, or the state's class in the shop file (states)")
	}
	return nil
}

// expectLeaving adds what the ERP still owes.
func (r *tracer) expectLeaving(ctx context.Context) error {
	o := r.erp
	if o.state == "open" || o.state == "part_shipped" {
		why := "nobody has shipped it in the ERP yet"
		if o.left > 0 {
			why = fmt.Sprintf("%d of %d pieces have left", o.left, o.quantity)
		}
		if o.backorder {
			why += "; some of its pieces are not on hand"
		}
		r.waits(ERP, "shipped", why, "")
	}
	there, err := r.there(ctx, "erp.documents_due")
	if err != nil || !there {
		return err
	}
	rows, err := r.conn.Query(ctx, statements["due invoices"], o.id)
	if err != nil {
		return r.failed("read whether an invoice is due", err)
	}
	var number, flaw string
	_, err = pgx.ForEachRow(rows, []any{&number, &flaw}, func() error {
		r.waits(ERP, "invoice for "+number, or(flaw, "it is due"), "select erp.invoice_due() in the ERP issues what is due and whole")
		return nil
	})
	if err != nil {
		return r.failed("read whether an invoice is due", err)
	}
	return nil
}

// expectTelling adds what the shop has not been told.
func (r *tracer) expectTelling(ctx context.Context, standings []writeback.Standing) error {
	var entered, open int64
	if err := r.conn.QueryRow(ctx, statements["restock"], r.Shop, r.t.Order).Scan(&entered, &open); err != nil {
		return r.failed("read what went on sale again", err)
	}
	if entered+open > 0 {
		s := Step{Stage: Back, What: fmt.Sprintf("%d pieces go on sale again, for Spola has cancelled it in the shop", entered+open)}
		if open > 0 {
			s.Outcome, s.Why = Waits, fmt.Sprintf("%d of them are entered with the next batch of intake", open)
		}
		r.add(s)
	}
	untold := r.untold()
	if len(untold) == 0 {
		return nil
	}
	what := "told to the shop: " + strings.Join(untold, ", ")
	if r.mark != nil && r.mark.Why != "" {
		r.waits(Back, what, fmt.Sprintf("%s (the ERP has %s, the shop shows %s)", r.mark.Why, or(r.mark.Wants, r.erp.state), r.stateName(r.mark.Shows)), writeback.Mends[r.mark.Why])
		return nil
	}
	if r.ERPLog == nil {
		r.waits(Back, what, "nobody reads the ERP's log, so nothing comes back into the shop", "erp.log and shop.write_as in the configuration; cdc preflight erp")
		return nil
	}
	var p place
	for _, s := range standings {
		if s.Stream == writeback.OrdersApplier {
			p = place{Moved: s.Moved, Paused: s.Paused, PausedBy: s.PausedBy}
			p.Offset = s.Offset
		}
	}
	why, mend := r.standing(p, "orders", r.behind(p)), mendOf(p, "orders")
	if r.mark == nil && r.erp.state != "cancelled" && len(r.erp.shipments) == 0 {
		return nil
	}
	r.waits(Back, what, why, mend)
	return nil
}

// behind is how many records of the ERP's log are beyond a place.
func (r *tracer) behind(p place) int64 {
	if r.log == nil {
		return 0
	}
	_, end := r.log.Bounds()
	return max(0, end-p.Offset-1)
}

// untold is what the shop's customer has not read of: parcels, and the state that stands for them.
func (r *tracer) untold() (all []string) {
	for _, s := range r.erp.shipments {
		told := r.mark != nil && s.tracking == ""
		if r.mark != nil {
			for _, p := range r.mark.Parcels {
				told = told || p.Tracking == s.tracking && p.Carrier == s.carrier
			}
		}
		if !told {
			all = append(all, "parcel "+strconv.FormatInt(s.id, 10))
		}
	}
	moved := r.erp.state != "open" && r.erp.state != "part_shipped" && (r.erp.state != "cancelled" || r.erp.cancelledBy != "shop")
	if moved && (r.mark == nil || r.mark.ERP != r.erp.state) {
		all = append(all, "state "+r.erp.state)
	}
	return all
}

// expectMailing adds why nobody was mailed of what has left, or nothing goes at all.
func (r *tracer) expectMailing(ctx context.Context) error {
	mailed, queued := false, false
	for _, s := range r.t.Steps {
		if s.Stage == Mail {
			mailed = true
			queued = queued || s.Outcome == Waits
		}
	}
	p := r.places["mail"]
	switch {
	case p.Moved.IsZero() && len(r.erp.shipments)+r.erp.invoices > 0:
		r.waits(Mail, "the customer's mail", "mail has never run for this shop", "smtp in the configuration, and applier run mail; what left before it begins is never mailed")
		return nil
	case p.Moved.IsZero():
		return nil
	case queued && p.Paused != nil:
		r.waits(Mail, "what is queued", r.standing(p, "mail", r.behind(p)), mendOf(p, "mail"))
	case !mailed && len(r.erp.shipments)+r.erp.invoices > 0 && (p.Paused != nil || r.behind(p) > 0):
		r.waits(Mail, "the customer's mail", r.standing(p, "mail", r.behind(p)), mendOf(p, "mail"))
	}
	var trouble string
	var since *time.Time
	err := r.conn.QueryRow(ctx, statements["mailer"], r.Shop).Scan(&trouble, &since)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return r.failed("read what the mailer says", err)
	}
	if trouble != "" && queued {
		r.waits(Mail, "what is queued", fmt.Sprintf("nothing can be sent since %s: %s", since.Local().Format(time.DateTime), trouble), "applier mail list, and smtp in the configuration")
	}
	return nil
}

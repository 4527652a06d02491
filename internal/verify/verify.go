package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says what is compared.
type Config struct {
	Shop    *sql.DB
	ERP     *pgxpool.Pool // with at least 6 connections
	Name    string        // of the shop, in the ERP
	Prefix  string        // of the shop's tables; default oc_
	Rules   Rules         // of the shop: ReadRules
	Journal *Journal      // of a test shop; nil where there is none

	// What is compared; Beside alone knows these. Empty: all orders.
	Orders []int64   // these, by the shop's numbers
	Since  time.Time // those that were placed since then
}

// Report is what was found. Without a journal orders that the shop has deleted count nowhere, and
// nothing is known to be planted.
type Report struct {
	OrdersPlaced   int64        `json:"orders_placed"`   // checkouts that came to their end, by the journal; else orders with a state
	OrdersInScope  int64        `json:"orders_in_scope"` // ever in a class that the ERP takes over
	OrdersInERP    int64        `json:"orders_in_erp"`   // of these: linked, cancelled ones included
	OrdersParked   int64        `json:"orders_parked"`   // of these: parked and not linked
	ParkedPlanted  int64        `json:"parked_planted"`  // of these: made so that nobody could take them over
	CentsShop      int64        `json:"cents_shop"`      // of linked orders that the shop still has
	CentsERP       int64        `json:"cents_erp"`
	Differences    int64        `json:"differences"`
	Details        []Difference `json:"details,omitempty"`         // the first 100
	OrdersDecided  int64        `json:"orders_decided,omitempty"`  // not in scope: a person let one entered by hand stand for it, kept the ERP's version, or closed it
	OrdersShipped  int64        `json:"orders_shipped"`            // of those in the ERP: all of their pieces have left
	OrdersWaiting  int64        `json:"orders_waiting,omitempty"`  // in the ERP: the shop has changed them after their goods had left, or after a clerk had cancelled them, and a person is to say what holds
	OrdersChanging int64        `json:"orders_changing,omitempty"` // that changed, or settled, as long as they were looked at: not compared
	Unfinished     int64        `json:"unfinished,omitempty"`      // orders that a killed administrator left halfway: only looked for
}

// Difference is an order that is not the same on both sides.
type Difference struct {
	Shop  string `json:"shop,omitempty"` // where several are told of together
	Order int64  `json:"order"`          // the shop's number
	Kind  string `json:"kind"`           // missing, extra, gone, unknown, state, lines, cents, vat; shop, journal: the test shop itself is wrong
	What  string `json:"what"`
}

// String is a line for a person: order, kind, what.
func (d Difference) String() string {
	text := fmt.Sprintf("order %d: %s: %s", d.Order, d.Kind, d.What)
	if d.Shop != "" {
		text = "shop " + d.Shop + ", " + text
	}
	return text
}

// Add takes another shop's report into this one.
func (r *Report) Add(shop string, other *Report) {
	r.OrdersPlaced += other.OrdersPlaced
	r.OrdersInScope += other.OrdersInScope
	r.OrdersInERP += other.OrdersInERP
	r.OrdersParked += other.OrdersParked
	r.ParkedPlanted += other.ParkedPlanted
	r.CentsShop += other.CentsShop
	r.CentsERP += other.CentsERP
	r.Differences += other.Differences
	r.OrdersDecided += other.OrdersDecided
	r.OrdersShipped += other.OrdersShipped
	r.OrdersWaiting += other.OrdersWaiting
	r.OrdersChanging += other.OrdersChanging
	r.Unfinished += other.Unfinished
	for _, d := range other.Details {
		d.Shop = shop
		r.Details = append(r.Details, d)
	}
}

const detailsShown = 100

// Run compares shop and ERP, both at rest. An error means that they could not be read.
func Run(ctx context.Context, c Config) (*Report, error) {
	p, err := c.proof()
	if err != nil {
		return nil, err
	}
	if err := p.readJournal(ctx, c.Journal); err != nil {
		return nil, err
	}
	if err := p.run(ctx, scope{}); err != nil {
		return nil, err
	}
	return p.report, nil
}

// proof is a comparison that has not begun.
func (c Config) proof() (*proof, error) {
	if c.Prefix == "" {
		c.Prefix = "oc_"
	}
	if len(c.Rules.classes) == 0 {
		return nil, errors.New("compare shop and ERP: nothing says what the shop's states mean; read the rules from its shop file")
	}
	shopSQL, erpSQL, err := loadStatements(c.Prefix)
	if err != nil {
		return nil, err
	}
	return &proof{
		shop:   &shopSide{db: c.Shop, statements: shopSQL, rules: c.Rules},
		erp:    &erpSide{db: c.ERP, shop: c.Name, statements: erpSQL},
		report: &Report{},
		seen:   map[int64]int64{},
	}, nil
}

// run goes through all orders of a scope.
func (p *proof) run(ctx context.Context, which scope) error {
	p.shop.scope, p.erp.scope = which, which
	defer p.shop.close()
	if err := p.shop.open(ctx); err != nil {
		return err
	}
	defer p.erp.close()
	if err := p.erp.open(ctx); err != nil {
		return err
	}
	if err := p.compareAll(); err != nil {
		return err
	}
	p.compareUnseen()
	return p.erp.orphans(ctx, func(id int64, number string) {
		p.differ(0, "extra", "ERP order %d, of the shop's order %s, is linked to none", id, number)
	})
}

// readJournal finds the orders whose number the journal never learnt.
func (p *proof) readJournal(ctx context.Context, j *Journal) error {
	if j == nil {
		return nil
	}
	p.journal = map[int64]*Journaled{}
	for _, o := range j.Orders {
		if o.ID == 0 && o.Token != "" && o.Placed != Failed {
			id, err := p.shop.byToken(ctx, o.Token)
			if err != nil {
				return fmt.Errorf("find the order with token %q: %w", o.Token, err)
			}
			o.ID = id
		}
		if o.ID != 0 {
			p.journal[o.ID] = o
		}
	}
	return nil
}

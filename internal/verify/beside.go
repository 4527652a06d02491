package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Matched returns when everything that the shop had committed by the time of the call stands in the ERP.
type Matched func(ctx context.Context) error

const (
	looks     = 12                     // at an order that is not the same on both sides
	lookEvery = 500 * time.Millisecond // a change settles in three to four seconds
	lookAt    = 200                    // orders at once
)

// ErrObserved says that the ERP takes no orders of this shop yet.
var ErrObserved = errors.New("the shop is only observed: nothing of it is in the ERP yet")

// Beside compares shop and ERP while both go on, all orders or those that Config names.
//
// An order is judged by rows that the shop has had unchanged from before a matched position until the ERP was read behind
// it: whatever the ERP shows then, it shows of these rows. One that was found different while all were read is looked at
// that way, and again as long as its rows change or it settles; it is counted as changing if that never ends.
func Beside(ctx context.Context, c Config, matched Matched) (*Report, error) {
	c.Journal = nil
	p, err := c.proof()
	if err != nil {
		return nil, err
	}
	var mode string
	if err := c.ERP.QueryRow(ctx, p.erp.statements["mode"], c.Name).Scan(&mode); errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("the ERP knows no shop %q yet: applier run makes it known", c.Name)
	} else if err != nil {
		return nil, fmt.Errorf("read the ERP's shop %s: %w", c.Name, err)
	}
	if mode != "live" {
		return nil, ErrObserved
	}
	suspects := slices.Sorted(slices.Values(c.Orders))
	if c.Orders == nil {
		which, err := c.scope(ctx, p)
		if err != nil {
			return nil, err
		}
		p.suspects = &suspects
		if err := p.run(ctx, which); err != nil {
			return nil, err
		}
	}
	for n := 0; n < looks && len(suspects) > 0; n++ {
		if n > 0 {
			if err := wait(ctx, lookEvery); err != nil {
				return nil, err
			}
		}
		if suspects, err = c.judge(ctx, p, suspects, matched); err != nil {
			return nil, err
		}
	}
	p.report.OrdersChanging = int64(len(suspects))
	return p.report, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// judge compares orders at a matched position, and returns those that could not be judged yet.
func (c Config) judge(ctx context.Context, p *proof, orders []int64, matched Matched) (again []int64, err error) {
	for ids := range slices.Chunk(slices.Compact(orders), lookAt) {
		scope := scope{orders: ids}
		before, err := c.lookAtShop(ctx, p, scope)
		if err != nil {
			return nil, err
		}
		if err := matched(ctx); err != nil {
			return nil, err
		}
		erp, unsettled, err := c.lookAtERP(ctx, p, scope)
		if err != nil {
			return nil, err
		}
		after, err := c.lookAtShop(ctx, p, scope)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			x := erp[id]
			x.id, x.order = id, after[id]
			switch {
			case unsettled[id] || !reflect.DeepEqual(before[id], after[id]):
				again = append(again, id)
			case x.order == nil && x.link == nil:
				if c.Orders != nil {
					p.differ(id, "unknown", "neither side has it")
				}
			default:
				p.compare(x)
			}
		}
	}
	return again, nil
}

// lookAtShop reads some orders of the shop as they were at one moment.
func (c Config) lookAtShop(ctx context.Context, p *proof, which scope) (map[int64]*shopOrder, error) {
	tx, err := c.Shop.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("read the shop: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	s := &shopSide{db: tx, statements: p.shop.statements, rules: c.Rules, scope: which, whole: true}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	all := map[int64]*shopOrder{}
	for _, id := range which.orders {
		if all[id], err = s.take(id); err != nil {
			return nil, err
		}
	}
	p.shop = s // with its settings of this moment
	return all, nil
}

// lookAtERP reads what the ERP has of some orders at one moment, and which of them are still settling.
func (c Config) lookAtERP(ctx context.Context, p *proof, which scope) (all map[int64]pair, unsettled map[int64]bool, err error) {
	tx, err := c.ERP.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, nil, fmt.Errorf("read the ERP: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // it has only read
	e := &erpSide{db: tx, shop: c.Name, statements: p.erp.statements, scope: which, whole: true}
	if err := e.open(ctx); err != nil {
		return nil, nil, err
	}
	all, unsettled = map[int64]pair{}, map[int64]bool{}
	for _, id := range which.orders {
		var x pair
		if x.link, err = e.take(id); err != nil {
			return nil, nil, err
		}
		if x.parked, err = e.parked.take(id); err != nil {
			return nil, nil, err
		}
		all[id] = x
	}
	rows, err := tx.Query(ctx, which.of(e.statements["unsettled"]), c.Name)
	if err != nil {
		return nil, nil, fmt.Errorf("read the ERP's unsettled orders: %w", err)
	}
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		unsettled[id] = true
		return nil
	})
	p.erp = e
	return all, unsettled, err
}

// scope is which orders are read one after the other.
func (c Config) scope(ctx context.Context, p *proof) (which scope, err error) {
	if c.Since.IsZero() {
		return which, nil
	}
	if err := p.shop.openSettings(ctx); err != nil {
		return which, err
	}
	err = c.Shop.QueryRowContext(ctx, p.shop.statements["since"], c.Since.In(p.shop.zone).Format(time.DateTime)).Scan(&which.from)
	if err == nil && which.from == 0 {
		which.orders = []int64{0} // nothing was placed since then
	}
	return which, err
}

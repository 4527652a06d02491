package stock

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Orders are the shop's orders of the last days, in a state in which the ERP takes them or past it, held against the ERP's.
type Orders struct {
	Since     string  `json:"since"` // the first day
	Orders    int64   `json:"orders"`
	InERP     int64   `json:"in_erp"`    // with the same cents
	Explained int64   `json:"explained"` // not there, or with others: parked, settling, closed, or as a person has decided
	CentsShop int64   `json:"cents_shop"`
	CentsERP  int64   `json:"cents_erp"`
	Odd       []int64 `json:"odd"`   // that nothing explains. The first of them
	Asked     []int64 `json:"asked"` // of these: whose rows this run had read and derived again
	Left      int64   `json:"left"`  // still not in the ERP, or with other cents
	Days      []Day   `json:"days"`
}

// Day is what the shop and the ERP have of one day's orders.
type Day struct {
	Day       string `json:"day"`
	Orders    int64  `json:"orders"`
	InERP     int64  `json:"in_erp"`
	Explained int64  `json:"explained"`
	CentsShop int64  `json:"cents_shop"`
	CentsERP  int64  `json:"cents_erp"`
}

const (
	orderDays   = 31  // up to the newest order's, that are held against the ERP at each run
	orderChunk  = 200 // orders looked at at once: some tenths of a millisecond each
	orderTable  = "order"
	orderWithin = 10 // ticks that an order that was asked for again may take

	// An order that reading it again did not mend waits for a person: to read it at each run would only keep the reader busy.
	orderAgain = 24 * time.Hour
)

// orders holds the shop's orders of the last days against the ERP's, by number and cents, day by day. What the ERP lacks, or has
// otherwise, while nothing says why, is read from the shop and derived again. The mirror is what was just compared with the shop.
func (r *run) orders(ctx context.Context) error {
	if r.o.Only != nil {
		return nil // some articles were asked for
	}
	odd, err := r.lookAtOrders(ctx)
	if err != nil {
		return fmt.Errorf("hold orders against the ERP's: %w", err)
	}
	r.Orders.Left = int64(len(odd))
	r.Orders.Odd = append(r.Orders.Odd, odd[:min(len(odd), named)]...)
	if len(odd) == 0 || r.o.DryRun {
		return nil
	}
	if err := r.askAgain(ctx, odd); err != nil {
		return fmt.Errorf("have orders read again: %w", err)
	}
	if len(r.Orders.Asked) == 0 {
		return nil
	}
	for n := 0; n < orderWithin && r.Orders.Left > 0; n++ {
		if err := r.o.Tick(ctx); err != nil {
			return err
		}
		if odd, err = r.lookAtOrders(ctx); err != nil {
			return fmt.Errorf("hold orders against the ERP's: %w", err)
		}
		r.Orders.Left = int64(len(odd))
	}
	return nil
}

// lookAtOrders counts, and returns the orders that nothing explains.
func (r *run) lookAtOrders(ctx context.Context) (odd []int64, err error) {
	since := ""
	days := map[string]*Day{}
	for below := int64(1<<63 - 1); ; {
		began := time.Now()
		ids, err := collect[int64](ctx, r.conn, "select order_id from "+r.schema+".order_numbers($1, $2)", below, orderChunk)
		if err != nil || len(ids) == 0 {
			return r.sum(since, days, odd), err
		}
		below = ids[len(ids)-1]
		if since == "" {
			query := "select (max(day) - $2::int)::text from " + r.schema + ".reconciled_orders($1)"
			if err := r.conn.QueryRow(ctx, query, ids[:min(len(ids), 100)], orderDays).Scan(&since); err != nil {
				return nil, err
			}
		}
		rows, err := r.conn.Query(ctx, "select order_id, day::text, total, coalesce(erp_total, 0), why from "+r.schema+".reconciled_orders($1)", ids)
		if err != nil {
			return nil, err
		}
		recent := false
		var id, total, has int64
		var day, why string
		_, err = pgx.ForEachRow(rows, []any{&id, &day, &total, &has, &why}, func() error {
			if day < since {
				return nil
			}
			recent = true
			if why == "untaken" {
				return nil
			}
			if days[day] == nil {
				days[day] = &Day{Day: day}
			}
			days[day].count(total, has, why)
			if why == "missing" || why == "cents" {
				odd = append(odd, id)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !recent || len(ids) < orderChunk {
			return r.sum(since, days, odd), nil
		}
		if err := wait(ctx, restERP*time.Since(began)); err != nil {
			return nil, err
		}
	}
}

func (d *Day) count(total, has int64, why string) {
	d.Orders++
	d.CentsShop += total
	d.CentsERP += has
	switch why {
	case "":
		d.InERP++
	case "missing", "cents":
	default:
		d.Explained++
	}
}

// sum puts the days into the run.
func (r *run) sum(since string, days map[string]*Day, odd []int64) []int64 {
	o := &r.Orders
	*o = Orders{Since: since, Odd: o.Odd, Asked: o.Asked, Days: []Day{}}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		d := *days[day]
		o.Orders += d.Orders
		o.InERP += d.InERP
		o.Explained += d.Explained
		o.CentsShop += d.CentsShop
		o.CentsERP += d.CentsERP
		o.Days = append(o.Days, d)
	}
	if o.Odd == nil {
		o.Odd, o.Asked = []int64{}, []int64{}
	}
	slices.Sort(odd)
	return odd
}

// askAgain has the rows of orders read from the shop again, and the orders derived: of some at once, and of each once a day.
func (r *run) askAgain(ctx context.Context, odd []int64) error {
	asked, err := collect[int64](ctx, r.conn, `select distinct a.id::bigint from spola.reconciliation x
		cross join jsonb_array_elements_text(x.orders -> 'asked') as a(id) where x.shop = $1 and x.began > clock_timestamp() - $2::interval`, r.Shop, orderAgain)
	if err != nil {
		return err
	}
	orders := slices.DeleteFunc(slices.Clone(odd), func(order int64) bool { return slices.Contains(asked, order) })
	orders = orders[:min(len(orders), named)]
	if len(orders) == 0 {
		return nil
	}
	r.Orders.Asked = orders
	if r.o.Shop != nil {
		if err := r.o.Shop.ReadAgain(ctx, orderTable, orders); err != nil {
			return err
		}
	}
	_, err = r.conn.Exec(ctx, "insert into spola.due (shop, order_id, tick, settling) select $1, o, 0, false from unnest($2::bigint[]) as o on conflict do nothing", r.Shop, orders)
	return err
}

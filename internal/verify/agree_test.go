package verify

import (
	"context"
	"fmt"
	"io/fs"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// drawn is an order as a shop would store it: four decimals a row, nothing rounded to cents.
type drawn struct {
	amounts
	rows []string // the same as parts of intake
}

// drawOrder makes an order: lines at up to four rates, shipping, a coupon over the lines,
// store credit.
func drawOrder(r *rand.Rand) *drawn {
	d := &drawn{}
	rates := [][]string{{"22", "10", "4"}, {"22"}, {"19", "7"}, {"0"}, {"22", "0"}}[r.IntN(5)]
	vat, exact := map[string]*big.Rat{}, new(big.Rat)
	tax := func(rate string, net *big.Rat) {
		if vat[rate] == nil {
			vat[rate] = new(big.Rat)
		}
		vat[rate].Add(vat[rate], new(big.Rat).Mul(net, new(big.Rat).Quo(rat(rate), big.NewRat(100, 1))))
	}
	add := func(kind, rate string, net *big.Rat) {
		d.rows = append(d.rows, fmt.Sprintf("row('%s', '%s', '', %s, %s, false, 'IT', 1, '', '', '', 1, false, null, null)::spola.part",
			kind, kind, net.FloatString(4), rate))
		exact.Add(exact, net)
	}
	coupon := r.IntN(3) == 0
	off := new(big.Rat)
	for range 1 + r.IntN(5) {
		rate := rates[r.IntN(len(rates))]
		net := big.NewRat((1+r.Int64N(900_000))*(1+r.Int64N(3)), 10000)
		d.parts = append(d.parts, part{net: short(net), rate: number(rate)})
		add("line", rate, net)
		tax(rate, net)
		if coupon {
			share := new(big.Rat).Quo(net, big.NewRat(10, 1))
			off.Add(off, share)
			tax(rate, new(big.Rat).Neg(share))
		}
	}
	if r.IntN(4) > 0 {
		net := big.NewRat(r.Int64N(100_000), 10000)
		d.parts = append(d.parts, part{kind: KindCharge, net: short(net), rate: number(rates[0])})
		add("charge", rates[0], net)
		tax(rates[0], net)
	}
	d.close(r, exact, off, vat, add)
	return d
}

// close adds the rows behind the goods, each as the server stores it.
func (d *drawn) close(r *rand.Rand, exact, off *big.Rat, vat map[string]*big.Rat, add func(kind, rate string, net *big.Rat)) {
	if off.Sign() > 0 {
		stored := rat(new(big.Rat).Neg(off).FloatString(4))
		d.discounts, d.discount = short(stored), "discount"
		add("discount", "null", stored)
	}
	for _, rate := range []string{"22", "19", "10", "7", "4"} {
		if vat[rate] != nil {
			stored := rat(vat[rate].FloatString(4))
			d.taxes = append(d.taxes, taxRow{rate: number(rate), value: short(stored)})
			add("tax", rate, stored)
		}
	}
	if r.IntN(5) == 0 {
		credit := big.NewRat(-r.Int64N(20_000), 10000)
		d.payments = append(d.payments, short(credit))
		add("payment", "null", credit)
	}
	if d.total = number(exact.FloatString(4)); d.total.sign() < 0 {
		d.total = ratio{}
	}
}

// The proof's arithmetic and intake's were written by different people in different languages:
// on any order they come to the same cents, part by part and rate by rate.
func TestIntakeComesToTheSameCents(t *testing.T) {
	url := server.Postgres(t)
	migrate(t, url, "erp", schemas.ERP)
	migrate(t, url, "spola", schemas.Spola)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	r := rand.New(rand.NewPCG(1, 2))
	const orders = 1500
	want := make([]string, orders)
	var drawn []string
	for id := range orders {
		d := drawOrder(r)
		drawn = append(drawn, fmt.Sprintf("(%d, array[%s], %s)", id, strings.Join(d.rows, ","), d.total.rat().FloatString(4)))
		want[id] = text(d.work())
	}
	rows, err := conn.Query(t.Context(), `select o.id, m.total, coalesce((m.problem).reason, ''),
		array(select m.gross[i] from generate_subscripts(o.parts, 1) i where (o.parts[i]).kind in ('line', 'charge')
			union all select v.discount from unnest(m.vat) v where v.discount is not null order by 1),
		array(select v.rate::text || ' ' || v.gross || ' ' || v.net || ' ' || v.vat from unnest(m.vat) v order by v.rate)
		from (values `+strings.Join(drawn, ",")+`) as o(id, parts, total), spola.to_cents(o.parts, o.total) m`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	wrong, seen := 0, 0
	for rows.Next() {
		var id, total int64
		var reason string
		var gross []int64
		var vat []string
		if err := rows.Scan(&id, &total, &reason, &gross, &vat); err != nil {
			t.Fatal(err)
		}
		seen++
		got := fmt.Sprint(total, gross, vat)
		if reason != "" || got != want[id] {
			if wrong++; wrong < 5 {
				t.Errorf("order %d %s\nintake %s\n proof %s", id, reason, got, want[id])
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if wrong > 0 || seen != orders {
		t.Errorf("%d of %d orders differ", wrong, seen)
	}
}

// text writes an order's cents as the test's statement does.
func text(m money) string {
	var gross []int64
	var vat []string
	for _, p := range m.parts {
		gross = append(gross, p.cents)
	}
	slices.Sort(gross)
	for _, v := range m.vat {
		vat = append(vat, fmt.Sprintf("%s %d %d %d", v.rate, v.gross, v.net, v.vat))
	}
	return fmt.Sprint(m.total, gross, vat)
}

func migrate(t *testing.T, url, name string, files fs.FS) {
	t.Helper()
	sub, err := fs.Sub(files, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), url, postgres.Migrations{Name: name, Files: sub}); err != nil {
		t.Fatal(err)
	}
}

// The short way of working out cents, for plain orders, gives what the long one does, and leaves it all that is not plain.
func TestPlainOrdersComeToTheSameCents(t *testing.T) {
	url := server.Postgres(t)
	migrate(t, url, "erp", schemas.ERP)
	migrate(t, url, "spola", schemas.Spola)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	r := rand.New(rand.NewPCG(3, 4))
	var drawn []string
	for range 1500 {
		d := drawOrder(r)
		drawn = append(drawn, fmt.Sprintf("(array[%s], %s)", strings.Join(d.rows, ","), d.total.rat().FloatString(4)))
		for i, row := range d.rows { // and with its VAT at a rate at which nothing is sold
			if strings.HasPrefix(row, "row('tax'") {
				d.rows[i] = strings.Replace(row, ", 22, false", ", 21, false", 1)
			}
		}
		drawn = append(drawn, fmt.Sprintf("(array[%s], %s)", strings.Join(d.rows, ","), d.total.rat().FloatString(4)))
	}
	var plain, wrong int
	var first *string
	err = conn.QueryRow(t.Context(), `select count(*) filter (where p.gross is not null), count(*) filter (where p.gross is not null and p::text <> a::text),
		min(format('%s of %s: %s, the long way %s', o.parts, o.total + error, p, a)) filter (where p.gross is not null and p::text <> a::text)
		from (values `+strings.Join(drawn, ",")+`) as o(parts, total)
		cross join unnest(array[0, 0.0003, 0.02, -7]) as error
		cross join lateral spola.to_cents_plain(o.parts, o.total + error) p
		cross join lateral spola.to_cents_at(o.parts, o.total + error, null) a`).Scan(&plain, &wrong, &first)
	if err != nil {
		t.Fatal(err)
	}
	if wrong > 0 {
		t.Errorf("%d of %d plain orders differ: %s", wrong, plain, *first)
	}
	if plain < 500 {
		t.Errorf("only %d orders were plain", plain)
	}
}

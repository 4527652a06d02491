package erp_test

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/money"
)

// rates: Italy's, those of countries where its shops sell, and 0.
var rates = []string{"22", "10", "5", "4", "0", "17", "18", "19", "20", "21", "23", "24", "25", "25.5", "26", "27", "7.7", "2.125"}

// Invariant: for every cent from 0.01 to 10,000.00 and every rate net is the one whole number of cents from which
// gross is less than half a cent's worth away, or the upper of two that are half a cent away; SQL and Go agree on it,
// and so does what an order is taken over with.
func TestNetOfEveryCent(t *testing.T) {
	e := open(t)
	const most = 1_000_000
	for _, percent := range rates {
		r, err := money.ParseRate(percent)
		if err != nil {
			t.Fatal(err)
		}
		var nets []int64
		err = e.QueryRow(context.Background(), fmt.Sprintf(`select array_agg(erp.net(g, %s) order by g) from generate_series(1::bigint, %d) g`, percent, most)).Scan(&nets)
		if err != nil || len(nets) != most {
			t.Fatalf("%s %%: %d nets, %v", percent, len(nets), err)
		}
		whole := 100_000 + int64(r) // of a net of 100,000
		for i, net := range nets {
			gross := int64(i + 1)
			if wrong := (2*net-1)*whole > 2*gross*100_000 || (2*net+1)*whole <= 2*gross*100_000; wrong {
				t.Fatalf("%d at %s %%: SQL says %d net", gross, percent, net)
			}
			if got := money.Net(gross, r); got != net {
				t.Fatalf("%d at %s %%: Go says %d net, SQL %d", gross, percent, got, net)
			}
		}
		if got := e.text(fmt.Sprintf(`select count(*) from generate_series(1::bigint, %d, 7) g where erp.net(g, %[2]s) <> round(g * 100 / (100 + %[2]s::numeric))
			or erp.net(-g, %[2]s) <> -erp.net(g, %[2]s)`, most, percent)); got != "0" {
			t.Errorf("%s %%: %s nets are others in import_orders, or for what is taken back", percent, got)
		}
	}
}

// Invariant: large amounts, too, are rounded once.
func TestNetOfLargeAmounts(t *testing.T) {
	e := open(t)
	rapid.Check(t, func(t *rapid.T) {
		gross := rapid.Int64Range(-1_000_000_000_000, 1_000_000_000_000).Draw(t, "gross")
		r := money.Rate(rapid.Int64Range(0, 100_000).Draw(t, "rate"))
		var net int64
		var exact string
		if err := e.QueryRow(context.Background(), "select erp.net($1, $2::text::numeric), erp.net_exact($1, $2::text::numeric)::text", gross, r.Percent().String()).Scan(&net, &exact); err != nil {
			t.Fatal(err)
		}
		if got := money.Net(gross, r); got != net {
			t.Fatalf("%d at %s %%: Go %d, SQL %d", gross, r.Percent(), got, net)
		}
		if got := money.NetExact(money.Cents(gross).Shift(2), r, 8).StringFixed(8); got != exact {
			t.Fatalf("%d at %s %%: Go %s, SQL %s", gross, r.Percent(), got, exact)
		}
	})
}

// Invariant: shares add up to the amount, and are those of whole numbers handed out one by one.
func TestSpread(t *testing.T) {
	e := open(t)
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(-1_000_000_000_000, 1_000_000_000_000).Draw(t, "amount")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, 1_000_000_000_000)), 1, 8).Draw(t, "weights")
		var shares []int64
		if err := e.QueryRow(context.Background(), "select erp.spread($1, $2)", amount, weights).Scan(&shares); err != nil {
			t.Fatal(err)
		}
		if got := spread(amount, weights); !slices.Equal(got, shares) {
			t.Fatalf("SQL says %v, it is %v", shares, got)
		}
		var sum int64
		for _, share := range shares {
			sum += share
		}
		if sum != amount {
			t.Fatalf("%v are %d, not %d", shares, sum, amount)
		}
	})
}

// Invariant: what parts get adds up to the amount, whatever the parts.
func TestSharesOfParts(t *testing.T) {
	e := open(t)
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(-1_000_000_000_000, 1_000_000_000_000).Draw(t, "amount")
		parts := rapid.SliceOfN(rapid.Int64Range(0, 1000), 1, 8).Draw(t, "parts")
		var sum, worst int64
		err := e.QueryRow(context.Background(), `with p as (
				select n, sum(part) over (order by n)::bigint as upto, part, (select sum(x)::bigint from unnest($2::bigint[]) x) as whole
				from unnest($2::bigint[]) with ordinality as p(part, n)
			), s as (select erp.share($1, upto, whole) - case when n = 1 then 0 else erp.share($1, upto - part, whole) end as share, part, whole from p)
			select case when max(whole) = 0 then $1 else sum(share) end::bigint,
				coalesce(ceil(max(abs(share - $1::numeric * part / nullif(whole, 0))))::bigint, 0) from s`, amount, parts).Scan(&sum, &worst)
		if err != nil {
			t.Fatal(err)
		}
		if sum != amount || worst > 1 {
			t.Fatalf("parts %v of %d add up to %d, the worst is %d cents off", parts, amount, sum, worst)
		}
	})
}

// spread divides an amount by weights: each its share cut down to cents, the cents that are left to
// those that lost most (of equal ones the first). Where all weights are 0 the first has all.
func spread(amount int64, weights []int64) []int64 {
	if len(weights) == 0 {
		return nil
	}
	if amount < 0 {
		shares := spread(-amount, weights)
		for i := range shares {
			shares[i] = -shares[i]
		}
		return shares
	}
	sum := new(big.Int)
	for _, w := range weights {
		sum.Add(sum, big.NewInt(w))
	}
	shares, lost := make([]int64, len(weights)), make([]*big.Int, len(weights))
	if sum.Sign() == 0 {
		shares[0] = amount
		return shares
	}
	rest := amount
	for i, w := range weights {
		share, remainder := new(big.Int).QuoRem(new(big.Int).Mul(big.NewInt(amount), big.NewInt(w)), sum, new(big.Int))
		shares[i], lost[i] = share.Int64(), remainder
		rest -= shares[i]
	}
	for ; rest > 0; rest-- {
		most := 0
		for i := range lost {
			if lost[i].Cmp(lost[most]) > 0 {
				most = i
			}
		}
		shares[most]++
		lost[most] = big.NewInt(-1)
	}
	return shares
}

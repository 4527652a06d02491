package shop_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// traced is a shop that writes down the statements of its orders.
type traced struct {
	*shop.Shop
	t     *testing.T
	names []string
}

// TestTrace runs on one shop, one after the other.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := newTraced(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *traced)
	}{
		{"checkouts", checkoutsWriteWhatAGenuineShopWrites},
		{"administrator", theAdministratorWritesWhatAGenuineOneWrites},
		{"stock", stockFollowsTheOrders},
		{"page of a product", aSavedPageLosesSales},
		{"coupon", couponUsedUpMeanwhile},
		{"texts", textsAndAddresses},
		{"options", optionsOfAllKinds},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.t, s.names = t, nil
			test.run(t, s)
		})
	}
}

func newTraced(t *testing.T) *traced {
	s := &traced{t: t}
	s.Shop = open(t, server.MySQL(t), shop.Options{Before: func(_ context.Context, name string, _ int64) error {
		s.names = append(s.names, name)
		return nil
	}})
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// wrote holds the statements since the last call against what a genuine shop was seen to write.
func (s *traced) wrote(what, want string) {
	s.t.Helper()
	got := strings.Join(s.names, " · ")
	s.names = nil
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("%s (-genuine +test shop):\n%s", what, diff)
	}
}

func (s *traced) place(o shop.Order) int64 {
	s.t.Helper()
	id, err := s.PlaceOrder(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *traced) do(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

var twoProducts = []shop.Line{{Product: 1, Quantity: 2}, {Product: 3, Quantity: 1}}

const confirmTwo = "statistics · statistics · product subtract · product subtract · status · history"

func checkoutsWriteWhatAGenuineShopWrites(t *testing.T, s *traced) {
	s.place(shop.Order{Lines: twoProducts, Comment: "x", LateComment: true})
	s.wrote("guest, two products", "login forget · order · order product · order product · order total · order total · "+
		"order total · order total · order total · order comment · "+confirmTwo)

	s.place(shop.Order{Lines: []shop.Line{{Product: 1}}, Customer: shop.Customer{Register: true, Credit: "5.00"}})
	s.wrote("account opened in the checkout, store credit", "customer · address · address others · customer credit · customer seen · order · order product · "+
		"order total · order total · order total · order total · order total · "+
		"statistics · statistics · customer credit · product subtract · status · history")

	sized := []shop.Line{{Product: shop.Sized, Value: 51, Quantity: 2}, {Product: shop.Sized, Value: 52}}
	s.place(shop.Order{Lines: sized, Coupon: "ESTATE10", Customer: shop.Customer{Account: 2}})
	s.wrote("account, options, coupon", "customer seen · customer ip · order · order product · order option · order product · order option · "+
		"order total · order total · order total · order total · order total · "+
		"statistics · statistics · coupon history · product subtract · option subtract · product subtract · option subtract · status · history")

	s.place(shop.Order{Lines: []shop.Line{everyKind(s)}})
	s.wrote("all nine kinds of options, two boxes ticked", "upload · login forget · order · order product · "+
		"order option · order option · order option · order option · order option · order option · order option · order option · order option · order option · "+
		"order total · order total · order total · order total · statistics · statistics · product subtract · "+
		"option subtract · option subtract · option subtract · option subtract · option subtract · option subtract · option subtract · option subtract · option subtract · option subtract · "+
		"status · history")

	s.place(shop.Order{Lines: []shop.Line{{Product: 1}}, Reviews: 1, Abandon: true})
	s.wrote("overview reached twice, abandoned", "login forget · order · order product · order total · order total · order total · order total · "+
		"order again · products delete · options delete · subscriptions delete · order product · "+
		"totals delete · order total · order total · order total · order total")

	s.place(shop.Order{Lines: []shop.Line{{Product: shop.Virtual}}, Confirms: 2})
	s.wrote("virtual goods, confirmed twice", "login forget · order · order product · order total · order total · order total · "+
		"statistics · statistics · product subtract · status · history · status · history")
}

// everyKind is a line that answers every option of its product.
func everyKind(s *traced) shop.Line {
	p := s.Catalogue()[shop.Personal-1]
	line := shop.Line{Product: p.ID, Value: p.Values[1].ID}
	for i, o := range p.Options {
		switch {
		case o.Kind == "checkbox":
			line.Choices = append(line.Choices, shop.Choice{Option: o.ID, Value: o.Values[1].ID}, shop.Choice{Option: o.ID, Value: o.Values[2].ID})
		case len(o.Values) > 0:
			line.Choices = append(line.Choices, shop.Choice{Option: o.ID, Value: o.Values[1].ID})
		default:
			line.Choices = append(line.Choices, shop.Choice{Option: o.ID, Text: fmt.Sprintf("%d & <%s>", i, o.Kind)})
		}
	}
	return line
}

// What was typed stands in the order's options as text without a value, all prices in the line's.
func optionsOfAllKinds(t *testing.T, s *traced) {
	line := everyKind(s)
	id := s.place(shop.Order{Lines: []shop.Line{line}})
	p := s.Catalogue()[shop.Personal-1]
	var rows []string
	found, err := s.DB().QueryContext(t.Context(), `SELECT CONCAT_WS('|', type, name, value, product_option_id - 1000180, product_option_value_id),
		(SELECT price FROM oc_order_product p WHERE p.order_product_id = o.order_product_id) FROM oc_order_option o WHERE order_id = ? ORDER BY order_option_id`, id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	price := ""
	for found.Next() {
		var row string
		if err := found.Scan(&row, &price); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	want := []string{"select|Taglia|M|-1000162|182", "radio|Colore|Blu &quot;notte&quot;|0|185", "checkbox|Aggiunte|Fibbia &lt;ottone&gt;|1|187",
		"checkbox|Aggiunte|Rinforzo|1|188", "text|Iniziali|2 &amp; &lt;text&gt;|2|0", "textarea|Dedica|3 &amp; &lt;textarea&gt;|3|0",
		"file|Logo|4 &amp; &lt;file&gt;|4|0", "date|Consegna il|5 &amp; &lt;date&gt;|5|0", "datetime|Ritiro|6 &amp; &lt;datetime&gt;|6|0",
		"time|Ora della chiamata|7 &amp; &lt;time&gt;|7|0"}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	extras := p.Values[1].Extra.Add(p.Options[0].Values[1].Extra).Add(p.Options[1].Values[1].Extra).Add(p.Options[1].Values[2].Extra)
	if sum := p.Net.Add(extras).StringFixed(4); sum != price {
		t.Errorf("price %s, want %s", price, sum)
	}
	if _, err := s.PlaceOrder(t.Context(), shop.Order{Lines: []shop.Line{{Product: p.ID, Value: 181, Choices: []shop.Choice{{Option: 7}}}}}); err == nil {
		t.Error("an option that the product does not have was ordered")
	}
}

func theAdministratorWritesWhatAGenuineOneWrites(t *testing.T, s *traced) {
	order := shop.Order{Lines: twoProducts, Coupon: "MENO5"}
	id := s.place(order)
	s.names = nil
	s.do(s.SetStatus(t.Context(), id, shop.Processing))
	s.wrote("1 to 2", "status · history")

	edited := order
	edited.Lines = twoProducts[:1]
	s.do(s.Edit(t.Context(), id, edited))
	s.wrote("edit", "product restock · product restock · coupon history delete · status · history · order again · "+
		"products delete · options delete · subscriptions delete · order product · "+
		"totals delete · order total · order total · order total · order total · order total · "+
		"statistics · statistics · coupon history · product subtract · status · history")

	s.do(s.Cancel(t.Context(), id))
	s.wrote("cancel", "statistics · statistics · product restock · coupon history delete · status · history")

	s.do(s.Delete(t.Context(), id))
	s.wrote("delete", "products delete · options delete · subscriptions delete · totals delete · histories delete · order delete")

	order = shop.Order{Lines: twoProducts[:1], Customer: shop.Customer{Register: true, Credit: "5.00"}}
	id = s.place(order)
	s.names = nil
	s.do(s.Edit(t.Context(), id, order))
	s.wrote("edit with store credit", "product restock · credit delete · status · history · order again · "+
		"products delete · options delete · subscriptions delete · order product · "+
		"totals delete · order total · order total · order total · order total · order total · "+
		"statistics · statistics · customer credit · product subtract · status · history")

	s.do(s.SaveTaxClass(t.Context(), shop.Standard))
	s.wrote("tax class", "tax rules delete · tax rule · tax rule")

	id = s.place(shop.Order{Lines: twoProducts[:1]})
	s.names = nil
	s.do(s.SetStatusByAPI(t.Context(), id, shop.Processing))
	s.wrote("by the signed API", "api history · status · history")

	page, err := s.OpenProduct(t.Context(), shop.Sized)
	s.do(err)
	s.do(page.Save(t.Context()))
	s.wrote("page of a product", "product save · descriptions delete · description · description · codes delete · code · "+
		"categories delete · stores delete · product options delete · product option values delete · "+
		"product option · product option value · product option value · product option value · "+
		"discounts delete · images delete · rewards delete · addresses delete")
}

// Stock is what the statements make of it: taken once, given back by a cancellation, not by a
// deletion.
func stockFollowsTheOrders(t *testing.T, s *traced) {
	left := s.taken()
	order := shop.Order{Lines: []shop.Line{{Product: 1, Quantity: 3}}, Confirms: 2}
	id := s.place(order)
	if got := left(); got != -3 {
		t.Errorf("after the checkout: %d", got)
	}
	order.Lines[0].Quantity = 2
	s.do(s.Edit(t.Context(), id, order))
	if got := left(); got != -2 {
		t.Errorf("after the edit: %d", got)
	}
	s.do(s.Cancel(t.Context(), id))
	if got := left(); got != 0 {
		t.Errorf("after the cancellation: %d", got)
	}
	s.do(s.Delete(t.Context(), s.place(order)))
	if got := left(); got != -2 {
		t.Errorf("after the deletion: %d", got)
	}
}

// The page of a product takes back what was sold while it stood open, of product and sizes alike, and
// leaves all else as it was.
func aSavedPageLosesSales(t *testing.T, s *traced) {
	const everything = `SELECT 1, SUM(CRC32(CONCAT_WS('|', v.product_option_value_id, v.product_option_id, v.option_id, v.option_value_id, v.quantity, v.subtract,
		v.price, o.option_id, o.value, d.name, d.language_id, c.value, p.quantity, p.subtract, p.price, p.status, p.weight)))
		FROM oc_product p JOIN oc_product_option o USING (product_id) LEFT JOIN oc_product_option_value v USING (product_option_id)
		JOIN oc_product_description d ON d.product_id = p.product_id JOIN oc_product_code c ON c.product_id = p.product_id WHERE p.product_id = 18`
	before := numbers(t, s.Shop, everything)
	page, err := s.OpenProduct(t.Context(), shop.Personal)
	s.do(err)
	s.place(shop.Order{Lines: []shop.Line{{Product: shop.Personal, Value: 182, Quantity: 3}}})
	if sold := numbers(t, s.Shop, everything); sold[1] == before[1] {
		t.Fatal("nothing was sold")
	}
	for range 2 { // cut off, it is saved again
		s.do(page.Save(t.Context()))
		if after := numbers(t, s.Shop, everything); after[1] != before[1] {
			t.Errorf("saved, the product is another one than when the page was opened")
		}
	}
	if page.Stock["product:18"] != 1_000_000-numbers(t, s.Shop, "SELECT 1, 1000000 - quantity FROM oc_product WHERE product_id = 18")[1] || len(page.Stock) != 9 {
		t.Errorf("the page says that it writes %v", page.Stock)
	}
}

// taken returns what tells how the stock of product 1 has changed since.
func (s *traced) taken() func() int64 {
	quantity := func() int64 { return numbers(s.t, s.Shop, "SELECT product_id, quantity FROM oc_product")[1] }
	before := quantity()
	return func() int64 { return quantity() - before }
}

// The coupon is used up between the overview and the button: denied, and the pieces are gone.
func couponUsedUpMeanwhile(t *testing.T, s *traced) {
	left := s.taken()
	var both []*shop.Checkout
	for range 2 {
		c, err := s.Begin(t.Context(), shop.Order{Lines: []shop.Line{{Product: 1}}, Coupon: "ULTIMO"})
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, c)
	}
	for _, c := range both {
		s.do(c.Confirm(t.Context()))
	}
	states := numbers(t, s.Shop, "SELECT order_id, order_status_id FROM oc_order")
	if states[both[0].ID] != shop.Pending || states[both[1].ID] != shop.Denied {
		t.Errorf("states %v, want %d pending, %d denied", states, both[0].ID, both[1].ID)
	}
	s.do(s.Cancel(t.Context(), both[1].ID))
	if used := numbers(t, s.Shop, "SELECT order_id, 1 FROM oc_coupon_history WHERE coupon_id = 3"); len(used) != 1 {
		t.Errorf("coupon used by %v", used)
	}
	if got := left(); got != -2 {
		t.Errorf("stock changed by %d, though a denied order gives nothing back when it is cancelled", got)
	}
}

// What a genuine shop stores of what was typed.
func textsAndAddresses(t *testing.T, s *traced) {
	id := s.place(shop.Order{Lines: []shop.Line{{Product: 2}}, Comment: `"a" & <b> l'c 🙏`, NoPaymentAddress: true,
		Customer: shop.Customer{First: "Ännchen", VATNumber: "01234567897"}, Pounds: true})
	var name, comment, payment, method, fields, shipping, code string
	var country, hours int
	err := s.DB().QueryRowContext(t.Context(), `SELECT (SELECT p.name FROM oc_order_product p WHERE p.order_id = o.order_id), comment,
		CONCAT(payment_firstname, payment_city), payment_method, custom_field, shipping_method, currency_code, payment_country_id,
		TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(), DATE_ADD(date_added, INTERVAL 1 MINUTE)) FROM oc_order o WHERE order_id = ?`, id).
		Scan(&name, &comment, &payment, &method, &fields, &shipping, &code, &country, &hours)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{name, comment, payment, method, fields, shipping, code}
	want := []string{"Monitor 27&quot; 2", "&quot;a&quot; &amp; &lt;b&gt; l'c 🙏", "", `{"code":"cod.cod","name":"Pagamento alla consegna"}`,
		`{"1":"01234567897","2":"","3":"","4":""}`,
		`{"code":"flat.flat","name":"Spedizione standard","cost":"5.00","tax_class_id":"9","text":"\u00a35.33"}`, "GBP"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if country != 0 || hours < 1 || hours > 2 {
		t.Errorf("payment country %d, date_added %d hours ahead of UTC", country, hours)
	}
}

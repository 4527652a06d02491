package intake

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// withCatalogue gives the test shop what a merchant knows his products by.
func withCatalogue(s *testOpenCart) {
	for _, id := range []int64{31, 41, 42, 43, 50} {
		s.update("product", id, row{"status": 1})
		s.insert("product_description", row{"product_id": id, "language_id": 1, "name": fmt.Sprintf("Prodotto &quot;%d&quot;", id)})
		s.insert("product_description", row{"product_id": id, "language_id": 2, "name": "Product"})
	}
	for option, names := range map[int64][2]string{1: {"Taglia", "Size"}, 2: {"Colore", "Colour"}} {
		for i, name := range names {
			s.insert("option_description", row{"option_id": option, "language_id": i + 1, "name": name})
		}
	}
	for i, names := range [][2]string{{"Grande", "Large"}, {"Piccola", "Small"}, {"rosso", "red"}} {
		for j, name := range names {
			s.insert("option_value_description", row{"option_value_id": 101 + i, "language_id": j + 1, "option_id": 1 + i/2, "name": name})
		}
	}
	s.update("product_option_value", 17, row{"option_id": 1, "option_value_id": 101})
	s.update("product_option_value", 18, row{"option_id": 1, "option_value_id": 102})
	s.update("product_option_value", 19, row{"option_id": 2, "option_value_id": 103})
}

// listed is a list of articles as text: product/variant/sku/by/orders/note, without what is empty at its end.
func listed(t *testing.T, list []Article, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, a := range list {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s/%s/%s/%s/%s/%s", a.Product, a.Variant, a.SKU, a.By, blank(a.Orders), a.Note), "/"))
	}
	return strings.Join(lines, "\n")
}

func (e *testERP) importArticles(text string) Imported {
	e.t.Helper()
	done, err := ImportArticles(e.t.Context(), e.conn, testShop, strings.NewReader(text), By{Who: "anna@office"})
	if err != nil {
		e.t.Fatal(err)
	}
	return done
}

// Missing are the combinations of options that keep stock, and what orders wait for; first what most wait for.
func TestMissingArticles(t *testing.T) {
	shop, erp := bothLive(t)
	withCatalogue(shop)
	shop.insert("product", row{"product_id": 60, "model": "GIFT-CARD", "quantity": 9, "subtract": 0, "master_id": 0, "status": 1})
	shop.insert("product", row{"product_id": 61, "model": "BUNDLE", "quantity": 9, "subtract": 1, "master_id": 0, "status": 0})
	shop.place(testOrder{lines: []testLine{{50, 17, 2}}}, 1)
	shop.place(testOrder{lines: []testLine{{50, 17, 2}}, method: "bank_transfer"}, 1) // to be taken later: waits all the same
	gift := shop.begin(testOrder{lines: []testLine{{41, 0, 1}}})
	for key, r := range shop.rows["order_product"] {
		if r["order_id"] == gift {
			shop.update("order_product", key, row{"product_id": 99, "model": "GONE", "name": "Buono &quot;50&quot;"})
		}
	}
	shop.setState(gift, 1)
	erp.catchUp(shop.testLog, 1000)
	list, err := MissingArticles(t.Context(), erp.conn, testShop)
	got := listed(t, list, err)
	want := "50/17///2\n99////1/no longer in the shop's catalogue\n50/17,19\n50/18,19\n60"
	if got != want {
		t.Errorf("missing:\n%s\nwant\n%s", got, want)
	}
	if list[1].Name != `Buono "50"` || list[1].Model != "GONE" || list[2].Name != `Prodotto "50"` || list[2].Options != "Taglia: Grande, Colore: rosso" || list[0].Name != list[2].Name || list[0].Options != "Taglia: Grande" || list[0].First != 1 {
		t.Errorf("names: %+v", list)
	}
}

// A model that is an SKU needs no mapping; a model of two products is named.
func TestSharedSKUIsNamed(t *testing.T) {
	shop, erp := bothLive(t)
	withCatalogue(shop)
	shop.insert("product", row{"product_id": 131, "model": "SP-31", "quantity": 9, "subtract": 1, "master_id": 0, "status": 1})
	shop.insert("product", row{"product_id": 62, "model": "NEW", "quantity": 9, "subtract": 1, "master_id": 0, "status": 1})
	shop.insert("product", row{"product_id": 63, "model": "new", "quantity": 9, "subtract": 1, "master_id": 0, "status": 1})
	erp.catchUp(shop.testLog, 1000)
	count, err := CountArticles(t.Context(), erp.conn, testShop)
	if err != nil || count.BySKU != 5 || count.Imported != 0 || count.Missing != 4 || fmt.Sprint(count.Shared) != "[{SP-31 [31 131]}]" {
		t.Errorf("%+v, %v", count, err)
	}
	list, err := MissingArticles(t.Context(), erp.conn, testShop)
	if got := listed(t, list, err); got != "50/17,19\n50/18,19\n62/////products 62, 63 share this model\n63/////products 62, 63 share this model" {
		t.Errorf("missing:\n%s", got)
	}
	tried, err := TryArticles(t.Context(), erp.conn, testShop, strings.NewReader("product,variant,sku\n62,,SP-42\n42,,SP-42\n31,,\n"))
	if count, failed := CountArticles(t.Context(), erp.conn, testShop); err != nil || failed != nil || tried.Changed != 2 || tried.Open != 1 || count.Imported != 0 {
		t.Errorf("only tried: %+v, then %+v, %v", tried, count, errors.Join(err, failed))
	}
	done := erp.importArticles("product,variant,sku\n62,,SP-42\n42,,SP-42\n31,,\n")
	if fmt.Sprint(done.Shared) != "[{SP-31 [31 131]} {SP-42 [42 62]}]" || done.Lines != 2 || done.Changed != 2 || done.Open != 1 {
		t.Errorf("imported %+v", done)
	}
	if again := erp.importArticles("product,variant,sku\n62,,SP-42\n42,,SP-42\n"); again.Changed != 0 {
		t.Errorf("imported again: %+v", again)
	}
}

// By the shop's SKU, then EAN, then model; variants by the names of their options, in any language and case.
func TestSuggestedArticles(t *testing.T) {
	shop, erp := bothLive(t)
	withCatalogue(shop)
	product := func(id int64, model string, codes ...string) {
		shop.insert("product", row{"product_id": id, "model": model, "quantity": 9, "subtract": 1, "master_id": 0, "status": 1})
		for i := 0; i < len(codes); i += 2 {
			shop.insert("product_code", row{"product_id": id, "code": codes[i], "value": codes[i+1]})
		}
	}
	for _, sku := range []string{"A-1", "B-1", "C-1", "D-1", "E-1", "SP-50-L", "SP-50-S"} {
		erp.article(sku)
	}
	erp.exec("update erp.article set ean = '8001234567890' where sku = 'B-1'")
	erp.exec("update erp.article set ean = '8009999999999' where sku = 'C-1'")
	product(71, "x", "SKU", " a-1 ", "EAN", "")
	product(72, "y", "EAN", "8001234567890")
	product(73, "c-1", "EAN", "8001234567890", "SKU", "C-1") // contradicts itself
	product(74, "z", "SKU", "D-1")
	product(75, "d-1") // fits what 74 fits
	product(76, "nothing")
	product(77, " e-1 ") // with spaces
	erp.exec(`update erp.product set code = 'sp-50' where code = 'SP-50-L'`)
	erp.exec(`update erp.article set product_id = (select id from erp.product where code = 'sp-50') where sku = 'SP-50-S'`)
	erp.exec(`insert into erp.article_option select id, 'SIZE', case sku when 'SP-50-L' then 'large' else 'SMALL' end from erp.article where sku like 'SP-50-%'`)
	erp.exec(`insert into erp.article_option select id, 'Colour', 'Red' from erp.article where sku like 'SP-50-%'`)
	erp.catchUp(shop.testLog, 1000)
	list, err := SuggestArticles(t.Context(), erp.conn, testShop)
	want := `31//SP-31/model
41//SP-41/model
42//SP-42/model
43//SP-43/model
50/17,19/SP-50-L/options
50/18,19/SP-50-S/options
71//A-1/sku
72//B-1/ean
73///sku//fits several articles: C-1 by its sku, B-1 by its ean, C-1 by its model
74///sku//D-1 fits products 74, 75: write it where it belongs
75///model//D-1 fits products 74, 75: write it where it belongs
77//E-1/model`
	if got := listed(t, list, err); got != want {
		t.Errorf("suggested:\n%s\nwant\n%s", got, want)
	}
	// What is suggested can be imported as it is; the lines that are open stay so.
	var file strings.Builder
	if err := WriteArticles(&file, list); err != nil {
		t.Fatal(err)
	}
	if done := erp.importArticles(file.String()); done.Lines != 9 || done.Open != 3 {
		t.Errorf("imported %+v", done)
	}
	list, err = ListArticles(t.Context(), erp.conn, testShop)
	if got := listed(t, list, err); !strings.Contains(got, "50/18,19/SP-50-S/import") || strings.Count(got, "\n") != 8 {
		t.Errorf("mapped:\n%s", got)
	}
	list, err = SuggestArticles(t.Context(), erp.conn, testShop)
	if got := listed(t, list, err); strings.Count(got, "\n") != 2 {
		t.Errorf("still suggested:\n%s", got)
	}
}

// A file with something wrong in it changes nothing, and every line that is wrong is named.
func TestBadArticlesAreRefused(t *testing.T) {
	shop, erp := bothLive(t)
	erp.catchUp(shop.testLog, 1000)
	_, err := ImportArticles(t.Context(), erp.conn, testShop, strings.NewReader(
		"product;variant;sku\n31;;sp-31\n41;;SP-41\n999;;SP-42\n50;17+20;SP-42\n42;;8,00123E+12\nabc;;SP-42\n43;;\n"), By{Who: "anna@office"})
	want := `line 2: the ERP has no article with SKU "sp-31"; "SP-31" may be meant
line 4: the shop has no product 999
line 5: product 50 has no option value 20
line 6: the ERP has no article with SKU "8,00123E+12"; the spreadsheet has shortened a long number: format the column as text
line 7: product abc is no number of a product
nothing was imported`
	if err == nil || err.Error() != want {
		t.Errorf("refused with\n%v\nwant\n%s", err, want)
	}
	for _, text := range []string{"product;variante;sku\n31;;SP-31\n", "product;sku;Size\n31;SP-31;17\n"} {
		if _, err := ImportArticles(t.Context(), erp.conn, testShop, strings.NewReader(text), By{}); err == nil || !strings.Contains(err.Error(), "line 1: no column is named variant") {
			t.Errorf("%q: %v", text, err)
		}
	}
	erp.want("mappings", "0", "select count(*) from spola.article")
	if _, err := ImportArticles(t.Context(), erp.conn, "other", strings.NewReader("product,sku\n31,SP-31\n"), By{Who: "anna@office"}); err == nil {
		t.Error("articles of a shop that nobody knows were imported")
	}
}

// A mapping that is changed under way counts for orders that the ERP does not have yet, and for no other.
func TestMappingChangedUnderWay(t *testing.T) {
	shop, erp := bothLive(t)
	erp.article("OTHER")
	one := []testLine{{31, 0, 1}}
	shop.place(testOrder{lines: one}, 1)
	unpaid := shop.place(testOrder{lines: one, method: "bank_transfer"}, 1)
	shop.place(testOrder{lines: one, country: 204}, 1) // parked: unknown_nature
	erp.catchUp(shop.testLog, 1)
	const articles = "select string_agg(o.shop_number || ' ' || a.sku, ', ' order by o.id) from erp.sales_order o join erp.order_line l on l.order_id = o.id join erp.article a on a.id = l.article_id"
	erp.want("taken", "1 SP-31", articles)
	erp.importArticles("product,sku\n31,OTHER\n")
	shop.setState(unpaid, 2)
	erp.reload(strings.Replace(testShopFile, "natures:", "natures:\n  - {country: \"*\", nature: N3.1}", 1))
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("taken later", "1 SP-31, 2 OTHER, 3 OTHER", articles)
	erp.want("consumption", "1 SP-31, 2 OTHER, 3 OTHER",
		"select string_agg(c.order_id || ' ' || a.sku, ', ' order by c.order_id) from spola.consumption c join erp.article a on a.id = c.article")
	erp.want("sum", "product:31=3", totals)
	shop.setState(1, 2)
	erp.importArticles("product,sku\n31,-\n")
	shop.place(testOrder{lines: one}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("taken away: equal SKU again", "1 SP-31, 2 OTHER, 3 OTHER, 4 SP-31", articles)
	erp.importArticles("product,sku\n31,\n") // says nothing: no decision
	erp.want("decisions", "anna@office 1 mappings, 0 taken away: SP-31 OTHER | anna@office 0 mappings, 1 taken away: OTHER null", `
		select string_agg(concat_ws(' ', a.who, a.decision || ':', coalesce(b.sku, 'null'), coalesce(n.sku, 'null')), ' | ' order by a.id)
		from spola.audit a
		cross join lateral jsonb_array_elements(a.detail -> 'mapped' || (a.detail -> 'taken_away')) m
		left join erp.article b on b.id = (m ->> 'before')::bigint
		left join erp.article n on n.id = (m ->> 'article')::bigint
		where a.verb = 'articles'`)
}

// An article that was deleted in the ERP parks its orders by the name of what was ordered, once, until it is mapped again.
func TestArticleDeletedInTheERP(t *testing.T) {
	shop, erp := bothLive(t)
	erp.article("OTHER")
	erp.article("NEW")
	erp.importArticles("product,sku\n31,OTHER\n")
	remove := func(sku string) {
		erp.exec("delete from erp.stock where article_id = (select id from erp.article where sku = $1)", sku)
		erp.exec("delete from erp.article where sku = $1", sku)
		erp.exec("delete from erp.product where code = $1", sku)
	}
	shop.place(testOrder{lines: []testLine{{31, 0, 1}}}, 1)
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 1) // by SKU
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "2", "select count(*) from erp.sales_order")
	remove("OTHER")
	remove("SP-41")
	shop.place(testOrder{lines: []testLine{{31, 0, 1}}}, 1)
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 1)
	shop.place(testOrder{lines: []testLine{{42, 0, 1}}}, 1)
	shop.tick(3)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "1 2 5", "select string_agg(shop_number, ' ' order by id) from erp.sales_order")
	erp.want("parked", "3 unknown_article 31:: 1, 4 unknown_article 41::SP-41 1", "select string_agg(concat_ws(' ', order_id, reason, waits_key, attempts), ', ' order by order_id) from spola.parked")
	erp.want("by name", "true", `select bool_and(what like '"Schermo 30" & più" (product _1) is article _%, which is no longer in the ERP.') from spola.parked`)
	withCatalogue(shop)
	erp.catchUp(shop.testLog, 1000)
	list, err := MissingArticles(t.Context(), erp.conn, testShop)
	if got := listed(t, list, err); !strings.HasPrefix(got, "31////1/the article that it was mapped to is no longer in the ERP\n41////1\n") {
		t.Errorf("missing:\n%s", got)
	}
	erp.importArticles("product,sku\n31,NEW\n")
	erp.article("SP-41")
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "1 2 5 3 4", "select string_agg(shop_number, ' ' order by id) from erp.sales_order")
	erp.want("parked", "0", "select count(*) from spola.parked")
}

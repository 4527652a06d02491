//go:build speed

package intake

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestArticlesSpeed prints how long the lists of articles and a dry run take (go test -tags speed) for a catalogue of SPOLA_INTAKE_PRODUCTS
// products, each fourth of which has three sizes; the ERP has an article for nine of ten, by model, by its own SKU or by the names of the options.
func TestArticlesSpeed(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SPOLA_INTAKE_PRODUCTS"))
	if err != nil {
		t.Skip("SPOLA_INTAKE_PRODUCTS is not set")
	}
	shop, erp := past(t)
	shop.insert("language", row{"language_id": 1, "code": "en-gb"})
	for v, name := range []string{"S", "M", "L"} {
		shop.insert("option_value_description", row{"option_value_id": 1 + v, "language_id": 1, "option_id": 1, "name": name})
	}
	shop.insert("option_description", row{"option_id": 1, "language_id": 1, "name": "Size"})
	shop.together(func() {
		for i := range n {
			id := int64(1000 + i)
			shop.insert("product", row{"product_id": id, "model": fmt.Sprintf("M-%d", i), "quantity": 100, "subtract": 1, "status": 1, "master_id": 0, "price": "10.0000"})
			shop.insert("product_description", row{"product_id": id, "language_id": 1, "name": fmt.Sprintf("Product %d", i)})
			for v := 1; v <= 3 && i%4 == 0; v++ {
				shop.insert("product_option_value", row{"product_id": id, "product_option_id": 1000 + i, "option_id": 1, "option_value_id": v, "quantity": 10, "subtract": 1})
			}
		}
	})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.exec(`select count(*) from erp.put_articles(array(
		select row('M-' || i, 'Product ' || i, 'M-' || i || case when v > 0 then '-' || v else '' end, '', 'Product ' || i, 22, 1220, null, 1, 1, 1, 1,
			case when v > 0 then jsonb_build_object('Size', (array['S', 'M', 'L'])[v]) end, true)::erp.article_in
		from generate_series(0, $1 - 1) i, generate_series(0, 3) v where i % 10 > 0 and (i % 4 = 0) = (v > 0)))`, n)
	erp.exec("analyze")
	for _, list := range []struct {
		name string
		do   func() (int, error)
	}{
		{"missing", func() (int, error) { l, err := MissingArticles(t.Context(), erp.conn, testShop); return len(l), err }},
		{"suggested", func() (int, error) { l, err := SuggestArticles(t.Context(), erp.conn, testShop); return len(l), err }},
		{"counted", func() (int, error) {
			c, err := CountArticles(t.Context(), erp.conn, testShop)
			return int(c.Missing + c.BySKU), err
		}},
		{"imported", func() (int, error) {
			l, err := SuggestArticles(t.Context(), erp.conn, testShop)
			if err != nil {
				return 0, err
			}
			var file bytes.Buffer
			if err := WriteArticles(&file, l); err != nil {
				return 0, err
			}
			done, err := ImportArticles(t.Context(), erp.conn, testShop, &file, By{Who: "anna"})
			return done.Lines, err
		}},
		{"dry run", func() (int, error) {
			r, err := CheckLive(t.Context(), erp.conn, testShop, Going{From: cutDay})
			return int(r.Missing.Count), err
		}},
	} {
		began := time.Now()
		lines, err := list.do()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d lines in %v", list.name, lines, time.Since(began).Round(time.Millisecond))
	}
}

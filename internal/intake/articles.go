package intake

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// mapping is a line of a file of articles.
type mapping struct {
	line    int
	product string
	variant string // option values in order, "17,20"; empty: the product itself
	sku     string // of the ERP's article
}

// ImportArticles reads which article of the ERP each product of the shop is, from CSV with commas
// or semicolons and a first line with the names product, variant and sku (variant may be missing;
// it names option values as "17+20" or "17"). All lines are taken, or none: an SKU that the ERP
// does not know, or a line that contradicts one taken before for an order, is an error that names
// the line. Orders parked for an article that is there now follow by themselves.
func ImportArticles(ctx context.Context, conn *pgx.Conn, shop string, r io.Reader) (int, error) {
	mappings, err := readArticles(r)
	if err != nil {
		return 0, err
	}
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		var locked string
		err := tx.QueryRow(ctx, "select shop from spola.shop where shop = $1 for update", shop).Scan(&locked)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("shop %s is not known: no applier has run for it", shop)
		}
		if err != nil {
			return fmt.Errorf("lock shop %s: %w", shop, err)
		}
		return storeArticles(ctx, tx, shop, mappings)
	})
	if err != nil {
		return 0, err
	}
	return len(mappings), nil
}

func storeArticles(ctx context.Context, tx pgx.Tx, shop string, mappings []mapping) error {
	var products, variants, skus []string
	for _, m := range mappings {
		products, variants, skus = append(products, m.product), append(variants, m.variant), append(skus, m.sku)
	}
	rows, err := tx.Query(ctx, `select m.n::int from unnest($1::text[]) with ordinality as m(sku, n)
		where not exists (select from erp.articles a where a.sku = m.sku) order by m.n`, skus)
	if err != nil {
		return fmt.Errorf("look for articles by SKU: %w", err)
	}
	unknown, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("look for articles by SKU: %w", err)
	}
	if len(unknown) > 0 {
		m := mappings[unknown[0]-1]
		return fmt.Errorf("line %d: the ERP has no article with SKU %q (and %d more such lines); nothing was imported", m.line, m.sku, len(unknown)-1)
	}
	_, err = tx.Exec(ctx, `insert into spola.article (shop, product, variant, article, by)
		select $1, m.product, m.variant, a.article_id, 'import'
		from unnest($2::text[], $3::text[], $4::text[]) as m(product, variant, sku)
		join erp.articles a on a.sku = m.sku
		on conflict (shop, product, variant) do update set article = excluded.article, by = 'import', at = now()`,
		shop, products, variants, skus)
	if err != nil {
		return fmt.Errorf("store %d articles of shop %s: %w", len(mappings), shop, err)
	}
	return nil
}

// readArticles reads and checks the file without a look at the database.
func readArticles(r io.Reader) ([]mapping, error) {
	in := bufio.NewReader(r)
	if head, err := in.Peek(3); err == nil && bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		if _, err := in.Discard(3); err != nil {
			return nil, fmt.Errorf("read articles: %w", err)
		}
	}
	first, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read articles: %w", err)
	}
	line, _, _ := bytes.Cut(first, []byte("\n"))
	c := csv.NewReader(in)
	if bytes.Count(line, []byte(";")) > bytes.Count(line, []byte(",")) {
		c.Comma = ';'
	}
	c.TrimLeadingSpace = true
	names, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("read the names of the columns of the articles: %w", err)
	}
	place := func(name string) int {
		return slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(strings.TrimSpace(n), name) })
	}
	product, variant, sku := place("product"), place("variant"), place("sku")
	if product < 0 || sku < 0 {
		return nil, fmt.Errorf("line 1: the columns are %q; product and sku are needed, variant may be there", names)
	}
	return readMappings(c, product, variant, sku)
}

func readMappings(c *csv.Reader, product, variant, sku int) ([]mapping, error) {
	var mappings []mapping
	seen := map[[2]string]int{}
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return mappings, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read articles: %w", err)
		}
		line, _ := c.FieldPos(0)
		m := mapping{line: line, product: strings.TrimSpace(fields[product]), sku: strings.TrimSpace(fields[sku])}
		if variant >= 0 {
			if m.variant, err = variantKey(fields[variant]); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
		}
		if m.product == "" || m.sku == "" {
			return nil, fmt.Errorf("line %d: product or sku is empty", line)
		}
		if before := seen[[2]string{m.product, m.variant}]; before > 0 {
			return nil, fmt.Errorf("line %d: product %s, variant %q stands in line %d already", line, m.product, m.variant, before)
		}
		seen[[2]string{m.product, m.variant}] = line
		mappings = append(mappings, m)
	}
}

// variantKey brings option values into the form and order of the links: "20+17" is "17,20".
func variantKey(text string) (string, error) {
	var ids []int64
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("+, |", r) }) {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return "", fmt.Errorf("variant %q: option values are numbers, joined by +", text)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(words, ","), nil
}

package intake

import (
	"context"
	_ "embed" // the statements stand in articles.sql
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

//go:embed articles.sql
var articlesSQL string

// Article is what the shop sells, with its article of the ERP if it has one.
type Article struct {
	Product string `json:"product"`
	Variant string `json:"variant"` // option values that keep stock, "17,20"; empty: the product itself
	SKU     string `json:"sku"`     // of the ERP's article; empty: none
	By      string `json:"by"`      // how it was found: import, sku, or for a suggestion sku, ean, model, options
	Model   string `json:"model"`   // the shop's own code
	Name    string `json:"name"`
	Options string `json:"options"`
	Orders  int64  `json:"orders"`      // that wait for it
	First   int64  `json:"first_order"` // of these; 0: none
	Note    string `json:"note"`
}

// articleColumns are those of a file of articles; product, variant and sku are read again.
var articleColumns = []string{"product", "variant", "sku", "by", "model", "name", "options", "orders", "first_order", "note"}

// WriteArticles writes a list as CSV for a spreadsheet, which ImportArticles reads again.
func WriteArticles(w io.Writer, list []Article) error {
	return writeSheet(w, articleColumns, func(write func(...string) error) error {
		for _, a := range list {
			err := write(a.Product, strings.ReplaceAll(a.Variant, ",", "+"), a.SKU, a.By, a.Model, a.Name, a.Options,
				blank(a.Orders), blank(a.First), a.Note)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func blank(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// ListArticles lists what was mapped.
func ListArticles(ctx context.Context, conn *pgx.Conn, shop string) ([]Article, error) {
	return articles(ctx, conn, shop, "articles_mapped")
}

// MissingArticles lists what the shop sells without an article, and what its orders wait for; what
// most orders wait for comes first.
func MissingArticles(ctx context.Context, conn *pgx.Conn, shop string) ([]Article, error) {
	return articles(ctx, conn, shop, "articles_missing")
}

// SuggestArticles lists what is likely to be what, for a person to confirm by importing it: by
// equal SKU, EAN or model, variants by the names of their options. Where several fit, the line has
// no SKU and its note says which.
func SuggestArticles(ctx context.Context, conn *pgx.Conn, shop string) ([]Article, error) {
	return articles(ctx, conn, shop, "articles_suggested")
}

func articles(ctx context.Context, conn *pgx.Conn, shop, list string) (found []Article, err error) {
	err = overArticles(ctx, conn, shop, func(tx pgx.Tx, _ map[string]string) error {
		rows, err := tx.Query(ctx, "select * from "+pgx.Identifier{Schema(shop), list}.Sanitize()+"()")
		if err != nil {
			return fmt.Errorf("list articles of shop %s: %w", shop, err)
		}
		if found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Article]); err != nil {
			return fmt.Errorf("list articles of shop %s: %w", shop, err)
		}
		return nil
	})
	return found, err
}

// Shared is an article that several things in the shop are: their stock can't be told apart.
type Shared struct {
	SKU      string   `json:"sku"`
	Products []string `json:"products"` // "50 (17+20)" is a variant
}

// ArticleCount sums up how far the mapping is.
type ArticleCount struct {
	Imported int64    `json:"imported"`
	BySKU    int64    `json:"by_sku"`  // the model is an SKU of the ERP
	Missing  int64    `json:"missing"` // on sale without an article
	Waiting  int64    `json:"waiting"` // orders, counted once for each thing that they wait for
	Shared   []Shared `json:"shared"`
}

// CountArticles sums up how far the mapping is, and names the articles that are shared.
func CountArticles(ctx context.Context, conn *pgx.Conn, shop string) (c ArticleCount, err error) {
	err = overArticles(ctx, conn, shop, func(tx pgx.Tx, text map[string]string) error {
		if err := tx.QueryRow(ctx, text["count"]).Scan(&c.Imported, &c.BySKU, &c.Missing, &c.Waiting); err != nil {
			return fmt.Errorf("count articles of shop %s: %w", shop, err)
		}
		c.Shared, err = sharedArticles(ctx, tx, shop)
		return err
	})
	return c, err
}

func sharedArticles(ctx context.Context, tx pgx.Tx, shop string) ([]Shared, error) {
	rows, err := tx.Query(ctx, "select sku, products from "+pgx.Identifier{Schema(shop), "articles_shared"}.Sanitize()+"()")
	if err != nil {
		return nil, fmt.Errorf("look for shared articles of shop %s: %w", shop, err)
	}
	shared, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Shared])
	if err != nil {
		return nil, fmt.Errorf("look for shared articles of shop %s: %w", shop, err)
	}
	return shared, nil
}

// overArticles does something with a shop that is derived, while no batch of its applier runs.
func overArticles(ctx context.Context, conn *pgx.Conn, shop string, do func(tx pgx.Tx, text map[string]string) error) error {
	text := namedStatements(strings.ReplaceAll(articlesSQL, "{canonical}", pgx.Identifier{Schema(shop)}.Sanitize()))
	return postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		var derived bool
		err := tx.QueryRow(ctx, text["lock"], shop).Scan(&derived)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("shop %s is not known: no applier has run for it", shop)
		case err != nil:
			return fmt.Errorf("lock shop %s: %w", shop, err)
		case !derived:
			return fmt.Errorf("%w: its first snapshot, or its settings, are not complete in the mirror; what it sells is not known yet", ErrNotReady)
		}
		// Sets are joined here, of tables that may have grown since their statistics: row by row they take minutes.
		if _, err := tx.Exec(ctx, "set local enable_nestloop = off; set local jit = off"); err != nil {
			return fmt.Errorf("look at what shop %s sells: %w", shop, err)
		}
		return do(tx, text)
	})
}

// Imported is what a file of articles has brought.
type Imported struct {
	Lines   int      `json:"lines"`   // with an SKU
	Changed int64    `json:"changed"` // of these: mappings that are new or other than they were
	Removed int64    `json:"removed"` // mappings taken away, by lines whose SKU is "-"
	Open    int      `json:"open"`    // lines without an SKU: left as they were
	Again   int64    `json:"again"`   // parked orders that are derived again
	Shared  []Shared `json:"shared"`
}

// ImportArticles reads which article of the ERP each product of the shop is, from CSV as a
// spreadsheet writes it, with the columns product, variant and sku (variant may be missing; it names
// option values as "17+20" or "17") and any others. All lines are taken, or none: every line that is
// wrong is named. A line without an SKU leaves things as they are; the SKU "-" takes a mapping away.
//
// It counts for orders that the ERP does not have yet; those that are parked for one of these
// products follow by themselves. What has changed stands in the list of decisions.
func ImportArticles(ctx context.Context, conn *pgx.Conn, shop string, r io.Reader, by By) (Imported, error) {
	return importArticles(ctx, conn, shop, r, by, false)
}

// TryArticles tells what ImportArticles would do, and what it would refuse, and leaves everything as it is.
func TryArticles(ctx context.Context, conn *pgx.Conn, shop string, r io.Reader) (Imported, error) {
	done, err := importArticles(ctx, conn, shop, r, By{Who: "nobody"}, true)
	if errors.Is(err, errRolledBack) {
		err = nil
	}
	return done, err
}

func importArticles(ctx context.Context, conn *pgx.Conn, shop string, r io.Reader, by By, try bool) (Imported, error) {
	var done Imported
	mappings, err := readArticles(r)
	if err != nil {
		return done, err
	}
	err = overArticles(ctx, conn, shop, func(tx pgx.Tx, text map[string]string) error {
		s := articleImport{ctx: ctx, tx: tx, text: text, shop: shop, by: by}
		if err := s.check(mappings); err != nil {
			return err
		}
		if done, err = s.store(mappings); err == nil && try {
			return errRolledBack
		}
		return err
	})
	return done, err
}

// articleImport stores the lines of one file.
type articleImport struct {
	ctx  context.Context
	tx   pgx.Tx
	text map[string]string
	shop string
	by   By
}

// mapping is a line of a file of articles.
type mapping struct {
	line    int
	product string
	variant string // option values in order, "17,20"; empty: the product itself
	sku     string // of the ERP's article; empty: none is said; removal: none any more
}

const removal = "-"

// check looks whether shop and ERP have what the lines name.
func (s articleImport) check(mappings []mapping) error {
	var products, variants, skus []string
	for _, m := range mappings {
		products, variants = append(products, m.product), append(variants, m.variant)
		if m.sku == removal {
			m.sku = ""
		}
		skus = append(skus, m.sku)
	}
	var wrong lineErrors
	rows, err := s.tx.Query(s.ctx, s.text["unknown"], skus)
	if err != nil {
		return s.failed(err)
	}
	var n int
	var sku, meant, what string
	_, err = pgx.ForEachRow(rows, []any{&n, &sku, &meant}, func() error {
		wrong.add(mappings[n-1].line, "the ERP has no article with SKU %q%s", sku, hint(sku, meant))
		return nil
	})
	if err != nil {
		return s.failed(err)
	}
	if rows, err = s.tx.Query(s.ctx, s.text["not sold"], products, variants); err != nil {
		return s.failed(err)
	}
	_, err = pgx.ForEachRow(rows, []any{&n, &what}, func() error {
		if mappings[n-1].sku != removal {
			wrong.add(mappings[n-1].line, "%s", what)
		}
		return nil
	})
	if err != nil {
		return s.failed(err)
	}
	return wrong.err()
}

var shortened = regexp.MustCompile(`^\d+([.,]\d+)?[eE]\+\d+$`)

// hint says what an SKU that is not known may have been.
func hint(sku, meant string) string {
	switch {
	case meant != "":
		return fmt.Sprintf("; %q may be meant", meant)
	case shortened.MatchString(sku):
		return "; the spreadsheet has shortened a long number: format the column as text"
	}
	return ""
}

func (s articleImport) store(mappings []mapping) (done Imported, err error) {
	var products, variants, skus, gone, goneVariants, touched []string
	for _, m := range mappings {
		switch m.sku {
		case "":
			done.Open++
			continue
		case removal:
			gone, goneVariants = append(gone, m.product), append(goneVariants, m.variant)
		default:
			products, variants, skus = append(products, m.product), append(variants, m.variant), append(skus, m.sku)
		}
		touched = append(touched, m.product)
	}
	done.Lines = len(products)
	var told, removed json.RawMessage
	if err := s.tx.QueryRow(s.ctx, s.text["store"], s.shop, products, variants, skus).Scan(&done.Changed, &told); err != nil {
		return done, s.failed(err)
	}
	if err := s.tx.QueryRow(s.ctx, s.text["remove"], s.shop, gone, goneVariants).Scan(&done.Removed, &removed); err != nil {
		return done, s.failed(err)
	}
	if done.Changed+done.Removed > 0 {
		what := fmt.Sprintf("%d mappings, %d taken away", done.Changed, done.Removed)
		if err := audit(s.ctx, s.tx, s.by, s.shop, 0, "articles", what, map[string]any{"mapped": told, "taken_away": removed}); err != nil {
			return done, err
		}
	}
	if err := s.tx.QueryRow(s.ctx, s.text["release"], s.shop, touched).Scan(&done.Again); err != nil {
		return done, s.failed(err)
	}
	done.Shared, err = sharedArticles(s.ctx, s.tx, s.shop)
	return done, err
}

func (s articleImport) failed(err error) error {
	return postgres.Explain(fmt.Errorf("import articles of shop %s: %w", s.shop, err))
}

// lineErrors are what is wrong with the lines of a file.
type lineErrors struct {
	lines []int
	what  map[int]error
}

func (e *lineErrors) add(line int, format string, args ...any) {
	if e.what == nil {
		e.what = map[int]error{}
	}
	if e.what[line] == nil {
		e.lines = append(e.lines, line)
		e.what[line] = fmt.Errorf("line %d: "+format, append([]any{line}, args...)...)
	}
}

const mostLines = 50 // that are wrong and named

// err names the lines in order.
func (e *lineErrors) err() error {
	if len(e.lines) == 0 {
		return nil
	}
	slices.Sort(e.lines)
	var all []error
	for _, line := range e.lines[:min(len(e.lines), mostLines)] {
		all = append(all, e.what[line])
	}
	if more := len(e.lines) - mostLines; more > 0 {
		all = append(all, fmt.Errorf("and %d more lines", more))
	}
	return errors.Join(append(all, errors.New("nothing was imported"))...)
}

// variantNamed refuses a file without the column variant that has one of a name we don't write: it may be that one, and
// without it a size would be taken for its product.
func variantNamed(rows []sheetRow) error {
	if len(rows) == 0 {
		return nil
	}
	fields := rows[0].fields
	if _, named := fields["variant"]; named {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "" && !slices.Contains(articleColumns, name) {
			return fmt.Errorf("line 1: no column is named variant; if %q is meant, call it variant, else take it out", name)
		}
	}
	return nil
}

// readArticles reads and checks the file without a look at the database.
func readArticles(r io.Reader) ([]mapping, error) {
	rows, err := readSheet(r, "product", "sku")
	if err != nil {
		return nil, err
	}
	if err := variantNamed(rows); err != nil {
		return nil, err
	}
	var mappings []mapping
	var wrong lineErrors
	seen := map[[2]string]int{}
	for _, row := range rows {
		m := mapping{line: row.line, product: row.fields["product"], sku: asTyped(row.fields["sku"])}
		m.variant, err = variantKey(asTyped(row.fields["variant"]))
		before := seen[[2]string{m.product, m.variant}]
		switch {
		case err != nil:
			wrong.add(m.line, "%w", err)
		case m.product == "":
			wrong.add(m.line, "product is empty")
		case before > 0:
			wrong.add(m.line, "product %s, variant %q stands in line %d already", m.product, m.variant, before)
		default:
			seen[[2]string{m.product, m.variant}] = m.line
			mappings = append(mappings, m)
		}
	}
	return mappings, wrong.err()
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

// Package align brings the catalogue of a shop in line with the ERP's, on command: prices, special
// prices, weights and sizes, compared as the shop shows them.
//
// DESIGN.md says what is compared with what, and what is refused.
package align

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/schemas"
)

// Field is what can be aligned.
type Field string

// The fields, in the order in which they are compared.
const (
	Price   Field = "price"
	Special Field = "special"
	Weight  Field = "weight"
	Width   Field = "width"
	Height  Field = "height"
	Depth   Field = "depth"
)

// Fields are all of them.
var Fields = []Field{Price, Special, Weight, Width, Height, Depth}

// Scope is what of the catalogue is looked at. A product of the shop is looked at whole: one article
// in scope brings the others of its product with it.
type Scope struct {
	Fields   []Field   // nil: all
	SKUs     []string  // nil: all
	Category string    // of the shop, by number or name, with those below it; empty: all
	Since    time.Time // changed in the ERP since; zero: ever
}

// Difference is a field that the shop shows otherwise than the ERP has it.
type Difference struct {
	SKU     string `json:"sku"`
	Product int64  `json:"product"`
	Variant string `json:"variant,omitempty"`
	Field   Field  `json:"field"`
	Shop    string `json:"shop"` // as the shop shows it: gross, in its units
	ERP     string `json:"erp"`  // as it would show the ERP's
}

// Refusal is a field that can't be aligned, and why.
type Refusal struct {
	SKU     string `json:"sku"`
	Product int64  `json:"product"`
	Variant string `json:"variant,omitempty"`
	Field   Field  `json:"field"`
	Why     string `json:"why"`
}

// Report is the outcome of a comparison.
type Report struct {
	Articles    int          `json:"articles"` // compared
	Differing   int          `json:"differing"`
	Differences []Difference `json:"differences"`
	Refusals    []Refusal    `json:"refusals"`
	NotSold     []string     `json:"not_sold"` // SKUs asked for that the shop does not sell
	Gone        []string     `json:"gone"`     // SKUs whose product or option the shop no longer has

	shop    *shop
	fields  []Field
	changes []change
}

// change is a product with differences, as it was when they were found.
type change struct {
	product  *product
	variants []variant
	plan     plan
}

// Catalogue is a shop's catalogue beside the ERP's. It is used by one goroutine.
type Catalogue struct {
	name string // of the shop
	erp  *pgx.Conn
	db   *sql.Conn
	text map[string]string
}

// Open takes the name of the shop, the two connections, the platform's directory and the prefix of the shop's tables. The
// connection to the shop is this package's own from then on: what a column can't hold is an error in it, a zero date is
// not, and who waits for a row for long gives up.
func Open(ctx context.Context, name string, erp *pgx.Conn, db *sql.Conn, platform fs.FS, prefix string) (*Catalogue, error) {
	text, err := schemas.Statements(platform, schemas.AlignFile, prefix)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', SESSION innodb_lock_wait_timeout = 3"); err != nil {
		return nil, fmt.Errorf("set the session of the shop's connection: %w", err)
	}
	return &Catalogue{name: name, erp: erp, db: db, text: text}, nil
}

// work is what is to be compared.
type work struct {
	shop     *shop
	fields   []Field
	variants map[int64][]variant // by product
}

// readAtOnce is for how many products the shop is asked at a time; writtenAtOnce are in one
// transaction: few enough that no checkout waits.
const (
	readAtOnce    = 1000
	writtenAtOnce = 20
)

// Look says what differs, where the user has the rights for that; if writing, those for writing it too.
func (c *Catalogue) Look(ctx context.Context, scope Scope, writing bool) (Report, error) {
	lacking, err := c.Rights(ctx, scope.Fields, writing)
	if err == nil {
		err = Lacking(lacking)
	}
	if err != nil {
		return Report{}, err
	}
	return c.Compare(ctx, scope)
}

// Compare says what differs. It writes nothing.
func (c *Catalogue) Compare(ctx context.Context, scope Scope) (Report, error) {
	r := Report{Differences: []Difference{}, Refusals: []Refusal{}, NotSold: []string{}, Gone: []string{}} // of JSON: never null
	w, err := c.prepare(ctx, scope, &r)
	if err != nil {
		return r, err
	}
	r.shop, r.fields = w.shop, w.fields
	ids := slices.Sorted(maps.Keys(w.variants))
	for chunk := range slices.Chunk(ids, readAtOnce) {
		products, err := w.shop.products(ctx, c.db, chunk)
		if err != nil {
			return r, err
		}
		for _, id := range chunk {
			r.add(w, products[id], w.variants[id])
		}
	}
	articles := map[string]bool{}
	for _, d := range r.Differences {
		articles[d.SKU] = true
	}
	r.Differing = len(articles)
	slices.Sort(r.Gone)
	slices.SortStableFunc(r.Differences, func(a, b Difference) int { return cmp.Compare(a.SKU, b.SKU) })
	slices.SortStableFunc(r.Refusals, func(a, b Refusal) int { return cmp.Compare(a.SKU, b.SKU) })
	return r, nil
}

// add compares a product, nil if the shop no longer has it.
func (r *Report) add(w *work, p *product, variants []variant) {
	r.Articles += len(variants)
	var there []variant
	for _, v := range variants {
		if p == nil || !p.has(v) {
			r.Gone = append(r.Gone, v.article.sku)
			continue
		}
		there = append(there, v)
	}
	if len(there) == 0 {
		return
	}
	plan := planOf(w.shop, p, there, w.fields)
	r.Differences = append(r.Differences, plan.differences...)
	r.Refusals = append(r.Refusals, plan.refusals...)
	if len(plan.differences) > 0 {
		r.changes = append(r.changes, change{product: p, variants: there, plan: plan})
	}
}

// Without is the differences but those of some SKUs.
func (r Report) Without(skus []string) []Difference {
	return slices.DeleteFunc(slices.Clone(r.Differences), func(d Difference) bool { return slices.Contains(skus, d.SKU) })
}

// Shown leaves of a comparison what a person was shown by an earlier one: products of which not all is as it was then are left out, and
// the differences of his that are no more so are returned.
func (r Report) Shown(shown []Difference) (same Report, others []Difference) {
	seen, kept := map[Difference]bool{}, map[Difference]bool{}
	for _, d := range shown {
		seen[d] = true
	}
	same = r
	same.changes, same.Differences = nil, []Difference{}
	for _, x := range r.changes {
		if slices.ContainsFunc(x.plan.differences, func(d Difference) bool { return !seen[d] }) {
			continue
		}
		same.changes = append(same.changes, x)
		for _, d := range x.plan.differences {
			kept[d] = true
		}
	}
	articles := map[string]bool{}
	for _, d := range shown {
		if !kept[d] {
			others = append(others, d)
			continue
		}
		same.Differences, articles[d.SKU] = append(same.Differences, d), true
	}
	same.Differing = len(articles)
	return same, others
}

// Align puts on record who aligns what, writes it (see Apply) and compares again.
func (c *Catalogue) Align(ctx context.Context, scope Scope, found Report, by intake.By, tell func(done, total int)) (changed []string, left Report, err error) {
	decision := fmt.Sprintf("%d differences of %d articles", len(found.Differences), found.Differing)
	if err := intake.Note(ctx, c.erp, by, c.name, "align", decision, found.Differences); err != nil {
		return nil, left, err
	}
	if changed, err = c.Apply(ctx, found, by.Who, tell); err != nil {
		return changed, left, err
	}
	left, err = c.Compare(ctx, scope)
	return changed, left, err
}

// A run that would change more than a few articles and a good part of what it looks at is a person's
// to confirm: a price list in the wrong currency looks like that.
const (
	manyArticles = 20
	manyPercent  = 30
)

// ErrMany is the error of an application that a person has not confirmed.
var ErrMany = errors.New("many articles would change")

// Guard refuses a run that would change a good part of the catalogue, unless no more articles would
// change than confirmed: whoever gives that number has read the dry run. So an interrupted run goes on by the same command.
func (r Report) Guard(confirmed int) error {
	if r.Differing <= manyArticles || r.Differing*100 <= manyPercent*r.Articles || confirmed >= r.Differing {
		return nil
	}
	return fmt.Errorf("%w: %d of %d, more than %d %%; nothing was written. If that is right, add --confirm %d",
		ErrMany, r.Differing, r.Articles, manyPercent, r.Differing)
}

// Apply writes what a comparison found, and tells how many products are done. A product that somebody
// has changed since is left as he wants it, and named by its SKUs. Each transaction is whole, so after
// an error the next comparison finds what is left. who stands in the shop's marker.
func (c *Catalogue) Apply(ctx context.Context, found Report, who string, tell func(done, total int)) (changed []string, err error) {
	done := 0
	for chunk := range slices.Chunk(found.changes, writtenAtOnce) {
		skus, err := c.write(ctx, found, chunk, who)
		if err != nil {
			return changed, fmt.Errorf("align products %d to %d of shop %s, %d of %d are done: %w",
				chunk[0].product.id, chunk[len(chunk)-1].product.id, c.name, done, len(found.changes), err)
		}
		changed = append(changed, skus...)
		if done += len(chunk); tell != nil {
			tell(done, len(found.changes))
		}
	}
	return changed, nil
}

// write aligns some products in one transaction, again when it met another's.
func (c *Catalogue) write(ctx context.Context, found Report, changes []change, who string) (changed []string, err error) {
	for try := 1; ; try++ {
		changed, err := c.writeOnce(ctx, found, changes, who)
		if !conflict(err) || try == 5 {
			return changed, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

// conflict tells whether a lock was waited for too long, or in a circle.
func conflict(err error) bool {
	var answer *driver.MySQLError
	return errors.As(err, &answer) && (answer.Number == 1205 || answer.Number == 1213)
}

func (c *Catalogue) writeOnce(ctx context.Context, found Report, changes []change, who string) (changed []string, err error) {
	tx, err := c.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing is left to roll back after a commit
	first, last := changes[0].product.id, changes[len(changes)-1].product.id
	note, err := json.Marshal(map[string]any{"by": who, "products": []int64{first, last}})
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, c.text["marker"], string(note), string(note)); err != nil {
		return nil, fmt.Errorf("touch Spola's marker in the shop (cdc makes it): %w", err)
	}
	now, err := found.shop.lock(ctx, tx, changes, found.fields)
	if err != nil {
		return nil, err
	}
	for _, x := range changes {
		if !x.product.same(now[x.product.id], x.variants) {
			for _, v := range x.variants {
				changed = append(changed, v.article.sku)
			}
			continue
		}
		for _, w := range x.plan.writes {
			if _, err := tx.ExecContext(ctx, c.text[w.statement], w.args...); err != nil {
				return nil, fmt.Errorf("product %d: %s: %w", x.product.id, w.statement, err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return changed, nil
}

// prepare reads the ERP's catalogue and what of it the shop sells, as far as the scope goes.
func (c *Catalogue) prepare(ctx context.Context, scope Scope, r *Report) (*work, error) {
	w := &work{fields: scope.Fields, variants: map[int64][]variant{}}
	if w.fields == nil {
		w.fields = Fields
	}
	articles, err := catalogue(ctx, c.erp)
	if err != nil {
		return nil, err
	}
	asked, err := scope.asked(articles)
	if err != nil {
		return nil, err
	}
	if w.shop, err = openShop(ctx, c.db, c.text); err != nil {
		return nil, err
	}
	if err := c.match(ctx, w, articles); err != nil {
		return nil, err
	}
	var inside map[int64]bool
	if scope.Category != "" {
		if inside, err = w.shop.category(ctx, c.db, scope.Category); err != nil {
			return nil, err
		}
	}
	sold := map[int64]bool{}
	for id, variants := range w.variants {
		for _, v := range variants {
			sold[v.article.id] = true
		}
		if inside != nil && !inside[id] || !slices.ContainsFunc(variants, func(v variant) bool { return asked[v.article.id] }) {
			delete(w.variants, id)
		}
	}
	skus := bySKU(articles)
	for _, sku := range scope.SKUs {
		if !sold[skus[sku].id] {
			r.NotSold = append(r.NotSold, sku)
		}
	}
	return w, nil
}

// asked are the articles that a scope names. An SKU that the ERP does not have is an error.
func (s Scope) asked(articles map[int64]*article) (map[int64]bool, error) {
	asked := map[int64]bool{}
	if s.SKUs == nil {
		for id, a := range articles {
			asked[id] = !a.changed.Before(s.Since)
		}
		return asked, nil
	}
	skus := bySKU(articles)
	for _, sku := range s.SKUs {
		a := skus[sku]
		if a == nil {
			return nil, fmt.Errorf("the ERP has no article with the SKU %q", sku)
		}
		asked[a.id] = !a.changed.Before(s.Since)
	}
	return asked, nil
}

// match finds what the shop sells: by the mapping of articles, else by the product's own code.
func (c *Catalogue) match(ctx context.Context, w *work, articles map[int64]*article) error {
	mappings, err := mapping(ctx, c.erp, c.name)
	if err != nil {
		return err
	}
	for _, m := range mappings {
		a := articles[m.article]
		if a == nil {
			continue // the ERP has lost it: applier status names it
		}
		v := variant{text: m.variant, article: a}
		if m.variant != "" {
			for _, part := range strings.Split(m.variant, ",") {
				id, err := strconv.ParseInt(part, 10, 64)
				if err != nil {
					return fmt.Errorf("product %d of the shop is mapped in the options %q: %w", m.product, m.variant, err)
				}
				v.values = append(v.values, id)
			}
		}
		w.variants[m.product] = append(w.variants[m.product], v)
	}
	models, err := w.shop.models(ctx, c.db)
	if err != nil {
		return err
	}
	skus := bySKU(articles)
	for id, model := range models {
		if a := skus[model]; a != nil && w.variants[id] == nil {
			w.variants[id] = []variant{{article: a}}
		}
	}
	for _, variants := range w.variants {
		slices.SortFunc(variants, func(a, b variant) int { return slices.Compare(a.values, b.values) })
	}
	return nil
}

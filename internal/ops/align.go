package ops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/target/mysql"
	erp "github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/writeback/align"
)

// Alignment is how the page brings what the shop shows of its catalogue in line with the ERP's.
type Alignment struct {
	Database string // of the shop, for who reads its catalogue and may write it
	Writes   bool   // he may
	Platform fs.FS
	Prefix   string // of the shop's tables
}

// What an aligner does. At rest it does nothing.
const (
	atRest = iota
	comparing
	applying
)

// alignment is a comparison, and what became of it.
type alignment struct {
	Number int64 // of the comparison, from 1; 0: there is none
	Scope  scope
	By     string
	Begun  time.Time // by who compares, or applies
	Doing  int       // atRest, comparing, applying
	Done   int       // products that were written
	Total  int
	Err    string // why it ended early
	Found  *align.Report
	Wrote  *wrote // nil: it was not applied
}

// wrote is what an application of a comparison has done.
type wrote struct {
	By      string
	At      time.Time
	Wrote   []align.Difference
	Changed []string // SKUs that were changed meanwhile, in the shop or in the ERP, and left alone
	Left    int      // differences that a comparison behind it found
}

// scope is what is compared, as it was typed.
type scope struct {
	Fields   []string
	SKUs     string // by commas or spaces; empty: all
	Category string
	Since    string // a day, by the shop's clock
}

// Has tells whether a field is compared.
func (s scope) Has(field string) bool {
	for _, f := range s.Fields {
		if f == field {
			return true
		}
	}
	return len(s.Fields) == 0
}

// read makes a scope of what was typed.
func (s scope) read(clock *time.Location) (is align.Scope, err error) {
	for _, f := range align.Fields { // in their own order: special prices stand on prices
		if len(s.Fields) > 0 && s.Has(string(f)) {
			is.Fields = append(is.Fields, f)
		}
	}
	if len(s.Fields) > 0 && is.Fields == nil {
		return is, fmt.Errorf("%q is nothing that can be compared", strings.Join(s.Fields, ", "))
	}
	is.SKUs = strings.FieldsFunc(s.SKUs, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
	if len(is.SKUs) == 0 {
		is.SKUs = nil
	}
	is.Category = strings.TrimSpace(s.Category)
	if s.Since == "" {
		return is, nil
	}
	if is.Since, err = time.ParseInLocation(time.DateOnly, s.Since, clock); err != nil {
		return is, fmt.Errorf("changed since %q: write a day, 2026-12-01", s.Since)
	}
	return is, nil
}

// errBusy is the error of who comes while something else is done.
var errBusy = errors.New("a comparison or an alignment is under way: see what comes of it first")

// aligner compares and applies, one at a time, for all who see the page: what one has compared all see, and what is applied is what was
// shown. It lives in memory: who starts anew compares anew.
type aligner struct {
	of        Alignment
	shop, erp string // name; URL
	work      chan func(context.Context)

	mu sync.Mutex
	is alignment
}

func newAligner(of Alignment, p Pipeline) *aligner {
	return &aligner{of: of, shop: p.Shop, erp: p.ERP, work: make(chan func(context.Context), 1)}
}

// run does what is asked for, until ctx ends: each request of a browser is over long before a large catalogue is compared.
func (a *aligner) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-a.work:
			do(ctx)
		}
	}
}

// told is how things are.
func (a *aligner) told() alignment {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.is
}

func (a *aligner) change(do func(*alignment)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	do(&a.is)
}

// compare begins a comparison.
func (a *aligner) compare(s scope, by string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.is.Doing != atRest {
		return errBusy
	}
	a.is = alignment{Number: a.is.Number + 1, Scope: s, By: by, Begun: time.Now(), Doing: comparing}
	a.work <- func(ctx context.Context) {
		found, err := a.look(ctx, s)
		a.change(func(is *alignment) {
			is.Doing = atRest
			if err != nil {
				is.Err = err.Error()
				return
			}
			is.Found = &align.Report{Articles: found.Articles, Differing: found.Differing, Differences: found.Differences, Refusals: found.Refusals, NotSold: found.NotSold, Gone: found.Gone}
		})
	}
	return nil
}

func (a *aligner) look(ctx context.Context, s scope) (found align.Report, err error) {
	err = a.with(ctx, func(c *align.Catalogue, clock *time.Location) error {
		scope, err := s.read(clock)
		if err == nil {
			found, err = c.Look(ctx, scope, false)
		}
		return err
	})
	return found, err
}

// apply begins to write what a comparison has shown, if so many articles as a person has confirmed are not too many.
func (a *aligner) apply(number int64, confirmed int, by intake.By) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !a.of.Writes:
		return errors.New("nobody may write into the shop yet: shop.write_as in spola.yaml names who (deploy/grants/shop-writer makes him)")
	case a.is.Doing != atRest:
		return errBusy
	case a.is.Number != number || a.is.Found == nil:
		return errors.New("that comparison is no longer here, somebody has compared again or the program was started anew: look at what differs now")
	case a.is.Wrote != nil:
		return errors.New("that comparison was applied already: compare again")
	case len(a.is.Found.Differences) == 0:
		return errors.New("nothing differs: there is nothing to write")
	}
	if err := a.is.Found.Guard(confirmed); err != nil {
		return fmt.Errorf("%d of %d articles would change, and they were not confirmed: nothing was written; type %d if that is right", a.is.Found.Differing, a.is.Found.Articles, a.is.Found.Differing)
	}
	shown, scope := *a.is.Found, a.is.Scope
	a.is.Doing, a.is.Begun, a.is.Done, a.is.Total, a.is.Err, a.is.Wrote = applying, time.Now(), 0, 0, "", &wrote{By: by.Who, At: time.Now()}
	a.work <- func(ctx context.Context) {
		err := a.write(ctx, shown, scope, by)
		a.change(func(is *alignment) {
			is.Doing = atRest
			if err != nil {
				is.Err = err.Error() + "; what is done stands: compare again to see the rest"
			}
		})
	}
	return nil
}

// write compares again, and writes what is still as it was shown.
func (a *aligner) write(ctx context.Context, shown align.Report, s scope, by intake.By) error {
	return a.with(ctx, func(c *align.Catalogue, clock *time.Location) error {
		scope, err := s.read(clock)
		if err != nil {
			return err
		}
		now, err := c.Look(ctx, scope, true)
		if err != nil {
			return err
		}
		same, others := now.Shown(shown.Differences)
		changed, left, err := c.Align(ctx, scope, same, by, func(done, total int) { a.change(func(is *alignment) { is.Done, is.Total = done, total }) })
		a.change(func(is *alignment) {
			w := *is.Wrote // who shows it has the one before
			w.Changed, w.Left = append(skusOf(others), changed...), len(left.Differences)
			if err == nil {
				w.Wrote = same.Without(changed)
			}
			is.Wrote = &w
		})
		return err
	})
}

func skusOf(differences []align.Difference) (skus []string) {
	for _, d := range differences {
		if len(skus) == 0 || skus[len(skus)-1] != d.SKU {
			skus = append(skus, d.SKU)
		}
	}
	return skus
}

// with connects to both sides.
func (a *aligner) with(ctx context.Context, do func(c *align.Catalogue, clock *time.Location) error) error {
	conn, err := erp.Connect(ctx, a.erp, "spola page "+a.shop)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	clock, err := intake.Clock(ctx, conn, a.shop)
	if err != nil {
		return err
	}
	db, end, err := mysql.Connect(ctx, a.of.Database, 0)
	if err != nil {
		return err
	}
	defer end()
	c, err := align.Open(ctx, a.shop, conn, db, a.of.Platform, a.of.Prefix)
	if err != nil {
		return err
	}
	return do(c, clock)
}

package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/spola-cdc/spola/internal/verify"
)

// Load says what the generator does.
type Load struct {
	Rate     float64  // shoppers a second
	Seed     uint64   // decides what each of them wants
	Shoppers int64    // how many come in all; 0: until the context ends
	Planted  int      // how many orders are made so that nobody can take them over
	Settings bool     // an administrator saves settings now and then
	Scarce   bool     // goods may be sold out: who finds too few pieces in the shop leaves without an order
	Journal  *Journal // nil: none is kept

	// Done, when set, is told of each operation that ended, from many goroutines.
	Done func(verify.Entry)
	// SoldOut, when set, is told of each shopper who found too few pieces, from many goroutines.
	SoldOut func()
}

// shoppersAtOnce bounds the checkouts and their follow-ups that are under way; above it the rate
// falls.
const shoppersAtOnce = 400

// grace is how long work that has begun may go on when the context has ended: an edit that is cut off leaves an order whose rows are not what it says.
const grace = 5 * time.Minute

// Run lets shoppers come until ctx ends or all have come, waits for those who are in the shop,
// and returns. What was refused or left unknown stands in the journal and is no error of Run's;
// only a journal that can't be written is.
func (s *Shop) Run(ctx context.Context, load Load) error {
	if load.Rate <= 0 {
		return errors.New("the test shop's rate is not above 0")
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	g := &generator{shop: s, load: load, stop: ctx.Done(), seats: make(chan struct{}, shoppersAtOnce)}
	g.open(ctx, work)
	g.inside.Wait()
	if err := g.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// generator lets shoppers in.
type generator struct {
	shop   *Shop
	load   Load
	stop   <-chan struct{} // nobody begins anything new
	seats  chan struct{}
	inside sync.WaitGroup
	failed atomic.Pointer[error] // of the journal

	pages [len(formProducts)]sync.Mutex // one administrator at each product's page
}

func (g *generator) open(ctx, work context.Context) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := int64(1); (g.load.Shoppers == 0 || n <= g.load.Shoppers) && g.failed.Load() == nil; n++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case g.seats <- struct{}{}:
		}
		g.inside.Go(func() {
			defer func() { <-g.seats }()
			g.serve(work, n)
		})
		timer.Reset(time.Until(start.Add(time.Duration(float64(n) / g.load.Rate * float64(time.Second)))))
	}
}

// serve is one shopper's whole story.
func (g *generator) serve(ctx context.Context, n int64) {
	in := g.shop.intent(g.load.Seed, n, g.load.Planted)
	id, ok := g.place(ctx, in)
	if !ok {
		return // who sees an error page leaves
	}
	for i, f := range in.follow {
		if !g.wait(f.after) || !g.administer(ctx, in, i+1, id, f) {
			return
		}
	}
	switch {
	case !g.load.Settings:
	case n%100 == 50:
		g.saveSettings(ctx, n)
	case n%formEvery == 12:
		g.saveProduct(ctx, in)
	}
}

// formProducts are the products whose pages are saved, in turn.
var formProducts = [...]int{Hot, Sized, Personal, Engraved}

// formEvery: at one in so many shoppers the administrator saves the page of a product.
const formEvery = 25

// wait returns false when nothing new shall begin.
func (g *generator) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-g.stop:
		return false
	case <-timer.C:
		return true
	}
}

func (g *generator) place(ctx context.Context, in intent) (id int64, ok bool) {
	if g.load.Scarce && in.order.Plant == "" && !g.offers(ctx, in.order) {
		return 0, false
	}
	facts, err := g.shop.Facts(in.order)
	if err != nil {
		g.fail(err)
		return 0, false
	}
	if in.friend != nil {
		facts.State = Denied
	}
	entry := verify.Entry{Shopper: in.n, Action: verify.Place, Token: in.order.Token, Facts: &facts}
	if in.order.Abandon {
		entry.Action = verify.Abandon
	}
	if !g.intend(entry) {
		return 0, false
	}
	entry.Facts = nil
	c, err := g.checkout(ctx, in)
	entry.Order, entry.At = c.ID, c.At
	entry.Taken = !in.order.Abandon && !facts.Planted && g.shop.rules.Takes(facts.State, facts.Method)
	return c.ID, g.conclude(entry, err) && err == nil
}

// offers tells whether the cart's page finds enough pieces. Looking takes none: all who see the last piece at the same moment may buy it.
func (g *generator) offers(ctx context.Context, o Order) bool {
	enough, err := g.shop.enough(ctx, o)
	if err != nil {
		return false // an error page, before anything is written
	}
	if !enough && g.load.SoldOut != nil {
		g.load.SoldOut()
	}
	return enough
}

// checkout is a whole checkout, with the friend's in the middle of it.
func (g *generator) checkout(ctx context.Context, in intent) (*Checkout, error) {
	if in.friend != nil {
		if _, err := g.shop.exec(ctx, 0, "coupon add", "Per un solo ordine", in.order.Coupon); err != nil {
			return &Checkout{}, err
		}
	}
	c, err := g.shop.Begin(ctx, in.order)
	if err != nil {
		return c, err
	}
	if in.friend != nil {
		g.place(ctx, *in.friend)
	}
	return c, c.finish(ctx)
}

// administer does a follow-up and, as the person at the desk would, again until it is done.
func (g *generator) administer(ctx context.Context, in intent, step int, id int64, f followUp) bool {
	entry := verify.Entry{Shopper: in.n, Step: step, Action: verify.State, Order: id, Status: f.status}
	switch {
	case f.edit != nil:
		facts, err := g.shop.Facts(*f.edit)
		if err != nil {
			return g.fail(err)
		}
		entry.Action, entry.Facts = verify.Change, &facts
	case f.delete:
		entry.Action = verify.Remove
	}
	if !g.intend(entry) {
		return false
	}
	entry.Facts = nil
	err := g.untilDone(ctx, g.operation(ctx, id, f))
	entry.At = time.Now()
	entry.Taken = entry.Action == verify.State && in.order.Plant == "" && g.shop.rules.Takes(f.status, in.order.Payment)
	return g.conclude(entry, err) && err == nil
}

// operation is what a follow-up does; it can be repeated wherever it was cut off.
func (g *generator) operation(ctx context.Context, id int64, f followUp) func() error {
	s := g.shop
	switch {
	case f.edit != nil:
		back := -1 // the state before the first attempt: a later one finds the order voided
		return func() error {
			was, err := s.read(ctx, id)
			if err != nil {
				return err
			}
			if back < 0 {
				back = was.status
			}
			return s.edit(ctx, was, back, *f.edit)
		}
	case f.delete:
		return func() error { return s.Delete(ctx, id) }
	}
	if f.api {
		return func() error { return s.SetStatusByAPI(ctx, id, f.status) }
	}
	return func() error { return s.SetStatus(ctx, id, f.status) }
}

// untilDone repeats an operation while the server is away.
func (g *generator) untilDone(ctx context.Context, operation func() error) error {
	policy := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.Retry(func() error {
		err := operation()
		if Refused(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(policy, ctx))
}

// saveSettings is an administrator who ends what he has begun, for half of the settings are none.
func (g *generator) saveSettings(ctx context.Context, n int64) {
	open := func() (form, error) { return g.shop.openSettings(ctx, "config") }
	if n%200 == 50 {
		open = func() (form, error) { return g.shop.openTaxClass(ctx, Standard) }
	}
	g.shop.saving.Lock()
	defer g.shop.saving.Unlock()
	if !g.wait(0) {
		return
	}
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	var page form
	err := g.untilDone(ctx, func() (err error) {
		page, err = open()
		return err
	})
	if err == nil {
		err = g.untilDone(ctx, func() error { return g.shop.send(ctx, page) })
	}
	if err != nil {
		g.fail(fmt.Errorf("save settings: %w", err))
	}
}

// toTheEnd is for an administrator who ends what he has begun: on a server that is killed or busy that may take much longer than customers have.
func toTheEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*grace)
}

// saveProduct opens the page of a product, thinks, and saves it: what was sold meanwhile is back
// in the shop's stock. He too ends what he has begun, for a product that is half saved has lost its option values.
func (g *generator) saveProduct(ctx context.Context, in intent) {
	product := formProducts[in.n/formEvery%int64(len(formProducts))]
	if product > g.shop.options.Products {
		product = Sized
	}
	// One page of a product at a time: a second one, opened while the first is half saved, would save
	// the product without its option values for good, and no shop sells what it does not have.
	turn := &g.pages[slices.Index(formProducts[:], product)]
	turn.Lock()
	defer turn.Unlock()
	if !g.wait(0) {
		return
	}
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	var page *ProductForm
	err := g.untilDone(ctx, func() (err error) {
		page, err = g.shop.OpenProduct(ctx, product)
		return err
	})
	if err != nil {
		g.fail(fmt.Errorf("open product %d: %w", product, err))
		return
	}
	entry := verify.Entry{Shopper: in.n, Step: len(in.follow) + 1, Action: verify.Form, Product: product, Stock: page.Stock}
	if !g.wait(thinking) || !g.intend(entry) {
		return
	}
	entry.Stock = nil
	err = g.untilDone(ctx, func() error { return page.Save(ctx) })
	entry.At = time.Now()
	if g.conclude(entry, err) && err != nil {
		g.fail(fmt.Errorf("product %d is half saved, its sizes may be gone: %w", product, err))
	}
}

// thinking is how long a page stands open before it is saved.
const thinking = 500 * time.Millisecond

// intend writes an intent. False: there is no journal any more to count by.
func (g *generator) intend(e verify.Entry) bool {
	if g.load.Journal == nil {
		return true
	}
	e.At = time.Now()
	if err := g.load.Journal.Write(e); err != nil {
		return g.fail(err)
	}
	return true
}

// conclude writes an outcome and tells who listens.
func (g *generator) conclude(e verify.Entry, err error) bool {
	switch {
	case err == nil:
		e.Outcome = verify.OK
	case Refused(err):
		e.Outcome, e.Error = verify.Failed, err.Error()
	default:
		e.Outcome, e.Error = verify.Unknown, err.Error()
	}
	if g.load.Journal != nil {
		if err := g.load.Journal.Write(e); err != nil {
			return g.fail(err)
		}
	}
	if g.load.Done != nil {
		g.load.Done(e)
	}
	return true
}

func (g *generator) fail(err error) bool {
	g.failed.CompareAndSwap(nil, &err)
	return false
}

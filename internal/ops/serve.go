package ops

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/notice"
	"github.com/spola-cdc/spola/internal/stream"
)

const (
	lookEvery  = 5 * time.Second
	lookWithin = 30 * time.Second // of a person's question
	slowEvery  = 12               // looks from one at what takes longer to the next
	tooLong    = 60 * time.Second // of a probe on its way, or without a look
)

// Options say whom the looks are for.
type Options struct {
	Pipeline Pipeline
	Listen   net.Listener // for an operator's tools; nil: nobody asks
	Notices  *Notices     // nil: nobody is told
	Page     *Page        // nil: there is none
}

// Watch looks at a pipeline again and again, whether or not it runs, for who asks at an address (/metrics for Prometheus, /livez,
// /readyz with ?verbose) and for who is told by mail. It asks all parts itself, and writes nothing but its probe.
type Watch struct {
	o        Options
	watch    *watch
	notifier *notice.Notifier // nil: nobody is told
	aligner  *aligner         // nil: there is none
}

// New makes a Watch.
func New(o Options) *Watch {
	w := &Watch{o: o, watch: &watch{of: o.Pipeline, stood: map[string]stood{}}}
	if o.Notices != nil {
		w.notifier = o.Notices.notifier(w.watch)
	}
	if o.Page != nil && o.Page.Align != nil {
		w.aligner = newAligner(*o.Page.Align, o.Pipeline)
	}
	return w
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { w.watch.run(ctx); return nil })
	group.Go(func() error { w.watch.probe.run(ctx, w.o.Pipeline); return nil })
	group.Go(func() error { w.watch.probe.follow(ctx, w.o.Pipeline); return nil })
	group.Go(func() error { w.watch.back.run(ctx, w.o.Pipeline); return nil })
	if w.notifier != nil {
		group.Go(func() error { return w.notifier.Run(ctx) })
	}
	if w.aligner != nil {
		group.Go(func() error { w.aligner.run(ctx); return nil })
	}
	if w.o.Listen != nil {
		server := &http.Server{Handler: w.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
		group.Go(func() error {
			serve := server.Serve
			if page := w.o.Page; page != nil && page.Certificate != nil {
				server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*page.Certificate}}
				serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
			}
			if err := serve(w.o.Listen); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve metrics: %w", err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			return server.Close()
		})
	}
	return group.Wait()
}

// Rest waits until what has happened before its call was told, or ctx ends.
func (w *Watch) Rest(ctx context.Context) {
	if w.notifier != nil {
		w.notifier.Rest(ctx)
	}
}

func (w *Watch) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&metrics{shop: w.o.Pipeline.Shop, told: w.watch.told, unsent: w.unsent}, backMetrics{shop: w.o.Pipeline.Shop, told: w.watch.back.told})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(out http.ResponseWriter, _ *http.Request) { fmt.Fprintln(out, "ok") })
	here := loopback(w.o.Listen.Addr())
	insider := func(r *http.Request) bool { return here && ownName(r.Host) }
	switch page := w.o.Page; {
	case page == nil:
	case page.Certificate == nil && !here, page.Password == "" && !here:
		mux.HandleFunc("GET /{$}", refused)
	default:
		shown := w.page(page)
		shown.serve(mux)
		if page.Password != "" {
			insider = func(r *http.Request) bool { _, in := shown.door.of(r); return in }
		}
	}
	mux.HandleFunc("GET /readyz", func(out http.ResponseWriter, r *http.Request) { w.ready(out, r, insider(r)) })
	return http.NewCrossOriginProtection().Handler(mux)
}

// loopback tells whether only this host can come to an address.
func loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func (w *Watch) page(o *Page) *page {
	p := &page{watch: w.watch, door: &doorkeeper{password: o.Password, sessions: map[string]session{}}, trace: o.Trace, align: w.aligner, waiting: w.causes,
		unsent: func() (since time.Time, why error) { return since, nil }}
	if w.notifier != nil {
		p.to, p.unsent = w.o.Notices.To, w.notifier.Unsent
	}
	return p
}

// causes are what a person must look at, as the last look has found it.
func (w *Watch) causes() []notice.Cause {
	pic, trip := w.watch.told()
	if pic == nil {
		return nil
	}
	var words []notice.Words
	if w.o.Notices != nil {
		words = notice.Left(w.o.Notices.Dir, w.o.Pipeline.Shop)
	}
	return pic.sight(trip, words).Causes
}

// unsent is for how long a notice has been waiting to be mailed; told is false where nobody is told anything.
func (w *Watch) unsent() (waits time.Duration, told bool) {
	if w.notifier == nil {
		return 0, false
	}
	if since, _ := w.notifier.Unsent(); !since.IsZero() {
		return time.Since(since), true
	}
	return 0, true
}

// watch looks again and again, and keeps the last picture.
type watch struct {
	of      Pipeline
	probe   probe
	back    back
	history history
	last    atomic.Pointer[Picture]
	stood   map[string]stood // by applier; of the goroutine that looks
	away    int              // looks in a row in which the ERP or Kafka did not answer; likewise
}

// stood is where an applier was first seen at its place, by this host's clock.
type stood struct {
	read int64
	at   time.Time
}

// observe says for how long each applier has been where it is: what its database says of that is by another clock. It counts anew where an
// applier could not have moved, or nobody could have known: the ERP or Kafka was away for longer than a look, or what brings its place here was held up.
func (w *watch) observe(pic *Picture, trip Trip) {
	if w.away >= awayLooks {
		clear(w.stood)
	}
	if w.away++; pic.Errors[PartERP] == nil && pic.Errors[PartKafka] == nil {
		w.away = 0
	}
	brought := pic.brings(trip)
	for i := range pic.Streams {
		s := &pic.Streams[i]
		if had, known := w.stood[s.Applier]; !known || had.read != s.Read || mirrored[s.Applier] && !brought {
			w.stood[s.Applier] = stood{s.Read, pic.At}
		}
		s.Still = pic.At.Sub(w.stood[s.Applier].at)
	}
}

// awayLooks is how many looks in a row a part must have been away to be why nothing has moved: one that comes and goes hides nothing.
const awayLooks = 2

// brings tells whether the places of the appliers that write into the shop come here: by its log, and intake.
func (p *Picture) brings(trip Trip) bool {
	for _, s := range p.Streams {
		if s.Applier == intakeApplier && (s.Paused || s.Age >= stillPatience/2) {
			return false
		}
	}
	return trip.Refused == 0 && trip.Log.Waiting < stillPatience/2
}

func (w *watch) told() (*Picture, Trip) { return w.last.Load(), w.probe.told() }

func (w *watch) run(ctx context.Context) {
	timer := time.NewTicker(lookEvery)
	defer timer.Stop()
	of, slow := w.of, (*Slow)(nil)
	of.meters = map[string]*stream.Meter{}
	defer closeAll(of.meters)
	of.links = &links{of: w.of, name: "spola metrics"}
	defer of.links.close(ctx)
	for n := 0; ; n++ {
		pic := of.Look(ctx, n%slowEvery == 0)
		if pic.Slow != nil {
			slow = pic.Slow
		}
		if pic.Errors[PartERP] == nil {
			pic.Slow = slow
		}
		if ctx.Err() == nil {
			w.observe(pic, w.probe.told())
			w.history.add(pic)
			w.last.Store(pic)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

func closeAll(meters map[string]*stream.Meter) {
	for _, m := range meters {
		m.Close()
	}
}

// check is one thing that has to be well.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	What string `json:"what,omitempty"`

	inner bool // what an error says: it may name servers, databases and users
}

// checks are all parts, and that what the shop commits arrives.
func (w *watch) checks() []check {
	pic, trip := w.told()
	if pic == nil {
		return []check{{Name: "looked", What: "nothing has been asked yet"}}
	}
	var all []check
	for _, part := range []string{PartShop, PartERP, PartKafka} {
		c := check{Name: part, OK: pic.Errors[part] == nil}
		if !c.OK {
			c.What, c.inner = pic.Errors[part].Error(), true
		}
		all = append(all, c)
	}
	arrives := check{Name: "arrives", OK: trip.Err == nil && trip.Waiting < tooLong && trip.Took > 0}
	switch {
	case trip.Err != nil:
		arrives.What, arrives.inner = trip.Err.Error(), true
	case trip.Waiting > 0:
		arrives.What = fmt.Sprintf("what the shop committed %.0f s ago is not in the ERP's database yet", trip.Waiting.Seconds())
	case trip.Took > 0:
		arrives.What = fmt.Sprintf("in %d ms", trip.Took.Milliseconds())
	}
	looked := check{Name: "looked", OK: time.Since(pic.At) < tooLong, What: fmt.Sprintf("%.0f s ago", time.Since(pic.At).Seconds())}
	return append(all, arrives, looked)
}

// ready answers 200 if all is well, else 503: as JSON, or with ?verbose a line a check. What an error says is for who may see the page.
func (w *Watch) ready(out http.ResponseWriter, r *http.Request, insider bool) {
	all, status := w.watch.checks(), http.StatusOK
	if w.notifier != nil {
		since, why := w.notifier.Unsent()
		told := check{Name: "notices", OK: since.IsZero()}
		if !told.OK {
			told.What, told.inner = why.Error(), true
		}
		all = append(all, told)
	}
	for i, c := range all {
		if !c.OK {
			status = http.StatusServiceUnavailable
		}
		if c.inner && !insider {
			all[i].What = "not well: the page says why to who has logged in, spola doctor to who works on this host"
		}
	}
	if _, verbose := r.URL.Query()["verbose"]; !verbose {
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(status)
		_ = json.NewEncoder(out).Encode(all) // who asked has gone
		return
	}
	out.WriteHeader(status)
	for _, c := range all {
		mark := "+"
		if !c.OK {
			mark = "-"
		}
		fmt.Fprintf(out, "[%s] %s %q\n", mark, c.Name, c.What)
	}
}

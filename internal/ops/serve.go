package ops

import (
	"context"
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
)

const (
	lookEvery  = 5 * time.Second
	lookWithin = 30 * time.Second
	slowEvery  = 12               // looks from one at what takes longer to the next
	tooLong    = 60 * time.Second // of a probe on its way, or without a look
)

// Serve answers an operator's tools at an address until ctx ends: /metrics for Prometheus, /livez, /readyz with
// ?verbose. It asks all parts itself, whether or not the pipeline runs, and writes nothing but its probe.
func Serve(ctx context.Context, listen net.Listener, of Pipeline) error {
	w := &watch{of: of}
	registry := prometheus.NewRegistry()
	registry.MustRegister(&metrics{shop: of.Shop, told: w.told})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(out http.ResponseWriter, _ *http.Request) { fmt.Fprintln(out, "ok") })
	mux.HandleFunc("GET /readyz", w.ready)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { w.run(ctx); return nil })
	group.Go(func() error { w.probe.run(ctx, of); return nil })
	group.Go(func() error {
		if err := server.Serve(listen); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve metrics: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return group.Wait()
}

// watch looks again and again, and keeps the last picture.
type watch struct {
	of    Pipeline
	probe probe
	last  atomic.Pointer[Picture]
}

func (w *watch) told() (*Picture, Trip) { return w.last.Load(), w.probe.told() }

func (w *watch) run(ctx context.Context) {
	timer := time.NewTicker(lookEvery)
	defer timer.Stop()
	var slow *Slow
	for n := 0; ; n++ {
		looking, cancel := context.WithTimeout(ctx, lookWithin)
		pic := w.of.Look(looking, n%slowEvery == 0)
		cancel()
		if pic.Slow != nil {
			slow = pic.Slow
		}
		if pic.Errors[PartERP] == nil {
			pic.Slow = slow
		}
		if ctx.Err() == nil {
			w.last.Store(pic)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// check is one thing that has to be well.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	What string `json:"what,omitempty"`
}

// checks are all parts, and that what the shop commits arrives.
func (w *watch) checks() []check {
	pic, trip := w.told()
	if pic == nil {
		return []check{{"looked", false, "nothing has been asked yet"}}
	}
	var all []check
	for _, part := range []string{PartShop, PartERP, PartKafka} {
		c := check{Name: part, OK: pic.Errors[part] == nil}
		if !c.OK {
			c.What = pic.Errors[part].Error()
		}
		all = append(all, c)
	}
	arrives := check{Name: "arrives", OK: trip.Err == nil && trip.Waiting < tooLong && trip.Took > 0}
	switch {
	case trip.Err != nil:
		arrives.What = trip.Err.Error()
	case trip.Waiting > 0:
		arrives.What = fmt.Sprintf("what the shop committed %.0f s ago is not in the ERP's database yet", trip.Waiting.Seconds())
	case trip.Took > 0:
		arrives.What = fmt.Sprintf("in %d ms", trip.Took.Milliseconds())
	}
	looked := check{Name: "looked", OK: time.Since(pic.At) < tooLong, What: fmt.Sprintf("%.0f s ago", time.Since(pic.At).Seconds())}
	return append(all, arrives, looked)
}

// ready answers 200 if all is well, else 503: as JSON, or with ?verbose a line a check.
func (w *watch) ready(out http.ResponseWriter, r *http.Request) {
	all, status := w.checks(), http.StatusOK
	for _, c := range all {
		if !c.OK {
			status = http.StatusServiceUnavailable
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

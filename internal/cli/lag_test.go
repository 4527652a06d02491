package cli_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spola-cdc/spola/internal/lab/fault"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// tolerance is how far what is told of a lag may be from what it was.
const tolerance = 50 * time.Millisecond

// witness sees for itself when the shop's records come to its log, and its probes to the ERP's database: by a Kafka client and a connection of
// its own, at once.
type witness struct {
	mu        sync.Mutex
	committed map[int64]time.Time     // by offset
	logged    map[int64]time.Duration // by a probe's commit, in ms: how long it took into the log
	applied   map[int64]time.Duration // by a probe's number: how long it took into the mirror
}

func newWitness(t *testing.T, p *pipeline) *witness {
	t.Helper()
	w := &witness{committed: map[int64]time.Time{}, logged: map[int64]time.Duration{}, applied: map[int64]time.Duration{}}
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cfg.Kafka.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.cfg.Topic(): {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), p.cfg.ERP.URL())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var both sync.WaitGroup
	t.Cleanup(func() {
		stop()
		both.Wait()
		client.Close()
		conn.Close(context.Background())
	})
	both.Go(func() {
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			now := time.Now()
			w.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) {
				w.committed[r.Offset] = r.Timestamp
				if strings.Contains(string(r.Key), `"probe"`) {
					w.logged[r.Timestamp.UnixMilli()] = now.Sub(r.Timestamp)
				}
			})
			w.mu.Unlock()
		}
	})
	both.Go(func() {
		for ctx.Err() == nil {
			var number int64
			err := conn.QueryRow(ctx, "select number from mirror_shop.spola_marker where name = 'probe'").Scan(&number)
			now := time.Now()
			if err != nil && ctx.Err() == nil && !errors.Is(err, pgx.ErrNoRows) && !strings.Contains(err.Error(), "42P01") {
				t.Error(err)
				return
			}
			w.mu.Lock()
			if _, seen := w.applied[number]; err == nil && !seen {
				w.applied[number] = now.Sub(time.UnixMilli(number))
			}
			w.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
		}
	})
	return w
}

// has tells whether one of these was seen to take as long as is told.
func (w *witness) has(of map[int64]time.Duration, told time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, took := range of {
		if (took - told).Abs() <= tolerance {
			return true
		}
	}
	return false
}

// commit is when the first record at an offset or behind it was committed.
func (w *witness) commit(offset int64) (at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := int64(math.MaxInt64)
	for o, t := range w.committed {
		if o >= offset && o < first {
			first, at = o, t
		}
	}
	return at
}

// Each stage of the way into the ERP is told with the delay that it was given, to 50 ms, as an independent witness has seen it; so is the age of
// what an applier has not applied. Another probe is waited for where this machine was too busy for one.
func TestLagIsTrue(t *testing.T) {
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	slow := func(address, url string) (*fault.Proxy, string) {
		t.Helper()
		proxy, err := fault.New(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		url, err = proxy.URL(url)
		if err != nil {
			t.Fatal(err)
		}
		return proxy, url
	}
	at := func(url string) string {
		_, rest, _ := strings.Cut(url, "@")
		host, _, _ := strings.Cut(rest, "/")
		return host
	}
	shopLink, shopURL := slow(at(p.cfg.Shop.URL()), p.cfg.Shop.URL())
	erpLink, erpURL := slow(at(p.cfg.ERP.URL()), p.cfg.ERP.URL())
	p.configure("slow.yaml", shopURL, erpURL, p.cfg.Kafka.Brokers)
	reader, taker := p.startWith("slow.yaml", "cdc", "run"), p.startWith("slow.yaml", "applier", "run")
	running := []*program{reader, taker}
	p.live(running...)
	address := freeAddress(t)
	running = append(running, p.start("metrics", "--listen", address))
	seen := newWitness(t, p)
	probe := func(stage string) time.Duration {
		v, _ := scrape(t, address, `spola_probe_seconds{shop="shop",stage="`+stage+`"}`)
		return time.Duration(v * float64(time.Second))
	}

	const given, also = 700 * time.Millisecond, 150 * time.Millisecond
	if err := errors.Join(shopLink.Delay(given, 0), erpLink.Delay(also, 0)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stage string
		of    map[int64]time.Duration
		least time.Duration
	}{{"log", seen.logged, given}, {"intake", seen.applied, given + also}} {
		var told time.Duration
		p.until(fmt.Sprintf("%s is told with its delay", c.stage), running, func() bool {
			told = probe(c.stage)
			return told >= c.least-tolerance && seen.has(c.of, told)
		})
		t.Logf("%s: told %s, given at least %s", c.stage, told.Round(time.Millisecond), c.least)
	}
	if err := errors.Join(shopLink.Mend(), erpLink.Mend()); err != nil {
		t.Fatal(err)
	}
	p.until("the delay is gone", running, func() bool {
		return probe("log") < given && probe("intake") < given && seen.has(seen.logged, probe("log"))
	})

	// What is not applied is as old as the oldest record of it.
	if err := taker.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.place("late@example.com")
	var told, is time.Duration
	p.until("the age of what waits is told", running, func() bool {
		all := scrapeAll(t, address)
		next, there := all[`kafka_consumergroup_current_offset{consumergroup="`+p.cfg.Topic()+`.intake",partition="0",topic="`+p.cfg.Topic()+`"}`]
		commit := seen.commit(int64(next))
		if !there || commit.IsZero() {
			return false
		}
		told = time.Duration(all[`spola_applier_lag_seconds{applier="intake",shop="shop"}`] * float64(time.Second))
		is = time.UnixMilli(int64(all[`spola_looked_timestamp_seconds{shop="shop"}`] * 1000)).Sub(commit)
		return told > 3*time.Second && (told-is).Abs() <= tolerance
	})
	t.Logf("the oldest record that waits is %s old, told %s", is.Round(time.Millisecond), told.Round(time.Millisecond))
	if err := taker.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.until("nothing waits", running, func() bool {
		return scrapeAll(t, address)[`spola_applier_lag_seconds{applier="intake",shop="shop"}`] == 0
	})
}

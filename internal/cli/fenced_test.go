package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// Of two processes on one log the older ends with status 4 and says by whom it was fenced; the
// newer goes on, and nothing is lost or there twice.
func TestOlderProcessIsFenced(t *testing.T) {
	t.Parallel()
	url := server.MySQL(t)
	p := newPipeline(t, url, server.Kafka(t), shop.Options{})
	oldReader, oldApplier := p.start("cdc", "run"), p.start("applier", "run")
	p.live(oldReader, oldApplier)
	came, closing := p.customers()
	came(10)

	// The file of another shop, in which its name was forgotten: it takes the log from nobody.
	mine, err := os.ReadFile(filepath.Join(p.dir, "spola.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string][2]string{"another database": {"database: " + url, "database: " + server.MySQL(t)}, "another prefix": {"prefix: oc_", "prefix: out_"}} {
		p.write("copy.yaml", []byte(strings.Replace(string(mine), change[0], change[1], 1)))
		if text := p.startWith("copy.yaml", "cdc", "run").ends(3); !strings.Contains(text, "the log is another shop's") || !strings.Contains(text, "another shop.name in spola.yaml") {
			t.Errorf("%s: cdc says: %s", what, text)
		}
	}
	came(10)
	if oldReader.ended() {
		t.Fatalf("the log was taken:\n%s", oldReader.tail())
	}
	newReader, newApplier := p.start("cdc", "run"), p.start("applier", "run")
	if text := oldReader.ends(4); !strings.Contains(text, "fenced") {
		t.Errorf("cdc says: %s", text)
	}
	if text := oldApplier.ends(4); !strings.Contains(text, "fenced") || !strings.Contains(text, "process") {
		t.Errorf("the applier says: %s", text)
	}
	came(10)
	closing()
	p.settled(newReader, newApplier)
	p.proved()
	newReader.stop()
	newApplier.stop()
}

// The same of every part of the way back, while customers buy and a clerk works: each older one ends with status 4, each order is taken over once, and
// each row of stock comes to show what there is.
func TestOlderProcessOfEachPartIsFenced(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	p.reconcilesOften()
	running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)
	running = append(running, p.keepsStock()...)
	running = append(running, p.start("applier", "run", "orders"))
	p.stockAtRest("every row has an account", running)

	desk, err := pgx.Connect(t.Context(), p.cfg.ERP.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close(context.Background())
	erp, err := clerk.New(desk, clerk.Options{Seed: 5, Deeds: map[string]int{"receive": 4, "sell": 4, "ship": 4, "cancel": 1}})
	if err != nil {
		t.Fatal(err)
	}
	came, closing := p.customers()
	works := func() {
		t.Helper()
		came(5)
		for range 5 {
			if _, err := erp.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	works()
	for i, older := range running {
		running[i] = p.start(strings.Fields(older.name)...)
		works()
		if text := older.ends(4); !strings.Contains(text, "fenced") {
			t.Errorf("%s says: %s", older.name, text)
		}
	}
	works()
	closing()
	p.settled(running...)
	p.stockAtRest("in the end each row shows what there is", running)
	p.shows()
	p.proved()
	p.want("told twice", "0", "select count(*) - count(distinct (order_id, comment)) from mirror_shop.oc_order_history where notify = 1 and comment ~ '[0-9]{10}'")
}

// A stream that a person must look at ends with status 3 and says what to do, however often it
// is started.
func TestStoppedStreamSaysWhatToDo(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	reader := p.start("cdc", "run")
	p.until("the log", []*program{reader}, func() bool { return strings.Contains(p.run(0, "cdc", "position"), `"run": 1`) })
	p.shopExec("TRUNCATE TABLE oc_order_total")
	for _, text := range []string{reader.ends(3), p.run(3, "cdc", "run")} {
		if !strings.Contains(text, "oc_order_total") || !strings.Contains(text, "--new-incarnation") {
			t.Errorf("cdc says: %s", text)
		}
	}
}

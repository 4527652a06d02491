package spola_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/demo"
	"github.com/spola-cdc/spola/internal/cli/spola"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/survey"
)

// Whatever does not let init in, it says once what to look at, by its own flags: there is no spola.yaml yet.
func TestInitSaysWhatToLookAt(t *testing.T) {
	shopURL, erpURL := server.MySQL(t), server.Postgres(t)
	_, shopAt, _ := strings.Cut(shopURL, "@")
	for _, c := range []struct{ shop, word string }{
		{"mysql://nobody_knows@" + shopAt, "SPOLA_SHOP_PASSWORD"},
		{"mysql://root@127.0.0.1:1/shop", "SPOLA_SHOP_PASSWORD"},
		{"mysql://root@" + shopAt + "?tls=true", "certificate"},
	} {
		err := spola.Init{Shop: c.shop, ERP: erpURL, Dir: t.TempDir(), Name: "shop1"}.Run(&cli.Env{Ctx: t.Context(), Out: &bytes.Buffer{}})
		if err == nil {
			t.Fatalf("%s was let in", c.shop)
		}
		said := cli.Sentence(err)
		if !strings.Contains(said, "--shop") || !strings.Contains(said, c.word) || strings.Contains(said, "spola.yaml") || strings.Count(said, "see that") > 1 {
			t.Errorf("%s: %s", c.shop, said)
		}
	}
}

// A merchant's way, from two addresses to an order in the ERP, with nothing but what the programs
// themselves say is to be done.
func TestFromTwoAddressesToOrders(t *testing.T) {
	m := startNew(t)
	verb := spola.Init{Shop: m.shopURL, ERP: m.erpURL, Dir: m.dir, Name: "shop1"}
	out := m.does(verb.Run, cli.ExitDone)
	for _, word := range []string{"Found OpenCart 4.1", "11 products and 1 orders", `{state: "12", class: "?"}`, "spola doctor --config " + m.path("spola.yaml")} {
		if !strings.Contains(out, word) {
			t.Errorf("init does not say %q:\n%s", word, out)
		}
	}
	for _, bad := range []struct {
		init spola.Init
		exit int
	}{
		{spola.Init{Shop: m.shopURL, ERP: m.erpURL, Dir: m.path("bad"), Name: "Shop 1"}, cli.ExitUsage},
		{spola.Init{Shop: m.shopURL, ERP: m.erpURL, Dir: m.path("bad"), Brokers: []string{"kafka one"}}, cli.ExitUsage},
		{spola.Init{Shop: m.shopURL, ERP: "postgres://postgres@127.0.0.1:1/erp", Dir: m.path("bad")}, cli.ExitError},
		{spola.Init{Shop: "mysql://root@127.0.0.1:1/shop", ERP: m.erpURL, Dir: m.path("bad")}, cli.ExitError},
		{spola.Init{Shop: m.erpURL, ERP: m.erpURL, Dir: m.path("bad")}, cli.ExitUsage},
	} {
		m.does(bad.init.Run, bad.exit)
	}
	if _, err := os.Stat(m.path("bad")); !errors.Is(err, os.ErrNotExist) {
		t.Error("an init that failed has left something behind")
	}
	m.does(verb.Run, cli.ExitError) // never over what is there
	if _, err := os.Stat(m.path("spola.yaml")); err != nil {
		t.Fatal(err)
	}

	m.replace("spola.yaml", "listen: 127.0.0.1:9392", "listen: 127.0.0.1:0")
	m.does(spola.Doctor{}.Run, cli.ExitConfiguration)
	m.does(spola.Run{}.Run, cli.ExitConfiguration)
	m.replace("shop.yaml", `{state: "12", class: "?"}`, `{state: "12", class: taken}`)
	m.replace("shop.yaml", `{state: "15", class: "?"}`, `{state: "15", class: cancelled}`)
	m.does(spola.Doctor{}.Run, cli.ExitDone)

	m.does(applier.Migrate{}.Run, cli.ExitDone)
	if out := m.does(spola.Doctor{}.Run, cli.ExitDifference); !strings.Contains(out, "SP-0001 (product 1)") {
		t.Errorf("that the ERP has no articles is not said:\n%s", out)
	}
	m.furnish()
	var report survey.Report
	if err := json.Unmarshal([]byte(m.does(spola.Doctor{JSON: true}.Run, cli.ExitDifference)), &report); err != nil {
		t.Fatal(err)
	}
	// What is left: the product that no ERP knows, and the sizes, which are mapped when the shop is known.
	if n := report.Count(nil, survey.Blocking, survey.Parking); n != 2 {
		t.Errorf("%d findings: %+v", n, report.Findings)
	}

	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- spola.Run{}.Run(m.env(running)) }()
	defer func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("spola run: %v", err)
		}
	}()
	golive := applier.Golive{From: time.Now().Add(-time.Hour).Format(time.RFC3339)}
	m.until("going live", func() error { return golive.Run(m.env(t.Context())) })
	id, err := m.shop.PlaceOrder(t.Context(), shop.Order{Lines: []shop.Line{{Product: 2, Quantity: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	m.until("the order in the ERP", func() error {
		if n := m.asks(fmt.Sprintf("select count(*)::text from erp.orders where shop = 'shop1' and shop_number = '%d'", id)); n != "1" {
			return fmt.Errorf("it is there %s times", n)
		}
		return nil
	})
	m.until("the order of before", func() error {
		if n := m.asks("select count(*)::text from erp.orders"); n != "2" {
			return fmt.Errorf("%s orders are in the ERP", n)
		}
		return nil
	})
	m.does(spola.Doctor{}.Run, cli.ExitDifference) // running, it is as sound as before
}

// A configuration that can't be loaded is told as findings, too, for programs that read them.
func TestDoctorTellsMistakesOfTheConfiguration(t *testing.T) {
	m := &newcomer{t: t, dir: t.TempDir()}
	text := "shop:\n  name: Shop 1\n  platform: opencart\n  prefix: oc_\n  database: mysql://spola:secret@h/d\nerp:\n  database: postgres://spola@h/d\n"
	if err := os.WriteFile(m.path("spola.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out := m.does(spola.Doctor{JSON: true}.Run, cli.ExitConfiguration)
	var report survey.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 2 || report.Findings[0].Line != 2 || report.Findings[1].Line != 5 || strings.Contains(out, "secret") {
		t.Errorf("found %s", out)
	}
}

// newcomer runs the verbs as main does.
type newcomer struct {
	t               *testing.T
	shopURL, erpURL string
	dir             string
	shop            *shop.Shop
}

func startNew(t *testing.T) *newcomer {
	t.Helper()
	m := &newcomer{t: t, shopURL: server.MySQL(t), erpURL: server.Postgres(t), dir: filepath.Join(t.TempDir(), "new")}
	var err error
	if m.shop, err = shop.Open(t.Context(), m.shopURL, shop.Options{Products: 10}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.shop.Close() })
	if err := m.shop.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.shop.PlaceOrder(t.Context(), shop.Order{Lines: []shop.Line{{Product: 1, Quantity: 1}}, Fee: true}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *newcomer) path(name string) string { return filepath.Join(m.dir, name) }

func (m *newcomer) env(ctx context.Context) *cli.Env {
	return &cli.Env{Ctx: ctx, Out: &bytes.Buffer{}, Log: zerolog.New(zerolog.NewTestWriter(m.t)).Level(zerolog.WarnLevel), Config: m.path("spola.yaml")}
}

// does runs a verb, which must end with this status, and returns what it says.
func (m *newcomer) does(run func(*cli.Env) error, status int) string {
	m.t.Helper()
	env := m.env(m.t.Context())
	err := run(env)
	out := env.Out.(*bytes.Buffer).String()
	if got := cli.ExitStatus(err); got != status {
		m.t.Fatalf("ended with %d, want %d: %v\n%s", got, status, err, out)
	}
	return out
}

func (m *newcomer) replace(name, old, text string) {
	m.t.Helper()
	content, err := os.ReadFile(m.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		m.t.Fatalf("%s has no %q:\n%s", name, old, content)
	}
	if err := os.WriteFile(m.path(name), []byte(strings.ReplaceAll(string(content), old, text)), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// furnish gives the ERP the shop's articles.
func (m *newcomer) furnish() {
	m.t.Helper()
	conn, err := pgx.Connect(m.t.Context(), m.erpURL)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := demo.Furnish(m.t.Context(), conn, m.shop.Articles()); err != nil {
		m.t.Fatal(err)
	}
}

func (m *newcomer) asks(query string) (answer string) {
	m.t.Helper()
	conn, err := pgx.Connect(m.t.Context(), m.erpURL)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(m.t.Context(), query).Scan(&answer); err != nil {
		m.t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// until waits for something that happens by itself.
func (m *newcomer) until(what string, happen func() error) {
	m.t.Helper()
	for deadline := time.Now().Add(server.Patience); ; time.Sleep(100 * time.Millisecond) {
		err := happen()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s did not happen: %v", what, err)
		}
	}
}

package cli_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Whatever is wrong at the command line gets one sentence that names the thing and what mends it, and the
// exit status of the table.
func TestBadInputGetsOneSentence(t *testing.T) {
	for _, name := range []string{"SPOLA_SHOP_PASSWORD", "SPOLA_ERP_PASSWORD", "SPOLA_ERP_LOG_PASSWORD", "SPOLA_KAFKA_PASSWORD"} {
		t.Setenv(name, "")
	}
	dir := t.TempDir()
	shop, erp := server.MySQL(t), server.Postgres(t)
	as := func(url, user string) string { // another user of the same server
		_, rest, _ := strings.Cut(url, "@")
		scheme, _, _ := strings.Cut(url, "://")
		return scheme + "://" + user + "@" + rest
	}
	database := func(url, name string) string { return url[:strings.LastIndex(url, "/")+1] + name }
	file := func(name, shop, erp, broker string) string {
		path := filepath.Join(dir, name+".yaml")
		text := fmt.Sprintf("shop:\n  name: shop\n  platform: opencart\n  prefix: oc_\n  database: %s\nerp:\n  database: %s\n  log:\n    user: nobody_knows\nkafka:\n  brokers: ['%s']\n", shop, erp, broker)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const nowhere = "127.0.0.1:1"
	fine := file("fine", shop, erp, nowhere)
	misspelt := filepath.Join(dir, "misspelt.yaml")
	if err := os.WriteFile(misspelt, []byte("shop:\n  name: shop\n  prefx: oc_\n  platform: [opencart]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mailing := file("mailing", shop, erp, nowhere)
	text, err := os.ReadFile(mailing)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "smtp: {server: '127.0.0.1:1', tls: none, from: Spola <spola@example.com>}\nnotices: {to: anna@example.com}\n"...)
	if err := os.WriteFile(mailing, text, 0o600); err != nil {
		t.Fatal(err)
	}
	half := server.Postgres(t)
	halfMigrate(t, half)
	for _, c := range []struct {
		name   string
		line   []string
		status int
		says   []string
	}{
		{"flag", []string{"cdc", "run", "--new-genertion"}, cli.ExitUsage, []string{"--new-genertion", `did you mean "--new-generation"`}},
		{"verb", []string{"applier", "parkd"}, cli.ExitUsage, []string{"parkd", `"parked"`}},
		{"value", []string{"cdc", "run", "shopp"}, cli.ExitUsage, []string{"shopp", `"shop","erp"`}},
		{"no file", []string{"cdc", "preflight", "-c", filepath.Join(dir, "none.yaml")}, cli.ExitConfiguration, []string{"none.yaml", "--config"}},
		{"directory", []string{"cdc", "preflight", "-c", dir}, cli.ExitConfiguration, []string{dir, "is a directory"}},
		{"key", []string{"cdc", "preflight", "-c", misspelt}, cli.ExitConfiguration, []string{"misspelt.yaml:3", "did you mean shop.prefix?"}},
		{"shop's address", []string{"cdc", "preflight", "-c", file("a", "mysql://x@"+nowhere+"/shop", erp, nowhere)}, cli.ExitError, []string{nowhere, "refused", "shop.database"}},
		{"shop's password", []string{"cdc", "preflight", "-c", file("b", as(shop, "nobody_knows"), erp, nowhere)}, cli.ExitError, []string{"nobody_knows", "SPOLA_SHOP_PASSWORD"}},
		{"shop's database", []string{"cdc", "preflight", "-c", file("c", database(shop, "not_there"), erp, nowhere)}, cli.ExitError, []string{"not_there", "shop.database"}},
		{"ERP's address", []string{"applier", "status", "-c", file("d", shop, "postgres://x@"+nowhere+"/erp", nowhere)}, cli.ExitError, []string{nowhere, "refused", "erp.database"}},
		{"ERP's password", []string{"applier", "status", "-c", file("e", shop, as(erp, "nobody_knows"), nowhere)}, cli.ExitStopped, []string{"nobody_knows", "correct user and password"}},
		{"ERP's database", []string{"applier", "status", "-c", file("f", shop, database(erp, "not_there"), nowhere)}, cli.ExitStopped, []string{"not_there", "correct its name"}},
		{"user of the ERP's log", []string{"cdc", "preflight", "erp", "-c", fine}, cli.ExitError, []string{"nobody_knows", "erp.log"}},
		{"Kafka's address", []string{"cdc", "position", "-c", fine}, cli.ExitError, []string{nowhere, "kafka.brokers"}},
		{"mail server's address", []string{"applier", "mail", "check", "-c", mailing}, cli.ExitError, []string{nowhere, "refused", "smtp.server"}},
		{"mail server of notices", []string{"notices", "--test", "-c", mailing}, cli.ExitError, []string{nowhere, "refused", "smtp.server"}},
		{"empty database", []string{"applier", "status", "-c", fine}, cli.ExitError, []string{"none of Spola's tables", "applier migrate"}},
		{"half-migrated database", []string{"applier", "status", "-c", file("g", shop, half, nowhere)}, cli.ExitError, []string{"schema spola", "applier migrate"}},
		{"port in use", []string{"broker", "--dir", filepath.Join(dir, "broker"), "--listen", taken.Addr().String()}, cli.ExitError, []string{taken.Addr().String(), "in use", "another port"}},
		{"file in place of a directory", []string{"broker", "--dir", filepath.Join(misspelt, "broker")}, cli.ExitError, []string{"misspelt.yaml", "not a directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			cmd := exec.CommandContext(t.Context(), self, c.line...)
			cmd.Stderr = &said
			_ = cmd.Run() // the status is looked at
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("ended with %d, want %d", got, c.status)
			}
			var sentence []string
			for line := range strings.Lines(said.String()) {
				if !strings.HasPrefix(line, "{") { // the log
					sentence = append(sentence, line)
				}
			}
			if len(sentence) != 1 || strings.Contains(said.String(), "goroutine") {
				t.Errorf("%d lines:\n%s", len(sentence), said.String())
			}
			for _, word := range c.says {
				if !strings.Contains(strings.Join(sentence, ""), word) {
					t.Errorf("%q is not in: %s", word, said.String())
				}
			}
		})
	}
}

// halfMigrate leaves a database as a migration leaves it that was ended halfway.
func halfMigrate(t *testing.T, url string) {
	t.Helper()
	entries, err := schemas.Spola.ReadDir("spola")
	if err != nil {
		t.Fatal(err)
	}
	half := fstest.MapFS{}
	for _, e := range entries[:len(entries)/2] {
		text, err := schemas.Spola.ReadFile("spola/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		half[e.Name()] = &fstest.MapFile{Data: text}
	}
	if err := postgres.Migrate(t.Context(), url, postgres.Migrations{Name: "spola", Files: half}); err != nil {
		t.Fatal(err)
	}
}

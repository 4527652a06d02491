package applier

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// The steps of a new user with the rights of deploy/grants: each that comes too early says which
// comes first.
func TestFirstSteps(t *testing.T) {
	t.Setenv("SPOLA_ERP_PASSWORD", "")
	s := server.PrivatePostgres(t, nil)
	grants, err := os.ReadFile("../../../deploy/grants/erp.postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]string{{"postgres", "create database erp"}, {"erp", string(grants)}} {
		conn, err := postgres.Connect(t.Context(), "postgres://postgres@"+s.Addr()+"/"+step[0], "test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.PgConn().Exec(t.Context(), step[1]).ReadAll(); err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
	}
	dir := t.TempDir()
	text := "shop: {name: shop, platform: opencart, prefix: oc_, database: \"mysql://x@127.0.0.1:1/shop\", password_file: shop.txt}\n" +
		"erp: {database: \"postgres://spola_applier@" + s.Addr() + "/erp\", password_file: erp.txt}\n"
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("spola.yaml", text)
	out := &bytes.Buffer{}
	env := &cli.Env{Ctx: t.Context(), Out: out, Log: zerolog.Nop(), Config: filepath.Join(dir, "spola.yaml")}
	for _, step := range []struct {
		name string
		run  func(*cli.Env) error
		want string // in the error; empty: none
		exit int
	}{
		{"status without a password", Status{}.Run, "write the password there", cli.ExitConfiguration},
		{"", func(*cli.Env) error { write("erp.txt", "change-me-applier\n"); return nil }, "", 0},
		{"status before migrating", Status{}.Run, "run `applier migrate`", cli.ExitError},
		{"migrate as the applier", Migrate{}.Run, "run `applier migrate --user spola_migrator`", cli.ExitStopped},
		{"", func(*cli.Env) error { return os.Setenv("SPOLA_ERP_PASSWORD", "change-me-migrator") }, "", 0},
		{"migrate, only to see", Migrate{DryRun: true, User: "spola_migrator"}.Run, "", 0},
		{"nothing was migrated by that", Status{}.Run, "run `applier migrate`", cli.ExitError},
		{"migrate as the migrator", Migrate{User: "spola_migrator"}.Run, "", 0},
		{"", func(*cli.Env) error { return os.Unsetenv("SPOLA_ERP_PASSWORD") }, "", 0},
		{"migrate again as the applier", Migrate{}.Run, "", 0},
		{"status before the first run", Status{}.Run, "no applier has run for it", cli.ExitError},
		{"golive before the first run", Golive{From: "2026-11-01"}.Run, "no applier has run", cli.ExitError},
	} {
		err := step.run(env)
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) || cli.ExitStatus(err) != step.exit {
			t.Errorf("%s: status %d, %v; want status %d, %q", step.name, cli.ExitStatus(err), err, step.exit, step.want)
		}
	}
	if !strings.Contains(out.String(), "schema spola  is at version 0, this program's is ") {
		t.Errorf("they said:\n%s", out)
	}
}

package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/cli/spola"
	"github.com/spola-cdc/spola/internal/config"
)

// A file of a password that is not there is said, and by its name: without it the server would say
// something about a login.
func TestVerbsAskForTheirPasswords(t *testing.T) {
	for _, name := range []string{"SPOLA_SHOP_PASSWORD", "SPOLA_ERP_PASSWORD", "SPOLA_KAFKA_PASSWORD"} {
		t.Setenv(name, "")
	}
	path := filepath.Join(t.TempDir(), "spola.yaml")
	text := `shop: {name: shop, platform: opencart, prefix: oc_, database: "mysql://spola_cdc@127.0.0.1:1/shop", password_file: no-shop}
erp: {database: "postgres://spola_applier@127.0.0.1:1/erp", password_file: no-erp}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end() // a verb that does not ask ends at its first step
	env := &cli.Env{Ctx: ended, Out: &bytes.Buffer{}, Log: zerolog.Nop(), Config: path}
	for name, verb := range map[string]struct {
		run  func(*cli.Env) error
		want string
	}{
		"cdc run":         {cdc.Run{}.Run, "no-shop"},
		"cdc preflight":   {cdc.Preflight{}.Run, "no-shop"},
		"applier run":     {applier.Run{}.Run, "no-erp"},
		"applier migrate": {applier.Migrate{User: "spola_migrator"}.Run, "no-erp"},
		"applier status":  {applier.Status{}.Run, "no-erp"},
		"applier golive":  {applier.Golive{From: "2026-01-01"}.Run, "no-erp"},
		"spola run":       {spola.Run{}.Run, "no-shop"},
	} {
		err := verb.run(env)
		if _, ok := errors.AsType[*config.Error](err); !ok || !strings.Contains(err.Error(), verb.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

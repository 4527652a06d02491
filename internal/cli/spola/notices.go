package spola

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/notice"
	"github.com/spola-cdc/spola/internal/ops"
	"github.com/spola-cdc/spola/internal/printable"
)

// Notices is `spola notices`.
type Notices struct {
	Test bool `help:"Mail what there is now, so that you see that it arrives."`
	JSON bool `help:"Print JSON." name:"json"`
}

// noticed is what `spola notices` tells.
type noticed struct {
	To     string         `json:"to"`     // who is told; empty: nobody
	Digest string         `json:"digest"` // when the daily one is sent, or off
	Sent   bool           `json:"sent"`   // a test
	Open   []notice.Cause `json:"open"`   // what a person must look at
}

// Run shows what a person would be told now, and mails it for a test.
func (n Notices) Run(env *cli.Env) error {
	cfg, err := loadWatched(env)
	if err != nil {
		return err
	}
	if n.Test && !cfg.Notices.Tells() {
		return &config.Error{File: env.Config, Key: "notices.to", What: "it is not set: nobody is told", Mend: "write an address, like anna@example.com"}
	}
	of, err := pipelineOf(env, cfg)
	if err != nil {
		return err
	}
	now := noticed{To: cfg.Notices.To, Digest: cfg.Notices.Digest, Open: append([]notice.Cause{}, ops.OpenNow(env.Ctx, of, cfg.Notices.Dir)...)}
	if n.Test {
		notices, err := noticesOf(env, cfg)
		if err != nil {
			return err
		}
		if err := notices.Tell(env.Ctx, fmt.Sprintf("[spola %s] a test", cfg.Shop.Name), notice.Test(now.Open)); err != nil {
			return err
		}
		now.Sent = true
	}
	if n.JSON {
		return json.NewEncoder(env.Out).Encode(now)
	}
	now.print(env)
	return nil
}

func (n noticed) print(env *cli.Env) {
	if n.To == "" {
		printable.Printf(env.Out, "Nobody is told: notices.to in %s names an address.\n", env.Config)
	} else {
		printable.Printf(env.Out, "%s is told, by spola run or spola metrics; the daily digest: %s.\n", n.To, n.Digest)
	}
	if n.Sent {
		printable.Printf(env.Out, "A test is on its way there.\n")
	}
	if len(n.Open) == 0 {
		printable.Printf(env.Out, "Nothing waits for a person.\n")
	}
	for _, c := range n.Open {
		printable.Printf(env.Out, "\n%s\n  since %s\n", c.Title, c.Since.Local().Format(time.DateTime))
		for _, what := range c.What {
			printable.Printf(env.Out, "  %s\n", what)
		}
		if c.Why != "" {
			printable.Printf(env.Out, "  %s\n", c.Why)
		}
		printable.Printf(env.Out, "  To mend: %s\n", c.Mend)
	}
}

// loadWatched reads the configuration of who looks at the pipeline; the mail server's password is needed where somebody is told.
func loadWatched(env *cli.Env) (config.Config, error) {
	needs := []config.Need{config.NeedShop, config.NeedERP, config.NeedKafka, config.NeedPage}
	cfg, err := config.Load(env.Config, needs...)
	if err == nil && cfg.Notices.Tells() {
		cfg, err = config.Load(env.Config, append(needs, config.NeedSMTP)...)
	}
	return cfg, err
}

// noticesOf is who is told and how; nil: nobody.
func noticesOf(env *cli.Env, cfg config.Config) (*ops.Notices, error) {
	if !cfg.Notices.Tells() {
		return nil, nil //nolint:nilnil // nobody is told
	}
	server, _, err := applier.Mailer(cfg, env.Config)
	if err != nil {
		return nil, err
	}
	if err := writable(cfg.Notices.Dir); err != nil {
		return nil, &config.Error{File: env.Config, Key: "notices.dir", What: strings.TrimSpace(err.Error()), Mend: "name a directory that this program may write"}
	}
	return &ops.Notices{To: cfg.Notices.To, Dir: cfg.Notices.Dir, Hour: cfg.Notices.Hour(), Server: server, Log: env.Log.With().Str("component", "notices").Logger()}, nil
}

func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	probe := filepath.Join(dir, ".probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return err
	}
	return os.Remove(probe)
}

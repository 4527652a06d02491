// Package cdc holds the verbs of the program cdc: it reads a shop's binlog, or the ERP's
// write-ahead log, into its log on Kafka, and shows and changes how it does so.
package cdc

import (
	"encoding/json"
	"io"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/source/postgres"
)

// Verbs are the verbs of cdc.
type Verbs struct {
	Run       Run       `cmd:"" help:"Read the shop, or the ERP, until a signal ends it."`
	Preflight Preflight `cmd:"" help:"Look whether the shop's or the ERP's server can be read; each finding comes with what mends it."`
	Snapshot  Snapshot  `cmd:"" help:"Ask the running cdc to read tables again, or a range of their keys."`
	Position  Position  `cmd:"" help:"Show where in the shop's or the ERP's own log the log ends."`
}

// Of names the source that a verb is about.
type Of struct {
	Source string `arg:"" optional:"" enum:"shop,erp" default:"shop" help:"What is read: shop (the default) or erp."`
}

// Run is `cdc run`.
type Run struct {
	Of             `embed:""`
	NewGeneration  bool     `help:"Begin a new generation of the log: its topic was emptied, lost or re-created."`
	MovedFrom      []string `help:"The log was moved here from these brokers: begin a new generation that goes on where the old log ends." placeholder:"HOST:PORT"`
	NewIncarnation bool     `help:"The database was restored or replaced, or the ERP's replication slot was lost: begin a new incarnation with a full snapshot."`
}

// Run reads until a signal ends it.
func (r Run) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, needOf(r.Source), config.NeedKafka)
	if err != nil {
		return err
	}
	stream := "cdc"
	if r.Source == ERP {
		stream = "cdc erp"
	}
	return cli.Watched(cfg, stream, env.Log, func() error {
		return Read(env.Ctx, cfg, ReadOptions{Log: env.Log, Source: r.Source, File: env.Config,
			NewGeneration: r.NewGeneration, MovedFrom: r.MovedFrom, NewIncarnation: r.NewIncarnation})
	})
}

// needOf is the password that reading the source needs.
func needOf(source string) config.Need {
	if source == ERP {
		return config.NeedERPLog
	}
	return config.NeedShop
}

// load reads the configuration and names the source.
func load(env *cli.Env, name string) (config.Config, source, error) {
	cfg, err := config.Load(env.Config, needOf(name), config.NeedKafka)
	if err != nil {
		return config.Config{}, nil, err
	}
	from, err := sourceOf(cfg, ReadOptions{Log: env.Log, Source: name, File: env.Config})
	return cfg, from, err
}

// Preflight is `cdc preflight`.
type Preflight struct {
	Of   `embed:""`
	Make string `help:"Of the ERP: make publication, replica identities and grants as this user, who owns the tables; the password comes from SPOLA_ERP_PASSWORD." placeholder:"USER"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// looked is what `cdc preflight` found.
type looked struct {
	Source   string    `json:"source"` // shop or erp
	Findings []finding `json:"findings"`
}

// Run looks, prints what it found, and ends with a difference if something keeps cdc from
// starting.
func (p Preflight) Run(env *cli.Env) error {
	cfg, from, err := load(env, p.Source)
	if err != nil {
		return err
	}
	if p.Make != "" {
		if err := p.make(env, cfg); err != nil {
			return err
		}
	}
	findings, err := from.preflight(env.Ctx)
	if err != nil {
		return err
	}
	if err := p.print(env.Out, looked{p.Source, append([]finding{}, findings...)}, from); err != nil {
		return err
	}
	blocking := 0
	for _, f := range findings {
		if f.Blocking {
			blocking++
		}
	}
	if blocking > 0 {
		return cli.Differ("%d findings keep cdc from starting", blocking)
	}
	return nil
}

func (p Preflight) print(w io.Writer, l looked, from source) error {
	if p.JSON {
		return json.NewEncoder(w).Encode(l)
	}
	for _, f := range l.Findings {
		printable.Printf(w, "%s: %s\n    %s\n", f.Severity, f.What, printable.Block(f.Mend))
	}
	if len(l.Findings) == 0 {
		printable.Printf(w, "The %s's server is set up for reading.\n", from)
	}
	return nil
}

// make runs what findings about the ERP say.
func (p Preflight) make(env *cli.Env, cfg config.Config) error {
	if p.Source != ERP {
		return cli.Usage("--make is for the ERP: cdc preflight erp --make %s", p.Make)
	}
	erp, err := ERPSource(cfg, env.Config, env.Log)
	if err != nil {
		return err
	}
	_, err = postgres.Make(env.Ctx, erp, cfg.ERP.As(p.Make).URL())
	return err
}

// Package cdc holds the verbs of the program cdc: it reads a shop's binlog into its log on
// Kafka, and shows and changes how it does so.
package cdc

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/schemas"
)

// Verbs are the verbs of cdc.
type Verbs struct {
	Run       Run       `cmd:"" help:"Read the shop until a signal ends it."`
	Preflight Preflight `cmd:"" help:"Look whether the shop's server can be read; each finding comes with what mends it."`
	Snapshot  Snapshot  `cmd:"" help:"Ask the running cdc to read tables again, or a range of their keys."`
	Position  Position  `cmd:"" help:"Show where in the shop's binary log the log ends."`
}

// Run is `cdc run`.
type Run struct {
	NewGeneration  bool     `help:"Begin a new generation of the log: its topic was emptied, lost or re-created."`
	MovedFrom      []string `help:"The log was moved here from these brokers: begin a new generation that goes on where the old log ends." placeholder:"HOST:PORT"`
	NewIncarnation bool     `help:"The shop's database was restored or replaced: begin a new incarnation with a full snapshot."`
}

// Run reads the shop until a signal ends it.
func (r Run) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedShop, config.NeedKafka)
	if err != nil {
		return err
	}
	return Read(env.Ctx, cfg, ReadOptions{Log: env.Log,
		NewGeneration: r.NewGeneration, MovedFrom: r.MovedFrom, NewIncarnation: r.NewIncarnation})
}

// Source is the shop as the reader wants it named: where it is, and which tables and columns of
// it may leave.
func Source(cfg config.Config, log zerolog.Logger) (mysql.Config, error) {
	profile, _, err := schemas.Platform(cfg.Shop.Platform)
	if err != nil {
		return mysql.Config{}, err
	}
	source := mysql.Config{Source: cfg.Shop.Name, URL: cfg.Shop.URL(), ServerID: cfg.Shop.ServerID, Owner: cli.Owner(), Log: log}
	if cfg.Shop.OrdersSince != "" {
		source.Since = &mysql.Since{Table: cfg.Shop.Prefix + profile.Placed.Table, Column: profile.Placed.Name, Day: cfg.Shop.OrdersSince}
	}
	for _, t := range profile.Tables {
		capture := mysql.Capture{Name: cfg.Shop.Prefix + t.Name, Columns: t.Columns, Key: t.Key, Order: t.Order}
		if t.Only != nil {
			capture.Only = &mysql.Only{Column: t.Only.Column, Values: t.Only.Values}
		}
		source.Tables = append(source.Tables, capture)
	}
	return source, nil
}

// load reads the configuration and names the shop.
func load(env *cli.Env) (config.Config, mysql.Config, error) {
	cfg, err := config.Load(env.Config, config.NeedShop, config.NeedKafka)
	if err != nil {
		return config.Config{}, mysql.Config{}, err
	}
	source, err := Source(cfg, env.Log)
	return cfg, source, err
}

// Preflight is `cdc preflight`.
type Preflight struct{}

// Run looks, prints what it found, and ends with a difference if something keeps cdc from
// starting.
func (Preflight) Run(env *cli.Env) error {
	_, source, err := load(env)
	if err != nil {
		return err
	}
	findings, err := mysql.Preflight(env.Ctx, source)
	if err != nil {
		return err
	}
	blocking := 0
	for _, f := range findings {
		if f.Severity == mysql.Blocking {
			blocking++
		}
		fmt.Fprintf(env.Out, "%s: %s\n    %s\n", f.Severity, f.What, f.Mend)
	}
	if blocking > 0 {
		return cli.Differ("%d findings keep cdc from starting", blocking)
	}
	if len(findings) == 0 {
		fmt.Fprintln(env.Out, "The shop's server is set up for reading.")
	}
	return nil
}

package cdc

import (
	"context"
	"encoding/json"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/schemas"
)

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

// shop is a shop as a source.
type shop struct {
	cfg    config.Config
	log    zerolog.Logger
	config mysql.Config
}

func newShop(cfg config.Config, o ReadOptions) (*shop, error) {
	s := &shop{cfg: cfg, log: o.logger(cfg.Topic())}
	var err error
	s.config, err = Source(cfg, s.log)
	s.config.NewIncarnation = o.NewIncarnation
	return s, err
}

func (s *shop) String() string       { return "shop" }
func (s *shop) kafka() stream.Config { return s.cfg.Stream(s.log) }

func (s *shop) read(ctx context.Context, end *tail, writer *stream.Writer) error {
	return mysql.Run(ctx, s.config, (*mysql.Tail)(end), writer)
}

func (s *shop) wasRead(ctx context.Context) (bool, error) { return mysql.WasRead(ctx, s.config) }

func (s *shop) preflight(ctx context.Context) ([]finding, error) {
	found, err := mysql.Preflight(ctx, s.config)
	var out []finding
	for _, f := range found {
		out = append(out, finding{f.Severity == mysql.Blocking, string(f.Severity), f.What, f.Mend})
	}
	return out, err
}

func (s *shop) state(ctx context.Context, end *tail) (any, error) {
	state, err := mysql.ReadState(ctx, (*mysql.Tail)(end))
	if state == nil {
		return nil, err
	}
	return state, err
}

func (s *shop) owns(ctx context.Context, end *tail) error {
	state, err := mysql.ReadState(ctx, (*mysql.Tail)(end))
	if err != nil {
		return nil //nolint:nilerr // what the tail of a log lacks is said by who goes on from it
	}
	return s.config.Owns(state)
}

func (s *shop) ask(ctx context.Context, tables []string, from, to []json.RawMessage) error {
	if len(tables) == 0 {
		for _, t := range s.config.Tables {
			tables = append(tables, t.Name)
		}
	}
	request := mysql.SnapshotRequest{}
	for _, name := range tables {
		request.Ranges = append(request.Ranges, mysql.KeyRange{Table: name, From: from, To: to})
	}
	return mysql.RequestSnapshot(ctx, s.config, request)
}

package cdc

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/schemas"
)

// own are the tables of Spola's own that the ERP's log carries, where they are there.
var own = []postgres.Capture{
	{Name: "spola.ledger", AppendOnly: true, Optional: true},
}

var columnName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// ERPSource is the ERP as the reader wants it named: where it is, and which tables of it are
// read: those that the contract publishes, and Spola's own. file is the configuration's.
func ERPSource(cfg config.Config, file string, log zerolog.Logger) (postgres.Config, error) {
	if cfg.ERP.Log.Elsewhere {
		return postgres.Config{}, &config.Error{File: file, Key: "erp.log.elsewhere", What: "another shop's configuration reads the ERP's log: a second reader would fence it",
			Mend: "use that shop's configuration; or name erp.log.user here, and take it out there"}
	}
	if !cfg.ERP.Log.Read() {
		return postgres.Config{}, &config.Error{File: file, Key: "erp.log.user", What: "it is not set: the ERP's log is not read",
			Mend: "write the user that deploy/grants/erp-reader.postgres.sql makes: spola_cdc"}
	}
	contract, err := schemas.LoadContract()
	if err != nil {
		return postgres.Config{}, err
	}
	source := postgres.Config{
		Source: config.ERPSource, URL: cfg.ERP.LogURL(), Publication: cfg.ERP.Log.Publication, Slot: cfg.ERP.Log.Slot,
		Owner: cli.Owner(), Log: log,
	}
	for _, t := range contract.Publish {
		capture := postgres.Capture{Name: contract.Schema + "." + t.Table}
		for _, expression := range []string{t.Article, t.Order} {
			if columnName.MatchString(expression) {
				capture.Needed = append(capture.Needed, expression)
			}
		}
		source.Tables = append(source.Tables, capture)
	}
	source.Tables = append(source.Tables, own...)
	return source, nil
}

// erp is the ERP as a source.
type erp struct {
	cfg    config.Config
	log    zerolog.Logger
	config postgres.Config
}

func newERP(cfg config.Config, o ReadOptions) (*erp, error) {
	e := &erp{cfg: cfg, log: o.logger(cfg.ERPTopic())}
	var err error
	e.config, err = ERPSource(cfg, o.File, e.log)
	e.config.NewIncarnation = o.NewIncarnation
	return e, err
}

func (e *erp) String() string       { return "ERP" }
func (e *erp) kafka() stream.Config { return e.cfg.ERPStream(e.log) }

func (e *erp) read(ctx context.Context, end *tail, writer *stream.Writer) error {
	return postgres.Run(ctx, e.config, (*postgres.Tail)(end), writer)
}

func (e *erp) wasRead(ctx context.Context) (bool, error) { return postgres.WasRead(ctx, e.config) }

func (e *erp) preflight(ctx context.Context) ([]finding, error) {
	found, err := postgres.Preflight(ctx, e.config)
	var out []finding
	for _, f := range found {
		what := f.What
		if f.Table != "" {
			what = f.Table + ": " + what
		}
		out = append(out, finding{f.Severity == postgres.Blocking, string(f.Severity), what, f.Mend})
	}
	return out, err
}

func (e *erp) state(ctx context.Context, end *tail) (any, error) {
	state, err := postgres.ReadState(ctx, (*postgres.Tail)(end))
	if state == nil {
		return nil, err
	}
	return state, err
}

// owns is content: a place in the write-ahead log names its server, and the slot its only reader.
func (e *erp) owns(context.Context, *tail) error { return nil }

func (e *erp) ask(ctx context.Context, tables []string, from, to []json.RawMessage) error {
	if len(tables) == 0 {
		for _, t := range e.config.Tables {
			tables = append(tables, t.Name)
		}
	}
	request := postgres.SnapshotRequest{}
	for _, name := range tables {
		request.Ranges = append(request.Ranges, postgres.KeyRange{Table: name, From: from, To: to})
	}
	return postgres.RequestSnapshot(ctx, e.config, request)
}

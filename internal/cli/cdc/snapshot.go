package cdc

import (
	"encoding/json"
	"fmt"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stream"
)

// Snapshot is `cdc snapshot`.
type Snapshot struct {
	Table []string `arg:"" optional:"" help:"Tables to read again, with the shop's prefix; all if none is given."`
	From  int64    `help:"Read rows whose key is above this number." default:"0"`
	To    int64    `help:"Read rows whose key is up to this number." default:"0"`
}

// Run asks through the marker table, so that the request stands in the binary log like
// everything else.
func (s Snapshot) Run(env *cli.Env) error {
	_, source, err := load(env)
	if err != nil {
		return err
	}
	request := mysql.SnapshotRequest{}
	if len(s.Table) == 0 {
		for _, t := range source.Tables {
			s.Table = append(s.Table, t.Name)
		}
	}
	for _, name := range s.Table {
		request.Ranges = append(request.Ranges, mysql.KeyRange{Table: name, From: number(s.From), To: number(s.To)})
	}
	if err := mysql.RequestSnapshot(env.Ctx, source, request); err != nil {
		return err
	}
	fmt.Fprintln(env.Out, "Asked. The running cdc reads the tables beside the stream; `cdc position` shows how far it is.")
	return nil
}

func number(n int64) []json.RawMessage {
	if n == 0 {
		return nil
	}
	return []json.RawMessage{json.RawMessage(fmt.Sprint(n))}
}

// Position is `cdc position`.
type Position struct{}

// Run prints the state that the log's own tail tells, without disturbing its owner.
func (Position) Run(env *cli.Env) error {
	cfg, _, err := load(env)
	if err != nil {
		return err
	}
	tail, err := stream.ReadTail(env.Ctx, cfg.Stream(env.Log))
	if err != nil {
		return err
	}
	state, err := mysql.ReadState(env.Ctx, tailOf(tail))
	if err != nil {
		return err
	}
	if state == nil {
		fmt.Fprintln(env.Out, "The log is empty: the shop was not read yet.")
		return nil
	}
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("show the position: %w", err)
	}
	fmt.Fprintf(env.Out, "generation %d, record %d\n%s\n", tail.Place.Gen, tail.Place.Seq, text)
	return nil
}

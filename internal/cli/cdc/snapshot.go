package cdc

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stream"
)

// Snapshot is `cdc snapshot`.
type Snapshot struct {
	What []string `arg:"" optional:"" help:"shop (the default) or erp, then tables to read again, as the log calls them: oc_order, erp.stock; all if none is given."`
	From int64    `help:"Read rows whose key is above this number." default:"0"`
	To   int64    `help:"Read rows whose key is up to this number." default:"0"`
	JSON bool     `help:"Print JSON." name:"json"`
}

// asked is what `cdc snapshot` asked for.
type asked struct {
	Source string   `json:"source"`         // shop or erp
	Tables []string `json:"tables"`         // empty: all
	From   int64    `json:"from,omitempty"` // keys above it
	To     int64    `json:"to,omitempty"`   // keys up to it
}

// Run asks through the source's own log, so that the request has its place there like
// everything else.
func (s Snapshot) Run(env *cli.Env) error {
	name, tables := Shop, s.What
	if len(tables) > 0 && (tables[0] == Shop || tables[0] == ERP) {
		name, tables = tables[0], tables[1:]
	}
	_, from, err := load(env, name)
	if err != nil {
		return err
	}
	if err := from.ask(env.Ctx, tables, number(s.From), number(s.To)); err != nil {
		return err
	}
	if s.JSON {
		return json.NewEncoder(env.Out).Encode(asked{name, append([]string{}, tables...), s.From, s.To})
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
type Position struct {
	Of   `embed:""`
	JSON bool `help:"Print JSON." name:"json"`
}

// position is what `cdc position` tells: generation and number of the log's last record, and
// where in the source's own log it came from. An empty log has generation 0 and no state.
type position struct {
	Source     string `json:"source"` // shop or erp
	Generation int64  `json:"generation"`
	Seq        int64  `json:"seq"`
	State      any    `json:"state"` // position, anchor, tables, and how far a snapshot is
}

// Run prints the state that the log's own tail tells, without disturbing its owner.
func (p Position) Run(env *cli.Env) error {
	_, from, err := load(env, p.Source)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(env.Ctx, cli.Patience)
	defer cancel()
	tail, err := stream.ReadTail(ctx, from.kafka())
	if err != nil {
		return err
	}
	state, err := from.state(env.Ctx, tailOf(tail))
	if err != nil {
		return err
	}
	if p.JSON {
		return json.NewEncoder(env.Out).Encode(position{p.Source, tail.Place.Gen, tail.Place.Seq, state})
	}
	if state == nil {
		printable.Printf(env.Out, "The log is empty: the %s was not read yet.\n", from)
		return nil
	}
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("show the position: %w", err)
	}
	printable.Printf(env.Out, "generation %d, record %d\n%s\n", tail.Place.Gen, tail.Place.Seq, printable.Block(text))
	return nil
}

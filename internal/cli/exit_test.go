package cli_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stream"
	shop "github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// What units and operators rely on: RestartPreventExitStatus=2 3 4 78.
func TestExitStatusTellsWhatHappened(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"done":                 {nil, 0},
		"anything":             {errors.New("anything"), 1},
		"canceled":             {context.Canceled, 1},
		"log stopped":          {fmt.Errorf("read: %w", &stream.StopError{Kind: stream.ErrHole}), 3},
		"shop stopped":         {fmt.Errorf("read: %w", &mysql.StopError{Kind: mysql.ErrAnchor}), 3},
		"ERP stopped":          {fmt.Errorf("apply: %w", &postgres.StopError{What: "x"}), 3},
		"written shop stopped": {fmt.Errorf("apply: %w", &shop.StopError{What: "x"}), 3},
		"written shop fenced":  {fmt.Errorf("apply: %w", shop.ErrFenced), 4},
		"applier stopped":      {fmt.Errorf("%w: %w", apply.ErrStopped, errors.New("x")), 3},
		"log fenced":           {fmt.Errorf("write: %w", stream.ErrFenced), 4},
		"applier fenced":       {fmt.Errorf("%w: %w", apply.ErrFenced, apply.ErrStopped), 4},
		"fenced and stopped":   {errors.Join(&stream.StopError{Kind: stream.ErrHole}, stream.ErrFenced), 4},
		"difference":           {cli.Differ("%d orders", 2), 5},
		"configuration":        {fmt.Errorf("start: %w", &config.Error{File: "spola.yaml", What: "x"}), 78},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cli.ExitStatus(c.err); got != c.want {
				t.Errorf("exit status %d, want %d", got, c.want)
			}
		})
	}
}

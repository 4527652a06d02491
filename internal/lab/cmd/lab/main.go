// Lab is the workshop's command: it starts real servers, runs the tests on them, and runs a
// program of ours as an ordinary user. The Makefile calls it; nobody else has to.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/spola-cdc/spola/internal/lab/suite"
)

type grammar struct {
	Servers serversVerb `cmd:"" help:"Start servers, print the variables that name them, and stop them at ctrl-C."`
	Test    testVerb    `cmd:"" help:"Build all tests, start servers and run the tests."`
	Run     runVerb     `cmd:"" help:"Build a program of this module and run it as an ordinary user." passthrough:""`
}

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var g grammar
	command := kong.Parse(&g, kong.Name("lab"), kong.BindTo(ctx, (*context.Context)(nil)))
	err := command.Run()
	var program programError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, suite.ErrFailed):
		return 1
	case errors.As(err, &program):
		return program.status
	default:
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
}

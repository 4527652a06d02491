// Package cli is what the three programs have in common: how a command line is read, how a
// program stops, how it logs, and which exit status an error means.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"
)

// Exit statuses of all programs.
const (
	ExitDone          = 0
	ExitError         = 1
	ExitUsage         = 2  // of the command line
	ExitStopped       = 3  // the stream stopped: a person must act
	ExitFenced        = 4  // a newer process owns the log or the place
	ExitDifference    = 5  // shop and ERP differ
	ExitConfiguration = 78 // as in sysexits.h
)

// Env is what a verb gets from its program.
type Env struct {
	Ctx    context.Context
	Out    io.Writer // what the user asked for
	Log    zerolog.Logger
	Config string // path of the configuration file
}

// Common are the flags of all programs.
type Common struct {
	Config   string           `help:"Configuration file." short:"c" default:"spola.yaml" env:"SPOLA_CONFIG" type:"path"`
	LogLevel string           `help:"Least level that is logged: debug, info, warn or error." default:"info" enum:"debug,info,warn,error" env:"SPOLA_LOG_LEVEL"`
	LogJSON  bool             `help:"Log JSON even to a terminal." env:"SPOLA_LOG_JSON"`
	Version  kong.VersionFlag `help:"Print the version."`
}

// Main reads the command line, runs the verb until it is done or a signal ends it, and returns
// the exit status. A second signal kills the process. grammar is a pointer to a struct for kong
// that embeds common and whose verbs have a method Run(*Env) error.
func Main(name, description string, common *Common, grammar any) int {
	parser, err := kong.New(grammar,
		kong.Name(name), kong.Description(description), kong.UsageOnError(),
		kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		return ExitError
	}
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v (%s --help shows what it takes)\n", name, err, name)
		return ExitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal kills
	env := &Env{Ctx: ctx, Out: os.Stdout, Log: logger(common, os.Stderr), Config: common.Config}
	if err := command.Run(env); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return ExitDone
		}
		fmt.Fprintln(os.Stderr, name+":", err)
		return ExitStatus(err)
	}
	return ExitDone
}

func logger(c *Common, file *os.File) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // kong has checked the names; this is for callers that did not parse
	}
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000000Z07:00"
	var w io.Writer = file
	if info, err := file.Stat(); !c.LogJSON && err == nil && info.Mode()&os.ModeCharDevice != 0 {
		w = zerolog.ConsoleWriter{Out: file, TimeFormat: "15:04:05"}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

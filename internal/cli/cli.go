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
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/printable"
)

// Program is what one of the programs reads its command line by.
type Program struct {
	Name        string
	Description string
	Common      *Common
	Grammar     any // a pointer to a struct for kong that embeds Common and whose verbs have a method Run(*Env) error
}

// Env is what a verb gets from its program.
type Env struct {
	Ctx     context.Context
	Out     io.Writer // what the user asked for
	Log     zerolog.Logger
	Config  string // path of the configuration file
	Program string // its name: cdc, applier or spola
}

// Common are the flags of all programs.
type Common struct {
	Config   string           `help:"Configuration file." short:"c" default:"spola.yaml" env:"SPOLA_CONFIG" type:"path"`
	LogLevel string           `help:"Least level that is logged: debug, info, warn or error." default:"info" enum:"debug,info,warn,error" env:"SPOLA_LOG_LEVEL"`
	LogJSON  bool             `help:"Log JSON even to a terminal." env:"SPOLA_LOG_JSON"`
	Version  kong.VersionFlag `help:"Print the version."`

	Completion Completion `cmd:"" help:"Print what a shell needs to complete command lines of this program."`
}

// Parser reads the program's command lines.
func (p Program) Parser(options ...kong.Option) (*kong.Kong, error) {
	return kong.New(p.Grammar, append([]kong.Option{
		kong.Name(p.Name), kong.Description(p.Description), kong.UsageOnError(),
		kong.Vars{"version": version()}, kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true})}, options...)...)
}

// Main reads the command line, runs the verb until it is done or a signal ends it, and returns
// the exit status. A second signal kills the process.
func Main(p Program) int {
	parser, err := p.Parser()
	if err != nil {
		tell(p.Name, err)
		return ExitError
	}
	if len(os.Args) > 1 && os.Args[1] == completing {
		complete(os.Stdout, parser.Model.Node, os.Args[2:])
		return ExitDone
	}
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		tell(p.Name, fmt.Errorf("%w (%s --help shows what it takes)", err, asked(err, p.Name)))
		return ExitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal kills
	env := &Env{Ctx: ctx, Out: os.Stdout, Log: logger(p.Common, os.Stderr), Config: p.Common.Config, Program: p.Name}
	if err := command.Run(env); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return ExitDone
		}
		tell(p.Name, err)
		return ExitStatus(err)
	}
	return ExitDone
}

// asked is the command whose help to look at: as much of it as was understood.
func asked(err error, program string) string {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || wrong.Context == nil || wrong.Context.Selected() == nil {
		return program
	}
	return wrong.Context.Selected().FullPath()
}

// tell says why the program ends. What is more than a line is set in, so that no name in it can look
// like a line of its own.
func tell(program string, err error) {
	fmt.Fprintln(os.Stderr, program+":", strings.ReplaceAll(printable.Lines(Sentence(err)), "\n", "\n  "))
}

// lines writes the log, for people on a terminal and as JSON elsewhere. What customers have typed stays within its field.
func lines(w io.Writer, terminal bool) io.Writer {
	if !terminal {
		return printable.Log{W: w}
	}
	return zerolog.ConsoleWriter{Out: printable.Log{W: w}, TimeFormat: "15:04:05", NoColor: os.Getenv("NO_COLOR") != "",
		FormatMessage: func(message any) string {
			text, _ := message.(string) // a line may have none
			return printable.Text(text)
		}}
}

func logger(c *Common, file *os.File) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // kong has checked the names; this is for callers that did not parse
	}
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000000Z07:00"
	terminal := false
	if info, err := file.Stat(); !c.LogJSON && err == nil {
		terminal = info.Mode()&os.ModeCharDevice != 0
	}
	return zerolog.New(lines(file, terminal)).Level(level).With().Timestamp().Logger()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spola-cdc/spola/internal/lab/server"
)

type runVerb struct {
	Args []string `arg:"" help:"The program's package and its arguments."`
}

// Run builds as who we are and runs as an ordinary user, which root needs: PostgreSQL and MySQL
// refuse to run as root, and root's module cache is closed to others.
func (v *runVerb) Run(ctx context.Context) (err error) {
	lab, err := server.Open(ctx, server.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	binary := filepath.Join(lab.Dir(), filepath.Base(v.Args[0]))
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, v.Args[0])
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build %s: %w", v.Args[0], err)
	}
	program := exec.Command(binary, v.Args[1:]...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	program.Env = lab.Environment("SPOLA_CACHE=" + lab.Cache())
	if !lab.User().CanRead(".") {
		program.Dir = lab.Dir()
	}
	lab.User().Apply(program)
	if err := program.Start(); err != nil {
		return fmt.Errorf("run %s: %w", v.Args[0], err)
	}
	// ctrl-C reaches the program from the terminal; what reaches only us is passed on.
	stop := context.AfterFunc(ctx, func() { _ = program.Process.Signal(syscall.SIGTERM) })
	defer stop()
	err = program.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return programError{exit.ExitCode()}
	}
	return err
}

// programError is the exit status of a program that has said itself why it failed.
type programError struct{ status int }

// Error names the status.
func (e programError) Error() string { return fmt.Sprintf("the program ended with %d", e.status) }

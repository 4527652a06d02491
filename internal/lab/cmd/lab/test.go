package main

import (
	"context"
	"os"
	"time"

	"github.com/spola-cdc/spola/internal/lab/suite"
)

type testVerb struct {
	Packages []string      `arg:"" optional:"" help:"Packages; default: all."`
	Only     string        `name:"run" help:"Only tests whose names match this regular expression."`
	Timeout  time.Duration `help:"Longest time for one package." default:"60m"`
}

// Run runs the tests; the closing line counts them.
func (v *testVerb) Run(ctx context.Context) error {
	return suite.Run(ctx, suite.Options{
		Packages: v.Packages, Run: v.Only, Timeout: v.Timeout, Strict: os.Getenv("CI") == "true", Out: os.Stdout,
	})
}

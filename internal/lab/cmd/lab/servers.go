package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/server"
)

type serversVerb struct {
	Only     []string `help:"Which servers." default:"mysql,mariadb,postgres,kafka" enum:"mysql,mariadb,postgres,kafka"`
	Brokers  int      `help:"Brokers of Kafka: 1 or 3." default:"1"`
	Dir      string   `help:"Keep the data in this directory." type:"path"`
	Unpacked bool     `help:"Use nothing that is installed."`
}

// Run starts the servers at once, prints each as it comes up, and waits for ctrl-C.
func (v *serversVerb) Run(ctx context.Context) (err error) {
	lab, err := server.Open(ctx, server.Options{Dir: v.Dir, Unpacked: v.Unpacked, Progress: func(line string) {
		fmt.Fprintln(os.Stderr, line)
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	starts := map[string]func(context.Context) (url, version string, err error){
		"mysql":    one(lab.MySQL),
		"mariadb":  one(lab.MariaDB),
		"postgres": one(lab.Postgres),
		"kafka": func(ctx context.Context) (string, string, error) {
			cluster, err := lab.Kafka(ctx, v.Brokers, server.Config{})
			if err != nil {
				return "", "", err
			}
			return strings.Join(cluster.Addrs(), ","), cluster.Brokers[0].Version(), nil
		},
	}
	var group errgroup.Group
	for _, name := range v.Only {
		group.Go(func() error {
			url, version, err := starts[name](ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Printf("export SPOLA_TEST_%s=%s # %s\n", strings.ToUpper(name), url, version)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ctrl-C stops them")
	<-ctx.Done()
	return nil
}

func one(start func(context.Context, server.Config) (*server.Server, error)) func(context.Context) (string, string, error) {
	return func(ctx context.Context) (string, string, error) {
		s, err := start(ctx, server.Config{})
		if err != nil {
			return "", "", err
		}
		return s.URL(), s.Version(), nil
	}
}

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime/pprof"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

func envInt(n string) int { v, _ := strconv.Atoi(os.Getenv(n)); return v }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func role(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	cfg, err := config.Load(args[len(args)-1])
	must(err)
	if dir := os.Getenv("BENCH_PROF"); dir != "" && args[1] == "run" {
		f, err := os.Create(fmt.Sprintf("%s/%s-%s.prof", dir, args[0], time.Now().Format("150405.000")))
		must(err)
		must(pprof.StartCPUProfile(f))
		defer func() { pprof.StopCPUProfile(); f.Close() 
			h, _ := os.Create(strings.Replace(f.Name(), ".prof", ".heap", 1)); runtime.MemProfileRate=runtime.MemProfileRate; pprof.Lookup("allocs").WriteTo(h, 0); h.Close() }()
	}
	profile, platform, err := schemas.Platform(cfg.Shop.Platform)
	must(err)
	switch args[0] + " " + args[1] {
	case "cdc run":
		source := mysql.Config{Source: cfg.Shop.Name, URL: cfg.Shop.URL(), Owner: "bench", Log: log}
		for _, t := range profile.Tables {
			capture := mysql.Capture{Name: cfg.Shop.Prefix + t.Name, Columns: t.Columns, Key: t.Key, Order: t.Order}
			if t.Only != nil {
				capture.Only = &mysql.Only{Column: t.Only.Column, Values: t.Only.Values}
			}
			source.Tables = append(source.Tables, capture)
		}
		kafka := cfg.Stream(log)
		_, err = stream.EnsureTopic(ctx, kafka, cfg.TopicSettings())
		must(err)
		w, t, err := stream.Acquire(ctx, kafka, stream.Begin{Owner: "bench", First: true})
		must(err)
		err = mysql.Run(ctx, source, &mysql.Tail{Empty: t.Offset < 0, Generation: t.Generation, Predecessor: t.Predecessor, Each: t.Each}, w)
		fmt.Println(err)
		if ctx.Err() != nil {
			c, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			must(w.Flush(c))
			cancel()
		}
		w.Close()
	case "applier migrate":
		must(migrate(ctx, cfg))
	case "applier golive":
		conn, err := pgx.Connect(ctx, cfg.ERP.URL())
		must(err)
		r, err := intake.GoLive(ctx, conn, cfg.Shop.Name, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
		fmt.Println(r)
		must(err)
	case "applier run":
		must(migrate(ctx, cfg))
		file, err := intake.LoadShopFile(cfg.Shop.File)
		must(err)
		in, err := intake.New(cfg.Shop.Name, file, profile, platform)
		must(err)
		err = apply.Run(ctx, postgres.NewTarget(cfg.ERP.URL(), "intake", cfg.Shop.Name, "bench"), intake.NewEffect(in, nil), apply.Stream(cfg.Stream(log)), apply.Options{Log: log, Records: envInt("BENCH_RECORDS")})
		fmt.Println(err)
	}
}

func migrate(ctx context.Context, cfg config.Config) error {
	sp, err := fs.Sub(schemas.Spola, "spola")
	must(err)
	erp, err := fs.Sub(schemas.ERP, "erp")
	must(err)
	return postgres.Migrate(ctx, cfg.ERP.URL(), postgres.Migrations{Name: "spola", Files: sp}, postgres.Migrations{Name: "erp", Files: erp})
}

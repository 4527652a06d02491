package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/lab/bench"
)

func main() {
	if len(os.Args) > 2 && (os.Args[1] == "cdc" || os.Args[1] == "applier") {
		role(os.Args[1:])
		return
	}
	orders := flag.Int("orders", 50000, "")
	dur := flag.Duration("for", 0, "")
	rest := flag.Duration("rest", 0, "")
	bin := flag.String("bin", "/tmp/bb", "")
	j := flag.String("json", "", "")
	only := flag.String("only", "", "")
	hold := flag.Bool("hold", false, "")
	flag.Parse()
	_ = only
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *hold {
		must(bench.Hold(ctx, bench.Options{Orders: *orders, CDC: []string{*bin + "/devbench", "cdc"}, Applier: []string{*bin + "/devbench", "applier"},
			Furnish: Furnish, ShopFile: deploy.ShopExample, Progress: func(l string) { fmt.Println(l) }}))
		return
	}
	r, err := bench.Run(ctx, bench.Options{Orders: *orders, For: *dur, Rest: *rest,
		CDC: []string{*bin + "/devbench", "cdc"}, Applier: []string{*bin + "/devbench", "applier"},
		Furnish: Furnish, ShopFile: deploy.ShopExample,
		Progress: func(l string) { fmt.Println(l) }})
	if err == nil || r.Capture.RowsPerSecond > 0 {
		r.Print(os.Stdout)
	}
	if *j != "" {
		b, _ := json.MarshalIndent(r, "", " ")
		os.WriteFile(*j, b, 0o644)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/spola-cdc/spola/internal/lab/bench"
	"github.com/spola-cdc/spola/internal/verify"
)

// Proof is what the demo ends with: the comparison, read from both databases by code that
// shares nothing with reader and applier, and what the way cost.
type Proof struct {
	*verify.Report
	Deeds  int64    `json:"clerk_deeds"`          // of the ERP's clerk
	Broken []string `json:"erp_broken,omitempty"` // what must hold in the ERP and does not, a sentence each
	Documents
	Mails
	Stock
	Latency Milliseconds       `json:"latency_ms"`
	Back    Milliseconds       `json:"writeback_latency_ms"` // from the return of a movement's commit in the ERP until the shop's row shows it
	Seconds float64            `json:"seconds"`
	RSS     map[string]float64 `json:"rss_mb"` // resident memory, a key a process

	Existing *Existing `json:"existing,omitempty"` // what has become of the past, if there was one
}

// Milliseconds are latencies from the return of an order's last commit in the shop until the
// ERP shows it.
type Milliseconds struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func (st *stage) prove(ctx context.Context, latencies, back Latencies, seconds float64) (*Proof, error) {
	report, err := compare(ctx, st)
	if err != nil {
		return nil, err
	}
	stock, err := st.lookAtStock(ctx)
	if err != nil {
		return nil, err
	}
	if st.second != nil {
		second, err := compare(ctx, st.second)
		if err != nil {
			return nil, err
		}
		of, err := st.second.lookAtStock(ctx)
		if err != nil {
			return nil, err
		}
		report.Add(st.second.name, second)
		stock.add(of)
	}
	broken, err := st.broken(ctx)
	if err != nil {
		return nil, err
	}
	issued, err := st.documents(ctx)
	if err != nil {
		return nil, err
	}
	rss, err := st.memory()
	if err != nil {
		return nil, err
	}
	return &Proof{Report: report, Broken: broken, Documents: issued, Stock: stock, Seconds: seconds, RSS: rss,
		Latency: inMillis(latencies), Back: inMillis(back)}, nil
}

func inMillis(l Latencies) Milliseconds {
	return Milliseconds{P50: millis(l.P50), P99: millis(l.P99), Max: millis(l.Max)}
}

func compare(ctx context.Context, st *stage) (*verify.Report, error) {
	file, err := os.Open(st.journal)
	if err != nil {
		return nil, fmt.Errorf("read the shop's journal: %w", err)
	}
	defer file.Close()
	journal, err := verify.ReadJournal(file)
	if err != nil {
		return nil, fmt.Errorf("read the shop's journal: %w", err)
	}
	config, err := pgxpool.ParseConfig(st.cfg.ERP.URL())
	if err != nil {
		return nil, fmt.Errorf("connect the proof to the ERP: %w", err)
	}
	config.MaxConns = 8
	erp, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect the proof to the ERP: %w", err)
	}
	defer erp.Close()
	shopFile, err := os.ReadFile(st.cfg.Shop.File)
	if err != nil {
		return nil, fmt.Errorf("read what the shop's states mean: %w", err)
	}
	rules, err := verify.ReadRules(st.cfg.Shop.Platform, shopFile)
	if err != nil {
		return nil, err
	}
	return verify.Run(ctx, verify.Config{Shop: st.shop.DB(), ERP: erp, Name: st.name, Prefix: st.cfg.Shop.Prefix, Rules: rules, Journal: journal})
}

// memory reads the resident memory of the pipeline's process and of the databases.
func (st *stage) memory() (map[string]float64, error) {
	rss := map[string]float64{}
	for name, pid := range map[string]int{"spola": os.Getpid(), st.shopDB.Name(): st.shopDB.PID(), st.erpDB.Name(): st.erpDB.PID()} {
		mb, err := bench.Resident(pid)
		if err != nil {
			return nil, err
		}
		rss[name] = mb
	}
	return rss, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Print shows the proof to a person.
func (p *Proof) Print(w io.Writer) {
	fmt.Fprintf(w, "\nShop and ERP, read by other code than wrote them:\n\n")
	fmt.Fprintf(w, "  %8d orders placed in the shop\n", p.OrdersPlaced)
	fmt.Fprintf(w, "  %8d of them for the ERP\n", p.OrdersInScope)
	fmt.Fprintf(w, "  %8d orders in the ERP           %s there, %s in the shop\n", p.OrdersInERP, euro(p.CentsERP), euro(p.CentsShop))
	fmt.Fprintf(w, "  %8d parked, %d of them made so that nobody could take them over\n", p.OrdersParked, p.ParkedPlanted)
	if p.Deeds > 0 {
		fmt.Fprintf(w, "  %8d deeds of the ERP's clerk    %d orders shipped whole, %d changed by the shop when it was too late: they wait for a person\n", p.Deeds, p.OrdersShipped, p.OrdersWaiting)
		fmt.Fprintf(w, "           documents                   %s\n", p.Documents.text())
	}
	fmt.Fprintf(w, "           mails to customers          %s\n", p.Mails.text())
	fmt.Fprintf(w, "  %8d SKUs, %d of them showing something else than there is; %d edits by hand, %d repairs\n", p.SKUs, p.Violations, p.Planted, p.Repaired)
	fmt.Fprintf(w, "  %8d orders shown as shipped, customers told of %d parcels\n", p.Shipped, p.Tracking)
	fmt.Fprintf(w, "  %8d differences\n\n", p.Differences)
	if e := p.Existing; e != nil {
		fmt.Fprintf(w, "  Of the %d orders from before: %d imported, %d adopted, %d closed, %d wait for payment or a person\n\n", e.Orders, e.Imported, e.Adopted, e.Closed, e.Waiting)
	}
	for _, d := range p.Details {
		fmt.Fprintf(w, "  %s\n", d)
	}
	for _, text := range p.wrong[:min(len(p.wrong), 10)] {
		fmt.Fprintf(w, "  %s\n", text)
	}
	for _, b := range p.Broken {
		fmt.Fprintf(w, "  broken in the ERP: %s\n", b)
	}
	fmt.Fprintf(w, "  latency of orders into the ERP p50 %.1f ms, p99 %.1f ms, max %.1f ms; of stock back into the shop p50 %.1f ms, p99 %.1f ms, max %.1f ms; %s resident\n",
		p.Latency.P50, p.Latency.P99, p.Latency.Max, p.Back.P50, p.Back.P99, p.Back.Max, memoryText(p.RSS))
	if p.Differences == 0 && p.Violations == 0 && len(p.Broken) == 0 {
		fmt.Fprintln(w, "\nNothing differs.")
	}
}

func memoryText(rss map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(rss)) {
		parts = append(parts, name+" "+strconv.FormatFloat(rss[name], 'f', 0, 64)+" MB")
	}
	return strings.Join(parts, ", ")
}

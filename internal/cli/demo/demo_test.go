package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/all"
	"github.com/spola-cdc/spola/internal/cli/demo"
)

// TestMain is the program spola too: the kill test runs its parts as processes of its own, by
// calling itself with their verbs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "broker" || os.Args[1] == "cdc" || os.Args[1] == "applier") {
		os.Exit(cli.Main(all.Program()))
	}
	os.Exit(m.Run())
}

// environment is what a verb gets whose answer is read by a test.
func environment(t *testing.T) (*cli.Env, *bytes.Buffer) {
	var out bytes.Buffer
	return &cli.Env{Ctx: t.Context(), Out: &out, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)}, &out
}

// Every order of the shop is in the ERP, or parked because it was made so, to the cent, and each row of its stock shows what there
// is; of two shops that sell one stock as of one: less what the second holds back, and what is in flight from itself.
func TestDemoEndsWithAProof(t *testing.T) {
	for product, shops := range map[string]int{"mysql": 1, "mariadb": 2} {
		t.Run(product, func(t *testing.T) {
			env, out := environment(t)
			files := t.TempDir()
			play := demo.Filed(demo.Demo{For: 5 * time.Second, Shops: shops, Rate: 20 / float64(shops), Clerk: 10, Seed: 7, Shop: product, JSON: true}, files)
			if err := play.Run(env); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			opens(t, files)
			var proof demo.Proof
			if err := json.Unmarshal(out.Bytes(), &proof); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			var keys map[string]json.RawMessage
			if err := json.Unmarshal(out.Bytes(), &keys); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"skus", "law_violations", "sabotage_planted", "sabotage_repaired", "orders_shipped", "shipped_in_shop", "tracking_in_shop", "oversold_by_bridge", "writeback_latency_ms"} {
				if keys[key] == nil {
					t.Errorf("the proof has no %s: %s", key, out)
				}
			}
			if proof.OrdersPlaced < 50 || proof.OrdersInERP < 20 || proof.Differences != 0 || proof.CentsShop != proof.CentsERP ||
				proof.OrdersInScope != proof.OrdersInERP+proof.OrdersParked || proof.OrdersParked != proof.ParkedPlanted ||
				proof.Deeds < 10 || proof.OrdersShipped < 1 || len(proof.Broken) > 0 ||
				proof.Documents.Documents["ddt"] < 1 || proof.Documents.Documents["order"] < proof.Documents.Documents["ddt"]/4 || proof.NumberingHoles != 0 || proof.VATMismatches != 0 ||
				proof.Expected < 2 || proof.Delivered != proof.Expected || proof.Twice != 0 || proof.Tracking < 1 ||
				proof.SKUs != 44*shops || proof.Violations != 0 || proof.Back.P50 <= 0 || proof.Back.Max < proof.Back.P99 ||
				proof.Latency.P50 <= 0 || proof.Latency.Max < proof.Latency.P99 || proof.RSS["spola"] <= 0 {
				t.Errorf("proof: %s", out)
			}
		})
	}
}

// opens looks whether the files of an order's way are pages and mails, at least one of each.
func opens(t *testing.T, dir string) {
	t.Helper()
	for kind, begins := range map[string]string{"pdf": "%PDF-", "eml": "Date: "} {
		names, err := filepath.Glob(filepath.Join(dir, "*."+kind))
		if err != nil || len(names) == 0 {
			t.Errorf("no .%s among an order's files: %v", kind, err)
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err != nil || !strings.Contains(string(text[:min(len(text), 500)]), begins) {
				t.Errorf("%s: %v, %.500q", name, err, text)
			}
		}
	}
}

// A proof that can't fail proves nothing: an order of the first shop whose total differs by a cent, one of the second
// that is gone from the ERP, and goods that no movement brought are found and named, and the demo ends with the status of a difference.
func TestDemoFindsWhatDiffers(t *testing.T) {
	var altered, gone, grown int64
	spoil := func(ctx context.Context, url string) error {
		erp, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer erp.Close(context.WithoutCancel(ctx))
		return errors.Join(
			erp.QueryRow(ctx, `update erp.sales_order set total = total + 1 where id = (select min(erp_order) from spola.link
				where shop = 'shop' and status = 'imported' and not deleted) returning shop_number::bigint`).Scan(&altered),
			erp.QueryRow(ctx, `delete from erp.sales_order where id = (select max(erp_order) from spola.link
				where shop = 'outlet' and status = 'imported' and not deleted) returning shop_number::bigint`).Scan(&gone),
			erp.QueryRow(ctx, `update erp.stock set on_hand = on_hand + 1 where (article_id, warehouse_id) = (select min(article_id), 3 from erp.stock
				where warehouse_id = 3) returning article_id`).Scan(&grown))
	}
	env, out := environment(t)
	err := demo.Spoiled(demo.Demo{For: 3 * time.Second, Shops: 2, Rate: 10, Seed: 7, Shop: "mysql", JSON: true}, spoil).Run(env)
	if status := cli.ExitStatus(err); status != cli.ExitDifference {
		t.Errorf("the demo ends with status %d: %v", status, err)
	}
	var proof demo.Proof
	if err := json.Unmarshal(out.Bytes(), &proof); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	found := map[string]string{}
	for _, d := range proof.Details {
		found[fmt.Sprint(d.Shop, d.Order)] += d.Kind
	}
	if sentence := fmt.Sprintf("stock of article %d at 3:", grown); !strings.Contains(strings.Join(proof.Broken, "\n"), sentence) {
		t.Errorf("article %d has grown by a piece at the counter; broken: %q", grown, proof.Broken)
	}
	if proof.Differences != 2 || len(found) != 2 || found[fmt.Sprint("", altered)] != "cents" || found[fmt.Sprint("outlet", gone)] != "missing" {
		t.Errorf("order %d was altered, order %d is gone; found %+v of %d", altered, gone, proof.Details, proof.Differences)
	}
}

// A shop with a past goes live: what the ERP knew is adopted, what is open is taken, and today's orders
// agree to the cent beside it.
func TestDemoGoesLiveWithAPast(t *testing.T) {
	env, out := environment(t)
	if err := (demo.Demo{For: 3 * time.Second, Rate: 20, Seed: 7, Shop: "mysql", Existing: 200, JSON: true}).Run(env); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var proof demo.Proof
	if err := json.Unmarshal(out.Bytes(), &proof); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	e := proof.Existing
	if e == nil || e.Orders != 200 || e.Adopted != 100 || e.Imported == 0 || e.Waiting == 0 || e.Imported+e.Adopted+e.Closed+e.Waiting != 200 {
		t.Errorf("the past: %+v", e)
	}
	if proof.OrdersDecided != 100 || proof.Differences != 0 || proof.CentsShop != proof.CentsERP || proof.OrdersInERP <= e.Imported {
		t.Errorf("proof: %s", out)
	}
}

// Whatever part is killed whenever, nothing is lost, nothing is there twice, and both logs are
// 1, 2, 3 … from their first record on; the ERP's tells each change that its own triggers have seen, once; and each row
// of the shop's stock comes to show what there is.
func TestPartsAreKilledAtRandom(t *testing.T) {
	for name, chaos := range map[string]demo.Chaos{
		"mysql, embedded broker":   {For: 20 * time.Second, Shop: "mysql"},
		"mariadb, embedded broker": {For: 20 * time.Second, Shop: "mariadb"},
		"mysql, one Kafka":         {For: 30 * time.Second, Shop: "mysql", Brokers: 1},
	} {
		t.Run(name, func(t *testing.T) {
			chaos.Rate, chaos.Clerk, chaos.Seed = 20, 5, 1
			proof := killed(t, chaos)
			if proof.Kills < 3 || proof.Shipped == 0 || proof.Tracking == 0 {
				t.Errorf("proof: %+v", proof)
			}
		})
	}
}

// Hundreds of customers at once want the same few pieces, which are sold out, received, and sold out again, while a counter sells them too and parts are
// killed: in the end each row shows what there is, and no row a piece beyond it.
func TestFewPiecesAreSoldUnderKills(t *testing.T) {
	proof := killed(t, demo.Chaos{For: 15 * time.Second, Shop: "mysql", Pieces: 3, Rate: 200, Clerk: 20, Seed: 1})
	if proof.Kills == 0 || proof.SoldOut < 20 {
		t.Errorf("%d kills; %d customers found too few pieces", proof.Kills, proof.SoldOut)
	}
}

// killed is the proof of a kill test in which nothing differs.
func killed(t *testing.T, chaos demo.Chaos) (proof demo.ChaosProof) {
	t.Helper()
	env, out := environment(t)
	chaos.JSON = true
	if err := chaos.Run(env); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(out.Bytes(), &proof); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if proof.OrdersInERP < 20 || proof.Differences != 0 || proof.CentsShop != proof.CentsERP ||
		proof.OrdersParked != proof.ParkedPlanted || proof.Log.Records < 1000 || proof.Log.Generations != 1 ||
		proof.Deeds < 10 || len(proof.Broken) > 0 ||
		proof.SKUs < 40 || proof.Violations != 0 || proof.Oversold != 0 ||
		proof.ERPLog.Changes < 100 || proof.ERPLog.Differences != 0 || proof.ERPLog.Generations != 1 {
		t.Errorf("proof: %s", out)
	}
	t.Logf("%d kills, %d orders in the ERP, %d records in the log, %d repairs of stock", proof.Kills, proof.OrdersInERP, proof.Log.Records, proof.Repaired)
	return proof
}

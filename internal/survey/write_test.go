package survey_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/survey"
)

// What init writes loads; what is guessed is what the example, made by hand for this shop, says;
// and what a person must fill in is refused until he did.
func TestWrittenFilesAreThoseOfTheShop(t *testing.T) {
	dialects(t, func(t *testing.T, url string) {
		p := newPlace(t, url)
		_, text := p.write()
		cfg, err := config.Load(p.path("spola.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Shop.Name != "shop1" || cfg.Shop.Prefix != "oc_" || cfg.Shop.Database != url+"?tls=false" || !cfg.Embedded() {
			t.Errorf("configuration:\n%s", cfg)
		}
		_, err = intake.LoadShopFile(p.path("shop.yaml"))
		want12 := fmt.Sprintf(`line %d is still to be filled in: {state: "12", class: "?"}`, lineOf(text, `"12"`))
		if err == nil || !strings.Contains(err.Error(), want12) ||
			!strings.Contains(err.Error(), `{state: "15", class: "?"}`) || strings.Count(err.Error(), "filled in") != 2 {
			t.Fatalf("a file with open questions: %v\n%s", err, text)
		}
		p.answer()
		got, err := intake.LoadShopFile(p.path("shop.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := intake.ParseShopFile(deploy.ShopExample)
		if err != nil {
			t.Fatal(err)
		}
		want.Payments["bank_transfer"] = "paid" // the example leaves out what is so without a line
		want.Natures = want.Natures[:1]         // nothing was exported
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("example (-) and written (+):\n%s\n%s", diff, text)
		}
		for _, reason := range []string{"(4 orders: bank_transfer 1, cod 3)", `"Partita IVA / USt-IdNr."`, "values that look like one: 2 of 2",
			"DE (1 order, such as 3)", `"Spese di contrassegno", 1 row of 2.05`, "11 products; the model of 9 is"} {
			if !strings.Contains(text, reason) {
				t.Errorf("the shop file does not say %s\n%s", reason, text)
			}
		}
	})
}

// lineOf is the first line of a text that has a word.
func lineOf(text, word string) int {
	before, _, _ := strings.Cut(text, word)
	return strings.Count(before, "\n") + 1
}

// A password is never in a file that is written, however it came.
func TestPasswordsAreNotWritten(t *testing.T) {
	s, e := &survey.Shop{}, &survey.ERP{}
	w := survey.Wish{Name: "shop1", ShopURL: "mysql://root:s3cret@host:3306/shop?tls=true", ERPURL: "postgres://erp@host/erp?password=s3cret&sslmode=require", ShopFile: "shop.yaml"}
	for _, from := range []string{"", survey.EnvironmentPassword, "/run/secrets/shop"} {
		w.ShopPassword, w.ERPPassword = from, from
		text, err := survey.Config(w, s, e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "s3cret") {
			t.Errorf("a password stands in\n%s", text)
		}
		for _, want := range []string{"mysql://root@host:3306/shop?tls=true", "postgres://erp@host/erp?sslmode=require", strings.Replace(from, "environment", "SPOLA_SHOP_PASSWORD is set", 1)} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not stand in\n%s", want, text)
			}
		}
	}
}

// A file that is there stays as it is, and so does everything beside it.
func TestFilesAreNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	one, two := survey.File{Path: dir + "/a/spola.yaml", Text: "x: 1\ny: 2\n"}, survey.File{Path: dir + "/a/shop.yaml", Text: "z: 3\n"}
	if err := survey.WriteNew(one, two); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(one.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(two.Path, []byte("z: 3\nmine: 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := survey.WriteNew(one, two)
	if !errors.Is(err, survey.ErrExists) || !strings.Contains(err.Error(), "-   2  mine: 4") || strings.Contains(err.Error(), "z: 3") {
		t.Errorf("over a file that is there: %v", err)
	}
	if _, err := os.Stat(one.Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("half of the files was written")
	}
	if text, err := os.ReadFile(two.Path); err != nil || string(text) != "z: 3\nmine: 4\n" {
		t.Errorf("the file that was there is now %q, %v", text, err)
	}
}

// Which VAT is in a fixed amount that orders bear, a person must say; of one that no order has, nothing is asked.
func TestFixedTaxesOfOrdersAreAsked(t *testing.T) {
	s := &survey.Shop{
		Rates:  []survey.Rate{{Title: "IVA 22%", Percent: true}, {Title: "Eco Tax (-2.00)"}, {Title: "RAEE"}},
		Titles: []survey.TaxTitle{{Title: "IVA 22%", N: 9, Last: 12}, {Title: "Eco Tax (-2.00)", N: 3, Last: 11}},
	}
	text := survey.ShopFile(survey.Wish{}, s, &survey.ERP{})
	if !strings.Contains(text, `  - {title: "Eco Tax (-2.00)", rate: "?"}  # 3 orders, such as 11`) || strings.Contains(text, "RAEE") {
		t.Errorf("the shop file says\n%s", text)
	}
}

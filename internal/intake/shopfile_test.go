package intake

import (
	"fmt"
	"strings"
	"testing"
)

func TestExampleShopFileLoads(t *testing.T) {
	f, err := LoadShopFile("../../deploy/shop.opencart.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if f.Platform != "opencart" || len(f.States) != 16 || f.ParkedPerMinute != 20 {
		t.Errorf("read %+v", f)
	}
}

func TestShopFileIsRefused(t *testing.T) {
	for name, edit := range map[string][2]string{
		"unknown key":      {"platform: opencart", "platform: opencart\ncolour: red"},
		"unknown class":    {"class: ignored", "class: ignred"},
		"state twice":      {`{state: "2", class: taken}`, `{state: "1", class: taken}`},
		"kind of total":    {"kind: charge", "kind: charges"},
		"payment":          {"to_collect", "collect"},
		"meaning":          {"tax_code", "taxcode"},
		"fixed tax at 0 %": {`(-2.00)", rate: 22}`, `(-2.00)", rate: 0}`},
		"fixed tax twice":  {`  - {title: "Eco Tax (-2.00)", rate: 22}`, "  - {title: Eco, rate: 22}\n  - {title: Eco, rate: 22}"},
		"nature of nobody": {"nature: N3.2", `nature: ""`},
	} {
		_, err := ParseShopFile([]byte(strings.Replace(testShopFile, edit[0], edit[1], 1)))
		if err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	_, err := ParseShopFile([]byte(testShopFile + "\ncolour: red\n"))
	if err == nil || !strings.Contains(err.Error(), `line 23: unknown key "colour"`) {
		t.Errorf("an unknown key is refused without its line: %v", err)
	}
}

func TestPrefixStandsInTheConfiguration(t *testing.T) {
	_, err := ParseShopFile([]byte(testShopFile + "prefix: oc_\n"))
	if err == nil || !strings.Contains(err.Error(), "shop.prefix") {
		t.Errorf("a prefix in the shop file: %v", err)
	}
}

// A file that is still to be filled in is refused, each line of it by its number; a question mark
// in a comment or within a text is none.
func TestOpenQuestionsAreRefused(t *testing.T) {
	text := strings.Replace(testShopFile, "class: ignored}", "class: ignored} # ?", 1) + "parked_per_minute: 20\n"
	if _, err := ParseShopFile([]byte(text)); err != nil {
		t.Fatalf("a file without questions: %v", err)
	}
	text = strings.Replace(text, `{state: "2", class: taken}`, `{state: "2", class: "?"}  # or not`, 1)
	text = strings.Replace(text, "{cod: to_collect}", `{cod: "?", "what?": paid}`, 1)
	_, err := ParseShopFile([]byte(text))
	for _, word := range []string{`{state: "2", class: "?"}`, `payments: {cod: "?", "what?": paid}`} {
		before, _, _ := strings.Cut(text, word)
		want := fmt.Sprintf("line %d is still to be filled in: %s", strings.Count(before, "\n")+1, word)
		if err == nil || !strings.Contains(err.Error()+"\n", want+"\n") {
			t.Errorf("want %q in: %v", want, err)
		}
	}
	if open, err := OpenQuestions([]byte(text)); err != nil || len(open) != 2 {
		t.Errorf("%d open questions, %v", len(open), err)
	}
}

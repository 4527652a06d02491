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
		"nature of nobody": {"nature: N3.2", `nature: ""`},
	} {
		_, err := ParseShopFile([]byte(strings.Replace(testShopFile, edit[0], edit[1], 1)))
		if err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	_, err := ParseShopFile([]byte(testShopFile + "\ncolour: red\n"))
	if err == nil || !strings.Contains(err.Error(), "["+"2") {
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

func TestArticlesAreRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"comma":     {"product,variant,sku\n31,,SP-31\n50,20+17,SP-50-L\n", "31//SP-31 50/17,20/SP-50-L"},
		"semicolon": {"\ufeffSKU;Product\nSP-31;31\n", "31//SP-31"},
		"quoted":    {"sku,product,note\r\n\"SP \"\"30\"\"\",31,\"a;b;c;d\"\r\n", `31//SP "30"`},
	} {
		got, err := readArticles(strings.NewReader(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var words []string
		for _, m := range got {
			words = append(words, m.product+"/"+m.variant+"/"+m.sku)
		}
		if text := strings.Join(words, " "); text != c.want {
			t.Errorf("%s: read %s, want %s", name, text, c.want)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "no sku column": "product,article\n1,2\n", "no sku": "product,sku\n31,\n",
		"twice": "product,sku\n31,A\n31,B\n", "variant": "product,variant,sku\n31,L,A\n", "short": "product,sku\n31\n",
	} {
		if _, err := readArticles(strings.NewReader(text)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

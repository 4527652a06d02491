package intake

import (
	"fmt"
	"strings"
	"testing"
)

func TestArticlesAreRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"comma":                     {"product,variant,sku\n31,,SP-31\n50,20+17,SP-50-L\n", "2:31//SP-31 3:50/17,20/SP-50-L"},
		"semicolon":                 {"\ufeffSKU;Product\nSP-31;31\n", "2:31//SP-31"},
		"tab":                       {"product\tsku\tnote\n31\tSP-31\t\n\t\t\n", "2:31//SP-31"},
		"quoted":                    {"sku,product,note\r\n\"SP \"\"30\"\"\",31,\"a;b;c;d\"\r\n", `2:31//SP "30"`},
		"Italian Excel":             {"\ufeffproduct;variant;sku;name;;\r\n31;;CAFFÈ-1;\"Caffè; macinato\";;\r\n;;;;;\r\n50;17;SP-50-L;;;\r\n;;;;;\r\n", "2:31//CAFFÈ-1 4:50/17/SP-50-L"},
		"named by sep":              {"sep=;\r\nproduct;sku;name\r\n31;SP-31;a,b,c,d\r\n", "3:31//SP-31"},
		"line in quotes":            {"product,name,sku\n31,\"two\nlines\",A\n32,x,B\n", "2:31//A 4:32//B"},
		"no SKU yet":                {"product,sku\n31,\n41,-\n", "2:31// 3:41//-"},
		"kept from being a formula": {"product,sku\n31,'-7\n41,'x\n", "2:31//-7 3:41//'x"},
		"short line":                {"product,sku,note\n31,A\n", "2:31//A"},
	} {
		got, err := readArticles(strings.NewReader(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var words []string
		for _, m := range got {
			words = append(words, fmt.Sprintf("%d:%s/%s/%s", m.line, m.product, m.variant, m.sku))
		}
		if text := strings.Join(words, " "); text != c.want {
			t.Errorf("%s: read %s, want %s", name, text, c.want)
		}
	}
}

// Every line that is wrong is named.
func TestArticlesThatCantBeRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "line 1: the file is empty"},
		"no sku column":    {"product,article\n1,2\n", "sku is missing"},
		"column twice":     {"product,sku,SKU\n1,2,3\n", "two columns are named sku"},
		"twice":            {"product,sku\n31,A\n41,B\n31,C\n", "line 4: product 31, variant \"\" stands in line 2 already"},
		"variant":          {"product,variant,sku\n31,L,A\n50,17,B\n,,C\n", "line 2: variant \"L\": option values are numbers, joined by +\nline 4: product is empty\nnothing was imported"},
		"Windows' own set": {"product;sku\r\n31;SP-31\r\n41;CAFF\xc8\r\n", `line 3: it is not UTF-8, "41;CAFF\xc8": save it as "CSV UTF-8"`},
		"no text at all":   {"product,sku\n" + strings.Repeat("é", 5000) + "\xff" + strings.Repeat("x", 5000), "line 2: it is not UTF-8, \"" + strings.Repeat("é", 15) + `\xffxxxxxxxxx": save it`},
		"zero bytes":       {"product,sku\nab\x00cd", `line 2: it is not UTF-8, "ab\x00cd"`},
		"UTF-16":           {"\xff\xfep\x00r\x00", "UTF-16"},
		"workbook":         {"PK\x03\x04", "a workbook, not CSV"},
		"no quotes":        {"product,sku,name\n31,A,x, y\n", `line 2: "y" stands in a column that the first line has no name for`},
		"open quote":       {"product,sku\n31,\"A\n41,B\n", "no CSV"},
	} {
		_, err := readArticles(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestSheetIsReadAsItWasWritten(t *testing.T) {
	list := []Article{
		{Product: "31", SKU: "=1+1", By: "import", Name: "Schermo 30\"; più; \"grande\"", Note: "two\nlines"},
		{Product: "50", Variant: "17,20", SKU: "-7", Name: "+39", Orders: 3, First: 4711},
	}
	var file strings.Builder
	if err := WriteArticles(&file, list); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(file.String(), byteOrderMark+"product;variant;sku;") || strings.Contains(file.String(), ";=1") || strings.Contains(file.String(), ";+39") {
		t.Errorf("a spreadsheet would compute or ask:\n%s", file.String())
	}
	got, err := readArticles(strings.NewReader(file.String()))
	if err != nil || len(got) != 2 || got[0].sku != "=1+1" || got[1].sku != "-7" || got[1].variant != "17,20" {
		t.Errorf("read %+v, %v", got, err)
	}
}

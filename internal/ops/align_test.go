package ops

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/writeback/align"
)

// aligning is a page on which somebody has compared.
func aligning(o *Page, found *align.Report) *Watch {
	o.Align = &Alignment{Database: "mysql://nobody@127.0.0.1:1/shop", Writes: true}
	w := watching(o)
	w.aligner.is = alignment{Number: 7, By: "page@127.0.0.1", Found: found}
	return w
}

// differing is a comparison of so many articles, of which one has a hostile name.
func differing(n int) *align.Report {
	r := &align.Report{Articles: n, Differing: n, Refusals: []align.Refusal{{SKU: hostile, Field: align.Price, Why: hostile}}, Gone: []string{hostile}}
	for i := range n {
		r.Differences = append(r.Differences, align.Difference{SKU: fmt.Sprintf("SP-%04d", i), Field: align.Price, Shop: fmt.Sprintf("%d.00", i), ERP: fmt.Sprintf("%d.50", i)})
	}
	return r
}

// What differs is shown page by page, old and new, with what is refused and why; what others typed is text.
func TestAlignmentIsShown(t *testing.T) {
	v := visit(t, aligning(&Page{}, differing(250)))
	first := v.asks(http.StatusOK, http.MethodGet, "/align", nil)
	for _, want := range []string{"SP-0000", "<td>99.00<td>99.50", "page 1 of 3", `<a rel="next" href="/align?page=2">`, "250 differences of 250 articles, 1 refused", "Nothing was written", "page.password_file"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is not on the first page:\n%s", want, first)
		}
	}
	if strings.Contains(first, "SP-0100") || strings.Contains(first, "/align/apply") {
		t.Errorf("the first page has too much:\n%s", first)
	}
	for _, path := range []string{"/align?page=3", "/align?page=99"} {
		last := v.asks(http.StatusOK, http.MethodGet, path, nil)
		if !strings.Contains(last, "SP-0249") || !strings.Contains(last, `<a rel="prev" href="/align?page=2">`) || !strings.Contains(last, "refused: &lt;script&gt;") {
			t.Errorf("the last page:\n%s", last)
		}
		if strings.Contains(last, "<script>alert") || strings.Contains(last, "<img") || strings.ContainsAny(last, "\x1b\u202e") {
			t.Errorf("what others typed is more than text:\n%s", last)
		}
	}
	if flow := v.asks(http.StatusOK, http.MethodGet, "/", nil); !strings.Contains(flow, `<a href="/align">`) {
		t.Error("nothing leads there")
	}
}

// Nothing is compared or written by GET, by another page's form, without a password, twice, or other than was shown; a good part of the
// catalogue only when somebody has typed how much that is.
func TestAlignmentIsGuarded(t *testing.T) {
	open := visit(t, aligning(&Page{}, differing(3)))
	text := open.asks(http.StatusOK, http.MethodGet, "/align", nil)
	token := regexp.MustCompile(`name="token" value="(\w+)"`).FindStringSubmatch(text)[1]
	open.asks(http.StatusForbidden, http.MethodPost, "/align/apply", url.Values{"token": {token}, "number": {"7"}})

	w := aligning(&Page{Password: "correct horse"}, differing(30))
	v := visit(t, w)
	v.asks(http.StatusUnauthorized, http.MethodGet, "/align", nil)
	v.asks(http.StatusForbidden, http.MethodPost, "/align/apply", url.Values{"token": {""}, "number": {"7"}})
	v.asks(http.StatusOK, http.MethodPost, "/login", url.Values{"password": {"correct horse"}})
	text = v.asks(http.StatusOK, http.MethodGet, "/align", nil)
	token = regexp.MustCompile(`name="token" value="(\w+)"`).FindStringSubmatch(text)[1]
	form := func(more ...string) url.Values {
		f := url.Values{"token": {token}}
		for i := 0; i+1 < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f
	}
	v.asks(http.StatusMethodNotAllowed, http.MethodGet, "/align/apply?number=7&token="+token, nil)
	v.asks(http.StatusMethodNotAllowed, http.MethodGet, "/align/compare?token="+token, nil)
	v.asks(http.StatusForbidden, http.MethodPost, "/align/compare", form(), "Origin", "https://elsewhere.example")
	v.asks(http.StatusForbidden, http.MethodPost, "/align/apply", form("number", "7", "token", "wrong"))
	for _, c := range []struct{ why, number, confirm string }{
		{"no longer here", "6", "30"},
		{"30 of 30 articles would change, and they were not confirmed", "7", ""},
		{"30 of 30 articles would change, and they were not confirmed", "7", "29"},
	} {
		if text := v.asks(http.StatusConflict, http.MethodPost, "/align/apply", form("number", c.number, "confirm", c.confirm)); !strings.Contains(text, c.why) || !strings.Contains(text, `href="/align"`) {
			t.Errorf("comparison %s, confirmed %q:\n%s", c.number, c.confirm, text)
		}
	}
	if w.aligner.told().Doing != atRest || len(w.aligner.work) != 0 {
		t.Error("something was begun")
	}
	if text := v.asks(http.StatusOK, http.MethodPost, "/align/apply", form("number", "7", "confirm", "30")); !strings.Contains(text, "page@127.0.0.1 writes since") || !strings.Contains(text, `http-equiv="refresh"`) {
		t.Errorf("behind the button:\n%s", text)
	}
	v.asks(http.StatusConflict, http.MethodPost, "/align/apply", form("number", "7", "confirm", "30"))
	v.asks(http.StatusConflict, http.MethodPost, "/align/compare", form())
	(<-w.aligner.work)(t.Context()) // both servers are away
	if text := v.asks(http.StatusOK, http.MethodGet, "/align", nil); !strings.Contains(text, "what is done stands: compare again") || strings.Contains(text, "/align/apply") {
		t.Errorf("interrupted:\n%s", text)
	}
	v.asks(http.StatusConflict, http.MethodPost, "/align/apply", form("number", "7", "confirm", "30")) // once
}

// What was typed is what is compared.
func TestScope(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	is, err := scope{Fields: []string{"weight", "price"}, SKUs: " A, B\nC ", Category: " Pots ", Since: "2026-12-01"}.read(rome)
	if want := "{[price weight] [A B C] Pots 2026-12-01 00:00:00 +0100 CET}"; err != nil || fmt.Sprint(is) != want {
		t.Errorf("%v, %v; want %s", is, err, want)
	}
	if is, err := (scope{}).read(rome); err != nil || is.Fields != nil || is.SKUs != nil {
		t.Errorf("all: %v, %v", is, err)
	}
	for _, wrong := range []scope{{Since: "monday"}, {Fields: []string{"colour"}}} {
		if is, err := wrong.read(rome); err == nil {
			t.Errorf("%v is %v", wrong, is)
		}
	}
}

package ops

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/writeback/align"
)

// rowsAPage of what differs are shown at a time.
const rowsAPage = 100

// alignRow is what is said of one field of an article.
type alignRow struct {
	SKU, Field, Shop, ERP string
	Why                   string // it can't be aligned; empty: it can
}

// alignView is what the page of an alignment shows.
type alignView struct {
	Shop, Token string
	alignment

	At          string
	Fields      []align.Field
	Rows        []alignRow
	Page, Pages int // from 1
	Before      int // the page before this one; 0: none
	Next        int
	Many        bool   // a person must type how many articles change
	Can         bool   // write
	Cannot      string // why not
	Missing     []string
}

// serveAlign adds the pages of an alignment.
func (p *page) serveAlign(mux *http.ServeMux) {
	mux.HandleFunc("GET /align", guarded(p.showAlign))
	mux.HandleFunc("POST /align/compare", guarded(p.compare))
	mux.HandleFunc("POST /align/apply", guarded(p.apply))
}

func (p *page) showAlign(out http.ResponseWriter, r *http.Request) {
	s, ok := p.door.let(out, r)
	if !ok {
		return
	}
	at, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil {
		at = 1
	}
	write(out, "align.html", p.alignView(s.token, at))
}

func (p *page) alignView(token string, at int) alignView {
	is := p.align.told()
	v := alignView{Shop: p.watch.of.Shop, Token: token, alignment: is, Fields: align.Fields, Page: 1, Pages: 1}
	v.Err = printable.Text(is.Err)
	if !is.Begun.IsZero() {
		v.At = is.Begun.Local().Format("15:04:05")
	}
	switch {
	case !p.align.of.Writes:
		v.Cannot = "shop.write_as in spola.yaml names who may write into the shop (deploy/grants/shop-writer and shop-align)"
	case p.door.password == "":
		v.Cannot = "whoever is on this host sees this page: page.password_file in spola.yaml says who may change prices from here. On the command line: applier align --apply"
	default:
		v.Can = true
	}
	if is.Found == nil {
		return v
	}
	all := alignRows(*is.Found)
	v.Pages = max(1, (len(all)+rowsAPage-1)/rowsAPage)
	v.Page = min(max(1, at), v.Pages)
	v.Rows = all[(v.Page-1)*rowsAPage : min(len(all), v.Page*rowsAPage)]
	v.Before = v.Page - 1
	if v.Page < v.Pages {
		v.Next = v.Page + 1
	}
	v.Many = is.Found.Guard(0) != nil
	for _, m := range []struct {
		what string
		skus []string
	}{{"not sold in the shop", is.Found.NotSold}, {"mapped to a product or option that the shop no longer has", is.Found.Gone}} {
		if len(m.skus) > 0 {
			v.Missing = append(v.Missing, m.what+": "+few(m.skus))
		}
	}
	return v
}

// alignRows are what differs, and behind it what can't be aligned.
func alignRows(found align.Report) []alignRow {
	rows := make([]alignRow, 0, len(found.Differences)+len(found.Refusals))
	for _, d := range found.Differences {
		rows = append(rows, alignRow{SKU: d.SKU, Field: string(d.Field), Shop: d.Shop, ERP: d.ERP})
	}
	for _, f := range found.Refusals {
		rows = append(rows, alignRow{SKU: f.SKU, Field: string(f.Field), Why: f.Why})
	}
	return rows
}

// few names some of many.
func few(skus []string) string {
	const most = 20
	if len(skus) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(skus[:most], ", "), len(skus)-most)
	}
	return strings.Join(skus, ", ")
}

func (p *page) compare(out http.ResponseWriter, r *http.Request) {
	if !p.door.letForm(out, r) {
		return
	}
	s := scope{Fields: slices.Clone(r.PostForm["field"]), SKUs: r.PostFormValue("skus"), Category: r.PostFormValue("category"), Since: r.PostFormValue("since")}
	p.answer(out, r, p.align.compare(s, visitorOf(r)))
}

func (p *page) apply(out http.ResponseWriter, r *http.Request) {
	if !p.door.letForm(out, r) {
		return
	}
	if p.door.password == "" {
		http.Error(out, "without a password nobody changes the shop's prices here: page.password_file in spola.yaml, or applier align --apply", http.StatusForbidden)
		return
	}
	number, wrong := strconv.ParseInt(r.PostFormValue("number"), 10, 64)
	if wrong != nil {
		http.Error(out, "no comparison is named", http.StatusBadRequest)
		return
	}
	confirmed, wrong := strconv.Atoi(r.PostFormValue("confirm"))
	if wrong != nil {
		confirmed = 0 // nothing was confirmed
	}
	p.answer(out, r, p.align.apply(number, confirmed, intake.By{Who: visitorOf(r), Reason: strings.TrimSpace(r.PostFormValue("reason"))}))
}

// answer shows the alignment, or why nothing was begun.
func (p *page) answer(out http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		out.WriteHeader(http.StatusConflict)
		write(out, "sorry.html", map[string]any{"Shop": p.watch.of.Shop, "Why": printable.Text(err.Error()), "Back": "/align"})
		return
	}
	http.Redirect(out, r, "/align", http.StatusSeeOther)
}

// visitorOf is who sends a form, as what he does is on record.
func visitorOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "page@" + host
}

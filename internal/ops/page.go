package ops

import (
	"bytes"
	"context"
	"crypto/tls"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/notice"
	"github.com/spola-cdc/spola/internal/printable"
	erp "github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/trace"
)

//go:embed page
var assets embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"int64": func(n int) int64 { return int64(n) }, "line": printable.Text, "few": few}).ParseFS(assets, "page/*.html"))

// Page is who may see the page.
type Page struct {
	Password    string           // empty: whoever is on this host, and nobody else
	Certificate *tls.Certificate // of the server; nil: the page is for this host, or for a proxy on it
	Trace       *trace.Sources   // of an order's story; nil: there is none
	Align       *Alignment       // of the shop's catalogue; nil: there is none
}

// page is the flow as a picture, what waits for a person, and the few things he may do about it.
type page struct {
	watch   *watch
	door    *doorkeeper
	to      string // who is told by mail; empty: nobody
	trace   *trace.Sources
	align   *aligner                            // nil: there is none
	unsent  func() (since time.Time, why error) // of notices
	waiting func() []notice.Cause               // what a person must look at
}

// policy allows what stands in this program and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(out http.ResponseWriter, r *http.Request) {
		h := out.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next(out, r)
	}
}

// serve adds the page to what the server answers.
func (p *page) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", guarded(p.show))
	mux.HandleFunc("GET /events", guarded(p.events))
	mux.HandleFunc("GET /login", guarded(p.login))
	mux.HandleFunc("POST /login", guarded(p.enter))
	mux.HandleFunc("POST /logout", guarded(p.leave))
	mux.HandleFunc("POST /parked/{order}/retry", guarded(p.retry))
	mux.HandleFunc("GET /order", guarded(p.order))
	if p.align != nil {
		p.serveAlign(mux)
	}
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"} {
		mux.HandleFunc("GET /"+name, guarded(func(out http.ResponseWriter, _ *http.Request) {
			text, err := assets.ReadFile("page/" + name)
			if err != nil {
				http.Error(out, err.Error(), http.StatusInternalServerError)
				return
			}
			out.Header().Set("Content-Type", kind)
			_, _ = out.Write(text) // who asked has gone
		}))
	}
}

// refused answers in place of the page where it must not be seen.
func refused(out http.ResponseWriter, _ *http.Request) {
	http.Error(out, "/metrics, /livez and /readyz?verbose are here. The page is for this host, unless it has a certificate and a password: page in spola.yaml.", http.StatusForbidden)
}

func write(out http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	out.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = out.Write(b.Bytes()) // who asked has gone
}

func (p *page) show(out http.ResponseWriter, r *http.Request) {
	if s, ok := p.door.let(out, r); ok {
		retried, _ := strconv.ParseInt(r.URL.Query().Get("retried"), 10, 64) // nothing else is said of it
		write(out, "page.html", p.view(s.token, retried))
	}
}

func (p *page) login(out http.ResponseWriter, r *http.Request) {
	if p.door.password == "" {
		http.Redirect(out, r, "/", http.StatusSeeOther)
		return
	}
	write(out, "login.html", map[string]any{"Shop": p.watch.of.Shop, "Wrong": r.URL.Query().Has("wrong")})
}

func (p *page) enter(out http.ResponseWriter, r *http.Request) {
	form(out, r)
	if !p.door.knows(r.PostFormValue("password"), r.RemoteAddr) {
		http.Redirect(out, r, "/login?wrong", http.StatusSeeOther)
		return
	}
	p.door.begin(out, r)
	http.Redirect(out, r, "/", http.StatusSeeOther)
}

func (p *page) leave(out http.ResponseWriter, r *http.Request) {
	if p.door.letForm(out, r) {
		p.door.end(r)
		http.Redirect(out, r, "/login", http.StatusSeeOther)
	}
}

// retry has a parked order derived again, as `applier parked retry` does.
func (p *page) retry(out http.ResponseWriter, r *http.Request) {
	if !p.door.letForm(out, r) {
		return
	}
	order, err := strconv.ParseInt(r.PathValue("order"), 10, 64)
	if err != nil {
		http.Error(out, "no order number", http.StatusBadRequest)
		return
	}
	if err := p.retryOrder(r.Context(), order, visitorOf(r)); err != nil {
		out.WriteHeader(http.StatusConflict)
		write(out, "sorry.html", map[string]any{"Shop": p.watch.of.Shop, "Why": printable.Text(err.Error())})
		return
	}
	http.Redirect(out, r, fmt.Sprintf("/?retried=%d#parked", order), http.StatusSeeOther)
}

func (p *page) retryOrder(ctx context.Context, order int64, who string) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	conn, err := erp.Connect(ctx, p.watch.of.ERP, "spola page "+p.watch.of.Shop)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = intake.RetryParked(ctx, conn, p.watch.of.Shop, intake.By{Who: who, Reason: "retried on the page"}, order)
	return err
}

// order tells one order's story, by its number in the shop or the ERP, or a document's.
func (p *page) order(out http.ResponseWriter, r *http.Request) {
	if _, ok := p.door.let(out, r); !ok {
		return
	}
	number := strings.TrimSpace(r.URL.Query().Get("number"))
	told, err := p.story(r.Context(), number)
	if err != nil {
		out.WriteHeader(http.StatusNotFound)
		write(out, "sorry.html", map[string]any{"Shop": p.watch.of.Shop, "Why": printable.Text(err.Error())})
		return
	}
	write(out, "order.html", told)
}

func (p *page) story(ctx context.Context, number string) (*trace.Trace, error) {
	if p.trace == nil || number == "" {
		return nil, errors.New("no order is named")
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	conn, err := erp.Connect(ctx, p.watch.of.ERP, "spola page "+p.watch.of.Shop)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return trace.Of(ctx, conn, *p.trace, number)
}

// events sends the parts of the page that have changed, as HTML, whenever there was a look, until who watches has gone.
func (p *page) events(out http.ResponseWriter, r *http.Request) {
	s, ok := p.door.of(r)
	if !ok {
		http.Error(out, "log in at /login", http.StatusUnauthorized)
		return
	}
	out.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(out)
	sent := map[string]string{}
	timer := time.NewTicker(time.Second)
	defer timer.Stop()
	for {
		if _, still := p.door.of(r); !still {
			return
		}
		changed, err := p.changed(s.token, sent)
		if err == nil {
			err = control.SetWriteDeadline(time.Now().Add(10 * time.Second))
		}
		if err == nil && len(changed) > 0 {
			var text []byte
			if text, err = json.Marshal(changed); err == nil {
				_, err = fmt.Fprintf(out, "data: %s\n\n", text)
			}
		} else if err == nil {
			_, err = fmt.Fprint(out, ": nothing new\n\n") // who has gone is noticed
		}
		if err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-timer.C:
		}
	}
}

// changed are the parts whose HTML is not what was sent.
func (p *page) changed(token string, sent map[string]string) (map[string]string, error) {
	view, changed := p.view(token, 0), map[string]string{}
	for _, part := range parts {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, part, view); err != nil {
			return nil, err
		}
		if text := b.String(); sent[part] != text {
			sent[part], changed[part] = text, text
		}
	}
	return changed, nil
}

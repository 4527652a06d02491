package ops

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	lab "github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/notice"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/trace"
)

const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(1)>` + "\u202e\x1b[31m"

// picture is one of a shop at work, with names of its customers' own.
func picture() *Picture {
	now := time.Now()
	return &Picture{At: now, Errors: map[string]error{}, Live: true, Orders: map[string]int64{"imported": 1204, "takeable": 2, "parked": 3}, Parked: map[string]int64{"unknown_article": 3},
		Streams: []Stream{{Applier: "intake", Group: "spola.shop.intake", Log: "spola.shop", Read: 100, End: 100, Moved: now}, {Applier: "stock", Group: "spola.shop.stock", Log: "spola.erp", Read: 10, End: 90, Age: 95 * time.Second, Still: 95 * time.Second, Moved: now.Add(-95 * time.Second)},
			{Applier: "orders", Group: "spola.shop.orders", Log: "spola.erp", Read: 90, End: 90, Paused: true, Moved: now}},
		Waits: []Wait{{"stock", hostile, 2}}, Behind: new(int64(17)), ERPBack: new(int64(4711)),
		Slow: &Slow{Stock: stock.Accounts{Rows: 40, Drifting: 1, Repairs: 7}, Mails: map[string]int64{"failed": 1}, Sent: 812},
		Open: Open{
			Parked: []ParkedOrders{{Reason: "unknown_article", Why: "A line has no article.", Mend: "applier articles --suggest", Count: 3, First: now.Add(-time.Hour), Newest: now, Orders: []int64{4713, 4712}, What: []string{hostile, "product 31"}}},
			Runs:   []Reconciliation{{ID: 1, Ended: now, Why: "schedule", Rows: 40, Drifting: 1, Repaired: 1, Found: []string{"SP-0003 (product:3): repair -4, " + hostile}}},
			Mails:  []StuckMails{{State: "failed", Count: 1, Newest: 9, First: now, IDs: []int64{9}, What: []string{"shipment of order 4711: " + hostile}}},
		}}
}

// visitor is somebody with a browser.
type visitor struct {
	*testing.T
	*http.Client
	base string
}

func visit(t *testing.T, w *Watch) *visitor {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	w.o.Listen = listener
	server := httptest.NewUnstartedServer(w.handler())
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, &http.Client{Jar: jar, Timeout: lab.Patience}, server.URL}
}

func watching(o *Page) *Watch {
	w := New(Options{Pipeline: Pipeline{Shop: "shop", ERP: "postgres://nobody@127.0.0.1:1/erp?sslmode=disable"}, Page: o})
	w.watch.last.Store(picture())
	return w
}

// asks sends a request and wants a status.
func (v *visitor) asks(want int, method, path string, form url.Values, headers ...string) string {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := v.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	if res.StatusCode != want {
		v.Errorf("%s %s: status %d, want %d\n%s", method, path, res.StatusCode, want, text)
	}
	if strings.Contains(res.Header.Get("Content-Type"), "html") {
		if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			v.Errorf("%s: policy %q", path, csp)
		}
	}
	return string(text)
}

// What customers typed is shown as what it is, everywhere, and the page asks for nothing that is not here.
func TestPageShowsWhatIs(t *testing.T) {
	w := watching(&Page{})
	w.watch.probe.sent, w.watch.probe.toLog, w.watch.probe.logged = time.Now().Add(-40*time.Second), 1, time.Now().Add(-40*time.Second)
	w.watch.back.trips, w.watch.back.waiting = map[string]Trip{StageLog: {}}, map[string]*sent{StageLog: {at: time.Now().Add(-45 * time.Second)}}
	v := visit(t, w)
	text := v.asks(http.StatusOK, http.MethodGet, "/", nil)
	if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img") || strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("a customer's text is more than text:\n%s", text)
	}
	for _, want := range []string{"&lt;script&gt;alert(1)", "1204", "unknown_article: 3", "/parked/4713/retry", "stands still, 80 records, 95.0 s", "paused, 0 records", "a probe waits for 40s; 17 transactions are not read", "cdc erp: a probe waits for 45s; 4711 bytes are not read", "in the ERP", "812", "SP-0003", "applier articles --suggest"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page:\n%s", want, text)
		}
	}
	story := &trace.Trace{Shop: "shop", Order: 4711, Status: "imported", State: hostile, Steps: []trace.Step{{Stage: trace.Back, What: hostile, Outcome: trace.Waits, Why: hostile, Mend: "applier resume stock", Place: &trace.Place{Generation: 1, Seq: 42, Offset: 43}}}}
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, "order.html", story); err != nil || strings.Contains(b.String(), "<script>alert") || strings.ContainsAny(b.String(), "\x1b\u202e") || !strings.Contains(b.String(), "1/42") {
		t.Errorf("an order's story: %v\n%s", err, b.String())
	}
	v.asks(http.StatusNotFound, http.MethodGet, "/order?number=4711", nil) // the ERP is away, and says so
	for _, elsewhere := range []string{"http://", "https://", "style=", "onclick"} {
		if strings.Contains(text, elsewhere) {
			t.Errorf("%q is on the page", elsewhere)
		}
	}
	for _, path := range regexp.MustCompile(`(?:src|href)="(/[a-z.]+)"`).FindAllStringSubmatch(text, -1) {
		v.asks(map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusOK}[path[1] == "/readyz"], http.MethodGet, path[1], nil)
	}
}

// Without a password the page is this host's own; nobody else's page can send its forms, and nothing changes by GET.
func TestPageIsForThisHost(t *testing.T) {
	v := visit(t, watching(&Page{}))
	v.asks(http.StatusForbidden, http.MethodGet, "/", nil, "Host", "shop.example.com")
	v.asks(http.StatusForbidden, http.MethodPost, "/parked/4713/retry", url.Values{"token": {""}})
	text := v.asks(http.StatusOK, http.MethodGet, "/", nil)
	token := url.Values{"token": {regexp.MustCompile(`name="token" value="(\w+)"`).FindStringSubmatch(text)[1]}}
	v.asks(http.StatusForbidden, http.MethodPost, "/parked/4713/retry", url.Values{"token": {"wrong"}})
	v.asks(http.StatusForbidden, http.MethodPost, "/parked/4713/retry", token, "Origin", "https://elsewhere.example")
	v.asks(http.StatusMethodNotAllowed, http.MethodGet, "/parked/4713/retry", nil)
	v.asks(http.StatusConflict, http.MethodPost, "/parked/4713/retry", token) // it is tried: the ERP is away
}

// Whoever asks learns which part is not well; where it is and who logs in there only who may see the page. That the program lives is told
// to all, whatever else is away.
func TestReadyTellsStrangersNoAddress(t *testing.T) {
	const address = "dial tcp 10.7.0.5:5432, as spola_applier"
	for _, c := range []struct {
		name    string
		page    *Page
		headers []string
		login   bool
		told    bool
	}{
		{"no page, this host", nil, nil, false, true},
		{"no password, this host", &Page{}, nil, false, true},
		{"no password, another's name", &Page{}, []string{"Host", "shop.example.com"}, false, false},
		{"password, not logged in", &Page{Password: "correct horse"}, nil, false, false},
		{"password, logged in", &Page{Password: "correct horse"}, nil, true, true},
	} {
		w := watching(c.page)
		w.watch.last.Load().Errors[PartERP] = errors.New(address)
		w.watch.probe.err = errors.New(address)
		v := visit(t, w)
		if c.login {
			v.asks(http.StatusOK, http.MethodPost, "/login", url.Values{"password": {c.page.Password}})
		}
		for _, path := range []string{"/readyz", "/readyz?verbose"} {
			text := v.asks(http.StatusServiceUnavailable, http.MethodGet, path, nil, c.headers...)
			if strings.Contains(text, address) != c.told || !strings.Contains(text, PartERP) {
				t.Errorf("%s, %s: %s", c.name, path, text)
			}
		}
		if text := v.asks(http.StatusOK, http.MethodGet, "/livez", nil, c.headers...); text != "ok\n" {
			t.Errorf("%s: /livez says %q", c.name, text)
		}
	}
}

// With a password nothing is seen without it; a wrong one is slow; who logs out is out.
func TestPageAsksForThePassword(t *testing.T) {
	v := visit(t, watching(&Page{Password: "correct horse"}))
	if text := v.asks(http.StatusOK, http.MethodGet, "/", nil); !strings.Contains(text, `type="password"`) || strings.Contains(text, "4713") {
		t.Errorf("without the password:\n%s", text)
	}
	v.asks(http.StatusUnauthorized, http.MethodGet, "/events", nil)
	v.asks(http.StatusUnauthorized, http.MethodGet, "/order?number=4711", nil)
	v.asks(http.StatusForbidden, http.MethodPost, "/parked/4713/retry", url.Values{"token": {""}})
	for _, wrong := range []string{"", "wrong", "correct horse"} { // right, but too soon behind a wrong one
		if text := v.asks(http.StatusOK, http.MethodPost, "/login", url.Values{"password": {wrong}}); !strings.Contains(text, "not the password") {
			t.Errorf("%q:\n%s", wrong, text)
		}
	}
	time.Sleep(time.Second)
	text := v.asks(http.StatusOK, http.MethodPost, "/login", url.Values{"password": {"correct horse"}})
	token := regexp.MustCompile(`name="token" value="(\w+)"`).FindStringSubmatch(text)
	if token == nil || !strings.Contains(text, "4713") {
		t.Fatalf("with the password:\n%s", text)
	}
	v.asks(http.StatusOK, http.MethodPost, "/logout", url.Values{"token": {token[1]}})
	v.asks(http.StatusUnauthorized, http.MethodGet, "/events", nil)
}

// Who guesses keeps nobody else out.
func TestGuessing(t *testing.T) {
	d := &doorkeeper{password: "correct horse"}
	for range 3 {
		if d.knows("wrong", "192.0.2.7:4711") || d.knows("correct horse", "192.0.2.7:4712") {
			t.Error("who has just guessed wrong is heard at once")
		}
	}
	if !d.knows("correct horse", "192.0.2.8:4711") {
		t.Error("somebody else's guess keeps another one out")
	}
	for i := range 3 * hostsMost {
		d.knows("wrong", fmt.Sprintf("10.0.%d.%d:1", i/256, i%256))
	}
	if len(d.failed) > hostsMost {
		t.Errorf("%d hosts are remembered", len(d.failed))
	}
}

// elsewhere is an address that others can come to.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9394} }

// Others than this host see the page by TLS and with a password, or not at all; metrics they see.
func TestPageIsNotForOthers(t *testing.T) {
	for _, o := range []*Page{{}, {Password: "correct horse"}} {
		w := watching(o)
		w.o.Listen = elsewhere{}
		for path, want := range map[string]int{"/": http.StatusForbidden, "/events": http.StatusNotFound, "/login": http.StatusNotFound, "/metrics": http.StatusOK} {
			out := httptest.NewRecorder()
			w.handler().ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if out.Code != want {
				t.Errorf("%s: %d, want %d", path, out.Code, want)
			}
		}
	}
}

// What changes comes by itself, and only that.
func TestPageIsLive(t *testing.T) {
	w := watching(&Page{})
	v := visit(t, w)
	v.asks(http.StatusOK, http.MethodGet, "/", nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	next := func() string {
		for lines.Scan() {
			if text, news := strings.CutPrefix(lines.Text(), "data: "); news {
				return text
			}
		}
		t.Fatalf("no news: %v", lines.Err())
		return ""
	}
	if first := next(); !strings.Contains(first, "1204") || strings.Contains(first, "<script>alert") {
		t.Errorf("first %s", first)
	}
	pic := picture()
	pic.Orders["imported"] = 1205
	pic.At = pic.At.Add(time.Second)
	w.watch.last.Store(pic)
	news := next()
	for !strings.Contains(news, "1205") { // a part may have told the time alone
		news = next()
	}
	if strings.Contains(news, `"flow"`) {
		t.Errorf("what has not changed came again: %s", news)
	}
}

// What a look has found becomes what a person is told: each of the four, with its order and the command; nothing of a shop that is
// only observed, of what is paused, or of what can't be known.
func TestSight(t *testing.T) {
	reasons := func(p *Picture, trip Trip, words ...notice.Words) string {
		var all []string
		for _, c := range p.sight(trip, words).Causes {
			all = append(all, c.Reason)
			if c.Mend == "" || c.Over == "" || c.Title == "" {
				t.Errorf("%s does not say what to do: %+v", c.Reason, c)
			}
		}
		return strings.Join(all, " ")
	}
	change := func(do func(p *Picture)) *Picture { p := picture(); do(p); return p }
	for what, c := range map[string]struct {
		p     *Picture
		trip  Trip
		words []notice.Words
		want  string
	}{
		"as it is":      {p: picture(), want: "stopped.stock parked.unknown_article mails.failed"},
		"only observed": {p: change(func(p *Picture) { p.Live = false }), want: "stopped.stock"},
		"held":          {p: change(func(p *Picture) { p.Open.Runs[0].Held = "30 of 40" }), want: "stopped.stock parked.unknown_article mails.failed stock.held"},
		"drift stays": {p: change(func(p *Picture) {
			r := Reconciliation{Drifting: 1, Waiting: 1}
			p.Open = Open{Runs: []Reconciliation{r, r, r}}
		}), want: "stopped.stock stock.drifts"},
		"drift of two runs": {p: change(func(p *Picture) {
			r := Reconciliation{Drifting: 1, Waiting: 1}
			p.Open = Open{Runs: []Reconciliation{r, r, {}}}
		}), want: "stopped.stock"},
		"last words say more":   {p: change(func(p *Picture) { p.Open = Open{} }), words: []notice.Words{{Stream: "stock", At: time.Now(), Said: "why"}}, want: "stopped.stock"},
		"it has gone on since":  {p: change(func(p *Picture) { p.Open = Open{} }), words: []notice.Words{{Stream: "intake", At: time.Now().Add(-time.Minute)}}, want: "stopped.stock"},
		"the shop is not read":  {p: change(func(p *Picture) { p.Open = Open{} }), trip: Trip{Waiting: 31 * time.Second, Log: Leg{Waiting: 31 * time.Second}}, want: "stopped.cdc"},
		"the shop takes no row": {p: change(func(p *Picture) { p.Open = Open{} }), trip: Trip{Err: errors.New("invalid connection"), Waiting: 31 * time.Second, Refused: 31 * time.Second}, want: "refuses.shop"},
		"intake is behind": {p: change(func(p *Picture) {
			p.Open = Open{}
			p.Streams[0].End, p.Streams[0].Age, p.Streams[0].Still = 200, time.Minute, time.Minute
		}), trip: Trip{Waiting: time.Minute}, want: "stopped.intake"},
		"intake catches up":         {p: change(func(p *Picture) { p.Open = Open{}; p.Streams[0].End, p.Streams[0].Age = 200, time.Minute }), trip: Trip{Waiting: time.Minute}, want: ""},
		"the ERP is away":           {p: change(func(p *Picture) { p.Errors[PartERP] = errors.New("refused") }), words: []notice.Words{{Stream: "stock", At: time.Now(), Said: "why"}}, want: "stopped.stock down.erp"},
		"Kafka is away":             {p: change(func(p *Picture) { p.Errors[PartKafka] = errors.New("refused") }), want: "down.kafka parked.unknown_article mails.failed"},
		"nobody reads the ERP":      {p: change(func(p *Picture) { no := false; p.ERPRead = &no; p.Open = Open{} }), want: "stopped.stock stopped.cdc erp"},
		"nothing, all is as it was": {p: change(func(p *Picture) { p.Open, p.Streams = Open{}, p.Streams[:1] }), trip: Trip{Took: time.Second}, want: ""},
	} {
		if got := reasons(c.p, c.trip, c.words...); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	parked := picture().waiting()[0]
	if said := fmt.Sprint(parked); !strings.Contains(said, "order 4713") || !strings.Contains(said, "applier parked show 4713") || !strings.Contains(said, "and 1 more: applier parked lists them") {
		t.Errorf("parked: %s", said)
	}
}

// What waits is as old as it is, whether the clock of its source is ahead or behind.
func TestAgeByTwoClocks(t *testing.T) {
	now := time.Now()
	for _, ahead := range []time.Duration{0, 5 * time.Second, -5 * time.Second} {
		committed := now.Add(ahead - 2*time.Second) // by the source's clock
		if got := age(stream.Lag{Events: 1, Oldest: committed}, now, &ahead); got != 2*time.Second {
			t.Errorf("%s ahead: %s old", ahead, got)
		}
	}
	ahead := 5 * time.Second
	if got := age(stream.Lag{}, now, &ahead); got != 0 {
		t.Errorf("nothing waits, and is %s old", got)
	}
}

// The daily digest says how things are and what has come since the last one, and what it can't say while the ERP is away.
func TestDigestTells(t *testing.T) {
	_, before := picture().digest(Trip{}, nil)
	pic := picture()
	pic.Orders["imported"], pic.Slow.Sent, pic.Slow.Stock.Repairs = 1304, 822, 9
	text, totals := pic.digest(Trip{Took: 180 * time.Millisecond}, before)
	for _, want := range []string{"1304 in the ERP, 100 since the last digest", "3 parked", "in 180 ms", "stock    80 records behind", "orders   0 records behind, 0s; paused by a person: applier resume orders",
		"9 repaired ever, 2 since the last digest", "822 sent, 10 since the last digest", "1 failed"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	pic.Errors[PartERP] = errors.New("refused")
	if text, kept := pic.digest(Trip{}, totals); !strings.Contains(text, "the ERP's database does not answer: refused") || !strings.Contains(text, "More can't be said") || kept["taken"] != 1304 {
		t.Errorf("while the ERP is away: %v\n%s", kept, text)
	}
}

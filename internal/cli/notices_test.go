package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/cookiejar"
	netmail "net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/notice"
	"github.com/spola-cdc/spola/internal/ops"
)

// letterbox is what a person reads: each mail's subject and text.
type letterbox struct {
	t   *testing.T
	box *mailbox.Server
}

func newLetterbox(t *testing.T, p *pipeline) *letterbox {
	t.Helper()
	box, err := mailbox.Start(mailbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	p.write("mail-ca.pem", box.CA)
	p.append("spola.yaml", fmt.Sprintf("smtp: {server: %q, ca_file: mail-ca.pem, from: Spola <spola@example.com>, customers: false}\nnotices: {to: anna@example.com, digest: 'off', dir: notices}\n", box.Addr))
	return &letterbox{t, box}
}

// all are the mails, each as its subject and its text.
func (l *letterbox) all() (mails []string) {
	l.t.Helper()
	for _, m := range l.box.Mails() {
		read, err := netmail.ReadMessage(strings.NewReader(string(m.Raw)))
		if err != nil {
			l.t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(read.Body))
		if err != nil {
			l.t.Fatal(err)
		}
		mails = append(mails, m.At.Format("15:04:05 ")+read.Header.Get("Subject")+"\n"+strings.ReplaceAll(string(text), "\r", ""))
	}
	return mails
}

// with are those that have all these words.
func (l *letterbox) with(words ...string) (mails []string) {
	for _, mail := range l.all() {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(mail, w) }) {
			mails = append(mails, mail)
		}
	}
	return mails
}

// A person is told once of each thing that needs him, with its order and the command that mends it, and once when it is over: an
// order that is parked, a stream that has stopped, a change of stock that is held, a mail to a customer that can't be sent.
func TestNotices(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	letters := newLetterbox(t, p)
	p.cfg = p.load("spola.yaml")
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	order := p.place("first@example.com")
	p.arrived([]*program{reader, taker}, order)

	address, stop := p.watch(notice.Rules{Over: 2 * time.Second, Apart: time.Second})
	if quiet := letters.all(); len(quiet) != 0 {
		t.Errorf("told of nothing: %v", quiet)
	}
	planted := time.Now()
	if err := p.shop.SetStatus(t.Context(), order, 77); err != nil {
		t.Fatal(err)
	}
	p.until("the order is parked", []*program{reader, taker}, func() bool { return p.number("select count(*) from spola.parked") == 1 })
	taker.stop()
	p.erpExec("insert into spola.mail (key, shop, kind, cause, order_id, number, shop_number, recipient, state, reason, message_id) values ('a', 'shop', 'shipment', 1, 1, 'W2026/1', '4712', '', 'failed', 'the order has no e-mail address', 'a')")
	p.erpExec(`insert into spola.reconciliation (shop, why, ticks, rows, opened, closed, drifting, repaired, compared, unequal, waiting, held, detail)
		values ('shop', 'schedule', 3, 40, 0, 0, 0, 0, true, 0, 30, 'shop shop: 30 of 40 rows of stock would go to zero at once', '[{"sku": "SP-0003", "stock_row": "product:3", "what": "repair", "pieces": -4, "why": "by hand"}]')`)
	var sum string
	if err := p.erp.QueryRow(t.Context(), "select sum from spola.place where applier = 'intake'").Scan(&sum); err != nil {
		t.Fatal(err)
	}
	p.erpExec("update spola.place set sum = 'ffffffffffffffff' where applier = 'intake'")
	said := p.run(3, "applier", "run")
	sentence := strings.TrimSpace(said[strings.LastIndex(said, "spola: ")+len("spola: "):])

	wants := map[string][]string{
		"the parked order": {"1 order is parked: unknown_state", fmt.Sprintf("order %d: ", order), fmt.Sprintf("applier parked show %d", order)},
		"the stream":       {"intake has stopped", sentence[:40], "systemctl start applier@intake"},
		"the stock":        {"a change of very many rows of stock waits for you", "30 of 40 rows", "SP-0003", "applier reconcile --allow"},
		"the mail":         {"1 mail to a customer can't be sent", "order 4712", "applier mail resend 1"},
	}
	for what, words := range wants {
		p.until("somebody is told of "+what, []*program{reader}, func() bool { return len(letters.with(words...)) > 0 })
	}
	t.Logf("all four were told %v after the first of them", time.Since(planted).Round(time.Second))

	shown := p.run(0, "notices", "--json")
	var open struct {
		To   string         `json:"to"`
		Open []notice.Cause `json:"open"`
	}
	if err := json.Unmarshal([]byte(shown), &open); err != nil || open.To != "anna@example.com" || len(open.Open) != 4 {
		t.Errorf("spola notices: %v\n%s", err, shown)
	}

	p.tryAgain(address, order)
	p.erpExec("update spola.place set sum = $1 where applier = 'intake'", sum)
	taker = p.start("applier", "run")
	if err := p.shop.SetStatus(t.Context(), order, shop.Processing); err != nil {
		t.Fatal(err)
	}
	p.run(0, "applier", "mail", "resolve", "1", "--drop", "--reason", "he has come to the counter")
	p.erpExec(`insert into spola.reconciliation (shop, why, ticks, rows, opened, closed, drifting, repaired, compared, unequal, waiting) values ('shop', 'schedule', 3, 40, 0, 0, 0, 0, true, 0, 0)`)
	over := []string{"no order is parked any more: unknown_state", "intake runs again", "no change of stock is held any more", "no mail to a customer is failed any more"}
	for _, what := range over {
		p.until("somebody is told that "+what, []*program{reader, taker}, func() bool { return len(letters.with("Over:\n", what)) > 0 })
	}
	if shown := p.run(0, "notices"); !strings.Contains(shown, "Nothing waits for a person.") {
		t.Errorf("spola notices says\n%s", shown)
	}
	for what, words := range wants {
		if told := letters.with(words...); len(told) != 1 {
			t.Errorf("%s was told %d times:\n%s", what, len(told), strings.Join(told, "\n"))
		}
	}
	for _, what := range over {
		if told := letters.with("Over:\n", what); len(told) != 1 {
			t.Errorf("%s was told %d times:\n%s", what, len(told), strings.Join(told, "\n"))
		}
	}
	stop()

	// Another day, all of it in one process: it tells why it stops before it ends.
	reader.stop()
	taker.stop()
	if err := os.Remove(filepath.Join(p.cfg.Notices.Dir, testShop+".told.json")); err != nil {
		t.Fatal(err)
	}
	p.erpExec("update spola.place set sum = 'ffffffffffffffff' where applier = 'intake'")
	p.run(3, "run")
	if told := letters.with(wants["the stream"]...); len(told) != 2 {
		t.Errorf("spola run has told of its end %d times:\n%s", len(told)-1, strings.Join(letters.all(), "\n"))
	}
}

// tryAgain presses the button of a parked order on the page.
func (p *pipeline) tryAgain(address string, order int64) {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	browser := http.Client{Jar: jar}
	page := func(res *http.Response, err error) string {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			p.t.Fatalf("%v, status %d\n%s", err, res.StatusCode, text)
		}
		return string(text)
	}
	text := page(browser.Get("http://" + address + "/")) //nolint:noctx,bodyclose // of a test; page closes it
	token := regexp.MustCompile(`name="token" value="(\w+)"`).FindStringSubmatch(text)
	button := fmt.Sprintf("/parked/%d/retry", order)
	if token == nil || !strings.Contains(text, button) || !strings.Contains(text, "intake has stopped") {
		p.t.Fatalf("the page\n%s", text)
	}
	text = page(browser.PostForm("http://"+address+button, url.Values{"token": {token[1]}})) //nolint:noctx,bodyclose // as above
	if !strings.Contains(text, fmt.Sprintf("Order %d is tried again", order)) {
		p.t.Errorf("the page says\n%s", text)
	}
	p.want("who has tried it again", fmt.Sprintf("retry %d page@127.0.0.1", order), "select string_agg(format('%s %s %s', verb, order_id, who), ', ') from spola.audit where verb = 'retry'")
}

// watch looks at the pipeline as spola metrics does, and tells by these rules; the page is at the address.
func (p *pipeline) watch(rules notice.Rules) (address string, stop func()) {
	p.t.Helper()
	log := zerolog.New(zerolog.NewTestWriter(p.t)).Level(zerolog.WarnLevel)
	source, err := cdc.Source(p.cfg, log)
	if err != nil {
		p.t.Fatal(err)
	}
	server, _, err := applier.Mailer(p.cfg, "spola.yaml")
	if err != nil {
		p.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		p.t.Fatal(err)
	}
	w := ops.New(ops.Options{Listen: listener, Page: &ops.Page{}, Pipeline: ops.Pipeline{Shop: testShop, Source: source, ERP: p.cfg.ERP.URL(), ShopLog: p.cfg.Stream(log), Group: p.cfg.Group},
		Notices: &ops.Notices{To: p.cfg.Notices.To, Dir: p.cfg.Notices.Dir, Server: server, Rules: rules, Log: log}})
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return listener.Addr().String(), func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	}
}

// Whoever is to know is told while shop, ERP and Kafka are away, and the process that tells starts without them.
func TestNoticesWithoutServers(t *testing.T) {
	t.Parallel()
	p := &pipeline{t: t, dir: t.TempDir()}
	p.configure("spola.yaml", "mysql://nobody@127.0.0.1:1/shop", "postgres://nobody@127.0.0.1:1/erp", []string{"127.0.0.1:1"})
	letters := newLetterbox(t, p)
	cfg, err := config.Load(filepath.Join(p.dir, "spola.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := notice.Leave(cfg.Notices.Dir, testShop, notice.Words{Stream: "stock", At: time.Now(), Status: 3, Said: "the shop is an older one: applier recover stock"}); err != nil {
		t.Fatal(err)
	}
	free := p.start("metrics", "--listen", "127.0.0.1:0")
	t.Cleanup(free.kill)
	p.until("a stopped stream is told", []*program{free}, func() bool { return len(letters.with("stock has stopped", "applier recover stock")) == 1 })
	if err := os.Remove(filepath.Join(cfg.Notices.Dir, testShop+".stock.stopped.json")); err != nil {
		t.Fatal(err)
	}
	p.until("that nobody answers is told", []*program{free}, func() bool {
		return len(letters.with("the shop's database does not answer", "the ERP's database does not answer", "docs/runbooks/part-down.md")) > 0
	})
}

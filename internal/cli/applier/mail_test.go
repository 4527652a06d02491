package applier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/mail"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// mailing is selling with Spola's tables, and three mails: one sent, one unknown, one that can't be.
func mailing(t *testing.T) (*cli.Env, *bytes.Buffer, *pgx.Conn) {
	t.Helper()
	env, out, conn := selling(t)
	sets, err := Migrations()
	if err == nil {
		err = postgres.Migrate(t.Context(), conn.Config().ConnString(), sets...)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`insert into spola.shop (shop, platform, prefix, mode) values ('shop', 'opencart', 'oc_', 'live')`,
		`insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, erp_order, state, method, revision, content, consuming)
			select 'shop', shop_number::bigint, 1, reference, '', 'imported', id, '5', 'cod', 0, '', true from erp.sales_order`,
		`insert into spola.mail_shop (shop, trouble, trouble_since) values ('shop', 'the server is away', now())`,
		`insert into spola.place (applier, source) values ('mail', 'shop')`,
		`insert into spola.mail (key, shop, kind, cause, order_id, number, shop_number, recipient, state, reason, message_id) values
			('a', 'shop', 'shipment', 1, 1, 'W2026/1', '4711', 'a@example.com', 'sent', '', 'a'), ('b', 'shop', 'shipment', 3, 2, 'W2026/2', '4712', 'b@example.com', 'unknown', 'cut', 'b'),
			('c', 'shop', 'shipment', 5, 3, 'W2026/3', '4713', '', 'failed', 'the order has no e-mail address', 'c')`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return env, out, conn
}

// What a person sees and decides of mails: what is unknown or can't be sent, what a mail would say, and who has decided what.
func TestMailVerbs(t *testing.T) {
	env, out, conn := mailing(t)
	if list := run(t, env, out, ListMails{State: "unknown", Last: 10}); !strings.Contains(list, "b@example.com") || strings.Contains(list, "a@example.com") {
		t.Errorf("unknown mails:\n%s", list)
	}
	if none := run(t, env, out, ListMails{Order: "none", Last: 10}); !strings.Contains(none, "no such mail") {
		t.Errorf("%s", none)
	}
	run(t, env, out, ResendMail{ID: []int64{2}, Reason: "never came"})
	run(t, env, out, ResendMail{ID: []int64{3}, To: "c@example.com"})
	if err := (ResendMail{ID: []int64{1, 99}}).Run(env); err == nil || !strings.Contains(err.Error(), "mail 99") {
		t.Errorf("one of them is not there: %v", err)
	}
	if err := (ResendMail{ID: []int64{1}, To: "nobody"}).Run(env); err == nil {
		t.Error("to an address that is none")
	}
	run(t, env, out, ResolveMail{ID: []int64{1}, Drop: true, Reason: "told by phone"})
	var state string
	if err := conn.QueryRow(t.Context(), `select string_agg(recipient || ' ' || state, ', ' order by id) from spola.mail`).Scan(&state); err != nil ||
		state != "a@example.com failed, b@example.com queued, c@example.com queued" {
		t.Errorf("%s, %v", state, err)
	}
	var audits int
	if err := conn.QueryRow(t.Context(), `select count(*) from spola.audit where verb like 'mail re%'`).Scan(&audits); err != nil || audits != 3 {
		t.Errorf("%d decisions are on record: %v", audits, err)
	}

	// A decision that can't be put on record is none.
	if _, err := conn.Exec(t.Context(), `alter table spola.audit add constraint closed check (reason <> 'unheard of')`); err != nil {
		t.Fatal(err)
	}
	for _, decide := range []interface{ Run(*cli.Env) error }{ResendMail{ID: []int64{1}, Reason: "unheard of"}, ResolveMail{ID: []int64{2}, Drop: true, Reason: "unheard of"}} {
		if err := decide.Run(env); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%+v: %v", decide, err)
		}
	}
	if err := conn.QueryRow(t.Context(), `select string_agg(state, ', ' order by id) from spola.mail`).Scan(&state); err != nil || state != "failed, queued, queued" {
		t.Errorf("decided without a record: %s, %v", state, err)
	}

	dir := t.TempDir()
	var written []previewed
	preview := run(t, env, out, PreviewMail{Order: "4712", Dir: dir, JSON: true})
	if err := json.Unmarshal([]byte(preview), &written); err != nil || len(written) != 4 || written[0].Kind != mail.Shipment || written[3].Kind != mail.Invoice {
		t.Fatalf("two parcels and two invoices: %v\n%s", err, preview)
	}
	for _, w := range written {
		eml, err := os.ReadFile(w.EML)
		html, err2 := os.ReadFile(w.HTML)
		if err != nil || err2 != nil || !bytes.Contains(eml, []byte("multipart/")) || !bytes.Contains(html, []byte("<html")) {
			t.Errorf("%+v: %v %v", w, err, err2)
		}
	}
	// Where there is a screen they are opened in a browser.
	opened := filepath.Join(dir, "opened")
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\necho \"$1\" >> '"+opened+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DISPLAY", ":0")
	run(t, env, out, PreviewMail{Order: "4712", Dir: dir, Open: true})
	var seen []byte
	for deadline := time.Now().Add(server.Patience); bytes.Count(seen, []byte(".html\n")) < 4 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		seen, _ = os.ReadFile(opened)
	}
	if bytes.Count(seen, []byte(".html\n")) != 4 {
		t.Errorf("opened in a browser: %q", seen)
	}
	if html := run(t, env, out, PreviewMail{Order: "4712", HTML: true}); !strings.Contains(html, "Scarf") || !strings.Contains(html, "Ancora da spedire") == strings.Contains(html, "nothing") {
		t.Errorf("%s", html)
	}
	if err := (PreviewMail{Order: "1"}).Run(env); err == nil || !strings.Contains(err.Error(), "no order 1") {
		t.Errorf("an order that is not there: %v", err)
	}
	templates := filepath.Join(dir, "templates")
	run(t, env, out, TemplatesMail{Dir: templates})
	if err := os.WriteFile(filepath.Join(templates, "shipment.it.txt"), []byte("Subject: mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := run(t, env, out, TemplatesMail{Dir: templates}); strings.Count(again, "(was there)") != 9 {
		t.Errorf("%s", again)
	}
	if mine, _ := os.ReadFile(filepath.Join(templates, "shipment.it.txt")); string(mine) != "Subject: mine\n" {
		t.Error("a template of one's own was written over")
	}
	m, _, err := mailStanding(t.Context(), conn, "shop")
	out.Reset()
	printMails(out, m)
	if err != nil || !strings.Contains(out.String(), "2 queued") || !strings.Contains(out.String(), "the server is away") || strings.Contains(out.String(), "could not be sent") || m.GivenUp != 1 {
		t.Errorf("status with a mail that was given up: %v\n%s", err, out)
	}
	if _, err := conn.Exec(t.Context(), `update spola.mail set state = 'failed', reason = '550' where id = 3`); err != nil {
		t.Fatal(err)
	}
	m, _, err = mailStanding(t.Context(), conn, "shop")
	out.Reset()
	printMails(out, m)
	if err != nil || !strings.Contains(out.String(), "1 queued") || !strings.Contains(out.String(), "1  could not be sent") {
		t.Errorf("status with one that failed: %v\n%s", err, out)
	}
}

// The configuration names the server; the check says whether it takes us, and sends nothing unless asked.
func TestMailCheck(t *testing.T) {
	box, err := mailbox.Start(mailbox.Options{Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	text := fmt.Sprintf("shop: {name: shop, platform: opencart, prefix: oc_, database: \"mysql://x@127.0.0.1:1/shop\"}\nerp: {database: \"postgres://x@127.0.0.1/erp\"}\n"+
		"smtp: {server: \"%s\", tls: starttls, ca_file: ca.pem, user: spola, from: \"Bottega <ordini@bottega.example>\"}\n", box.Addr)
	for path, content := range map[string][]byte{ca: box.CA, filepath.Join(dir, "spola.yaml"): []byte(text)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := &bytes.Buffer{}
	env := &cli.Env{Ctx: t.Context(), Out: out, Config: filepath.Join(dir, "spola.yaml")}
	t.Setenv("SPOLA_SMTP_PASSWORD", "wrong")
	if err := (CheckMail{}).Run(env); err == nil || !strings.Contains(err.Error(), "535") {
		t.Errorf("a wrong password: %v", err)
	}
	t.Setenv("SPOLA_SMTP_PASSWORD", "right")
	if said := run(t, env, out, CheckMail{}); !strings.Contains(said, "takes mails from ordini@bottega.example") || len(box.Mails()) != 0 {
		t.Errorf("%s, %d mails", said, len(box.Mails()))
	}
	run(t, env, out, CheckMail{To: "me@example.com"})
	if mails := box.Mails(); len(mails) != 1 || mails[0].To != "me@example.com" || mails[0].Login != "spola" || !mails[0].TLS {
		t.Errorf("%d mails", len(mails))
	}
}

package applier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/ops"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// merchant has a shop of 20 products and an ERP that knows them at the same prices.
type merchant struct {
	t    *testing.T
	shop *shop.Shop
	erp  *pgx.Conn
	env  *cli.Env
	out  bytes.Buffer
}

// open fills two empty databases. writer is the user that writes into the shop, with his password.
func open(t *testing.T, shopURL, erpURL, writer, password string) *merchant {
	t.Helper()
	m := &merchant{t: t}
	var err error
	if m.shop, err = shop.Open(t.Context(), shopURL, shop.Options{Products: 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.shop.Close() })
	if err := m.shop.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.inShop(`CREATE TABLE spola_marker (name varchar(191) NOT NULL PRIMARY KEY, generation bigint NOT NULL DEFAULT 0, number bigint NOT NULL DEFAULT 0,
		applied bigint NOT NULL DEFAULT 0, note text NULL) ENGINE=InnoDB`)
	sets, err := Migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), erpURL, sets...); err != nil {
		t.Fatal(err)
	}
	if m.erp, err = postgres.Connect(t.Context(), erpURL, "test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.erp.Close(context.Background()) })
	for _, a := range m.shop.Articles() {
		m.inERP(fmt.Sprintf(`select erp.put_articles(array[row('%[1]s', '%[1]s', '%[2]s', '', '%[2]s', %[3]d, %[4]d, null, 0, 0, 0, 0, jsonb_build_object('Taglia', '%[5]s'::text), true)::erp.article_in])`,
			a.Model, a.SKU, a.VATRate, a.Gross.Shift(2).Round(0).IntPart(), a.Size))
		if a.Value != 0 {
			m.inERP(fmt.Sprintf(`insert into spola.article (shop, product, variant, article, by) select 'shop', '%d', '%d', id, 'import' from erp.article where sku = '%s'`,
				a.Product, a.Value, a.SKU))
		}
	}
	dir := t.TempDir()
	if password != "" {
		writer += ", write_password_file: writer"
		if err := os.WriteFile(filepath.Join(dir, "writer"), []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("shop: {name: shop, platform: opencart, prefix: oc_, database: %q, write_as: %s}\nerp: {database: %q}\n", shopURL, writer, erpURL)
	if err := os.WriteFile(filepath.Join(dir, "spola.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.env = &cli.Env{Ctx: t.Context(), Out: &m.out, Log: zerolog.Nop(), Config: filepath.Join(dir, "spola.yaml")}
	return m
}

func granted(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/grants/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (m *merchant) inShop(statements ...string) {
	m.t.Helper()
	for _, s := range statements {
		if strings.TrimSpace(s) == "" {
			continue
		}
		if _, err := m.shop.DB().ExecContext(m.t.Context(), s); err != nil {
			m.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (m *merchant) inERP(statements string) {
	m.t.Helper()
	if _, err := m.erp.PgConn().Exec(m.t.Context(), statements).ReadAll(); err != nil {
		m.t.Fatalf("%s: %v", statements, err)
	}
}

// run carries out a command line of the applier.
func (m *merchant) run(args ...string) (out string, status int, err error) {
	m.t.Helper()
	m.out.Reset()
	parser, err := kong.New(&Verbs{}, kong.Exit(func(int) { m.t.Fatal("the command line ends the program") }))
	if err != nil {
		m.t.Fatal(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return "", cli.ExitUsage, err
	}
	err = command.Run(m.env)
	return m.out.String(), cli.ExitStatus(err), err
}

// want runs a command line and compares all that comes of it.
func (m *merchant) want(command string, status int, out, problem string) {
	m.t.Helper()
	got, exit, err := m.run(strings.Fields(command)...)
	if exit != status || got != strings.TrimLeft(out, "\n") || (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
		m.t.Errorf("%s: status %d, %v; want %d, %s\n%s\nwant\n%s", command, exit, err, status, problem, got, out)
	}
}

func (m *merchant) number(query string) (n int) {
	m.t.Helper()
	if err := m.shop.DB().QueryRowContext(m.t.Context(), query).Scan(&n); err != nil {
		m.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// each runs a test with the shop in each of the two databases, written by who may do everything.
func each(t *testing.T, test func(m *merchant)) {
	for product, servers := range map[string]func(testing.TB) string{"mysql": server.MySQL, "mariadb": server.MariaDB} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			test(open(t, servers(t), erp.Database(t, "spola", "erp"), "root", ""))
		})
	}
}

// What a merchant sees who aligns his catalogue by the command line, and what then stands in the shop.
func TestAlign(t *testing.T) {
	each(t, func(m *merchant) {
		m.want("align", cli.ExitDone, "26 articles compared, 0 differences, 0 refused.\n", "")
		m.inERP(`update erp.article set changed_at = now() - interval '3 days';
			select erp.set_price('SP-0001', 1999), erp.set_measures('SP-0001', 0.125, 12), erp.set_price('SP-0005-M', 2137), erp.set_special('SP-0002', 990, '2026-01-01', '2090-12-24');
			update erp.article set vat_rate = 10 where sku = 'SP-0004'`)
		refused := "refused: SP-0004 price: VAT 10 % in the ERP, 4 % in the shop (tax class 11)\n"
		all := `
SKU        field    in the shop -> in the ERP
SP-0001    price    12.20 -> 19.99
SP-0001    weight   0.5 kg -> 0.125 kg
SP-0001    width    10 cm -> 12 cm
SP-0002    special  none -> 9.90 from 2026-01-01 to 2090-12-24
SP-0005-M  price    42.70 -> 21.37
`
		before := m.number("SELECT CAST(SUM(price) * 10000 AS SIGNED) FROM oc_product")
		m.want("align", cli.ExitDifference, all+refused+"26 articles compared, 5 differences, 1 refused.\n", "3 articles; nothing was written: --apply does")
		if m.number("SELECT CAST(SUM(price) * 10000 AS SIGNED) FROM oc_product") != before || m.number("SELECT COUNT(*) FROM spola_marker") != 0 {
			m.t.Error("a dry run has written")
		}

		m.want("align --fields weight,width --sku SP-0001,SP-0002", cli.ExitDifference, `
SKU      field    in the shop -> in the ERP
SP-0001  weight   0.5 kg -> 0.125 kg
SP-0001  width    10 cm -> 12 cm
2 articles compared, 2 differences, 0 refused.
`, "1 articles")
		m.inShop("INSERT INTO oc_product_to_category (product_id, category_id) VALUES (1, 61)")
		m.want("align --fields weight --category 60", cli.ExitDifference, `
SKU      field    in the shop -> in the ERP
SP-0001  weight   0.5 kg -> 0.125 kg
1 articles compared, 1 differences, 0 refused.
`, "1 articles")
		m.want("align --fields weight --changed-since 1h", cli.ExitDifference, `
SKU      field    in the shop -> in the ERP
SP-0001  weight   0.5 kg -> 0.125 kg
5 articles compared, 1 differences, 0 refused.
`, "1 articles") // SP-0001, SP-0002 and the sizes of SP-0005
		m.want("align --changed-since "+time.Now().AddDate(0, 0, 2).Format(time.DateOnly), cli.ExitDone, "0 articles compared, 0 differences, 0 refused.\n", "")
		m.want("align --changed-since monday", cli.ExitUsage, "", `--changed-since "monday" is neither a day`)
		m.want("align --sku NOPE", cli.ExitError, "", `the ERP has no article with the SKU "NOPE"`)
		m.want("align --fields colour", cli.ExitUsage, "", "--fields must be one of")

		m.want("align --apply --reason winter", cli.ExitDifference, all+"5 differences were aligned.\n"+refused+"26 articles compared, 0 differences, 1 refused.\n", "1 fields can't be aligned")
		var who, decision string
		if err := m.erp.QueryRow(m.t.Context(), "select who, decision from spola.audit where verb = 'align' and reason = 'winter' and jsonb_array_length(detail) = 5").Scan(&who, &decision); err != nil ||
			who != cli.Person() || decision != "5 differences of 3 articles" {
			m.t.Errorf("audit: %s %s, %v", who, decision, err)
		}
		m.want("align --sku SP-0001,SP-0002,SP-0005-M", cli.ExitDone, "5 articles compared, 0 differences, 0 refused.\n", "")
		m.inShop("DELETE FROM oc_product WHERE product_id = 6")
		text, status, err := m.run("align", "--apply", "--json", "--sku", "SP-0001,SP-0006")
		var answer map[string]any
		if json.Unmarshal([]byte(text), &answer) != nil || status != cli.ExitDone || text !=
			`{"applied":true,"aligned":[],"changed_meanwhile":[],"articles":1,"differing":0,"differences":[],"refusals":[],"not_sold":["SP-0006"],"gone":[]}`+"\n" {
			m.t.Errorf("status %d, %v: %s", status, err, text)
		}
	})
}

// From the page: a comparison shows both sides and writes nothing; what is written then is what was shown, whoever saves what meanwhile.
func TestAlignOnThePage(t *testing.T) {
	m := open(t, server.MySQL(t), erp.Database(t, "spola", "erp"), "root", "")
	m.inERP(`select erp.set_price('SP-0001', 1999), erp.set_price('SP-0002', 2000), erp.set_price('SP-0003', 2001)`)
	cfg, err := config.Load(m.env.Config, config.NeedERP, config.NeedShopWrite)
	if err != nil {
		t.Fatal(err)
	}
	_, platform, err := schemas.Platform(cfg.Shop.Platform)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	w := ops.New(ops.Options{Listen: listener, Pipeline: ops.Pipeline{Shop: cfg.Shop.Name, ERP: cfg.ERP.URL(), Group: cfg.Group},
		Page: &ops.Page{Password: "correct horse", Align: &ops.Alignment{Database: cfg.Shop.WriteURL(), Writes: true, Platform: platform, Prefix: cfg.Shop.Prefix}}})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	b := &browser{t: t, base: "http://" + listener.Addr().String()}
	b.send("/login", "password", "correct horse")

	text := b.align("compare", "field", "price")
	for _, want := range []string{"26 articles compared", "3 differences of 3 articles", `<th scope="row">SP-0001<td>price<td>12.20<td>19.99`, "Nothing was written"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page:\n%s", want, text)
		}
	}
	prices := "SELECT CAST(SUM(price) * 10000 AS SIGNED) FROM oc_product WHERE product_id > 3"
	others := m.number(prices)
	if m.number("SELECT COUNT(*) FROM spola_marker") != 0 {
		t.Error("a comparison has written")
	}
	// Somebody saves a product of what was shown in the shop, another in the ERP, and one that was not shown.
	m.inShop("UPDATE oc_product SET price = 11 WHERE model = 'SP-0002'")
	m.inERP(`select erp.set_price('SP-0003', 1500), erp.set_price('SP-0004', 1600)`)
	text = b.align("apply", "reason", "winter")
	for _, want := range []string{"1 differences were brought into the shop by page@127.0.0.1; 3 are left", "left as they are: SP-0002, SP-0003"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page:\n%s", want, text)
		}
	}
	if n := m.number("SELECT COUNT(*) FROM oc_product WHERE model = 'SP-0001' AND ROUND(price * 1.22, 2) = 19.99 OR model = 'SP-0002' AND price = 11"); n != 2 || m.number(prices) != others {
		t.Errorf("%d of two prices are as they are to be, and the others are %d, were %d", n, m.number(prices), others)
	}
	var detail string
	if err := m.erp.QueryRow(t.Context(), "select who || ' ' || decision || ' ' || (detail -> 0 ->> 'shop') from spola.audit where verb = 'align' and reason = 'winter'").Scan(&detail); err != nil ||
		detail != "page@127.0.0.1 1 differences of 1 articles 12.20" {
		t.Errorf("on record: %q, %v", detail, err)
	}
}

// browser keeps its cookies, as a person's does.
type browser struct {
	t    *testing.T
	http http.Client
	base string
}

func (b *browser) send(path string, form ...string) string {
	b.t.Helper()
	if b.http.Jar == nil {
		b.http.Jar, _ = cookiejar.New(nil) // fails never
	}
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	var res *http.Response
	var err error
	if form == nil {
		res, err = b.http.Get(b.base + path) //nolint:noctx // of a test
	} else {
		res, err = b.http.PostForm(b.base+path, values) //nolint:noctx // of a test
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: status %d, %v\n%s", path, res.StatusCode, err, text)
	}
	return string(text)
}

// align sends a form of the alignment as it stands on the page, and waits until it is done.
func (b *browser) align(what string, form ...string) string {
	b.t.Helper()
	text := b.send("/align")
	for _, hidden := range regexp.MustCompile(`type="hidden" name="(\w+)" value="(\w+)"`).FindAllStringSubmatch(text, -1) {
		form = append(form, hidden[1], hidden[2])
	}
	text = b.send("/align/"+what, form...)
	for began := time.Now(); strings.Contains(text, `http-equiv="refresh"`); text = b.send("/align") {
		if time.Since(began) > server.Patience {
			b.t.Fatalf("it does not end:\n%s", text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return text
}

// A run that is interrupted says so and how it goes on; the same command does.
func TestAlignInterrupted(t *testing.T) {
	each(t, func(m *merchant) {
		m.inERP(`select erp.put_articles(array(select row('Q' || i, 'Q', 'Q' || i, '', 'Q', 22, 5000 + i, null, 0, 0, 0, 0, null, true)::erp.article_in from generate_series(1, 100) i))`)
		for i := range 100 {
			m.inShop(fmt.Sprintf("INSERT INTO oc_product (product_id, model, price, tax_class_id, weight_class_id, length_class_id) VALUES (%d, 'Q%d', 1, 9, 1, 1)", 1001+i, 1+i))
		}
		if _, status, err := m.run("align", "--apply"); status != cli.ExitError || !strings.Contains(err.Error(), "100 of 126, more than 30 %; nothing was written. If that is right, add --confirm 100") {
			m.t.Errorf("many: status %d, %v", status, err)
		}
		ctx, stop := context.WithCancel(m.t.Context())
		defer stop()
		m.env.Ctx = ctx
		// Somebody holds a row of the fourth transaction; meanwhile ctrl-C.
		hold, err := m.shop.DB().BeginTx(m.t.Context(), nil)
		if err != nil {
			m.t.Fatal(err)
		}
		if _, err := hold.ExecContext(m.t.Context(), "UPDATE oc_product SET sort_order = 7 WHERE product_id = 1065"); err != nil {
			m.t.Fatal(err)
		}
		go func() {
			for ctx.Err() == nil {
				var done int
				if m.shop.DB().QueryRow("SELECT COALESCE(MAX(number), 0) FROM spola_marker WHERE name = 'align'").Scan(&done) == nil && done == 3 {
					stop()
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		_, status, err := m.run("align", "--apply", "--confirm", "100")
		if status != cli.ExitError || err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "60 of 100 are done") || !strings.Contains(err.Error(), "the same command goes on") {
			m.t.Errorf("interrupted: status %d, %v", status, err)
		}
		if err := hold.Rollback(); err != nil {
			m.t.Fatal(err)
		}
		m.env.Ctx = m.t.Context()
		out, status, err := m.run("align", "--apply", "--confirm", "100")
		if status != cli.ExitDone || !strings.HasSuffix(out, "40 differences were aligned.\n126 articles compared, 0 differences, 0 refused.\n") {
			m.t.Errorf("going on: status %d, %v\n%s", status, err, out)
		}
	})
}

// Each right that the writer lacks is named before anything is written, with the GRANT that gives it; what deploy/grants gives
// him is all that he needs.
func TestAlignRights(t *testing.T) {
	for product, servers := range map[string]func(testing.TB, map[string]string) *server.Server{"mysql": server.PrivateMySQL, "mariadb": server.PrivateMariaDB} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			s := servers(t, nil)
			m := open(t, "mysql://root@"+s.Addr()+"/shop", erp.Database(t, "spola", "erp"), "spola_writer", "change-me-writer")
			for _, file := range []string{"shop-writer", "shop-align"} {
				text := regexp.MustCompile(`(?m)^\s*--.*$`).ReplaceAllString(granted(t, file+".opencart."+product+".sql"), "")
				m.inShop(strings.Split(text, ";\n")...)
			}
			m.rights("mysql://spola_writer:change-me-writer@" + s.Addr() + "/shop")
		})
	}
}

func (m *merchant) rights(writerURL string) {
	m.inERP(`select erp.set_price('SP-0001', 1999)`)
	for _, c := range []struct{ take, command, grant string }{
		{"REVOKE SELECT ON shop.oc_weight_class FROM spola_writer", "align", "GRANT SELECT ON `shop`.`oc_weight_class` TO 'spola_writer'@'%'"},
		{"REVOKE SELECT ON shop.oc_product_discount FROM spola_writer", "align", "GRANT SELECT ON `shop`.`oc_product_discount` TO 'spola_writer'@'%'"},
		{"REVOKE UPDATE (price) ON shop.oc_product FROM spola_writer", "align --apply", "GRANT UPDATE (`price`) ON `shop`.`oc_product` TO 'spola_writer'@'%'"},
		{"REVOKE UPDATE (price_prefix) ON shop.oc_product_option_value FROM spola_writer", "align --apply", "GRANT UPDATE (`price`, `price_prefix`) ON `shop`.`oc_product_option_value` TO 'spola_writer'@'%'"},
		{"REVOKE UPDATE (length) ON shop.oc_product FROM spola_writer", "align --apply", "GRANT UPDATE (`length`) ON `shop`.`oc_product` TO 'spola_writer'@'%'"},
		{"REVOKE DELETE ON shop.oc_product_discount FROM spola_writer", "align --apply", "GRANT DELETE ON `shop`.`oc_product_discount` TO 'spola_writer'@'%'"},
		{"REVOKE INSERT ON shop.spola_marker FROM spola_writer", "align --apply", "GRANT SELECT, INSERT, UPDATE ON `shop`.`spola_marker` TO 'spola_writer'@'%'"},
	} {
		m.inShop(c.take)
		_, status, err := m.run(strings.Fields(c.command)...)
		if status != cli.ExitError || err == nil || !strings.Contains(err.Error(), c.grant+";") || m.number("SELECT COUNT(*) FROM spola_marker") != 0 {
			m.t.Errorf("%s: status %d, %v", c.take, status, err)
			continue
		}
		grants := regexp.MustCompile(`GRANT [^;]*`).FindAllString(err.Error(), -1)
		for _, grant := range grants {
			if strings.Contains(c.take, "SELECT") != strings.HasPrefix(grant, "GRANT SELECT ") && !strings.Contains(grant, "marker") {
				m.t.Errorf("%s: asks for %s", c.take, grant)
			}
		}
		m.inShop(grants...)
	}
	// Who may write prices alone aligns them.
	m.inShop("REVOKE UPDATE (weight, width, height, length, quantity) ON shop.oc_product FROM spola_writer", "REVOKE INSERT, DELETE ON shop.oc_product_discount FROM spola_writer",
		"REVOKE UPDATE (weight, weight_prefix) ON shop.oc_product_option_value FROM spola_writer")
	if out, status, err := m.run("align", "--apply", "--fields", "price"); status != cli.ExitDone {
		m.t.Errorf("prices without the right to anything else: %d, %v\n%s", status, err, out)
	}
	writer, err := server.OpenMySQL(writerURL)
	if err != nil {
		m.t.Fatal(err)
	}
	defer writer.Close()
	for _, statement := range []string{"UPDATE oc_product SET model = 'x'", "DELETE FROM oc_product", "INSERT INTO oc_product (model) VALUES ('x')", "UPDATE oc_product_discount SET price = 0", "UPDATE oc_product SET weight = 1",
		"SELECT * FROM oc_customer", "DELETE FROM spola_marker", "UPDATE oc_product_option_value SET points = 1"} {
		if _, err := writer.ExecContext(m.t.Context(), statement); err == nil || !strings.Contains(err.Error(), "denied") {
			m.t.Errorf("%s: %v", statement, err)
		}
	}
}

// Nobody writes as the reader.
func TestAlignWithoutWriter(t *testing.T) {
	dir := t.TempDir()
	text := "shop: {name: shop, platform: opencart, prefix: oc_, database: \"mysql://x@127.0.0.1:1/shop\"}\nerp: {database: \"postgres://x@127.0.0.1:1/erp\"}\n"
	if err := os.WriteFile(filepath.Join(dir, "spola.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &merchant{t: t}
	m.env = &cli.Env{Ctx: t.Context(), Out: &m.out, Log: zerolog.Nop(), Config: filepath.Join(dir, "spola.yaml")}
	m.want("align --apply", cli.ExitError, "", "shop.write_as in the configuration names who")
}

// A terminal sees how far it is, on one line; a file sees nothing of it.
func TestProgress(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if progress(file, "products") != nil {
		t.Error("a bar for a file")
	}
	var out bytes.Buffer
	tell := bar(&out, "products")
	tell(20, 80)
	tell(80, 80)
	if want := "\r[##########..............................] 20 of 80 products\r[########################################] 80 of 80 products\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

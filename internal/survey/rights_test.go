package survey_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/survey"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// The roles of deploy/grants are enough to survey and to examine everything; where one of their
// rights is taken away, the statement that gives it back is named.
func TestRightsOfTheGrantsAreEnough(t *testing.T) {
	for product, start := range map[string]func(testing.TB, map[string]string) *server.Server{
		"mysql": server.PrivateMySQL, "mariadb": server.PrivateMariaDB,
	} {
		t.Run(product, func(t *testing.T) {
			erp := server.PrivatePostgres(t, nil)
			s := start(t, nil)
			p := &place{t: t, shopURL: s.URL() + "shop", erpURL: strings.TrimSuffix(erp.URL(), "postgres") + "postgres", dir: t.TempDir()}
			var err error
			if p.shop, err = shop.Open(t.Context(), p.shopURL, shop.Options{Products: 10}); err != nil {
				t.Fatal(err)
			}
			defer p.shop.Close()
			if err := p.shop.Install(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.sql("UPDATE oc_product SET status = 0 WHERE model = 'EXTRA-01'")
			p.sql(statements(t, "shop-reader.opencart."+product+".sql")...)
			conn, err := pgx.Connect(t.Context(), p.erpURL)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			if _, err := conn.Exec(t.Context(), strings.ReplaceAll(grants(t, "erp.postgres.sql"), "_shop", "_shop1")); err != nil {
				t.Fatal(err)
			}
			if err := postgres.Migrate(t.Context(), as(p.erpURL, "spola_migrator", "change-me-migrator"), migrations(t)...); err != nil {
				t.Fatal(err)
			}
			p.furnish()
			p.wish = survey.Wish{Name: "shop1", ShopFile: "shop.yaml"}
			p.shopURL, p.erpURL = as(p.shopURL, "spola_cdc", "change-me"), as(p.erpURL, "spola_applier", "change-me-applier")
			p.wish.ShopURL, p.wish.ERPURL = p.shopURL, p.erpURL
			if shop, _ := p.survey(); len(shop.Unread) > 0 {
				t.Errorf("not read: %v", shop.Unread)
			}
			t.Setenv("SPOLA_SHOP_PASSWORD", "change-me")
			t.Setenv("SPOLA_ERP_PASSWORD", "change-me-applier")
			p.write()
			p.answer()
			if bad := worst(p.examine()); len(bad) > 0 {
				t.Errorf("found %+v", bad)
			}
			for _, c := range []struct{ take, code, mend string }{
				{"REVOKE SELECT ON shop.oc_order_total FROM spola_cdc", "grant_select", "GRANT SELECT ON `shop`.`oc_order_total` TO 'spola_cdc'@'%'"},
				{"REVOKE SELECT ON shop.oc_custom_field FROM spola_cdc", "grant_look", "deploy/grants"},
				{"REVOKE REPLICATION SLAVE ON *.* FROM spola_cdc", "grant_replication", "GRANT REPLICATION SLAVE"},
			} {
				p.sql(c.take)
				p.finds(t, c.take, c.code, c.mend)
			}
			for _, c := range []struct{ take, code, mend string }{
				{"revoke execute on all functions in schema erp from spola_applier, public", "grant_erp", "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA erp TO spola_applier"},
				{"revoke update on spola.link from spola_applier", "grant_erp", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA spola TO spola_applier"},
				{"drop schema mirror_shop1", "grant_erp", "CREATE SCHEMA mirror_shop1 AUTHORIZATION spola_applier"},
			} {
				if _, err := conn.Exec(t.Context(), c.take); err != nil {
					t.Fatal(err)
				}
				p.finds(t, c.take, c.code, c.mend)
			}
		})
	}
}

// finds looks for a finding with what mends it.
func (p *place) finds(t *testing.T, after, code, mend string) {
	t.Helper()
	r := p.examine()
	if !slices.ContainsFunc(r.Findings, func(f survey.Finding) bool { return f.Code == code && strings.Contains(f.Mend, mend) }) {
		t.Errorf("after %q nothing named %s says %q:\n%s", after, code, mend, r)
	}
}

// as is a URL with another user.
func as(url, user, password string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	_, host, _ := strings.Cut(rest, "@")
	return scheme + "://" + user + ":" + password + "@" + host
}

func grants(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grants/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var remark = regexp.MustCompile(`(?m)^\s*--.*$`)

func statements(t *testing.T, name string) (all []string) {
	t.Helper()
	for s := range strings.SplitSeq(remark.ReplaceAllString(grants(t, name), ""), ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// Servers that are away are findings like others, and keep nothing else from being examined.
func TestServersThatAreAway(t *testing.T) {
	p := newPlace(t, server.MySQL(t))
	p.write()
	for _, c := range []struct{ old, new, code, what string }{
		{"database: " + p.shopURL, "database: mysql://root@127.0.0.1:1/shop", "shop_away", "127.0.0.1:1"},
		{"database: " + p.erpURL, "database: postgres://postgres@127.0.0.1:1/erp", "erp_away", "127.0.0.1:1"},
		{"brokers: []", "brokers: [127.0.0.1:1]", "kafka_away", "127.0.0.1:1"},
	} {
		p.edit("spola.yaml", c.old, c.new)
		r := p.examine()
		at := slices.IndexFunc(r.Findings, func(f survey.Finding) bool { return f.Code == c.code && strings.Contains(f.What, c.what) })
		if at < 0 || r.Findings[at].Severity != survey.Blocking {
			t.Errorf("%s is not found:\n%s", c.code, r)
		}
		if !slices.ContainsFunc(r.Findings, func(f survey.Finding) bool { return f.Code == "open" }) {
			t.Errorf("with %s the shop file is not examined:\n%s", c.code, r)
		}
	}
}

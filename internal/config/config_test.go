package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/keys"
)

const sound = `shop:
  name: shop1
  platform: opencart
  prefix: oc_
  database: mysql://spola@db.example.com:3306/shop
erp:
  database: postgres://spola@db.example.com/erp
`

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noSecrets keeps the environment of who runs the tests out of them.
func noSecrets(t *testing.T) {
	for _, name := range []string{"SPOLA_SHOP_PASSWORD", "SPOLA_SHOP_WRITE_PASSWORD", "SPOLA_ERP_PASSWORD", "SPOLA_ERP_LOG_PASSWORD", "SPOLA_KAFKA_PASSWORD", "SPOLA_SMTP_PASSWORD"} {
		t.Setenv(name, "")
	}
}

func TestExampleLoads(t *testing.T) {
	noSecrets(t)
	c, err := Load("../../deploy/spola.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Topic() != "spola.shop" || !c.Embedded() || c.Kafka.Retention != 14*24*time.Hour {
		t.Errorf("%v", c)
	}
	text, err := os.ReadFile("../../deploy/spola.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.Of(reflect.TypeFor[Config]()) {
		if !strings.Contains(string(text), key[strings.LastIndex(key, ".")+1:]+":") {
			t.Errorf("the example does not show %s", key)
		}
	}
}

func TestDefaultsAndPaths(t *testing.T) {
	noSecrets(t)
	dir := t.TempDir()
	c, err := Load(write(t, dir, "spola.yaml", sound))
	if err != nil {
		t.Fatal(err)
	}
	if c.Shop.File != filepath.Join(dir, "shop.yaml") || c.Broker.Dir != filepath.Join(dir, "broker") {
		t.Errorf("paths %s, %s are not beside the file", c.Shop.File, c.Broker.Dir)
	}
	s := c.Stream(zerolog.Nop())
	if fmt.Sprint(s.Brokers) != "[127.0.0.1:9392]" || s.Topic != "spola.shop1" || s.TLS != nil || s.SASL != nil {
		t.Errorf("stream: %+v", s)
	}
	if b := c.EmbeddedBroker(zerolog.Nop()); b.Listen != "127.0.0.1:9392" || b.Retention != 336*time.Hour {
		t.Errorf("broker: %+v", b)
	}
}

func TestSecrets(t *testing.T) {
	noSecrets(t)
	dir := t.TempDir()
	text := strings.Replace(sound, "/shop\n", "/shop\n  password_file: secrets/shop\n", 1)
	text = strings.Replace(text, "/erp\n", "/erp\n  password_file: $CREDENTIALS_DIRECTORY/erp\n", 1)
	path := write(t, dir, "spola.yaml", text)
	write(t, dir, "secrets/shop", "p@ss/word\n")
	write(t, dir, "credentials/erp", "from file")
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Join(dir, "credentials"))

	c, err := Load(path, NeedShop, NeedERP)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Shop.URL(); got != "mysql://spola:p%40ss%2Fword@db.example.com:3306/shop?tls=true" {
		t.Errorf("shop: %s", got)
	}
	t.Setenv("SPOLA_ERP_PASSWORD", "from environment")
	if c, err = Load(path); err != nil || c.ERP.URL() != "postgres://spola:from%20environment@db.example.com/erp?sslmode=verify-full" {
		t.Errorf("erp: %s, %v", c.ERP.URL(), err)
	}
	if got := c.ERP.As("spola_migrator").URL(); got != "postgres://spola_migrator:from%20environment@db.example.com/erp?sslmode=verify-full" {
		t.Errorf("erp for another user: %s", got)
	}
	t.Setenv("SPOLA_ERP_LOG_PASSWORD", "of p@ss the log's")
	if c, err = Load(write(t, dir, "log.yaml", strings.Replace(text, "/erp\n", "/erp\n  log: {user: spola_cdc}\n", 1)), NeedERPLog); err != nil ||
		c.ERP.LogURL() != "postgres://spola_cdc:of%20p%40ss%20the%20log%27s@db.example.com/erp?sslmode=verify-full" || !c.ERP.Log.Read() || c.ERP.Log.Slot != "spola_erp" {
		t.Errorf("erp.log: %s, %v", c.ERP.LogURL(), err)
	}
	written := strings.Replace(text, "/shop\n", "/shop\n  write_as: spola\n", 1)
	if c, err = Load(write(t, dir, "write.yaml", written)); err != nil || c.Shop.WriteURL() != c.Shop.URL() || !c.Shop.Writes() {
		t.Errorf("shop, written by who reads it: %s, %v", c.Shop.WriteURL(), err)
	}
	written = strings.Replace(text, "/shop\n", "/shop\n  write_as: spola_writer\n  write_password_file: secrets/writer\n", 1)
	write(t, dir, "secrets/writer", "of p@ss the writer\n")
	if c, err = Load(write(t, dir, "write.yaml", written), NeedShopWrite); err != nil ||
		c.Shop.WriteURL() != "mysql://spola_writer:of%20p%40ss%20the%20writer@db.example.com:3306/shop?tls=true" {
		t.Errorf("shop, written by another: %s, %v", c.Shop.WriteURL(), err)
	}
	for _, shown := range []string{c.String(), fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprintf("%#v", c.ERP)} {
		if strings.Contains(shown, "environment") || strings.Contains(shown, "word@") || strings.Contains(shown, "p@ss") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
	if !strings.Contains(c.String(), "passwords: shop ***, shop.write ***, erp ***, erp.log ***, kafka none, smtp none") {
		t.Errorf("%s", c)
	}
}

// A host that reads the shop need not know the ERP's password, but what is needed is asked for.
func TestMissingSecret(t *testing.T) {
	noSecrets(t)
	text := strings.Replace(sound, "/erp\n", "/erp\n  password_file: secrets/erp\n", 1)
	path := write(t, t.TempDir(), "spola.yaml", text)
	if _, err := Load(path, NeedShop); err != nil {
		t.Errorf("the ERP's password is asked for: %v", err)
	}
	_, err := Load(path, NeedERP)
	wantError(t, err, ":8: erp.password_file: ", "SPOLA_ERP_PASSWORD")
}

// Every mistake names file, line, key and what to write instead, and is an Error.
func TestMistakes(t *testing.T) {
	noSecrets(t)
	for _, mistake := range []struct{ old, new, place, mend string }{
		{"prefix: oc_", "prefx: oc_", ":4: unknown key \"prefx\"", "did you mean shop.prefix?"},
		{"prefix: oc_", "brokers: [a:1]", ":4: unknown key \"brokers\"", "did you mean kafka.brokers?"},
		{"prefix: oc_", "password: x", ":4: unknown key \"password\"", "SPOLA_SHOP_PASSWORD"},
		{"prefix: oc_", "zebra: x", ":4: unknown key \"zebra\"", "deploy/spola.example.yaml"},
		{"prefix: oc_", "prefix: 'oc-'", ":4: shop.prefix: ", "oc_"},
		{"name: shop1", "name: Shop-1", ":2: shop.name: ", "shop1"},
		{"  name: shop1\n", "", ":2: shop.name: ", "shop1"},
		{"platform: opencart", "platform: magento", ":3: shop.platform: ", "opencart"},
		{"mysql://spola@", "mysql://spola:s3cret@", ":5: shop.database: ", "SPOLA_SHOP_PASSWORD"},
		{"mysql://spola@", "postgres://spola@", ":5: shop.database: ", "mysql://spola@host:3306/shop"},
		{"mysql://spola@", "mysql://", ":5: shop.database: ", "mysql://spola@host:3306/shop"},
		{"example.com/erp", "example.com", ":7: erp.database: ", "postgres://spola@host:5432/erp"},
		{"example.com/erp", "example.com/erp?password=s3cret", ":7: erp.database: ", "SPOLA_ERP_PASSWORD"},
		{"", "kafka:\n  brokers: [kafka1]\n", ":9: kafka.brokers[0]: ", "host:9092"},
		{"", "kafka:\n  retention: 5m\n", ":9: kafka.retention: ", "336h"},
		{"", "kafka:\n  retention: two weeks\n", ":9: ", ""},
		{"", "kafka:\n  brokers: [a:1]\n  replication: 1\n  min_insync_replicas: 2\n", ":11: kafka.min_insync_replicas: ", "2 with three"},
		{"", "kafka:\n  mechanism: gssapi\n  user: x\n", ":9: kafka.mechanism: ", "scram-sha-512"},
		{"", "kafka:\n  user: x\n", ":9: kafka.user: ", "both"},
		{"", "broker: {listen: here}\n", ":8: broker.listen: ", "127.0.0.1:9392"},
		{"example.com/erp", "example.com/erp\n  log: {elsewhere: true}", ":8: erp.log.elsewhere: ", "kafka.brokers"},
		{"example.com/erp", "example.com/erp\n  log: {user: x, elsewhere: true}", ":8: erp.log.elsewhere: ", "one file"},
		{"", "smtp: {server: mail}\n", ":8: smtp.server: ", "mail.example.com:587"},
		{"", "smtp:\n  server: mail.example.com:25\n  tls: none\n  from: a@b.it\n", ":10: smtp.tls: ", "starttls"},
		{"", "smtp:\n  server: mail.example.com:25\n  from: Bottega\n", ":10: smtp.from: ", "Bottega <ordini@example.com>"},
		{"", "smtp:\n  server: mail.example.com:25\n  from: a@b.it\n  since: yesterday\n", ":11: smtp.since: ", "2026-01-01"},
		{"", "shop:\n", ":8: ", ""},
		{"erp:", "erp:\n\t", ":", ""},
	} {
		text := sound + mistake.new
		if mistake.old != "" {
			text = strings.Replace(sound, mistake.old, mistake.new, 1)
		}
		_, err := Load(write(t, t.TempDir(), "spola.yaml", text))
		wantError(t, err, mistake.place, mistake.mend)
	}
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	wantError(t, err, "none.yaml: can't be read", "spola.example.yaml")
	_, err = Load(write(t, t.TempDir(), "spola.yaml", ""))
	wantError(t, err, "shop.name: ", "shop1")
}

// All mistakes are told at once.
func TestAllMistakes(t *testing.T) {
	noSecrets(t)
	_, err := Load(write(t, t.TempDir(), "spola.yaml", "shop: {name: X}\n"))
	if n := strings.Count(fmt.Sprint(err), "\n"); n < 3 {
		t.Errorf("only these: %v", err)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Errorf("%v is no *Error; wanted %q", err, parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a secret is shown: %v", err)
	}
}

// Nothing goes over a network in plain text unless the file says so.
func TestLinksAreGuardedByDefault(t *testing.T) {
	for database, want := range map[string]string{
		"mysql://a@db.example.com/shop":                                 "tls=true",
		"mysql://a@192.168.1.2:3306/shop":                               "tls=true",
		"mysql://a@db.example.com/shop?tls=false":                       "tls=false",
		"mysql://a@db.example.com/shop?tls=skip-verify":                 "tls=skip-verify",
		"mysql://a@127.0.0.1:3306/shop":                                 "tls=false",
		"mysql://a@localhost/shop":                                      "tls=false",
		"mysql://a@localhost/shop?ssl-ca=/ca.pem":                       "ssl-ca=%2Fca.pem&tls=true",
		"postgres://a@db.example.com/erp":                               "sslmode=verify-full",
		"postgresql://a@db.example.com/erp?connect_timeout=5":           "connect_timeout=5&sslmode=verify-full",
		"postgres://a@[::1]:5432/erp":                                   "sslmode=disable",
		"postgres://a@localhost/erp?sslmode=require":                    "sslmode=require",
		"postgres://a@db.example.com/erp?sslrootcert=x&sslmode=disable": "sslrootcert=x&sslmode=disable",
	} {
		if _, got, _ := strings.Cut(Guarded(database), "?"); got != want {
			t.Errorf("%s: %s, want %s", database, got, want)
		}
	}
}

func TestLinksOfTheFile(t *testing.T) {
	noSecrets(t)
	dir := t.TempDir()
	write(t, dir, "ca.pem", "")
	for _, c := range []struct{ kafka, erp, wrong string }{
		{"brokers: [kafka.example.com:9092]", "", ""},
		{"brokers: [kafka.example.com:9092]\n  tls: false", "", ""},
		{"brokers: [kafka.example.com:9092]\n  tls: false\n  mechanism: scram-sha-256\n  user: a", "", ""},
		{"brokers: [kafka.example.com:9092]\n  tls: false\n  mechanism: plain\n  user: a", "", "plain text"},
		{"brokers: ['127.0.0.1:9092']\n  mechanism: plain\n  user: a", "", ""},
		{"brokers: ['127.0.0.1:9092']", "?sslmode=prefer", "falls back to plain text"},
		{"brokers: ['127.0.0.1:9092']", "?sslmode=no", "sslmode=no is unknown"},
		{"brokers: ['127.0.0.1:9092']", "?sslrootcert=ca.pem", ""},
		{"brokers: ['127.0.0.1:9092']", "?sslrootcert=none.pem", "sslrootcert: open"},
	} {
		cfg, err := Load(write(t, dir, "spola.yaml", strings.Replace(sound, "/erp\n", "/erp"+c.erp+"\n", 1)+"kafka:\n  "+c.kafka+"\n"))
		switch {
		case c.wrong == "" && err != nil, c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%+v: %v", c, err)
		case err == nil:
			guarded := strings.Contains(c.kafka, "example.com") && !strings.Contains(c.kafka, "false")
			if got := cfg.Stream(zerolog.Nop()).TLS != nil; got != guarded {
				t.Errorf("%+v: the brokers' link is guarded: %t", c, got)
			}
			if strings.Contains(c.erp, "ca.pem") && !strings.Contains(cfg.ERP.Database, url.QueryEscape(filepath.Join(dir, "ca.pem"))) {
				t.Errorf("%s: the authority's file is not beside the configuration", cfg.ERP.Database)
			}
		}
	}
}

// A certificate of the page that has expired is told when the program starts, not by the browser of who needs the page.
func TestCertificateOfThePage(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := Page{Certificate: filepath.Join(dir, "page.pem"), Key: filepath.Join(dir, "page.key")}
	if err := os.WriteFile(p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		t.Fatal(err)
	}
	for valid, want := range map[time.Duration]string{time.Hour: "", -time.Hour: "has expired on"} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(valid)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		pair, err := p.Pair()
		mistake, _ := errors.AsType[*Error](err)
		if want == "" && (err != nil || pair == nil) || want != "" && (mistake == nil || mistake.Key != "page.certificate" || !strings.Contains(mistake.What, want) || mistake.Mend == "") {
			t.Errorf("valid for %s: %v", valid, err)
		}
	}
}

package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// Links that are guarded carry orders, to servers that take nobody else; a certificate that is not the server's, or a
// server that offers no encryption, ends the program with one sentence. Nothing falls back to plain text.
func TestLinksAreGuarded(t *testing.T) {
	lab := server.PrivateLab(t)
	ours := newAuthority(t, lab)
	cert, key := ours.issue("server", net.ParseIP("127.0.0.1"), time.Hour)
	mysql, err := lab.MySQL(t.Context(), server.Config{Settings: map[string]string{"ssl_ca": ours.file, "ssl_cert": cert, "ssl_key": key}})
	if err != nil {
		server.Skip(t, "MySQL: "+err.Error())
	}
	postgres, err := lab.Postgres(t.Context(), server.Config{Settings: map[string]string{"ssl": "on", "ssl_cert_file": cert, "ssl_key_file": key}})
	if err != nil {
		server.Skip(t, "PostgreSQL: "+err.Error())
	}
	kafka, err := lab.Kafka(t.Context(), 1, server.Config{Settings: map[string]string{
		"listener.security.protocol.map":                         "CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL",
		"ssl.keystore.type":                                      "PEM",
		"ssl.keystore.location":                                  ours.bundle("kafka", cert, key),
		"sasl.enabled.mechanisms":                                "PLAIN,SCRAM-SHA-512",
		"sasl.mechanism.inter.broker.protocol":                   "PLAIN",
		"ssl.truststore.type":                                    "PEM",
		"ssl.truststore.location":                                ours.file,
		"listener.name.plaintext.plain.sasl.jaas.config":         `org.apache.kafka.common.security.plain.PlainLoginModule required username="broker" password="b" user_broker="b";`,
		"listener.name.plaintext.scram-sha-512.sasl.jaas.config": `org.apache.kafka.common.security.scram.ScramLoginModule required;`,
	}})
	if err != nil {
		server.Skip(t, "Kafka: "+err.Error())
	}
	shopURL, erpURL := mysql.URL()+"shop", postgres.URL()
	p := newPipelineAt(t, shopURL, erpURL, kafka.Addrs(), shop.Options{})
	p.shopExec("CREATE USER spola_cdc REQUIRE SSL")
	p.shopExec("GRANT ALL ON *.* TO spola_cdc")
	at := func(url, user, query string) string {
		_, rest, _ := strings.Cut(url, "@")
		scheme, _, _ := strings.Cut(url, "://")
		return scheme + "://" + user + "@" + rest + "?" + query
	}
	t.Setenv("SPOLA_KAFKA_PASSWORD", "of Kafka")
	configure := func(name, shopQuery, erpQuery, kafka string) {
		t.Helper()
		p.configure(name, at(shopURL, "spola_cdc", shopQuery), at(erpURL, "postgres", erpQuery), p.cfg.Kafka.Brokers)
		p.append(name, "  mechanism: scram-sha-512\n  user: spola\n"+kafka)
	}
	const (
		trusted = "tls=true&ssl-ca=ca.pem"
		erp     = "sslmode=verify-full&sslrootcert=ca.pem"
		log     = "  ca_file: ca.pem\n"
	)
	p.write("ca.pem", ours.text)
	configure("spola.yaml", trusted, erp, log)
	login(t, kafka.Addrs(), ours, "spola", "of Kafka")
	running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)
	if _, err := p.shop.PlaceOrder(t.Context(), shop.Order{Lines: []shop.Line{{Product: 1, Quantity: 1}}}); err != nil {
		t.Fatal(err)
	}
	p.until("the order stands in the ERP", running, func() bool { return p.number("select count(*) from erp.sales_order") == 1 })
	p.want("sessions of the applier are encrypted", "true", `select bool_and(s.ssl)::text from pg_stat_ssl s join pg_stat_activity a using (pid) where a.application_name like 'spola%'`)
	for _, one := range running {
		one.stop()
	}

	p.write("other.pem", newAuthority(t, server.PrivateLab(t)).text)
	preflight, status, position := []string{"cdc", "preflight"}, []string{"applier", "status"}, []string{"cdc", "position"}
	for _, c := range []struct {
		name             string
		shop, erp, kafka string
		verb             []string
		says             string
	}{
		{"shop, another authority", "tls=true&ssl-ca=other.pem", erp, log, preflight, "unknown authority*ssl-ca=FILE in shop.database"},
		{"shop, the system's authorities", "tls=true", erp, log, preflight, "unknown authority*ssl-ca=FILE in shop.database"},
		{"erp, another authority", trusted, "sslmode=verify-full&sslrootcert=other.pem", log, status, "unknown authority*sslrootcert=FILE in erp.database"},
		{"kafka, another authority", trusted, erp, "  ca_file: other.pem\n", position, "unknown authority*kafka.ca_file"},
	} {
		configure("bad.yaml", c.shop, c.erp, c.kafka)
		p.says(c.name, 1, c.says, c.verb...)
	}

	t.Setenv("SPOLA_KAFKA_PASSWORD", "another")
	configure("bad.yaml", trusted, erp, log)
	p.says("kafka, another password", 1, "SASL Authentication Failed*SPOLA_KAFKA_PASSWORD", position...)

	// Other certificates are on the servers: for another host, then one that expires. Neither MySQL nor Kafka takes one that has.
	ours.issue("server", net.ParseIP("127.0.0.2"), time.Hour)
	p.shopExec("ALTER INSTANCE RELOAD TLS")
	reload := func() {
		t.Helper()
		if _, err := p.erp.Exec(t.Context(), "select pg_reload_conf()"); err != nil {
			t.Fatal(err)
		}
	}
	reload()
	p.says("shop, another host", 1, "valid for 127.0.0.2, not 127.0.0.1*shop.database", preflight...)
	p.says("erp, another host", 1, "valid for 127.0.0.2, not 127.0.0.1*erp.database", status...)
	t.Setenv("SPOLA_KAFKA_PASSWORD", "of Kafka")
	var expires time.Time
	for valid, taken := 3*time.Second, false; !taken; valid *= 2 {
		expires = time.Now().Add(valid)
		short, own := ours.issue("server", net.ParseIP("127.0.0.1"), valid)
		_, err := p.shop.DB().ExecContext(t.Context(), "ALTER INSTANCE RELOAD TLS")
		if err == nil {
			err = keystore(t, kafka.Addrs(), ours, ours.bundle("kafka-"+valid.String(), short, own))
		}
		if taken = err == nil; !taken && valid > time.Minute {
			t.Fatal(err)
		}
	}
	reload()
	time.Sleep(time.Until(expires) + time.Second) // it says when in whole seconds
	box, err := mailbox.Start(mailbox.Options{Expired: true})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	p.write("mail.pem", box.CA)
	p.append("bad.yaml", "smtp:\n  server: "+box.Addr+"\n  tls: starttls\n  from: shop@example.com\n  ca_file: mail.pem\n")
	for _, c := range []struct {
		what, names string
		verb        []string
	}{
		{"shop", "shop.database", preflight}, {"shop, to read", "shop.database", []string{"cdc", "snapshot"}}, {"erp", "erp.database", status}, {"erp, to verify", "erp.database", []string{"applier", "verify"}},
		{"kafka", "kafka.brokers", position}, {"mail", "smtp.server", []string{"applier", "mail", "check"}},
	} {
		p.says(c.what+", expired", 1, "has expired*renew the server's certificate (of "+c.names+")", c.verb...)
	}

	// Servers that offer no encryption.
	p.configure("bad.yaml", at(server.MariaDB(t), "root", "tls=true"), at(server.Postgres(t), "postgres", "sslmode=verify-full"), nil)
	p.says("shop without encryption", 1, "does not support TLS*tls=false in shop.database", preflight...)
	p.says("erp without encryption", 1, "refused TLS*sslmode=disable in erp.database", status...)
}

// says runs a verb with bad.yaml and wants a status and, one behind the other, some words on one line.
func (p *pipeline) says(what string, status int, words string, verb ...string) {
	p.t.Helper()
	one := p.startWith("bad.yaml", verb...)
	said := one.ends(status)
	for word := range strings.SplitSeq(words, "*") {
		_, rest, there := strings.Cut(said, word)
		if !there {
			p.t.Errorf("%s: want %q in\n%s", what, words, one.said)
			return
		}
		said = rest
	}
	if lines := strings.TrimSpace(one.said.String()); strings.Contains(lines, "\n") {
		p.t.Errorf("%s: more than one sentence:\n%s", what, lines)
	}
}

// login makes a user of Kafka who logs in by SCRAM-SHA-512.
func login(t *testing.T, brokers []string, ours *authority, user, password string) {
	t.Helper()
	admin := asBroker(t, brokers, ours)
	defer admin.Close()
	const rounds = 4096
	salt := []byte("a test's salt")
	salted, err := pbkdf2.Key(sha512.New, password, salt, rounds, sha512.Size)
	if err != nil {
		t.Fatal(err)
	}
	made := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	made.Name, made.Mechanism, made.Iterations, made.Salt, made.SaltedPassword = user, 2, rounds, salt, salted
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	req.Upsertions = append(req.Upsertions, made)
	res, err := req.RequestWith(t.Context(), admin)
	if err == nil {
		err = kerr.ErrorForCode(res.Results[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("make the user %s: %v", user, err)
	}
}

// asBroker is a client with all rights.
func asBroker(t *testing.T, brokers []string, ours *authority) *kgo.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	admin, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(plain.Auth{User: "broker", Pass: "b"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

// keystore has Kafka show another certificate to who connects from now on.
func keystore(t *testing.T, brokers []string, ours *authority, file string) error {
	t.Helper()
	admin := asBroker(t, brokers, ours)
	defer admin.Close()
	location := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	location.Name, location.Value = "listener.name.plaintext.ssl.keystore.location", &file
	broker := kmsg.NewIncrementalAlterConfigsRequestResource()
	broker.ResourceType, broker.ResourceName, broker.Configs = kmsg.ConfigResourceTypeBroker, "1", append(broker.Configs, location)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, broker)
	res, err := req.RequestWith(t.Context(), admin)
	if err == nil {
		err = kerr.ErrorForCode(res.Resources[0].ErrorCode)
	}
	if err != nil && res != nil && res.Resources[0].ErrorMessage != nil {
		err = fmt.Errorf("%w: %s", err, *res.Resources[0].ErrorMessage)
	}
	return err
}

// authority issues certificates for servers of a test.
type authority struct {
	t    *testing.T
	lab  *server.Lab
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	text []byte // its certificate, PEM
	file string
}

func newAuthority(t *testing.T, lab *server.Lab) *authority {
	t.Helper()
	a := &authority{t: t, lab: lab, dir: filepath.Join(lab.Dir(), "certificates")}
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour)}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.file = a.write("ca.pem", a.text)
	return a
}

// issue makes a certificate for a host, and its key, and returns their files.
func (a *authority) issue(name string, host net.IP, valid time.Duration) (cert, key string) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{host},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(valid)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// bundle is key and certificate in one file, as Kafka reads them.
func (a *authority) bundle(name, cert, key string) string {
	a.t.Helper()
	var all []byte
	for _, file := range []string{key, cert} {
		text, err := os.ReadFile(file)
		if err != nil {
			a.t.Fatal(err)
		}
		all = append(all, text...)
	}
	return a.write(name+".pem", all)
}

// write writes a file that the servers' user alone may read.
func (a *authority) write(name string, text []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := a.lab.User().Give(a.dir, path); err != nil {
		a.t.Fatal(err)
	}
	return path
}

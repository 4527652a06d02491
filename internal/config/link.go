package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Links to databases and brokers. What goes over a network is encrypted, and the server shows a certificate that is
// checked against its name; a server on this host is reached in plain text. Whoever wants it otherwise says so, in the
// database's URL or at kafka.tls: nothing falls back to plain text because a server offers no better.

// How a database's URL says that its link is guarded: in the words of each server's own clients.
type guard struct {
	parameter string   // of the URL
	ca        string   // the parameter that names a file of certificates
	guarded   string   // encrypted and verified
	plain     string   // neither
	others    []string // what a person may choose as well
}

var guards = map[string]guard{
	"mysql":    {"tls", "ssl-ca", "true", "false", []string{"skip-verify"}},
	"postgres": {"sslmode", "sslrootcert", "verify-full", "disable", []string{"verify-ca", "require"}},
}

func guardOf(u *url.URL) guard {
	return guards[strings.Replace(u.Scheme, "postgresql", "postgres", 1)]
}

// Guarded is the URL of a database with what guards its link said in it. Where the URL says nothing, the link is
// encrypted and verified, or plain to a server on this host.
func Guarded(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return database // who opens it says so
	}
	g, q := guardOf(u), u.Query()
	if g.parameter == "" || q.Get(g.parameter) != "" {
		return database
	}
	q.Set(g.parameter, g.guarded)
	if here(u.Hostname()) && q.Get(g.ca) == "" {
		q.Set(g.parameter, g.plain)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// here tells whether a host is this one, by its name alone.
func here(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasPrefix(host, "/") || ip != nil && ip.IsLoopback()
}

// guardDatabase checks what a URL says of its link, and says what it leaves open.
func (l *loader) guardDatabase(section string, database *string) {
	key := section + ".database"
	u, err := url.Parse(*database)
	if err != nil {
		return // checkDatabase has refused it
	}
	g, q := guardOf(u), u.Query()
	mode := q.Get(g.parameter)
	if mode != "" && mode != g.guarded && mode != g.plain && !slices.Contains(g.others, mode) {
		what := fmt.Sprintf("%s=%s is unknown", g.parameter, mode)
		if mode == "prefer" || mode == "allow" || mode == "preferred" {
			what = fmt.Sprintf("%s=%s falls back to plain text without a word", g.parameter, mode)
		}
		l.mistake(key, what, fmt.Sprintf("write %[1]s=%[2]s (encrypted, and the server's certificate is checked), or %[1]s=%[3]s for plain text on purpose", g.parameter, g.guarded, g.plain))
	}
	if ca := q.Get(g.ca); ca != "" {
		q.Set(g.ca, l.beside(ca))
		if err := readable(l.beside(ca)); err != nil {
			l.mistake(key, g.ca+": "+err.Error(), "name the file with the certificate of the server's authority, as PEM")
		}
		u.RawQuery = q.Encode()
	}
	*database = Guarded(u.String())
}

// guardKafka says what kafka.tls leaves open, and refuses a password in plain text over a network.
func (l *loader) guardKafka(k *Kafka) {
	abroad := slices.ContainsFunc(k.Brokers, func(broker string) bool {
		host, _, err := net.SplitHostPort(broker)
		return err == nil && !here(host)
	})
	if k.TLS == nil {
		guarded := abroad || k.CAFile != ""
		k.TLS = &guarded
	}
	if abroad && !*k.TLS && k.Mechanism == "plain" {
		l.mistake("kafka.mechanism", "the password would go over the network as plain text", "write tls: true, or a scram mechanism")
	}
}

// readCA reads the certificates of a server's authority, PEM.
func readCA(file string) ([]byte, error) {
	ca, err := os.ReadFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		err = errors.New("no certificate in " + file)
	}
	return ca, err
}

// verified is TLS to a server whose certificate is checked, by the authority that readCA has read or else by the system's. An empty
// host is filled in by who connects.
func verified(host string, ca []byte) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if ca != nil {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM(ca)
	}
	return c
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

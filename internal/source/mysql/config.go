package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash/fnv"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/rs/zerolog"
)

// Marker is the name of Spola's own table in the shop, the only one there.
const Marker = "spola_marker"

// Config says what is read, from where.
type Config struct {
	Source string // the source's name, [a-z][a-z0-9_]*
	URL    string // mysql://user:password@host:port/database?tls=true, skip-verify or false (plain text), &ssl-ca=FILE

	// Tables are the captured tables in the order of a snapshot. The marker table is added by
	// this package and is never part of a snapshot.
	Tables []Capture

	Since *Since // which orders leave the shop; nil: all

	// ServerID is this reader's id among the server's replicas. 0 derives one from the source's
	// name.
	ServerID uint32

	Owner string // host and process, for people; stands in the claim
	Log   zerolog.Logger

	// NewIncarnation begins anew from the server as it stands: incarnation + 1 and a full
	// snapshot. The caller begins a new generation of the log with it.
	NewIncarnation bool

	// ChunkRows is the first size of a snapshot's chunk; it adapts. 0 means 2,000.
	ChunkRows int

	patience time.Duration // with another replica's server id; 0 means collisionAfter
	silence  time.Duration // after which a connection counts as dead; 0 means deadAfter
}

// Capture is a table whose rows leave the shop.
type Capture struct {
	Name    string   // as the shop calls it, prefix included
	Columns []string // what may leave the shop, the key included; nothing else does
	Key     []string // the primary key's columns, in its order
	Order   string   // the column that names the order a row belongs to; may be empty
	Only    *Only    // which rows may leave the shop; nil: all
}

// Only bounds a table to the rows whose column has one of the values, compared byte by byte.
// The column must be a captured one and never change in a row's life.
type Only struct {
	Column string
	Values []string
}

// captures returns the captured tables with the marker at the end.
func (c *Config) captures() []Capture {
	all := append([]Capture(nil), c.Tables...)
	return append(all, Capture{
		Name:    Marker,
		Columns: []string{"name", "generation", "number", "applied", "note"},
		Key:     []string{"name"},
	})
}

func (c *Config) serverID() uint32 {
	if c.ServerID != 0 {
		return c.ServerID
	}
	h := fnv.New32a()
	h.Write([]byte("spola." + c.Source))
	// The upper half, where nobody numbers servers by hand.
	return h.Sum32() | 1<<31
}

// check refuses a configuration that contradicts itself.
func (c *Config) check() error {
	if c.Source == "" {
		return fmt.Errorf("source: it has no name")
	}
	seen := map[string]bool{Marker: true}
	for _, t := range c.Tables {
		if seen[t.Name] {
			return fmt.Errorf("source %s: table %q is captured twice", c.Source, t.Name)
		}
		seen[t.Name] = true
		if len(t.Key) == 0 {
			return fmt.Errorf("source %s: table %q has no key", c.Source, t.Name)
		}
		has := map[string]bool{}
		for _, name := range t.Columns {
			has[name] = true
		}
		for _, name := range t.Key {
			if !has[name] {
				return fmt.Errorf("source %s: table %q: key column %q is not among its columns", c.Source, t.Name, name)
			}
		}
		if t.Order != "" && !has[t.Order] {
			return fmt.Errorf("source %s: table %q: order column %q is not among its columns", c.Source, t.Name, t.Order)
		}
		if c.Since != nil && t.Name == c.Since.Table && (t.Order == "" || !has[c.Since.Column]) {
			return fmt.Errorf("source %s: table %q tells no orders by column %q", c.Source, t.Name, c.Since.Column)
		}
		if t.Only != nil && !has[t.Only.Column] {
			return fmt.Errorf("source %s: table %q: column %q, which bounds it, is not among its columns", c.Source, t.Name, t.Only.Column)
		}
	}
	if c.Since != nil && !seen[c.Since.Table] {
		return fmt.Errorf("source %s: table %q, which bounds the orders, is not captured", c.Source, c.Since.Table)
	}
	return nil
}

// address is where the shop's database is reached.
type address struct {
	host     string
	port     uint16
	user     string
	password string
	database string
	tls      *tls.Config // nil: plain
}

func (c *Config) address() (address, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return address{}, fmt.Errorf("source %s: its URL can't be read", c.Source) // without the cause: it quotes the password
	}
	s := address{host: u.Hostname(), port: 3306, user: u.User.Username(), database: strings.TrimPrefix(u.Path, "/")}
	s.password, _ = u.User.Password()
	if u.Scheme != "mysql" || s.host == "" || s.database == "" {
		return address{}, fmt.Errorf("source %s: its URL is not of the form mysql://user:password@host:port/database", c.Source)
	}
	if u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return address{}, fmt.Errorf("source %s: port %q: %w", c.Source, u.Port(), err)
		}
		s.port = uint16(port)
	}
	s.tls, err = guarded(u)
	if err != nil {
		return address{}, fmt.Errorf("source %s: %w", c.Source, err)
	}
	return s, nil
}

// guarded is what the URL says of encryption; nil: plain text.
func guarded(u *url.URL) (*tls.Config, error) {
	c := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	switch mode := u.Query().Get("tls"); mode {
	case "", "false":
		return nil, nil
	case "true":
	case "skip-verify":
		c.InsecureSkipVerify = true
	default:
		return nil, fmt.Errorf("tls=%s: want true, skip-verify or false", mode)
	}
	if file := u.Query().Get("ssl-ca"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("ssl-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ssl-ca: no certificate in %s", file)
		}
	}
	return c, nil
}

// deadAfter is how long the server may be silent before a connection counts as dead: one whose
// other end is gone tells nothing by itself. A binary log has something every heartbeatEvery,
// and what is asked otherwise is answered in less; where it is not, asking again does no harm.
const deadAfter = 15 * time.Second

func (c *Config) deadAfter() time.Duration {
	if c.silence != 0 {
		return c.silence
	}
	return deadAfter
}

// driver is the configuration of plain SQL connections: UTC, utf8mb4, and a mode in which the
// server answers with what is stored.
func (s address) driver(dead time.Duration) *mysql.Config {
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", net.JoinHostPort(s.host, strconv.Itoa(int(s.port)))
	c.User, c.Passwd, c.DBName = s.user, s.password, s.database
	c.Timeout, c.ReadTimeout, c.WriteTimeout = 10*time.Second, dead, dead
	c.Collation = "utf8mb4_general_ci"
	c.InterpolateParams = true
	c.TLS = s.tls
	c.Logger = discard{}
	c.Params = map[string]string{
		"time_zone": "'+00:00'",
		"sql_mode":  "'NO_ENGINE_SUBSTITUTION'",
	}
	return c
}

// discard takes the driver's own log lines: what they say is in the errors it returns.
type discard struct{}

func (discard) Print(...any) {}

package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
)

// Config says what is read, from where.
type Config struct {
	Source string // the source's name, [a-z][a-z0-9_]*
	URL    string // postgres://user:password@host:port/database

	Tables      []Capture // the captured tables in the order of a snapshot
	Publication string    // that carries them
	Slot        string    // of this reader, [a-z0-9_]+

	Owner string // host and process, for people; stands in the claim
	Log   zerolog.Logger

	// NewIncarnation begins anew from the server as it stands: a slot of its own, incarnation + 1
	// and a full snapshot. The caller begins a new generation of the log with it.
	NewIncarnation bool

	// ChunkRows is the first size of a snapshot's chunk; it adapts. 0 means 2,000.
	ChunkRows int

	silence  time.Duration // after which a connection counts as dead; 0 means deadAfter
	advance  uint64        // bytes of WAL after which the log is told how far it was read; 0 means advanceAfter
	patience time.Duration // with another program that reads the slot; 0 means busyFor
	watch    time.Duration // how often the publication is looked at; 0 means watchEvery
}

// Capture is a table whose rows leave the ERP.
type Capture struct {
	Name string // schema.table

	// Needed are the columns that must be known of a row that is changed or deleted too, because
	// they say which article or order it belongs to.
	Needed []string

	AppendOnly bool // rows are inserted, never changed: any replica identity will do
	Optional   bool // captured only where it is there when the reader starts
}

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// check refuses a configuration that contradicts itself.
func (c *Config) check() error {
	if c.Source == "" {
		return fmt.Errorf("source: it has no name")
	}
	if !slotName.MatchString(c.Slot) {
		return fmt.Errorf("source %s: %q can't name a replication slot", c.Source, c.Slot)
	}
	if c.Publication == "" {
		return fmt.Errorf("source %s: no publication is named", c.Source)
	}
	seen := map[string]bool{}
	for _, t := range c.Tables {
		if seen[t.Name] {
			return fmt.Errorf("source %s: table %q is captured twice", c.Source, t.Name)
		}
		seen[t.Name] = true
		if schema, table, ok := strings.Cut(t.Name, "."); !ok || schema == "" || table == "" {
			return fmt.Errorf("source %s: table %q is not of the form schema.table", c.Source, t.Name)
		}
	}
	return nil
}

func (c *Config) capture(name string) (Capture, bool) {
	for _, t := range c.Tables {
		if t.Name == name {
			return t, true
		}
	}
	return Capture{}, false
}

// deadAfter is how long the server may be silent before a connection counts as dead: one whose
// other end is gone tells nothing by itself. A replication connection is asked for a sign of
// life every second, and what is asked otherwise is answered in less.
const deadAfter = 15 * time.Second

func (c *Config) deadAfter() time.Duration {
	if c.silence != 0 {
		return c.silence
	}
	return deadAfter
}

func (c *Config) busyFor() time.Duration {
	if c.patience != 0 {
		return c.patience
	}
	return busyFor
}

// advanceAfter is how much WAL of other tables the slot may hold back. One segment: the server
// keeps files of that size.
const advanceAfter = 16 << 20

func (c *Config) advanceAfter() uint64 {
	if c.advance != 0 {
		return c.advance
	}
	return advanceAfter
}

// applicationName is what pg_stat_activity shows of this source's connections.
func (c *Config) applicationName() string { return "spola cdc " + c.Source }

// connect opens a plain connection.
func (c *Config) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("source %s: its URL can't be read", c.Source) // without the cause: it quotes the password
	}
	c.prepare(&config.Config)
	return pgx.ConnectConfig(ctx, config)
}

// connectReplication opens a connection that speaks the replication protocol too.
func (c *Config) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := pgconn.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("source %s: its URL can't be read", c.Source)
	}
	c.prepare(config)
	config.RuntimeParams["replication"] = "database"
	return pgconn.ConnectConfig(ctx, config)
}

// prepare sets what decides how values look as text: the stream's and a snapshot's rows must
// not depend on the server's, the database's or the role's settings.
func (c *Config) prepare(config *pgconn.Config) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	for setting, value := range map[string]string{
		"application_name":              c.applicationName(),
		"client_encoding":               "UTF8",
		"timezone":                      "UTC",
		"datestyle":                     "ISO",
		"intervalstyle":                 "iso_8601",
		"extra_float_digits":            "1",
		"bytea_output":                  "hex",
		"lc_monetary":                   "C",
		"default_transaction_isolation": "read committed",
		"row_security":                  "off",   // rows that a policy hides are an error, not missing
		"synchronous_commit":            "local", // a standby that is away holds up no watermark
		"statement_timeout":             "0",
		"lock_timeout":                  "0",
	} {
		config.RuntimeParams[setting] = value
	}
}

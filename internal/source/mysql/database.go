package mysql

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/spola-cdc/spola/internal/change"
)

//go:embed columns.sql
var columnsQuery string

//go:embed keys.sql
var keysQuery string

// Open returns a pool of plain connections for whoever looks at the shop beside the reader. It
// connects when it is used; times come in UTC.
func Open(cfg Config) (*sql.DB, error) { return cfg.open() }

// Connection is how plain SQL connections to the shop's database are made, for who writes there: a
// configuration of the driver, whose session settings may be added to. silence is how long an answer
// may take before the connection counts as dead; 0 means deadAfter.
func Connection(url string, silence time.Duration) (*driver.Config, error) {
	c := Config{Source: "shop", URL: url, silence: silence}
	s, err := c.address()
	if err != nil {
		return nil, err
	}
	return s.driver(c.deadAfter()), nil
}

// IsRefused tells whether the shop's server refused for want of a right.
func IsRefused(err error) bool { return isRefused(err) }

// open returns a pool for plain SQL against the shop's database. It connects when it is used.
func (c *Config) open() (*sql.DB, error) {
	s, err := c.address()
	if err != nil {
		return nil, err
	}
	connector, err := driver.NewConnector(s.driver(c.deadAfter()))
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", c.Source, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(4)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

func (c *Config) capture(name string) (Capture, bool) {
	at := slices.IndexFunc(c.Tables, func(t Capture) bool { return t.Name == name })
	if at < 0 {
		return Capture{}, false
	}
	return c.Tables[at], true
}

// facts are what the reader must know of a server.
type facts struct {
	flavor   flavor
	version  string
	executed string // GTIDs of all transactions so far
	purged   string // of MySQL: those that are no longer in its binary logs
}

func readFacts(ctx context.Context, db *sql.DB) (facts, error) {
	var f facts
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&f.version); err != nil {
		return f, fmt.Errorf("ask the shop's server for its version: %w", err)
	}
	f.flavor = mysqlFlavor
	position := "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged"
	if strings.Contains(f.version, "MariaDB") {
		f.flavor = mariadbFlavor
		position = "SELECT COALESCE(@@GLOBAL.gtid_binlog_pos, ''), ''"
	}
	if err := db.QueryRowContext(ctx, position).Scan(&f.executed, &f.purged); err != nil {
		return f, fmt.Errorf("ask the shop's server for its position: %w", err)
	}
	return f, nil
}

// readCharsets lists the character set of each collation that the server knows. The numbers
// are built into the servers and never change their meaning.
func readCharsets(ctx context.Context, db *sql.DB, f flavor) (map[uint64]string, error) {
	query := "SELECT id, character_set_name FROM information_schema.collations WHERE id IS NOT NULL AND character_set_name IS NOT NULL"
	if f == mariadbFlavor {
		query = "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability"
	}
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list collations: %w", err)
	}
	defer rows.Close()
	out := map[uint64]string{}
	for rows.Next() {
		var id uint64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, fmt.Errorf("list collations: %w", err)
		}
		out[id] = name
	}
	return out, rows.Err()
}

// querier is a pool of connections or one of them.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readShape reads a captured table's shape from information_schema: the same that the binary
// log's table map events give.
func readShape(ctx context.Context, db querier, c *Capture) (*change.Table, error) {
	rows, err := db.QueryContext(ctx, columnsQuery, c.Name)
	if err != nil {
		return nil, fmt.Errorf("columns of %s: %w", c.Name, err)
	}
	defer rows.Close()
	shape := &change.Table{Name: c.Name, Key: c.Key}
	for rows.Next() {
		var s storedColumn
		var table string
		if err := rows.Scan(&table, &s.name, &s.dataType, &s.columnType, &s.nullable, &s.precision, &s.scale, &s.fraction, &s.charset); err != nil {
			return nil, fmt.Errorf("columns of %s: %w", c.Name, err)
		}
		if table != c.Name || !slices.Contains(c.Columns, s.name) {
			continue
		}
		column, err := s.describe()
		if err != nil {
			return nil, shapeError(c.Name, "column "+s.name+": "+err.Error())
		}
		shape.Columns = append(shape.Columns, column)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("columns of %s: %w", c.Name, err)
	}
	if len(shape.Columns) == 0 {
		return nil, shapeError(c.Name, "the table is not there")
	}
	for _, name := range c.Columns {
		if !slices.ContainsFunc(shape.Columns, func(have change.Column) bool { return have.Name == name }) {
			return nil, shapeError(c.Name, "column "+name+" is not there")
		}
	}
	return shape, checkStoredKey(ctx, db, c)
}

func checkStoredKey(ctx context.Context, db querier, c *Capture) error {
	rows, err := db.QueryContext(ctx, keysQuery, c.Name)
	if err != nil {
		return fmt.Errorf("primary key of %s: %w", c.Name, err)
	}
	defer rows.Close()
	var key []string
	for rows.Next() {
		var name string
		var prefix bool
		if err := rows.Scan(&name, &prefix); err != nil {
			return fmt.Errorf("primary key of %s: %w", c.Name, err)
		}
		if prefix {
			return shapeError(c.Name, "its primary key has only a part of column "+name)
		}
		key = append(key, name)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("primary key of %s: %w", c.Name, err)
	}
	if !slices.Equal(sorted(key), sorted(c.Key)) {
		return shapeError(c.Name, fmt.Sprintf("its primary key is (%s), not (%s)", strings.Join(key, ", "), strings.Join(c.Key, ", ")))
	}
	return nil
}

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return out
}

func shapeError(table, what string) error {
	return &StopError{Kind: ErrShape, Table: table, What: what, Mend: "give the table the shape that the profile names, or mend the profile, and start again"}
}

func isMySQLError(err error, numbers ...uint16) bool {
	var e *driver.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}

// isRefused tells whether the server refuses for want of a right: repeating does not help.
func isRefused(err error) bool {
	return isMySQLError(err, 1044, 1045, 1142, 1143, 1227, 1370, 1698)
}

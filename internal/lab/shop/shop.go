package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/verify"
)

// usualPrefix is what the tables of a genuine shop begin with.
const usualPrefix = "oc_"

// Options say how a shop is built. The zero value is a shop with prefix oc_, 40 products and
// 20 accounts.
type Options struct {
	Prefix   string // of the tables; default oc_
	Products int    // in the catalogue, at least 10; default 40
	Accounts int    // customers that exist before the first order; default 20
	Stock    int    // pieces of each product and option at the beginning; default 1,000,000
	Noise    bool   // also write what a shop writes at each request: session, cart, OPTIMIZE TABLE

	// Before, when set, is called before each statement of an order with the statement's name
	// (see checkout.sql) and the order's id, 0 before it has one. An error stops the shop there,
	// as a crash of its server process would.
	Before func(ctx context.Context, statement string, order int64) error
}

// Shop is a test shop in a database. It is safe for concurrent use.
type Shop struct {
	db         *sql.DB
	config     *mysql.Config
	options    Options
	statements statements
	catalogue  []Product
	byID       map[int]Product
	rules      verify.Rules // of the example shop file
	saving     sync.Mutex   // an administrator's page of settings
	requests   atomic.Int64 // OPTIMIZE TABLE comes at every so many
	optimized  atomic.Int64 // unix second of the last one
}

// Open makes a shop of the database that url names, such as mysql://root@127.0.0.1:3306/shop. It
// connects when it first has to; Install makes the tables.
func Open(ctx context.Context, url string, options Options) (*Shop, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	options.setDefaults()
	if options.Products < 10 {
		return nil, fmt.Errorf("a test shop of %d products: want at least 10", options.Products)
	}
	s := &Shop{config: config, options: options, statements: loadStatements(options.Prefix)}
	if s.rules, err = verify.ReadRules("opencart", deploy.ShopExample); err != nil {
		return nil, err
	}
	s.catalogue = makeCatalogue(options)
	s.byID = make(map[int]Product, len(s.catalogue))
	for _, p := range s.catalogue {
		s.byID[p.ID] = p
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("open test shop: %w", err)
	}
	s.db = sql.OpenDB(connector)
	s.db.SetMaxOpenConns(100)
	s.db.SetMaxIdleConns(100)
	return s, ctx.Err()
}

func (o *Options) setDefaults() {
	if o.Prefix == "" {
		o.Prefix = usualPrefix
	}
	if o.Products == 0 {
		o.Products = 40
	}
	if o.Accounts == 0 {
		o.Accounts = 20
	}
	if o.Stock == 0 {
		o.Stock = 1_000_000
	}
}

// Close ends the shop's connections.
func (s *Shop) Close() error { return s.db.Close() }

// DB is the shop's pool, for tests that look into the tables or write what no customer would.
func (s *Shop) DB() *sql.DB { return s.db }

// Prefix is the prefix of the shop's tables.
func (s *Shop) Prefix() string { return s.options.Prefix }

// parseURL reads mysql://user:password@host:port/database, or with ?socket=/path for a socket.
func parseURL(text string) (*mysql.Config, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "mysql" {
		return nil, errors.New("the shop's URL: want mysql://user:password@host:port/database")
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr = "tcp", u.Host
	if socket := u.Query().Get("socket"); socket != "" {
		c.Net, c.Addr = "unix", socket
	}
	c.DBName = strings.TrimPrefix(u.Path, "/")
	if c.DBName == "" {
		return nil, errors.New("the shop's URL names no database")
	}
	c.InterpolateParams = true // PHP sends each statement as one text
	c.Collation = "utf8mb4_unicode_ci"
	c.Timeout = 5 * time.Second
	c.ReadTimeout = time.Minute
	c.Logger = &mysql.NopLogger{} // what it would print comes back as an error as well
	c.Params = map[string]string{
		"sql_mode":           "'NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION'",
		"foreign_key_checks": "0",
		"time_zone":          "'" + offsetNow() + "'",
	}
	return c, nil
}

// offsetNow is the shop's offset from UTC as PHP gives it to the session: +01:00 or +02:00. A
// shop's DATETIME columns are wall time in Europe/Rome.
func offsetNow() string {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil { // a machine without time zones: the winter's offset
		return "+01:00"
	}
	return time.Now().In(rome).Format("-07:00")
}

// exec sends one statement of an order, which is one transaction.
func (s *Shop) exec(ctx context.Context, order int64, name string, args ...any) (sql.Result, error) {
	text, err := s.statements.get(name)
	if err != nil {
		return nil, err
	}
	if s.options.Before != nil {
		if err := s.options.Before(ctx, name, order); err != nil {
			return nil, fmt.Errorf("order %d: before %s: %w", order, name, err)
		}
	}
	result, err := s.db.ExecContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("order %d: %s: %w", order, name, err)
	}
	return result, nil
}

// each runs exec for several statements that have the same arguments.
func (s *Shop) each(ctx context.Context, order int64, names []string, args ...any) error {
	for _, name := range names {
		if _, err := s.exec(ctx, order, name, args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shop) query(ctx context.Context, name string, args ...any) (*sql.Rows, error) {
	text, err := s.statements.get(name)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}

// Refused tells whether the server answered err, so that the statement had no effect. Any other
// error (a broken connection, a server that is going down) leaves the outcome unknown.
func Refused(err error) bool {
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return false
	}
	const shutdown, interrupted, killed = 1053, 1317, 3168
	return answer.Number != shutdown && answer.Number != interrupted && answer.Number != killed
}

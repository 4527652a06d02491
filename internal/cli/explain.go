package cli

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/stream"
)

// Patience is how long a verb that only asks waits for brokers that are away.
const Patience = 15 * time.Second

// Numbers of MySQL's and MariaDB's errors.
const (
	accessDenied    = 1045
	databaseDenied  = 1044
	unknownDatabase = 1049
	socketOnly      = 1698 // of MariaDB: the user may come by the socket alone
)

// Sentence is what a person is told of an error: what a server said in one line, and the key of
// spola.yaml to look at where nobody has said yet what mends it.
func Sentence(err error) string {
	text := err.Error()
	if c, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		text = strings.ReplaceAll(text, c.Error(), refusedByPostgres(c))
	}
	if hint := hint(err); hint != "" && !strings.Contains(text, hint) {
		text += "; " + hint
	}
	return text
}

// refusedByPostgres is the one thing that matters of an error with a line for each way that was tried.
func refusedByPostgres(c *pgconn.ConnectError) string {
	said := strings.Join(strings.Fields(c.Unwrap().Error()), " ")
	if e, ok := errors.AsType[*pgconn.PgError](c); ok {
		said = e.Message
	} else if e, ok := errors.AsType[*net.OpError](c); ok {
		said = e.Error()
	}
	at := ""
	if c.Config != nil {
		at = fmt.Sprintf(" at %s:%d, database %s, as %s", c.Config.Host, c.Config.Port, c.Config.Database, c.Config.User)
	}
	return "PostgreSQL" + at + ": " + said
}

func hint(err error) string {
	if e, ok := errors.AsType[*driver.MySQLError](err); ok && !stopped(err) {
		switch e.Number {
		case accessDenied, socketOnly:
			return "see that shop.database in spola.yaml names the user, and that SPOLA_SHOP_PASSWORD or shop.password_file has the password (deploy/grants makes the user)"
		case unknownDatabase, databaseDenied:
			return "correct the name of the database in shop.database in spola.yaml, or give the user his rights (deploy/grants)"
		}
		return ""
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		if stopped(err) {
			return ""
		}
		if _, said := errors.AsType[*pgconn.PgError](err); said {
			return "see that user, database and password are right: erp.database in spola.yaml, SPOLA_ERP_PASSWORD or erp.password_file (of the ERP's log: erp.log)"
		}
		return "see that the ERP's server runs, and that erp.database in spola.yaml names it"
	}
	if errors.Is(err, stream.ErrAway) {
		return "see that the brokers run, and that kafka.brokers in spola.yaml names them (without brokers: that spola run runs, whose embedded broker it is)"
	}
	if _, unknown := errors.AsType[*net.DNSError](err); unknown || errors.Is(err, syscall.ECONNREFUSED) {
		return "see that the server runs, and that shop.database in spola.yaml names it"
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return "end the program that listens there, or name another port"
	}
	return ""
}

// stopped tells whether the error says itself what mends it.
func stopped(err error) bool {
	return ExitStatus(err) == ExitStopped || ExitStatus(err) == ExitConfiguration
}

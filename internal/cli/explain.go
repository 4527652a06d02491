package cli

import (
	"crypto/x509"
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
	if hint := hint(err); hint != "" && !strings.Contains(text, hint) && !errors.Is(err, errTold) {
		text += "; " + hint
	}
	return text
}

// errTold is what Told's errors are.
var errTold = errors.New("told")

// told is an error that says itself what mends it.
type told struct{ error }

func (t told) Unwrap() error    { return t.error }
func (told) Is(kind error) bool { return kind == errTold }

// Told is an error whose text names what mends it, so that nothing has to be said of spola.yaml: of a verb that needs none.
func Told(err error, mend string) error { return told{fmt.Errorf("%w; %s", err, mend)} }

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
	if hint := LinkHint(err); hint != "" {
		return hint
	}
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
		at := links[0].at
		if ofMail(err) {
			at = links[3].at
		}
		return "see that the server runs, and that " + at + " in spola.yaml names it"
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return "end the program that listens there, or name another port"
	}
	return ""
}

// LinkHint says what mends a link that can't be guarded as the configuration has it.
func LinkHint(err error) string {
	link := links[0]
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		link = links[1]
	} else if strings.Contains(err.Error(), "kafka.") { // kafka-go begins so what it says
		link = links[2]
	} else if ofMail(err) {
		link = links[3]
	}
	if strings.Contains(err.Error(), "broker appears to be expecting TLS") {
		return "write kafka.tls: true in spola.yaml"
	}
	if strings.Contains(err.Error(), "SASL Authentication Failed") {
		return "see that kafka.mechanism and kafka.user in spola.yaml are right, and that SPOLA_KAFKA_PASSWORD or kafka.password_file has the password"
	}
	if errors.Is(err, driver.ErrNoTLS) || strings.Contains(err.Error(), "server refused TLS connection") {
		return "the server offers no encryption: switch it on there, or have plain text on purpose with " + link.plain
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "if the server is the right one, name the file with its authority's certificate (PEM): " + link.ca
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "name the server as its certificate does in " + link.at
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "renew the server's certificate (of " + link.at + "), or set the clock of this host"
	}
	return ""
}

// ofMail tells whether the mail server is meant: so begins all that internal/mail says.
func ofMail(err error) bool { return strings.HasPrefix(err.Error(), "mail server ") }

// links are the places of spola.yaml that say how each server is reached: the shop's, the ERP's, Kafka, the one for mails.
var links = [...]struct{ at, ca, plain string }{
	{"shop.database", "?ssl-ca=FILE in shop.database", "?tls=false in shop.database"},
	{"erp.database", "?sslrootcert=FILE in erp.database", "?sslmode=disable in erp.database"},
	{"kafka.brokers", "kafka.ca_file", "kafka.tls: false"},
	{"smtp.server", "smtp.ca_file", "smtp.tls: none"},
}

// stopped tells whether the error says itself what mends it.
func stopped(err error) bool {
	return ExitStatus(err) == ExitStopped || ExitStatus(err) == ExitConfiguration
}

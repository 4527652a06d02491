// Package config reads spola.yaml, the one file of cdc, applier and spola: where the shop's and
// the ERP's databases are, and where the log stands. What a shop's states and totals mean is
// not in it; that is the merchant's shop file.
//
// The file holds no secrets. They come from the environment (SPOLA_SHOP_PASSWORD,
// SPOLA_SHOP_WRITE_PASSWORD, SPOLA_ERP_PASSWORD, SPOLA_ERP_LOG_PASSWORD, SPOLA_KAFKA_PASSWORD, SPOLA_SMTP_PASSWORD, SPOLA_PAGE_PASSWORD) or from files named by
// password_file; the environment wins. deploy/spola.example.yaml explains each key.
package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/stream"
)

// Config is the content of a configuration file, with its defaults filled in.
type Config struct {
	Shop    Shop    `yaml:"shop"`
	ERP     ERP     `yaml:"erp"`
	Kafka   Kafka   `yaml:"kafka"`
	Broker  Broker  `yaml:"broker"`
	SMTP    SMTP    `yaml:"smtp"`
	Notices Notices `yaml:"notices"`
	Page    Page    `yaml:"page"`
}

// Shop is the web shop that is read, and written where a user for that is named.
type Shop struct {
	Name         string `yaml:"name"`     // of the source: names topics and schemas, [a-z][a-z0-9_]*
	Platform     string `yaml:"platform"` // opencart
	Prefix       string `yaml:"prefix"`   // of its tables
	Database     string `yaml:"database"` // mysql://user@host:3306/shop, without password; ?tls=false or ?ssl-ca=FILE
	PasswordFile string `yaml:"password_file"`
	File         string `yaml:"file"`         // the shop file; default shop.yaml beside this file
	ServerID     uint32 `yaml:"server_id"`    // of the reader among the server's replicas; 0: from the name
	OrdersSince  string `yaml:"orders_since"` // a day, 2026-01-01: orders placed before it stay in the shop; empty: none
	Password     Secret `yaml:"-"`

	// Who writes into it what changes in the ERP: another user of the same database.
	WriteAs           string `yaml:"write_as"` // empty: nothing is written
	WritePasswordFile string `yaml:"write_password_file"`
	WritePassword     Secret `yaml:"-"`
}

// Writes says whether what changes in the ERP is written into the shop.
func (s Shop) Writes() bool { return s.WriteAs != "" }

// WriteURL is the shop's database with the user and password of who writes there.
func (s Shop) WriteURL() string {
	u, err := url.Parse(s.Database)
	if err != nil {
		return s.Database // check has refused it
	}
	password := s.WritePassword
	if password == "" && s.WriteAs == u.User.Username() {
		password = s.Password
	}
	u.User = url.User(s.WriteAs)
	return withPassword(u.String(), password)
}

// Since is the first day whose orders leave the shop, at midnight here; zero if all do.
func (s Shop) Since() time.Time {
	t, err := time.ParseInLocation(time.DateOnly, s.OrdersSince, time.Local)
	if err != nil {
		return time.Time{} // check has refused what is no day
	}
	return t
}

// URL is the shop's database with its password.
func (s Shop) URL() string { return withPassword(s.Database, s.Password) }

// ERP is the database that takes the orders.
type ERP struct {
	Database     string `yaml:"database"` // postgres://user@host:5432/erp, without password; ?sslmode=disable or ?sslrootcert=FILE
	PasswordFile string `yaml:"password_file"`
	Log          ERPLog `yaml:"log"`
	Password     Secret `yaml:"-"`
}

// ERPSource is the name of the ERP as a source: of its log, the topic PREFIX.erp.
const ERPSource = "erp"

// ERPLog says how the ERP's own changes are read.
type ERPLog struct {
	User         string `yaml:"user"`      // of erp.database, with REPLICATION and SELECT; empty: the ERP's log is not read from here
	Elsewhere    bool   `yaml:"elsewhere"` // another shop's spola.yaml has the user: its cdc reads the ERP for all shops of these brokers and this prefix
	PasswordFile string `yaml:"password_file"`
	Slot         string `yaml:"slot"`        // of the reader on the server; default spola_erp
	Publication  string `yaml:"publication"` // of the tables; default spola_erp
	Password     Secret `yaml:"-"`
}

// Read says whether the ERP's own changes are read by who has this file. Of several shops one reads them: a second
// reader would fence the first.
func (l ERPLog) Read() bool { return l.User != "" }

// Stands says whether the ERP's own changes stand in its log, whoever reads them.
func (l ERPLog) Stands() bool { return l.Read() || l.Elsewhere }

// LogURL is the ERP's database with the user and password of its log's reader.
func (e ERP) LogURL() string { return withPassword(e.As(e.Log.User).Database, e.Log.Password) }

// URL is the ERP's database with its password.
func (e ERP) URL() string { return withPassword(e.Database, e.Password) }

// As is the same database for another user of it.
func (e ERP) As(user string) ERP {
	u, err := url.Parse(e.Database)
	if err == nil {
		u.User = url.User(user)
		e.Database = u.String()
	}
	return e
}

// Kafka is where the log stands. Without brokers that is the embedded broker.
type Kafka struct {
	Brokers           []string      `yaml:"brokers"` // host:port of one or more, to begin with
	Prefix            string        `yaml:"prefix"`  // of topics; default spola
	Replication       int           `yaml:"replication"`
	MinInsyncReplicas int           `yaml:"min_insync_replicas"`
	Retention         time.Duration `yaml:"retention"`
	TLS               *bool         `yaml:"tls"`       // default: where a broker is on another host
	CAFile            string        `yaml:"ca_file"`   // of the brokers' certificates; default the system's
	Mechanism         string        `yaml:"mechanism"` // plain, scram-sha-256, scram-sha-512; empty: no login
	User              string        `yaml:"user"`
	PasswordFile      string        `yaml:"password_file"`
	Password          Secret        `yaml:"-"`

	ca []byte
}

// Broker is the embedded broker, for trying Spola out.
type Broker struct {
	Dir    string `yaml:"dir"`    // default broker beside the configuration file
	Listen string `yaml:"listen"` // default 127.0.0.1:9392
}

// SMTP is the server that customers' mails go through, and notices, and how the former look.
type SMTP struct {
	Server       string `yaml:"server"`    // host:port; empty: nothing is mailed
	Customers    *bool  `yaml:"customers"` // false: customers are not mailed, only notices go through it; default true
	TLS          string `yaml:"tls"`       // starttls, implicit, or none for a server on this host; default by the port
	CAFile       string `yaml:"ca_file"`
	User         string `yaml:"user"` // empty: no login
	PasswordFile string `yaml:"password_file"`
	From         string `yaml:"from"`       // Bottega <ordini@example.com>
	ReplyTo      string `yaml:"reply_to"`   // empty: from
	PerMinute    int    `yaml:"per_minute"` // mails at most; default 60
	Since        string `yaml:"since"`      // a day: orders placed before it are never mailed; empty: from going live on
	Templates    string `yaml:"templates"`  // directory of templates that replace Spola's own
	Password     Secret `yaml:"-"`

	ca []byte
}

// Sends says whether customers are mailed.
func (s SMTP) Sends() bool { return s.Server != "" && (s.Customers == nil || *s.Customers) }

// Notices say who is told by mail of what needs a person: of a stream that has stopped, an order that is parked, a drift that waits,
// a mail that could not be sent.
type Notices struct {
	To     string `yaml:"to"`     // one address; empty: nobody
	Digest string `yaml:"digest"` // when the daily one is sent, such as 08:00; off: never; default 08:00
	Dir    string `yaml:"dir"`    // for what was told and what a stream said that stopped; default notices beside this file, as a service in its state directory
}

// Tells says whether somebody is told.
func (n Notices) Tells() bool { return n.To != "" }

// Hour is when the digest is sent, by this host's clock; empty: never.
func (n Notices) Hour() string {
	if n.Digest == "off" {
		return ""
	}
	return n.Digest
}

// TLSConfig verifies the server; nil where there is no TLS.
func (s SMTP) TLSConfig() *tls.Config {
	if s.TLS == "none" {
		return nil
	}
	host, _, _ := net.SplitHostPort(s.Server)
	return verified(host, s.ca)
}

// SinceTime is the first day whose orders are mailed, at midnight here; zero if all are.
func (s SMTP) SinceTime() time.Time {
	t, err := time.ParseInLocation(time.DateOnly, s.Since, time.Local)
	if err != nil {
		return time.Time{} // check has refused what is no day
	}
	return t
}

// Page says who may see the page of spola metrics: without a password who is on the same host, from elsewhere only by TLS.
type Page struct {
	PasswordFile string `yaml:"password_file"` // empty: none is asked for on this host, and there is no page for others
	Certificate  string `yaml:"certificate"`   // PEM file, with its key: the server speaks TLS, for metrics too; $NAME is taken from the environment
	Key          string `yaml:"key"`
	Password     Secret `yaml:"-"`
}

// Pair reads the server's certificate with its key; nil: there is none. Only who serves the page need be able to.
func (p Page) Pair() (*tls.Certificate, error) {
	if p.Certificate == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	pair, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return nil, &Error{Key: "page.certificate", What: err.Error(), Mend: "name two PEM files that this program may read: a certificate and its key"}
	}
	if ends := pair.Leaf.NotAfter; time.Now().After(ends) {
		return nil, &Error{Key: "page.certificate", What: fmt.Sprintf("%s has expired on %s", p.Certificate, ends.Format(time.DateOnly)), Mend: "renew it: no browser would take it"}
	}
	return &pair, nil
}

// SentSource names the journal of mails among the topics: PREFIX.sent.
const SentSource = "sent"

// Journal is the journal of mails, on the brokers of the logs.
func (c Config) Journal(log zerolog.Logger) stream.Config {
	return c.stream(c.Kafka.Prefix+"."+SentSource, log)
}

// Secret is a password. It prints as stars.
type Secret string

// String tells only whether there is one.
func (s Secret) String() string {
	if s == "" {
		return "none"
	}
	return "***"
}

// GoString keeps a secret out of %#v.
func (s Secret) GoString() string { return s.String() }

// Embedded says whether the log stands on the embedded broker.
func (c Config) Embedded() bool { return len(c.Kafka.Brokers) == 0 }

// LeftBehind says where the log may have stood before it had brokers: how it is taken from the embedded
// broker, whose data still lies in its directory, to these brokers. Empty: there is no such data.
func (c Config) LeftBehind() string {
	if _, err := os.Stat(filepath.Join(c.Broker.Dir, "lock")); c.Embedded() || err != nil {
		return ""
	}
	return fmt.Sprintf("`spola broker --dir %s --listen %s` and, beside it, `cdc run --moved-from %s`", c.Broker.Dir, c.Broker.Listen, c.Broker.Listen)
}

// Topic is the topic of the shop's log.
func (c Config) Topic() string { return c.Kafka.Prefix + "." + c.Shop.Name }

// ERPTopic is the topic of the ERP's log.
func (c Config) ERPTopic() string { return c.Kafka.Prefix + "." + ERPSource }

// Group is the consumer group under which lag tools find an applier of this shop.
func (c Config) Group(applier string) string { return c.Topic() + "." + applier }

// Stream is the shop's log on its brokers, or on the embedded broker where it listens.
func (c Config) Stream(log zerolog.Logger) stream.Config { return c.stream(c.Topic(), log) }

// ERPStream is the ERP's log where the shop's stands too.
func (c Config) ERPStream(log zerolog.Logger) stream.Config { return c.stream(c.ERPTopic(), log) }

func (c Config) stream(topic string, log zerolog.Logger) stream.Config {
	s := stream.Config{Brokers: c.Kafka.Brokers, Topic: topic, TLS: c.Kafka.tls(), Log: log}
	if c.Embedded() {
		s.Brokers = []string{c.Broker.Listen}
	}
	if c.Kafka.Mechanism != "" {
		s.SASL = &stream.SASL{Mechanism: c.Kafka.Mechanism, User: c.Kafka.User, Password: string(c.Kafka.Password)}
	}
	return s
}

// TopicSettings are those that the log's topic is made and checked with.
func (c Config) TopicSettings() stream.TopicSettings {
	return stream.TopicSettings{
		Replication: c.Kafka.Replication,
		MinInSync:   c.Kafka.MinInsyncReplicas,
		Retention:   c.Kafka.Retention,
	}
}

// EmbeddedBroker is the embedded broker's own configuration.
func (c Config) EmbeddedBroker(log zerolog.Logger) broker.Config {
	return broker.Config{Dir: c.Broker.Dir, Listen: c.Broker.Listen, Retention: c.Kafka.Retention, Log: log}
}

// String is the effective configuration as a file, with the secrets struck.
func (c Config) String() string {
	text, err := yaml.Marshal(plain(c))
	if err != nil {
		return fmt.Sprintf("configuration can't be shown: %v", err)
	}
	return fmt.Sprintf("%s# passwords: shop %s, shop.write %s, erp %s, erp.log %s, kafka %s, smtp %s, page %s\n", text, c.Shop.Password, c.Shop.WritePassword, c.ERP.Password, c.ERP.Log.Password, c.Kafka.Password, c.SMTP.Password, c.Page.Password)
}

// plain has no String method that would call itself.
type plain Config

func withPassword(database string, password Secret) string {
	u, err := url.Parse(database)
	if err != nil || password == "" {
		return database
	}
	u.User = url.UserPassword(u.User.Username(), string(password))
	return u.String()
}

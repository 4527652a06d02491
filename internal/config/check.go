package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/keys"
	"github.com/spola-cdc/spola/schemas"
)

// What values look like, for editors as for check.
const (
	SourceName = `^[a-z][a-z0-9_]{0,39}$` // "mirror_" and the name are a schema's name
	Address    = `^[^\s:]+:\d{1,5}$|^\[[^\s]+\]:\d{1,5}$`
)

// Mechanisms of logging in to Kafka.
var Mechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

var (
	sourceName  = regexp.MustCompile(SourceName)
	tablePrefix = regexp.MustCompile(`^[A-Za-z0-9_]*$`)
	topicPrefix = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	slotName    = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
)

func (l *loader) check(c *Config) {
	l.checkShop(&c.Shop)
	l.checkDatabase("erp", c.ERP.Database, []string{"postgres", "postgresql"}, "postgres://spola@host:5432/erp")
	l.checkERPLog(&c.ERP.Log, c.Shop.Name, c.Embedded())
	l.checkKafka(&c.Kafka)
	l.guardDatabase("shop", &c.Shop.Database)
	l.guardDatabase("erp", &c.ERP.Database)
	l.guardKafka(&c.Kafka)
	l.checkAddress("broker.listen", c.Broker.Listen, "127.0.0.1:9392")
	l.checkSMTP(&c.SMTP, c.Shop.Name)
	l.checkNotices(&c.Notices, c.SMTP.Server)
	l.checkPage(&c.Page)
}

func (l *loader) checkPage(p *Page) {
	if (p.Certificate == "") != (p.Key == "") {
		l.mistake("page.certificate", "certificate and key belong together", "name both files, or none")
	}
}

// What the hour of the digest and the address of notices look like.
const (
	DigestHour = `^([01]\d|2[0-3]):[0-5]\d$|^off$`
	NoticesTo  = `^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$`
)

var (
	digestHour = regexp.MustCompile(DigestHour)
	noticesTo  = regexp.MustCompile(NoticesTo)
)

func (l *loader) checkNotices(n *Notices, server string) {
	switch {
	case !n.Tells():
	case !noticesTo.MatchString(n.To):
		l.mistake("notices.to", fmt.Sprintf("%q is no address", n.To), "write one, like anna@example.com")
	case server == "":
		l.mistake("notices.to", "smtp.server is not set: nothing can be mailed", "write the mail server there, such as mail.example.com:587; with smtp.customers: false customers are not mailed")
	}
	if !digestHour.MatchString(n.Digest) {
		l.mistake("notices.digest", fmt.Sprintf("%q is no hour", n.Digest), "write it like '08:00', or off")
	}
}

// TLSModes are the ways to a mail server.
var TLSModes = []string{"starttls", "implicit", "none"}

func (l *loader) checkSMTP(s *SMTP, shop string) {
	if s.Server == "" {
		return
	}
	l.checkAddress("smtp.server", s.Server, "mail.example.com:587")
	host, _, _ := net.SplitHostPort(s.Server)
	switch {
	case !slices.Contains(TLSModes, s.TLS):
		l.mistake("smtp.tls", fmt.Sprintf("%q is unknown", s.TLS), "write starttls or implicit")
	case s.TLS == "none" && !here(host):
		l.mistake("smtp.tls", "customers' mails would go over the network in the clear", "write starttls or implicit; none is for a server on this host")
	}
	if from, err := mail.ParseAddress(s.From); err != nil || !strings.Contains(from.Address, "@") {
		l.mistake("smtp.from", fmt.Sprintf("%q is no address", s.From), "write it like Bottega <ordini@example.com>")
	}
	if _, err := mail.ParseAddress(s.ReplyTo); s.ReplyTo != "" && err != nil {
		l.mistake("smtp.reply_to", fmt.Sprintf("%q is no address", s.ReplyTo), "write it like ordini@example.com, or leave it away")
	}
	if s.Since != "" && s.SinceTime().IsZero() {
		l.mistake("smtp.since", fmt.Sprintf("%q is no day", s.Since), "write it like 2026-01-01, or leave it away")
	}
	if s.PerMinute < 0 {
		l.mistake("smtp.per_minute", fmt.Sprintf("%d mails a minute", s.PerMinute), "write how many the server takes, such as 60")
	}
	if shop == SentSource && s.Sends() {
		l.mistake("shop.name", "sent is the name of the journal of mails", "give the shop another name")
	}
	if stat, err := os.Stat(s.Templates); s.Templates != "" && (err != nil || !stat.IsDir()) {
		l.mistake("smtp.templates", s.Templates+" is no directory", "make it, or leave it away: applier mail templates writes Spola's own there")
	}
	if s.CAFile == "" {
		return
	}
	ca, err := readCA(s.CAFile)
	if err != nil {
		l.mistake("smtp.ca_file", err.Error(), "name a PEM file")
	}
	s.ca = ca
}

func (l *loader) checkShop(s *Shop) {
	if !sourceName.MatchString(s.Name) {
		l.mistake("shop.name", fmt.Sprintf("%q can't name a source", s.Name),
			"write a small letter, then up to 39 small letters, digits or _: shop1")
	}
	if _, _, err := schemas.Platform(s.Platform); err != nil {
		l.mistake("shop.platform", err.Error(), "write opencart")
	}
	if !tablePrefix.MatchString(s.Prefix) {
		l.mistake("shop.prefix", fmt.Sprintf("%q can't begin the name of a table", s.Prefix), "write it as in the shop's own configuration: oc_")
	}
	if s.OrdersSince != "" && s.Since().IsZero() {
		l.mistake("shop.orders_since", fmt.Sprintf("%q is no day", s.OrdersSince), "write it like 2026-01-01, or leave it away")
	}
	l.checkDatabase("shop", s.Database, []string{"mysql"}, "mysql://spola@host:3306/shop")
}

func (l *loader) checkERPLog(e *ERPLog, shop string, embedded bool) {
	if !slotName.MatchString(e.Slot) {
		l.mistake("erp.log.slot", fmt.Sprintf("%q can't name a replication slot", e.Slot), "write up to 63 small letters, digits or _: spola_erp")
	}
	if e.Read() && e.Elsewhere {
		l.mistake("erp.log.elsewhere", "this file names the user that reads the ERP's log, too", "take erp.log.user out, or elsewhere: one file of all shops names the user")
	}
	if e.Elsewhere && embedded {
		l.mistake("erp.log.elsewhere", "the ERP's log stands on other brokers than this file's", "write the brokers of the shop that reads it into kafka.brokers; its embedded broker listens at its broker.listen")
	}
	if e.Stands() && shop == ERPSource {
		l.mistake("shop.name", "erp is the name of the ERP's own log", "give the shop another name")
	}
}

// checkDatabase never shows the URL: it may hold a password.
func (l *loader) checkDatabase(section, database string, schemes []string, example string) {
	key := section + ".database"
	u, err := url.Parse(database)
	if database == "" || err != nil {
		l.mistake(key, "no URL of a database", "write "+example)
		return
	}
	if _, set := u.User.Password(); set || u.Query().Has("password") {
		l.mistake(key, "a password stands in the URL", fmt.Sprintf("take it out and set SPOLA_%s_PASSWORD, or name a file with %s.password_file",
			strings.ToUpper(section), section))
		return
	}
	if !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" || u.User.Username() == "" || strings.Trim(u.Path, "/") == "" {
		l.mistake(key, "scheme, user, host or name of the database is missing or wrong", "write "+example)
	}
}

func (l *loader) checkKafka(k *Kafka) {
	for i, broker := range k.Brokers {
		l.checkAddress(fmt.Sprintf("kafka.brokers[%d]", i), broker, "host:9092")
	}
	if !topicPrefix.MatchString(k.Prefix) {
		l.mistake("kafka.prefix", fmt.Sprintf("%q can't begin the name of a topic", k.Prefix), "write letters, digits, dots, _ or -: spola")
	}
	if k.Replication < 0 || len(k.Brokers) == 0 && k.Replication > 1 {
		l.mistake("kafka.replication", fmt.Sprintf("%d replicas can't be had", k.Replication), "write 3 for a cluster of three brokers or more, 1 for one")
	}
	if k.MinInsyncReplicas < 0 || k.Replication > 0 && k.MinInsyncReplicas > k.Replication {
		l.mistake("kafka.min_insync_replicas", fmt.Sprintf("%d of %d replicas can't be in sync", k.MinInsyncReplicas, k.Replication),
			"write 2 with three replicas, 1 with one")
	}
	if k.Retention < time.Hour {
		l.mistake("kafka.retention", fmt.Sprintf("%s is less than an hour: an applier that stands still for longer could not go on", k.Retention), "write 336h")
	}
	l.checkLogin(k)
}

func (l *loader) checkLogin(k *Kafka) {
	if k.Mechanism != "" && !slices.Contains(Mechanisms, k.Mechanism) {
		l.mistake("kafka.mechanism", fmt.Sprintf("%q is unknown", k.Mechanism), "write plain, scram-sha-256 or scram-sha-512")
	}
	if (k.Mechanism == "") != (k.User == "") {
		l.mistake("kafka.user", "user and mechanism belong together", "write both, or none of them")
	}
	if k.CAFile == "" {
		return
	}
	ca, err := readCA(k.CAFile)
	if err == nil && k.TLS != nil && !*k.TLS {
		err = errors.New("certificates without tls")
	}
	if err != nil {
		l.mistake("kafka.ca_file", err.Error(), "name a PEM file, with tls: true")
	}
	k.ca = ca
}

func (l *loader) checkAddress(key, address, example string) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" {
		l.mistake(key, fmt.Sprintf("%q is not host:port", address), "write "+example)
	}
}

// suggest says what to write in place of a key that is unknown.
func suggest(m *keys.Mistake) string {
	switch {
	case slices.Contains([]string{"password", "passwd", "secret"}, m.Key):
		return "passwords do not stand here: set SPOLA_SHOP_PASSWORD, SPOLA_ERP_PASSWORD, SPOLA_ERP_LOG_PASSWORD, SPOLA_KAFKA_PASSWORD, SPOLA_SMTP_PASSWORD or SPOLA_PAGE_PASSWORD, or name a file with password_file"
	case m.Near != "":
		return "did you mean " + m.Near + "?"
	case m.Key != "":
		return "deploy/spola.example.yaml has all keys"
	}
	return ""
}

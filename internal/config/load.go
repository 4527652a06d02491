package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/spola-cdc/spola/internal/keys"
)

// Need names a password that a program can't do without.
type Need string

// What a program may need. One that is not needed may be missing, so that the host of cdc need
// not know the ERP's password.
const (
	NeedShop      Need = "shop"
	NeedShopWrite Need = "shop.write"
	NeedERP       Need = "erp"
	NeedERPLog    Need = "erp.log"
	NeedKafka     Need = "kafka"
	NeedSMTP      Need = "smtp"
	NeedPage      Need = "page"
)

// Error is a mistake in the configuration. Programs end with status 78 on it.
type Error struct {
	File string
	Line int    // from 1; 0 where the key does not stand in the file
	Key  string // kafka.brokers
	What string // what is wrong
	Mend string // what to write instead
}

// Error is "file:line: key: what is wrong; what to write instead".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.What)
	if e.Mend != "" {
		b.WriteString("; " + e.Mend)
	}
	return b.String()
}

// Load reads the file, fills in defaults and secrets, and checks it. The error holds every
// mistake that was found, each an *Error. Relative paths are relative to the file; $NAME in
// the name of a secret's file is taken from the environment.
func Load(path string, needs ...Need) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, &Error{File: path, What: fmt.Sprintf("can't be read: %v", errors.Unwrap(err)),
			Mend: "copy deploy/spola.example.yaml there and fill it in, or name another with --config"}
	}
	l := loader{path: path}
	c := l.parse(text)
	if len(l.mistakes) > 0 {
		return Config{}, l.err()
	}
	l.defaults(&c)
	l.check(&c)
	l.secrets(&c, needs)
	if len(l.mistakes) > 0 {
		return Config{}, l.err()
	}
	return c, nil
}

// loader collects the mistakes of one file.
type loader struct {
	path     string
	file     *ast.File
	mistakes []error
}

func (l *loader) err() error { return errors.Join(l.mistakes...) }

// mistake notes what is wrong with the key that stands at section.name.
func (l *loader) mistake(key, what, mend string) {
	l.mistakes = append(l.mistakes, &Error{File: l.path, Line: l.line(key), Key: key, What: what, Mend: mend})
}

// line is where a key's value, or its section, begins.
func (l *loader) line(key string) int {
	for ; l.file != nil && key != ""; key = parent(key) {
		path, err := yaml.PathString("$." + key)
		if err != nil {
			return 0
		}
		if node, err := path.FilterFile(l.file); err == nil && node != nil {
			return node.GetToken().Position.Line
		}
	}
	return 0
}

func parent(key string) string {
	at := strings.LastIndexAny(key, ".")
	if at < 0 {
		return ""
	}
	return key[:at]
}

func (l *loader) parse(text []byte) Config {
	var c Config
	var mistakes []*keys.Mistake
	l.file, mistakes = keys.Read(text, &c)
	for _, m := range mistakes {
		if strings.HasPrefix(m.What, "time: ") { // the one duration; its error has no place
			l.mistake("kafka.retention", m.What, "write 336h")
			continue
		}
		l.mistakes = append(l.mistakes, &Error{File: l.path, Line: m.Line, What: m.What, Mend: suggest(m)})
	}
	return c
}

func (l *loader) defaults(c *Config) {
	set(&c.Shop.File, "shop.yaml")
	set(&c.ERP.Log.Slot, "spola_erp")
	set(&c.ERP.Log.Publication, "spola_erp")
	set(&c.Kafka.Prefix, "spola")
	set(&c.Broker.Dir, "broker")
	set(&c.Broker.Listen, "127.0.0.1:9392")
	if c.Kafka.Retention == 0 {
		c.Kafka.Retention = 14 * 24 * time.Hour
	}
	if c.SMTP.PerMinute == 0 {
		c.SMTP.PerMinute = 60
	}
	if c.SMTP.TLS == "" {
		c.SMTP.TLS = "starttls"
		if strings.HasSuffix(c.SMTP.Server, ":465") {
			c.SMTP.TLS = "implicit"
		}
	}
	set(&c.Notices.Digest, "08:00")
	if state, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); state != "" { // of a service of systemd
		set(&c.Notices.Dir, filepath.Join(state, "notices"))
	}
	set(&c.Notices.Dir, "notices")
	c.Page.Certificate, c.Page.Key = os.ExpandEnv(c.Page.Certificate), os.ExpandEnv(c.Page.Key)
	for _, path := range []*string{&c.Shop.File, &c.Broker.Dir, &c.Kafka.CAFile, &c.SMTP.CAFile, &c.SMTP.Templates, &c.Notices.Dir, &c.Page.Certificate, &c.Page.Key} {
		*path = l.beside(*path)
	}
}

func set(value *string, to string) {
	if *value == "" {
		*value = to
	}
}

// beside takes relative paths from the configuration file's directory.
func (l *loader) beside(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(l.path), path)
}

func (l *loader) secrets(c *Config, needs []Need) {
	for _, s := range []struct {
		need  Need
		key   string
		file  *string
		value *Secret
	}{
		{NeedShop, "shop.password_file", &c.Shop.PasswordFile, &c.Shop.Password},
		{NeedShopWrite, "shop.write_password_file", &c.Shop.WritePasswordFile, &c.Shop.WritePassword},
		{NeedERP, "erp.password_file", &c.ERP.PasswordFile, &c.ERP.Password},
		{NeedERPLog, "erp.log.password_file", &c.ERP.Log.PasswordFile, &c.ERP.Log.Password},
		{NeedKafka, "kafka.password_file", &c.Kafka.PasswordFile, &c.Kafka.Password},
		{NeedSMTP, "smtp.password_file", &c.SMTP.PasswordFile, &c.SMTP.Password},
		{NeedPage, "page.password_file", &c.Page.PasswordFile, &c.Page.Password},
	} {
		variable := "SPOLA_" + strings.ToUpper(strings.ReplaceAll(string(s.need), ".", "_")) + "_PASSWORD"
		if value := os.Getenv(variable); value != "" {
			*s.value = Secret(value)
			continue
		}
		if *s.file == "" {
			continue // servers exist that ask for none
		}
		needed := false
		for _, n := range needs {
			needed = needed || n == s.need
		}
		l.readSecret(s.key, variable, s.file, s.value, needed)
	}
}

func (l *loader) readSecret(key, variable string, file *string, value *Secret, needed bool) {
	missing := ""
	path := os.Expand(*file, func(name string) string {
		found, ok := os.LookupEnv(name)
		if !ok {
			missing = name
		}
		return found
	})
	if missing != "" {
		if needed {
			l.mistake(key, "$"+missing+" is not set", "set it, or set "+variable)
		}
		return
	}
	*file = l.beside(path)
	text, err := os.ReadFile(*file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !needed:
	case err != nil:
		l.mistake(key, err.Error(), "write the password there, readable by this program's user alone, or set "+variable)
	case strings.TrimSpace(string(text)) == "":
		l.mistake(key, *file+" is empty", "write the password there, or set "+variable)
	default:
		*value = Secret(strings.TrimRight(string(text), "\r\n"))
	}
}

func (k Kafka) tls() *tls.Config {
	if k.TLS == nil || !*k.TLS {
		return nil
	}
	return verified("", k.ca)
}

package server

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

var mysqlPackages = packages{
	name: "mysql-9.7", suite: "sid", libc: true,
	names: []string{"mysql-server-core", "mysql-client-core"},
}

// shopSettings are what MySQL and MariaDB have in common: what `cdc preflight` asks of a shop,
// durable, and small.
var shopSettings = map[string]string{
	"bind_address":                   "127.0.0.1",
	"log_bin":                        "binlog",
	"binlog_format":                  "ROW",
	"binlog_row_image":               "FULL",
	"binlog_row_metadata":            "FULL",
	"sync_binlog":                    "1",
	"innodb_flush_log_at_trx_commit": "1",
	"innodb_buffer_pool_size":        "256M",
	"max_connections":                "300",
	"performance_schema":             "OFF",
	// The path of a socket ends at 107 bytes; a relative one lies in the data directory.
	"socket": "mysql.sock",
}

var mysqlSettings = map[string]string{
	"source_verify_checksum":   "ON",
	"gtid_mode":                "ON",
	"enforce_gtid_consistency": "ON",
	"mysqlx":                   "OFF",
	// By the newest binary log alone, a server that was killed while it started, and had just made that
	// file, takes the transactions of all others for purged.
	"binlog_gtid_simple_recovery": "OFF",
}

// mysqlBinary is how MySQL is called: installed, or unpacked and run through its own loader.
type mysqlBinary struct {
	argv    []string
	version string
}

func (l *Lab) mysqlBinary(ctx context.Context) (mysqlBinary, error) {
	if path, version := l.installed(ctx, mysqlProgram); path != "" {
		return mysqlBinary{argv: []string{path, "--no-defaults", "--secure-file-priv="}, version: version}, nil
	}
	root, err := l.unpack(ctx, mysqlPackages)
	if err != nil {
		return mysqlBinary{}, err
	}
	loader, err := loaderOf(root)
	if err != nil {
		return mysqlBinary{}, err
	}
	libraries, err := libraryPath(root)
	if err != nil {
		return mysqlBinary{}, err
	}
	program := []string{loader, "--library-path", libraries, filepath.Join(root, "usr/sbin/mysqld")}
	version := l.versionOf(ctx, mysqlProgram, nil, program...)
	if version == "" {
		return mysqlBinary{}, fmt.Errorf("the server unpacked in %s is not MySQL 9.7 or later, or does not run", root)
	}
	share := filepath.Join(root, "usr/share/mysql")
	return mysqlBinary{version: version, argv: append(program, "--no-defaults", "--secure-file-priv=",
		"--basedir="+filepath.Join(root, "usr"),
		"--lc-messages-dir="+share,
		"--character-sets-dir="+filepath.Join(share, "charsets"),
		"--plugin-dir="+filepath.Join(root, "usr/lib/mysql/plugin"))}, nil
}

// MySQL starts a MySQL 9.7 with GTIDs and a row binlog, whose root has no password.
func (l *Lab) MySQL(ctx context.Context, c Config) (*Server, error) {
	binary, err := l.mysqlBinary(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.newServer(nameOr(c.Name, "mysql"), func(data string) error {
		return l.copyMySQL(ctx, binary, data)
	})
	if err != nil {
		return nil, err
	}
	s.version = binary.version
	s.runShop(binary.argv, nil, merged(merged(shopSettings, mysqlSettings), c.Settings))
	return l.launched(ctx, s)
}

func (l *Lab) copyMySQL(ctx context.Context, binary mysqlBinary, data string) error {
	template, err := l.template(ctx, "mysql-"+binary.version, func(dir string) error {
		argv := append(slices.Clone(binary.argv), "--initialize-insecure",
			"--innodb-redo-log-capacity=8M", "--datadir="+dir)
		_, err := l.run(ctx, filepath.Dir(dir), nil, argv...)
		return err
	})
	if err != nil {
		return err
	}
	if err := l.copyTree(ctx, template, data); err != nil {
		return err
	}
	// The server's UUID stands there, and in its GTIDs: each server makes its own.
	return os.Remove(filepath.Join(data, "auto.cnf"))
}

// runShop completes a server of MySQL's family.
func (s *Server) runShop(program, env []string, settings map[string]string) {
	argv := slices.Clone(program)
	argv = append(argv, "--datadir="+s.DataDir(), "--port="+fmt.Sprint(s.port), "--server-id="+fmt.Sprint(s.port))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		argv = append(argv, "--"+name+"="+settings[name])
	}
	s.url = "mysql://root@" + s.Addr() + "/"
	s.recipe = recipe{argv: argv, env: env, stop: syscall.SIGTERM, death: syscall.SIGKILL, ready: pingMySQL}
}

func pingMySQL(ctx context.Context, s *Server, _ int64) error {
	db, err := OpenMySQL(s.url)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

// OpenMySQL opens a database by the form of URL that this package gives,
// mysql://user:password@host:port/database.
func OpenMySQL(raw string) (*sql.DB, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read the URL of a database: %w", err)
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.AllowNativePasswords = true
	config.Logger = &mysql.NopLogger{} // a server that is not up yet is no news
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", u.Redacted(), err)
	}
	return sql.OpenDB(connector), nil
}

func nameOr(name, otherwise string) string {
	if name != "" {
		return name
	}
	return otherwise
}

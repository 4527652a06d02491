package server

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

var mariadbPackages = packages{
	name: "mariadb-10.11", suite: "bookworm",
	names: []string{"mariadb-server-core", "mariadb-client-core"},
}

var mariadbSettings = map[string]string{"gtid_strict_mode": "1", "master_verify_checksum": "1"}

// mariadbBinary is how MariaDB and the script that makes its system tables are called.
type mariadbBinary struct {
	argv, install []string
	env           []string
	version       string
}

func (l *Lab) mariadbBinary(ctx context.Context) (mariadbBinary, error) {
	if path, version := l.installed(ctx, mariadbProgram); path != "" {
		return mariadbBinary{
			argv: []string{path, "--no-defaults"}, install: []string{"mariadb-install-db", "--no-defaults"}, version: version,
		}, nil
	}
	root, err := l.unpack(ctx, mariadbPackages)
	if err != nil {
		return mariadbBinary{}, err
	}
	libraries, err := libraryPath(root)
	if err != nil {
		return mariadbBinary{}, err
	}
	env := []string{"LD_LIBRARY_PATH=" + libraries}
	program := filepath.Join(root, "usr/sbin/mariadbd")
	version := l.versionOf(ctx, mariadbProgram, env, program)
	if version == "" {
		return mariadbBinary{}, fmt.Errorf("the server unpacked in %s is not MariaDB 10.11, or does not run", root)
	}
	share := filepath.Join(root, "usr/share/mysql")
	places := []string{
		"--no-defaults", "--lc-messages-dir=" + share, "--character-sets-dir=" + filepath.Join(share, "charsets"),
		"--plugin-dir=" + filepath.Join(root, "usr/lib/mysql/plugin"),
	}
	install := filepath.Join(root, "usr/bin/mariadb-install-db")
	return mariadbBinary{
		argv:    append([]string{program}, places...),
		install: append(append([]string{install}, places...), "--basedir="+filepath.Join(root, "usr")),
		env:     env, version: version,
	}, nil
}

// MariaDB starts a MariaDB 10.11 with strict GTIDs and a row binlog, whose root has no password.
func (l *Lab) MariaDB(ctx context.Context, c Config) (*Server, error) {
	binary, err := l.mariadbBinary(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.newServer(nameOr(c.Name, "mariadb"), func(data string) error {
		return l.copyMariaDB(ctx, binary, data)
	})
	if err != nil {
		return nil, err
	}
	s.version = binary.version
	s.runShop(binary.argv, binary.env, merged(merged(shopSettings, mariadbSettings), c.Settings))
	return l.launched(ctx, s)
}

func (l *Lab) copyMariaDB(ctx context.Context, binary mariadbBinary, data string) error {
	template, err := l.template(ctx, "mariadb-"+binary.version, func(dir string) error {
		return l.initialiseMariaDB(ctx, binary, dir)
	})
	if err != nil {
		return err
	}
	return l.copyTree(ctx, template, data)
}

func (l *Lab) initialiseMariaDB(ctx context.Context, binary mariadbBinary, dir string) error {
	const small = "--innodb-log-file-size=16M"
	// Without --force the script asks that the machine's own name can be looked up, for grants that nobody here
	// uses: a fresh machine may not even have /etc/hosts.
	install := append(slices.Clone(binary.install), "--force",
		"--auth-root-authentication-method=normal", "--skip-test-db", small, "--datadir="+dir)
	if _, err := l.run(ctx, filepath.Dir(dir), binary.env, install...); err != nil {
		return err
	}
	// Anonymous users would stand before any user'@'% that connects from this machine.
	bootstrap := append(slices.Clone(binary.argv), "--bootstrap", small, "--datadir="+dir)
	const sql = "DELETE FROM mysql.global_priv WHERE User = '';\n"
	_, err := l.feed(ctx, sql, filepath.Dir(dir), binary.env, bootstrap...)
	return err
}

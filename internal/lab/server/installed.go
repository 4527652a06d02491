package server

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
)

// program is a server's binary and how to tell that it is the right one: /usr/sbin/mysqld may
// be MariaDB, and any major version may be installed.
type program struct {
	paths   []string // looked at in this order; a name without a slash is looked for in PATH
	version *regexp.Regexp
}

var (
	mysqlProgram = program{
		paths:   []string{"mysqld", "/usr/sbin/mysqld", "/usr/local/mysql/bin/mysqld", "/usr/libexec/mysqld"},
		version: regexp.MustCompile(`mysqld\s+Ver (9\.(?:[7-9]|\d\d)\.\d+\S*) for`),
	}
	mariadbProgram = program{
		paths:   []string{"mariadbd", "/usr/sbin/mariadbd", "/usr/libexec/mariadbd"},
		version: regexp.MustCompile(`Ver (10\.11\.\d+)-MariaDB`),
	}
	postgresProgram = program{
		paths:   []string{"/usr/lib/postgresql/15/bin/postgres", "/usr/pgsql-15/bin/postgres", "postgres"},
		version: regexp.MustCompile(`postgres \(PostgreSQL\) (15\.\d+)`),
	}
	javaProgram = program{
		paths:   []string{"java"},
		version: regexp.MustCompile(`version "((?:1[7-9]|[2-9]\d)[.\d]*)`),
	}
	mavenProgram = program{
		paths:   []string{"mvn"},
		version: regexp.MustCompile(`Apache Maven (3\.\S+)`),
	}
)

// installed returns the path and the version of a program of the host, or empty strings.
func (l *Lab) installed(ctx context.Context, p program) (path, version string) {
	if l.unpacked {
		return "", ""
	}
	for _, candidate := range p.paths {
		found, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		if version := l.versionOf(ctx, p, nil, found); version != "" {
			return found, version
		}
	}
	return "", ""
}

// versionOf asks a program for its version; empty if it is not the product or not the major
// version that we want.
func (l *Lab) versionOf(ctx context.Context, p program, env []string, argv ...string) string {
	flag := "--version"
	if filepath.Base(argv[len(argv)-1]) == "java" {
		flag = "-version"
	}
	out, err := l.run(ctx, l.dir, env, append(argv[:len(argv):len(argv)], flag)...)
	if err != nil {
		return ""
	}
	if found := p.version.FindStringSubmatch(out); found != nil {
		return found[1]
	}
	return ""
}

package mysql

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

//go:embed engines.sql
var enginesQuery string

// Severity says what a finding means.
type Severity string

const (
	// Blocking findings keep cdc from starting.
	Blocking Severity = "blocking"
	// Warning findings let it start; what they put at risk is in their text.
	Warning Severity = "warning"
)

// Finding is what Preflight found, with the statement that mends it.
type Finding struct {
	Code     string   // a name for programs and tests, such as binlog_format
	Severity Severity //
	Table    string   // the table concerned, empty if none
	What     string   // what was found, and what it means
	Mend     string   // statement or setting that mends it
}

// Preflight looks whether a shop's server can be read, without changing anything.
func Preflight(ctx context.Context, cfg Config) ([]Finding, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	db, err := cfg.open()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	f, err := readFacts(ctx, db)
	if err != nil {
		return nil, err
	}
	p := &preflight{cfg: &cfg, db: db, flavor: f.flavor, version: f.version}
	for _, check := range []func(context.Context) error{
		p.readVariables, p.checkVersion, p.checkFormat, p.checkPosition, p.checkDurability, p.checkRetention,
		p.checkServerID, p.checkGrants, p.checkEngines, p.checkTables,
	} {
		if err := check(ctx); err != nil {
			return p.findings, err
		}
	}
	return p.findings, nil
}

type preflight struct {
	cfg       *Config
	db        *sql.DB
	flavor    flavor
	version   string
	variables map[string]string
	user      string
	findings  []Finding
}

func (p *preflight) add(code string, severity Severity, what, mend string) {
	p.findings = append(p.findings, Finding{Code: code, Severity: severity, What: what, Mend: mend})
}

func (p *preflight) readVariables(ctx context.Context) error {
	rows, err := p.db.QueryContext(ctx, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return fmt.Errorf("preflight: variables: %w", err)
	}
	defer rows.Close()
	p.variables = map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return fmt.Errorf("preflight: variables: %w", err)
		}
		p.variables[strings.ToLower(name)] = value
	}
	return rows.Err()
}

func (p *preflight) checkVersion(context.Context) error {
	major, minor := versionOf(p.version)
	switch {
	case p.flavor == mariadbFlavor && (major < 10 || major == 10 && minor < 5):
		p.add("version", Blocking, "MariaDB "+p.version+" does not write column names into its binary log", "update to MariaDB 10.11")
	case p.flavor == mysqlFlavor && major < 8:
		p.add("version", Blocking, "MySQL "+p.version+" does not write column names into its binary log", "update to MySQL 8.4 or 9.7")
	case p.flavor == mariadbFlavor && (major != 10 || minor != 11), p.flavor == mysqlFlavor && (major != 9 || minor != 7):
		p.add("version", Warning, p.version+" is not a version that Spola is tested with (MySQL 9.7, MariaDB 10.11)", "none needed; it is expected to work")
	}
	return nil
}

func versionOf(text string) (major, minor int) {
	parts := strings.SplitN(text, ".", 3)
	major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

// persist is a statement that outlives a restart, where the server has one.
func (p *preflight) persist(name, value string) string {
	if p.flavor == mariadbFlavor {
		return fmt.Sprintf("SET GLOBAL %s = %s; and the same in my.cnf under [mariadb]", name, value)
	}
	return fmt.Sprintf("SET PERSIST %s = %s", name, value)
}

// want reports a variable that has another value than one of those wanted. One that the server
// does not know is no finding.
func (p *preflight) want(name string, severity Severity, meaning, mend string, values ...string) {
	have, known := p.variables[name]
	if !known {
		return
	}
	for _, value := range values {
		if strings.EqualFold(have, value) {
			return
		}
	}
	if have == "" {
		have = "empty"
	}
	p.add(name, severity, fmt.Sprintf("%s is %s: %s", name, have, meaning), mend)
}

func (p *preflight) checkFormat(context.Context) error {
	p.want("log_bin", Blocking, "there is no binary log to be read", "log_bin = ON in my.cnf and a restart", "ON", "1")
	p.want("binlog_format", Blocking, "statements do not tell which rows they changed", p.persist("binlog_format", "'ROW'")+"; sessions that are open keep their own", "ROW")
	p.want("binlog_row_image", Blocking, "rows come without the columns that did not change", p.persist("binlog_row_image", "'FULL'"), "FULL")
	p.want("binlog_row_metadata", Blocking, "rows come without column names", p.persist("binlog_row_metadata", "'FULL'"), "FULL")
	p.want("binlog_encryption", Warning, "tested without only", "none needed", "OFF", "0")
	p.want("mysql56_temporal_format", Blocking, "times with fractions of seconds have a form that can't be told", p.persist("mysql56_temporal_format", "ON"), "ON", "1")
	p.want("binlog_checksum", Warning, "a damaged binary log is not found", p.persist("binlog_checksum", "'CRC32'"), "CRC32")
	verify := "source_verify_checksum"
	if p.flavor == mariadbFlavor {
		verify = "master_verify_checksum"
	}
	p.want(verify, Warning, "the server sends events without comparing their checksum: damage on its disk is not found", p.persist(verify, "ON"), "ON", "1")
	return nil
}

func (p *preflight) checkPosition(context.Context) error {
	if p.flavor == mysqlFlavor {
		mend := "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE; SET PERSIST gtid_mode = ON_PERMISSIVE; SET PERSIST gtid_mode = ON"
		p.want("gtid_mode", Blocking, "transactions have no names by which they are found again", mend, "ON")
	} else {
		p.want("gtid_strict_mode", Warning, "transactions may come to the binary log out of order", p.persist("gtid_strict_mode", "ON"), "ON", "1")
	}
	p.want("binlog_order_commits", Blocking, "rows may be seen in another order than the binary log has them, which a snapshot must not", p.persist("binlog_order_commits", "ON"), "ON", "1")
	return nil
}

func (p *preflight) checkDurability(context.Context) error {
	p.want("sync_binlog", Warning, "a power loss takes transactions away that were read already; they are found then, but the stream stops", p.persist("sync_binlog", "1"), "1")
	p.want("innodb_flush_log_at_trx_commit", Warning, "a power loss takes committed orders away", p.persist("innodb_flush_log_at_trx_commit", "1"), "1")
	return nil
}

// shortRetention is below what a weekend without cdc needs.
const shortRetention = 3 * 86400

func (p *preflight) checkRetention(context.Context) error {
	seconds, known := p.variables["binlog_expire_logs_seconds"]
	if !known {
		days, err := strconv.ParseFloat(p.variables["expire_logs_days"], 64)
		if err != nil {
			return nil //nolint:nilerr // neither setting is one that this server has
		}
		seconds = strconv.FormatInt(int64(days*86400), 10)
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("preflight: binlog_expire_logs_seconds %q: %w", seconds, err)
	}
	if n > 0 && n < shortRetention {
		p.add("binlog_expire_logs_seconds", Warning, fmt.Sprintf("binary logs are kept for %d hours: a longer outage of cdc loses its place", n/3600), p.persist("binlog_expire_logs_seconds", "604800"))
	}
	if p.variables["server_id"] == "0" {
		p.add("server_id", Blocking, "server_id is 0: the server refuses replicas", p.persist("server_id", "1"))
	}
	return nil
}

// checkServerID looks for another replica, or the server itself, with this reader's id. One
// of its own that has just ended may still be listed.
func (p *preflight) checkServerID(ctx context.Context) error {
	own := strconv.FormatUint(uint64(p.cfg.serverID()), 10)
	if p.variables["server_id"] == own {
		p.add("server_id_collision", Blocking, "the server itself has this reader's server id "+own, "give this source another server_id in the configuration")
	}
	query := "SHOW REPLICAS"
	if p.flavor == mariadbFlavor {
		query = "SHOW SLAVE HOSTS"
	}
	replicas, err := p.table(ctx, query)
	if isRefused(err) {
		return nil // without the right to see replicas it has not that to be one either: checkGrants tells
	}
	if err != nil {
		return fmt.Errorf("preflight: replicas: %w", err)
	}
	for _, replica := range replicas {
		if replica["server_id"] == own {
			p.add("server_id_collision", Warning, "a replica with this reader's server id "+own+" is connected, from "+replica["host"]+
				": it may be this source's cdc", "if it is another one, give this source another server_id in the configuration")
		}
	}
	return nil
}

// table reads rows whose columns differ from version to version, names in lower case.
func (p *preflight) table(ctx context.Context, query string) ([]map[string]string, error) {
	rows, err := p.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []map[string]string
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		targets := make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		row := map[string]string{}
		for i, name := range names {
			row[strings.ToLower(name)] = values[i].String
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// checkGrants reads the grants of the user. Roles are asked for by trying nothing: what can't
// be told from the text is reported as a warning.
func (p *preflight) checkGrants(ctx context.Context) error {
	rows, err := p.db.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return fmt.Errorf("preflight: grants: %w", err)
	}
	defer rows.Close()
	var global string
	for rows.Next() {
		var grant string
		if err := rows.Scan(&grant); err != nil {
			return fmt.Errorf("preflight: grants: %w", err)
		}
		if strings.Contains(grant, " ON *.* ") {
			global += grant + "\n"
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("preflight: grants: %w", err)
	}
	if err := p.db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&p.user); err != nil {
		return fmt.Errorf("preflight: user: %w", err)
	}
	if !strings.Contains(global, "REPLICATION SLAVE") && !strings.Contains(global, "ALL PRIVILEGES") {
		p.add("grant_replication", Blocking, "user "+p.user+" may not read the binary log", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO "+quoteUser(p.user))
	}
	return p.checkMarkerGrant(ctx)
}

// checkMarkerGrant tries to write the marker without changing it.
func (p *preflight) checkMarkerGrant(ctx context.Context) error {
	_, err := p.db.ExecContext(ctx, "INSERT INTO spola_marker (name) SELECT name FROM spola_marker WHERE FALSE ON DUPLICATE KEY UPDATE number = VALUES(number)")
	mend := "GRANT SELECT, INSERT, UPDATE, CREATE ON `" + p.database() + "`." + Marker + " TO " + quoteUser(p.user)
	switch {
	case err == nil:
	case isRefused(err):
		p.add("grant_marker", Blocking, "user "+p.user+" may not write "+Marker+", the only table of Spola in the shop", mend)
	case isMySQLError(err, 1146):
		p.add("marker", Warning, "table "+Marker+" is not there yet; `cdc run` makes it", strings.Join(strings.Fields(markerTable), " "))
	default:
		return fmt.Errorf("preflight: %s: %w", Marker, err)
	}
	return nil
}

func (p *preflight) database() string {
	s, err := p.cfg.address()
	if err != nil {
		return "?"
	}
	return s.database
}

func quoteUser(user string) string {
	name, host, _ := strings.Cut(user, "@")
	return "'" + name + "'@'" + host + "'"
}

// checkEngines refuses captured tables whose engine has no transactions.
func (p *preflight) checkEngines(ctx context.Context) error {
	rows, err := p.db.QueryContext(ctx, enginesQuery)
	if err != nil {
		return fmt.Errorf("preflight: engines: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, engine string
		if err := rows.Scan(&name, &engine); err != nil {
			return fmt.Errorf("preflight: engines: %w", err)
		}
		if _, captured := p.cfg.capture(name); !captured && name != Marker || strings.EqualFold(engine, "InnoDB") {
			continue
		}
		p.findings = append(p.findings, Finding{
			Code: "engine", Severity: Blocking, Table: name,
			What: "its engine is " + engine + ": half of a change may stay when the rest is rolled back", Mend: "ALTER TABLE " + quoteName(name) + " ENGINE=InnoDB",
		})
	}
	return rows.Err()
}

// checkTables looks whether tables, columns and keys are as the profile names them.
func (p *preflight) checkTables(ctx context.Context) error {
	for i := range p.cfg.Tables {
		c := &p.cfg.Tables[i]
		err := p.tryToRead(ctx, c)
		if err == nil {
			_, err = readShape(ctx, p.db, c)
		}
		var stop *StopError
		switch {
		case err == nil:
		case errors.As(err, &stop):
			p.findings = append(p.findings, Finding{Code: "shape", Severity: Blocking, Table: c.Name, What: stop.What, Mend: stop.Mend})
		case isRefused(err):
			p.findings = append(p.findings, Finding{Code: "grant_select", Severity: Blocking, Table: c.Name, What: err.Error(), Mend: "GRANT SELECT ON " + quoteName(p.database()) + "." + quoteName(c.Name) + " TO " + quoteUser(p.user)})
		default:
			return fmt.Errorf("preflight: table %s: %w", c.Name, err)
		}
	}
	return nil
}

// tryToRead is the error of a user who may not read what is captured of a table: to him the
// catalogue does not even show it. What is otherwise wrong with the table, readShape says better.
func (p *preflight) tryToRead(ctx context.Context, c *Capture) error {
	var columns []string
	for _, name := range c.Columns {
		columns = append(columns, quoteName(name))
	}
	rows, err := p.db.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+quoteName(c.Name)+" LIMIT 0")
	if err == nil {
		defer rows.Close()
		err = rows.Err()
	}
	if isRefused(err) {
		return err
	}
	return nil
}

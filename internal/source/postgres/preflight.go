package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed server.sql
var serverQuery string

//go:embed publication.sql
var publicationQuery string

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
	Code     string   // a name for programs and tests, such as wal_level
	Severity Severity //
	Table    string   // the table concerned, empty if none
	What     string   // what was found, and what it means
	Mend     string   // statement or setting that mends it
	Make     bool     // Mend is a statement that Make may run
}

// Preflight looks whether an ERP's server can be read, without changing anything.
func Preflight(ctx context.Context, cfg Config) ([]Finding, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	conn, err := cfg.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("preflight: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p := &preflight{cfg: &cfg, conn: conn}
	for _, check := range []func(context.Context) error{p.checkServer, p.checkSlot, p.checkTables, p.checkPublication} {
		if err := check(ctx); err != nil {
			return p.findings, err
		}
	}
	return p.findings, nil
}

// Make runs the statements of findings that make publication, replica identities and grants, as
// the user of the URL: the tables' owner, or a superuser. What it returns is still to be mended.
func Make(ctx context.Context, cfg Config, url string) ([]Finding, error) {
	findings, err := Preflight(ctx, cfg)
	if err != nil {
		return nil, err
	}
	maker := cfg
	maker.URL = url
	conn, err := maker.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("make what the ERP's log needs: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, f := range findings {
		if !f.Make {
			continue
		}
		if _, err := conn.Exec(ctx, f.Mend); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Mend, err)
		}
	}
	return Preflight(ctx, cfg)
}

type preflight struct {
	cfg       *Config
	conn      *pgx.Conn
	user      string
	missing   []string // tables that the publication does not carry
	published bool     // there are tables to be published
	findings  []Finding
}

func (p *preflight) add(code string, severity Severity, table, what, mend string) {
	p.findings = append(p.findings, Finding{Code: code, Severity: severity, Table: table, What: what, Mend: mend})
}

// makeable is a finding whose statement the owner of the tables may run.
func (p *preflight) makeable(code, table, what, mend string) {
	p.findings = append(p.findings, Finding{Code: code, Severity: Blocking, Table: table, What: what, Mend: mend, Make: true})
}

// shortKept is below what a weekend without cdc needs, in MB.
const shortKept = 1024

func (p *preflight) checkServer(ctx context.Context) error {
	var version, slots, slotsUsed, senders, sendersUsed int
	var name, encoding, level, commit, timeout string
	var standby, fsync, may, create bool
	var kept int64
	err := p.conn.QueryRow(ctx, serverQuery).Scan(&version, &name, &encoding, &standby, &level, &slots, &slotsUsed, &senders, &sendersUsed,
		&kept, &fsync, &commit, &timeout, &p.user, &may, &create)
	if err != nil {
		return fmt.Errorf("preflight: server: %w", err)
	}
	switch {
	case version < 150000:
		p.add("version", Blocking, "", "PostgreSQL "+name+" can't tell empty transactions from others and knows no column lists", "update to PostgreSQL 15")
	case version >= 160000:
		p.add("version", Warning, "", name+" is not a version that Spola is tested with (PostgreSQL 15)", "none needed; it is expected to work")
	}
	if standby {
		p.add("standby", Blocking, "", "the server is a standby: it takes no messages", "name the primary in erp.database")
	}
	if level != "logical" {
		p.add("wal_level", Blocking, "", "wal_level is "+level+": the write-ahead log does not tell rows", "ALTER SYSTEM SET wal_level = 'logical'; and a restart")
	}
	if slots == 0 {
		p.add("max_replication_slots", Blocking, "", "max_replication_slots is 0", "ALTER SYSTEM SET max_replication_slots = 10; and a restart")
	}
	if senders <= sendersUsed {
		p.add("max_wal_senders", Blocking, "", fmt.Sprintf("all of the %d max_wal_senders are in use", senders), "ALTER SYSTEM SET max_wal_senders = 10; and a restart")
	}
	switch {
	case kept < 0:
		p.add("max_slot_wal_keep_size", Warning, "", "max_slot_wal_keep_size is not set: while cdc is away the server keeps its write-ahead log until the disk is full",
			"ALTER SYSTEM SET max_slot_wal_keep_size = '16GB'; SELECT pg_reload_conf(); with what the disk can spare")
	case kept < shortKept:
		p.add("max_slot_wal_keep_size", Warning, "", fmt.Sprintf("max_slot_wal_keep_size is %d MB: a longer outage of cdc loses its place", kept),
			"ALTER SYSTEM SET max_slot_wal_keep_size = '16GB'; SELECT pg_reload_conf(); with what the disk can spare")
	}
	if !fsync {
		p.add("fsync", Warning, "", "fsync is off: a power loss takes transactions away that were read already; they are found then, but the stream stops", "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()")
	}
	if encoding == "SQL_ASCII" {
		p.add("encoding", Blocking, "", "the database's encoding is SQL_ASCII: nobody knows what its texts mean", "make the database anew with ENCODING 'UTF8'")
	}
	if !may {
		p.add("grant_replication", Blocking, "", "user "+p.user+" may not read the write-ahead log", "ALTER ROLE "+quoteName(p.user)+" REPLICATION; by a superuser")
	}
	p.slotRoom(ctx, slots, slotsUsed)
	return nil
}

// slotRoom looks whether there is room for this source's slot, if it is not there yet.
func (p *preflight) slotRoom(ctx context.Context, slots, used int) {
	if slots == 0 || used < slots {
		return
	}
	if s, err := readSlot(ctx, p.conn, p.cfg.Slot); err == nil && s == nil {
		p.add("max_replication_slots", Blocking, "", fmt.Sprintf("all of the %d max_replication_slots are in use", slots), "drop one that nobody needs, or ALTER SYSTEM SET max_replication_slots and a restart")
	}
}

func (p *preflight) checkSlot(ctx context.Context) error {
	s, err := readSlot(ctx, p.conn, p.cfg.Slot)
	if err != nil {
		return fmt.Errorf("preflight: %w", err)
	}
	name := p.cfg.Slot
	switch {
	case s == nil:
		// The first `cdc run` makes it. Whether it should be there, the log tells.
	case s.plugin != plugin || s.database != p.conn.Config().Database:
		p.add("slot", Blocking, "", fmt.Sprintf("replication slot %s is of plugin %q and database %q", name, s.plugin, s.database), "give this source another erp.log.slot")
	case s.status == "lost":
		p.add("slot_lost", Warning, "", "replication slot "+name+" was invalidated: cdc was away for longer than max_slot_wal_keep_size allows", "`cdc run erp --new-incarnation`")
	case s.status == "unreserved":
		p.add("slot_unreserved", Warning, "", "replication slot "+name+" is about to be invalidated", "start cdc, and make max_slot_wal_keep_size larger")
	case s.active && s.program != p.cfg.applicationName():
		p.add("slot_in_use", Warning, "", "replication slot "+name+" is read by "+s.reader(), "end that program, or give this source another erp.log.slot")
	}
	return nil
}

// checkTables looks whether tables, keys and replica identities are such that every change can be told.
func (p *preflight) checkTables(ctx context.Context) error {
	known, err := readTypes(ctx, p.conn)
	if err != nil {
		return fmt.Errorf("preflight: %w", err)
	}
	for i := range p.cfg.Tables {
		c := &p.cfg.Tables[i]
		stored, err := readTable(ctx, p.conn, p.cfg.Publication, c.Name)
		if err != nil {
			return fmt.Errorf("preflight: %w", err)
		}
		p.checkTable(c, stored, known)
	}
	return nil
}

func (p *preflight) checkTable(c *Capture, stored *published, known types) {
	name := c.Name
	if !stored.there {
		if !c.Optional {
			p.add("table", Blocking, name, "it is not there, or user "+p.user+" may not see it", "`applier migrate` makes the tables; "+p.grantSelect(name))
		}
		return
	}
	p.published = true
	if stored.kind != "r" {
		p.add("kind", Blocking, name, "it is no plain table: partitions, views and foreign tables can't be read", "publish its partitions by name, or make it a plain table")
		return
	}
	if len(stored.key) == 0 {
		p.add("key", Blocking, name, "it has no primary key", "ALTER TABLE "+quoteTable(name)+" ADD PRIMARY KEY (…)")
		return
	}
	if !stored.readable {
		p.makeable("grant_select", name, "user "+p.user+" may not read it", p.grantSelect(name))
	}
	if stored.policies {
		p.add("row_security", Blocking, name, "row-level security hides rows from user "+p.user, "ALTER ROLE "+quoteName(p.user)+" BYPASSRLS; by a superuser")
	}
	if why := stored.needsWhole(c); why != "" && stored.identity != "f" {
		p.makeable("replica_identity", name, why, "ALTER TABLE "+quoteTable(name)+" REPLICA IDENTITY FULL")
	} else if why == "" && stored.identity != "f" && stored.identity != "d" {
		p.makeable("replica_identity", name, "old rows come without their primary key", "ALTER TABLE "+quoteTable(name)+" REPLICA IDENTITY DEFAULT")
	}
	switch {
	case stored.member == "":
		p.missing = append(p.missing, quoteTable(name))
	case stored.condition:
		p.add("publication_where", Blocking, name, "publication "+p.cfg.Publication+" carries only some of its rows", "ALTER PUBLICATION "+quoteName(p.cfg.Publication)+" DROP TABLE "+quoteTable(name)+"; ALTER PUBLICATION "+quoteName(p.cfg.Publication)+" ADD TABLE "+quoteTable(name))
	default:
		if _, _, err := stored.shape(name, known); err != nil {
			p.add("shape", Blocking, name, err.Error(), "let publication "+p.cfg.Publication+" carry the columns of the primary key")
		}
		for _, needed := range c.Needed {
			if !stored.has(needed) {
				p.add("shape", Blocking, name, "column "+needed+" is not there, or not published", "let publication "+p.cfg.Publication+" carry it")
			}
		}
	}
}

func (p *published) has(column string) bool {
	for _, c := range p.columns {
		if c.name == column {
			return true
		}
	}
	return false
}

func (p *preflight) grantSelect(name string) string {
	schema, _ := splitTable(name)
	return "GRANT USAGE ON SCHEMA " + quoteName(schema) + " TO " + quoteName(p.user) + "; GRANT SELECT ON " + quoteTable(name) + " TO " + quoteName(p.user)
}

// checkPublication looks whether the publication is there and carries all tables.
func (p *preflight) checkPublication(ctx context.Context) error {
	name := quoteName(p.cfg.Publication)
	var everything, all bool
	err := p.conn.QueryRow(ctx, publicationQuery, p.cfg.Publication).Scan(&everything, &all)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		if p.published {
			p.makeable("publication", "", "publication "+p.cfg.Publication+" is not there", "CREATE PUBLICATION "+name+" FOR TABLE "+strings.Join(p.missing, ", "))
		}
		return nil
	case err != nil:
		return fmt.Errorf("preflight: publication: %w", err)
	}
	if !everything {
		p.makeable("publication_changes", "", "publication "+p.cfg.Publication+" leaves kinds of changes out", "ALTER PUBLICATION "+name+" SET (publish = 'insert, update, delete, truncate')")
	}
	if len(p.missing) > 0 {
		p.makeable("publication_tables", "", "publication "+p.cfg.Publication+" does not carry "+strings.Join(p.missing, ", "), "ALTER PUBLICATION "+name+" ADD TABLE "+strings.Join(p.missing, ", "))
	}
	return nil
}

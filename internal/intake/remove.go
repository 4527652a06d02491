package intake

import (
	"context"
	_ "embed" // the statements stand in remove.sql
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed remove.sql
var removeSQL string

// Removal is a thing of Spola's in a database, and the statement that takes it away.
type Removal struct {
	What      string `json:"what"`
	Statement string `json:"statement"`
}

// Footprint is what Spola has in the ERP's database.
type Footprint struct {
	Running  int       // appliers of the shop that are connected
	Removals []Removal // in their order
	Stays    []string  // sentences

	audit bool // there is a record of decisions
}

// FootprintOf lists what `spola remove` takes away for a shop, and what stays. With other shops in
// the same ERP, what they need stays. named are slot and publication of the ERP's log, should they
// have names of their own.
func FootprintOf(ctx context.Context, conn *pgx.Conn, shop string, named ...string) (Footprint, error) {
	var f Footprint
	query := namedStatements(removeSQL)
	var spola bool
	if err := conn.QueryRow(ctx, "select to_regclass('spola.shop') is not null").Scan(&spola); err != nil {
		return f, fmt.Errorf("look for Spola in the ERP's database: %w", err)
	}
	var others int64
	if spola {
		if err := conn.QueryRow(ctx, query["others"], shop).Scan(&others); err != nil {
			return f, fmt.Errorf("look for other shops: %w", err)
		}
	}
	if err := conn.QueryRow(ctx, query["running"], shop).Scan(&f.Running); err != nil {
		return f, fmt.Errorf("look for appliers: %w", err)
	}
	list := func(name string, args ...any) ([]string, error) {
		rows, err := conn.Query(ctx, query[name], args...)
		if err != nil {
			return nil, fmt.Errorf("look for Spola's %s: %w", name, err)
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	each := func(name, what, statement string, args ...any) error {
		names, err := list(name, args...)
		for _, n := range names {
			f.Removals = append(f.Removals, Removal{What: what + " " + n, Statement: strings.ReplaceAll(statement, "{}", pgx.Identifier{n}.Sanitize())})
		}
		return err
	}
	if err := each("schemas", "schema", "drop schema {} cascade", shop); err != nil {
		return f, err
	}
	if others > 0 {
		if err := f.keepAudit(ctx, conn); err != nil {
			return f, err
		}
		f.Stays = append(f.Stays, fmt.Sprintf("schema spola, publications, slots and roles: %d other shops use them", others))
		statements, err := list("rows", shop)
		f.Removals = append(f.Removals, Removal{What: "rows of the shop in schema spola", Statement: strings.Join(statements, "; ")})
		return f, err
	}
	var reading int
	if err := conn.QueryRow(ctx, query["reading"], named).Scan(&reading); err != nil {
		return f, fmt.Errorf("look for readers of the ERP's log: %w", err)
	}
	f.Running += reading
	whole, err := list("whole", named)
	if err != nil {
		return f, err
	}
	if len(whole) > 0 {
		f.Stays = append(f.Stays, "REPLICA IDENTITY FULL of tables whose changes Spola has read, which makes more write-ahead log; if nobody else wants it: "+strings.Join(whole, "; "))
	}
	if err := f.keepAudit(ctx, conn); err != nil {
		return f, err
	}
	slots, err := list("slots", named)
	if err != nil {
		return f, err
	}
	for _, n := range slots {
		f.Removals = append(f.Removals, Removal{What: "replication slot " + n, Statement: fmt.Sprintf("select pg_drop_replication_slot('%s')", strings.ReplaceAll(n, "'", "''"))})
	}
	if err := each("publications", "publication", "drop publication {}", named); err != nil {
		return f, err
	}
	if spola {
		f.Removals = append(f.Removals, Removal{What: "schema spola: links, settings, what is parked", Statement: strings.TrimSpace(query["everything"])})
		if err := f.keep(ctx, conn, query["kept"], shop); err != nil {
			return f, err
		}
	}
	// The migrator owns the reference ERP: what it owns changes hands before it goes.
	return f, each("roles", "role", "reassign owned by {} to current_user; drop owned by {}; drop role {}")
}

// keepAudit says that the record of decisions stays, where there is one.
func (f *Footprint) keepAudit(ctx context.Context, conn *pgx.Conn) error {
	if err := conn.QueryRow(ctx, "select to_regclass('spola.audit') is not null").Scan(&f.audit); err != nil {
		return fmt.Errorf("look for the record of decisions: %w", err)
	}
	if f.audit {
		f.Stays = append(f.Stays, "table spola.audit: who decided what and why, this removal too; it goes by: drop table spola.audit")
	}
	return nil
}

// NoteRemoval notes who takes Spola away from a shop, before it goes.
func (f *Footprint) NoteRemoval(ctx context.Context, conn *pgx.Conn, by By, shop string) error {
	if !f.audit || len(f.Removals) == 0 {
		return nil
	}
	return Note(ctx, conn, by, shop, "remove", "", f.Removals)
}

func (f *Footprint) keep(ctx context.Context, conn *pgx.Conn, query, shop string) error {
	var orders, customers int64
	var reference bool
	if err := conn.QueryRow(ctx, query, shop).Scan(&orders, &customers, &reference); err != nil {
		return fmt.Errorf("count what stays in the ERP: %w", err)
	}
	f.Stays = append(f.Stays, fmt.Sprintf("%d orders and %d customers of the shop in the ERP, each with its reference: should Spola come back, none is taken twice", orders, customers))
	if reference {
		f.Stays = append(f.Stays, "table spola.migrations_erp: the version of the reference ERP, which stays as it is")
	}
	return nil
}

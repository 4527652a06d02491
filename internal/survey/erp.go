package survey

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

//go:embed erp.sql
var erpSQL string

// ERP is what an ERP's database says of itself.
type ERP struct {
	Version  string // 15.14
	Number   int    // 150014
	Encoding string
	Database string
	User     string
	Creates  bool // this role may make schemas

	// Lacks says what of the contract is not there, or not as it has to be; nil: it is whole.
	Lacks []string
	// Empty tells that nothing of the contract is there at all.
	Empty bool

	// Refuses says why it takes no order, whatever is in it, and Mend what mends that; empty: it takes them.
	Refuses, Mend string

	Migrations []Migration
	Rights     []Right // that this role lacks
	SKUs       map[string]bool
	Mapped     map[[2]string]bool // product and variant of the shop; true: mapped by hand, false: found by its SKU
}

// Migration is how far a schema of ours has been brought.
type Migration struct {
	Schema          string
	Applied, Newest int64
}

// Right is what a role may not do, with the statement that lets it.
type Right struct{ What, Mend string }

// ReadERP looks at the ERP's database with the eyes of the applier of a shop.
func ReadERP(ctx context.Context, url, shop string, sets []postgres.Migrations) (*ERP, error) {
	conn, err := postgres.Connect(ctx, url, "spola doctor")
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	e := &ERP{SKUs: map[string]bool{}, Mapped: map[[2]string]bool{}}
	sql := statements(erpSQL, "")
	err = conn.QueryRow(ctx, sql["server"]).Scan(&e.Version, &e.Number, &e.Encoding, &e.Database, &e.User, &e.Creates)
	if err != nil {
		return nil, fmt.Errorf("ask the ERP's server for its version: %w", err)
	}
	e.Version, _, _ = strings.Cut(e.Version, " ")
	for _, set := range sets {
		m := Migration{Schema: set.Name}
		if m.Applied, m.Newest, err = set.Version(ctx, conn); err != nil && !lacks(err) {
			return nil, err
		}
		e.Migrations = append(e.Migrations, m)
	}
	if err := e.readContract(ctx, conn, sql); err != nil {
		return nil, err
	}
	if err := e.readArticles(ctx, conn, sql, shop); err != nil {
		return nil, err
	}
	if len(e.Lacks) == 0 { // else that is what it lacks
		if e.Refuses, e.Mend, err = intake.RefusesOrders(ctx, conn); err != nil {
			return nil, err
		}
	}
	rows, err := conn.Query(ctx, sql["rights"], "erp", []string{"mirror_" + shop, "canonical_" + shop})
	if err != nil {
		return nil, fmt.Errorf("look for the rights of %s: %w", e.User, err)
	}
	if e.Rights, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Right]); err != nil {
		return nil, fmt.Errorf("look for the rights of %s: %w", e.User, err)
	}
	return e, nil
}

// readContract compares the schema erp with the contract.
func (e *ERP) readContract(ctx context.Context, conn *pgx.Conn, sql map[string]string) error {
	contract, err := schemas.LoadContract()
	if err != nil {
		return err
	}
	columns, functions := map[string][]string{}, map[string][]string{}
	var name, signature, called string
	var fields []string
	var may bool
	rows, err := conn.Query(ctx, sql["columns"], contract.Schema)
	if err != nil {
		return fmt.Errorf("read the ERP's views: %w", err)
	}
	if _, err := pgx.ForEachRow(rows, []any{&name, &fields}, func() error {
		columns[name] = slices.Clone(fields)
		return nil
	}); err != nil {
		return fmt.Errorf("read the ERP's views: %w", err)
	}
	rows, err = conn.Query(ctx, sql["functions"], contract.Schema)
	if err != nil {
		return fmt.Errorf("read the ERP's functions: %w", err)
	}
	if _, err := pgx.ForEachRow(rows, []any{&name, &signature, &called, &may}, func() error {
		functions[name] = append(functions[name], signature)
		return nil
	}); err != nil {
		return fmt.Errorf("read the ERP's functions: %w", err)
	}
	e.Empty = len(columns) == 0 && len(functions) == 0
	e.Lacks = lacking(contract, columns, functions)
	return nil
}

// lacking says what of the contract is missing or different.
func lacking(c *schemas.Contract, columns, functions map[string][]string) (lacks []string) {
	for name, fields := range c.Types {
		if want := words(fields); !slices.Equal(columns[name], want) {
			lacks = append(lacks, fmt.Sprintf("type %s.%s must have these fields in this order: %s", c.Schema, name, strings.Join(want, ", ")))
		}
	}
	for name, fields := range c.Views {
		var missing []string
		for _, want := range words(fields) {
			if !slices.Contains(columns[name], want) {
				missing = append(missing, want)
			}
		}
		if len(missing) > 0 {
			lacks = append(lacks, fmt.Sprintf("view %s.%s must have: %s", c.Schema, name, strings.Join(missing, ", ")))
		}
	}
	for name, types := range c.Functions {
		var arguments []string
		for _, t := range types {
			arguments = append(arguments, c.Schema+"."+t+"[]")
		}
		want := strings.Join(arguments, ", ") + " -> setof " + c.Schema + ".result"
		if !slices.Contains(functions[name], want) {
			lacks = append(lacks, fmt.Sprintf("function %s.%s must be %s", c.Schema, name, want))
		}
	}
	for name, types := range c.Procedures {
		want := strings.Join(types, "[], ") + "[] -> void"
		if !slices.Contains(functions[name], want) {
			lacks = append(lacks, fmt.Sprintf("function %s.%s must be %s", c.Schema, name, want))
		}
	}
	slices.Sort(lacks)
	return lacks
}

func words(fields yaml.MapSlice) (all []string) {
	for _, f := range fields {
		all = append(all, fmt.Sprintf("%s %s", f.Key, f.Value))
	}
	return all
}

// readArticles reads what the ERP sells, and what of the shop was mapped to it. An ERP that has no
// such views, or does not show them, has none for now: the contract and the rights tell why.
func (e *ERP) readArticles(ctx context.Context, conn *pgx.Conn, sql map[string]string, shop string) error {
	var sku, product, variant string
	var byHand bool
	rows, err := conn.Query(ctx, sql["articles"])
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&sku}, func() error { e.SKUs[sku] = true; return nil })
	}
	if err != nil && !lacks(err) {
		return fmt.Errorf("read the ERP's articles: %w", err)
	}
	rows, err = conn.Query(ctx, sql["mapped"], shop)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&product, &variant, &byHand}, func() error {
			e.Mapped[[2]string{product, variant}] = byHand
			return nil
		})
	}
	if err != nil && !lacks(err) {
		return fmt.Errorf("read the articles of shop %s: %w", shop, err)
	}
	return nil
}

// lacks tells whether a statement failed for something that is not there, or not allowed.
func lacks(err error) bool {
	state, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch state.Code {
	case pgerrcode.UndefinedTable, pgerrcode.UndefinedColumn, pgerrcode.InvalidSchemaName, pgerrcode.InsufficientPrivilege:
		return true
	}
	return false
}

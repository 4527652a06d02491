package schemas

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/goccy/go-yaml"
)

// Shops holds a directory for each shop platform, under "shop": profile.yaml,
// and what the platform's orders, catalogue and accounts mean, as SQL.
//
//go:embed shop
var Shops embed.FS

// The files of a platform's directory.
const (
	ProfileFile   = "profile.yaml"
	CanonicalFile = "canonical.postgres.sql"
	CatalogueFile = "catalogue.postgres.sql"
	AccountsFile  = "accounts.postgres.sql"
	WritebackFile = "writeback.mysql.sql"
	AlignFile     = "align.mysql.sql"
)

// Platform returns the profile and the directory of a platform that Spola knows.
func Platform(name string) (*Profile, fs.FS, error) {
	dir, err := fs.Sub(Shops, path.Join("shop", name))
	if err != nil {
		return nil, nil, fmt.Errorf("platform %q: %w", name, err)
	}
	profile, err := LoadProfile(dir, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("platform %q: Spola knows none of this name", name)
	}
	return profile, dir, err
}

// LoadProfile reads the profile in a directory. Unknown keys are refused, and so is a profile
// that contradicts itself.
func LoadProfile(fsys fs.FS, dir string) (*Profile, error) {
	file := path.Join(dir, ProfileFile)
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	var p Profile
	if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("profile %s: %w", file, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", file, err)
	}
	return &p, nil
}

// Table returns the captured table of this name, without prefix; nil if there is none.
func (p *Profile) Table(name string) *Table {
	at := slices.IndexFunc(p.Tables, func(t Table) bool { return t.Name == name })
	if at < 0 {
		return nil
	}
	return &p.Tables[at]
}

func (p *Profile) check() error {
	if p.Platform == "" || len(p.Tables) == 0 {
		return errors.New("it names no platform or no tables")
	}
	seen := map[string]bool{}
	for i := range p.Tables {
		t := &p.Tables[i]
		if seen[t.Name] {
			return fmt.Errorf("table %s stands there twice", t.Name)
		}
		seen[t.Name] = true
		if err := t.check(); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	columns := append([]Column{p.State, p.Placed}, p.Consumes...)
	for _, c := range p.Compare {
		for _, name := range append([]string{c.Key}, c.Columns...) {
			columns = append(columns, Column{c.Table, name})
		}
		for _, with := range c.With {
			columns = append(columns, Column{with.Table, with.Key}, Column{with.Table, with.By})
		}
	}
	for _, c := range columns {
		if t := p.Table(c.Table); t == nil || !slices.Contains(t.Columns, c.Name) {
			return fmt.Errorf("column %s.%s is not captured", c.Table, c.Name)
		}
	}
	for code, kind := range p.Totals {
		if !slices.Contains([]string{"charge", "discount", "payment", "tax", "ignored"}, kind) {
			return fmt.Errorf("total %s: unknown kind %q", code, kind)
		}
	}
	if t := p.Tables[len(p.Tables)-1]; t.Name != p.Complete || t.Kind != KindOrder {
		return fmt.Errorf("the last table must be the one that ends the writing of an order, %q", p.Complete)
	}
	return nil
}

func (t *Table) check() error {
	if t.Order != "" && t.Kind != KindOrder {
		return errors.New("only tables of kind order name an order")
	}
	if t.Account != "" && t.Kind != KindCustomer {
		return errors.New("only tables of kind customer name an account")
	}
	switch t.Kind {
	case KindLookup, KindCatalogue:
	case KindCustomer:
		if !slices.Contains(t.Columns, t.Account) {
			return fmt.Errorf("the account's column %q is not captured", t.Account)
		}
	case KindOrder:
		if !slices.Contains(t.Columns, t.Order) {
			return fmt.Errorf("the order's column %q is not captured", t.Order)
		}
	default:
		return fmt.Errorf("unknown kind %q", t.Kind)
	}
	if len(t.Key) == 0 {
		return errors.New("it has no key")
	}
	for _, name := range t.Key {
		if !slices.Contains(t.Columns, name) {
			return fmt.Errorf("key column %s is not captured", name)
		}
	}
	if t.Only != nil && !slices.Contains(t.Columns, t.Only.Column) {
		return fmt.Errorf("column %s, which bounds the rows, is not captured", t.Only.Column)
	}
	return nil
}

package shop

import (
	"context"
	"database/sql"
	"fmt"
	"html"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Install makes the shop's database if it is not there, its tables and settings, the catalogue
// and the accounts. It refuses a database that already holds a shop.
func (s *Shop) Install(ctx context.Context) error {
	if err := s.createDatabase(ctx); err != nil {
		return err
	}
	for _, statement := range append(script(schemaSQL), script(dataSQL)...) {
		if _, err := s.db.ExecContext(ctx, withPrefix(statement, s.options.Prefix)); err != nil {
			return fmt.Errorf("install test shop: %w", err)
		}
	}
	if err := s.installCatalogue(ctx); err != nil {
		return err
	}
	return s.installAccounts(ctx)
}

func (s *Shop) createDatabase(ctx context.Context) error {
	config := s.config.Clone()
	config.DBName = ""
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return fmt.Errorf("install test shop: %w", err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS `"+s.config.DBName+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
	if err != nil {
		return fmt.Errorf("create database %s: %w", s.config.DBName, err)
	}
	return nil
}

// rowsAtOnce is how many rows an INSERT of Install carries.
const rowsAtOnce = 200

// insert writes rows into a table, many a statement.
func (s *Shop) insert(ctx context.Context, table, columns string, rows [][]any) error {
	for start := 0; start < len(rows); start += rowsAtOnce {
		part := rows[start:min(start+rowsAtOnce, len(rows))]
		marks := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(part[0])), ", ") + ")"
		var args []any
		for _, row := range part {
			args = append(args, row...)
		}
		text := "INSERT INTO `" + s.options.Prefix + table + "` (" + columns + ") VALUES " +
			marks + strings.Repeat(", "+marks, len(part)-1)
		if _, err := s.db.ExecContext(ctx, text, args...); err != nil {
			return fmt.Errorf("install test shop: %s: %w", table, err)
		}
	}
	return nil
}

func (s *Shop) installCatalogue(ctx context.Context) error {
	var products, names, codes, options, values [][]any
	add := func(product, option, productOption int, typed any, choice []OptionValue, stock, subtract int) {
		options = append(options, []any{productOption, product, option, typed, 0})
		for _, v := range choice {
			values = append(values, []any{v.ID, productOption, product, option, v.ValueID, stock, subtract, v.Extra, "+", 0, "+", 0, "+"})
		}
	}
	for _, p := range s.catalogue {
		shipping, subtract := !p.Virtual, !p.Untraced && !p.Virtual
		products = append(products, []any{p.ID, 0, p.Model, "", "", "", s.options.Stock, 7, "", 0, shipping, p.Net, 0,
			p.TaxClass, "2026-01-01", "0.50000000", 1, 10, 10, 10, 1, subtract, 1, 0, p.ID, 1, installed, installed})
		for language := 1; language <= 2; language++ {
			names = append(names, []any{p.ID, language, escape(p.Name), "", "", escape(p.Name), "", ""})
		}
		if p.SKU != "" {
			codes = append(codes, []any{p.ID, "SKU", p.SKU})
		}
		if len(p.Values) > 0 {
			add(p.ID, sizeOption, p.Values[0].OptionID, nil, p.Values, s.options.Stock, 1)
		}
		for _, o := range p.Options {
			var typed any // NULL where there are values to choose from
			if len(o.Values) == 0 {
				typed = ""
			}
			add(p.ID, optionOf(o.Kind), o.ID, typed, o.Values, 0, 0)
		}
	}
	kinds, kindNames, choices, choiceNames := optionTables()
	for _, table := range []struct {
		name, columns string
		rows          [][]any
	}{
		{"product", productColumns, products},
		{"product_description", "product_id, language_id, name, description, tag, meta_title, meta_description, meta_keyword", names},
		{"product_code", "product_id, code, value", codes},
		{"option", "option_id, type, validation, sort_order", kinds},
		{"option_description", "option_id, language_id, name", kindNames},
		{"option_value", "option_value_id, option_id, image, sort_order", choices},
		{"option_value_description", "option_value_id, language_id, option_id, name", choiceNames},
		{"product_option", "product_option_id, product_id, option_id, value, required", options},
		{"product_option_value", "product_option_value_id, product_option_id, product_id, option_id, option_value_id, quantity, subtract, price, price_prefix, points, points_prefix, weight, weight_prefix", values},
	} {
		if err := s.insert(ctx, table.name, table.columns, table.rows); err != nil {
			return err
		}
	}
	return nil
}

const (
	installed      = "2026-01-01 09:00:00"
	productColumns = "product_id, master_id, model, location, variant, override, quantity, stock_status_id, image, manufacturer_id, shipping, price, points, tax_class_id, date_available, weight, weight_class_id, length, width, height, length_class_id, subtract, minimum, rating, sort_order, status, date_added, date_modified"
)

// Shelve puts products into the shop that it keeps stock of and offers to no customer: numbers from first on, with
// these models, and no pieces. They are not in the catalogue: nobody orders or edits them.
func (s *Shop) Shelve(ctx context.Context, first int, models ...string) error {
	rows := make([][]any, len(models))
	for i, model := range models {
		rows[i] = []any{first + i, 0, model, "", "", "", 0, 7, "", 0, 1, "10.0000", 0, Standard, "2026-01-01", "0.50000000", 1, 10, 10, 10, 1, 1, 1, 0, first + i, 0, installed, installed}
	}
	return s.insert(ctx, "product", productColumns, rows)
}

// optionTables are the rows of options and their values, each with its names, before any product
// has them.
func optionTables() (options, names, values, valueNames [][]any) {
	add := func(kind, name, german string, choices []string) {
		id := len(options) + 1
		options = append(options, []any{id, kind, "", id})
		names = append(names, []any{id, 1, escape(name)}, []any{id, 2, escape(german)})
		for _, choice := range choices {
			value := len(values) + 1
			values = append(values, []any{value, id, "", value})
			valueNames = append(valueNames, []any{value, 1, id, escape(choice)}, []any{value, 2, id, escape(choice)})
		}
	}
	add(sizeType, sizeName, "Größe", sizes[:])
	for _, o := range otherOptions {
		add(o.kind, o.name, o.german, o.values)
	}
	return options, names, values, valueNames
}

// optionOf is the option_id of a kind.
func optionOf(kind string) int {
	for i, o := range otherOptions {
		if o.kind == kind {
			return sizeOption + 1 + i
		}
	}
	return sizeOption
}

func (s *Shop) installAccounts(ctx context.Context) error {
	var customers, addresses [][]any
	for id := 1; id <= s.options.Accounts; id++ {
		c := account(id)
		customers = append(customers, []any{id, 1, 0, 1, escape(c.First), escape(c.Last), c.Email, c.Phone, passwordHash,
			c.fields(), 0, "203.0.113.7", 1, 0, 0, "", "", "2026-02-01 10:00:00"})
		a := c.Address
		addresses = append(addresses, []any{id, id, escape(c.First), escape(c.Last), escape(a.Company), escape(a.Street), "",
			escape(a.City), a.Postcode, int(a.Country), a.Country.zone(), "[]", 1})
	}
	err := s.insert(ctx, "customer", "customer_id, customer_group_id, store_id, language_id, firstname, lastname, email, telephone, password, custom_field, newsletter, ip, status, safe, commenter, token, code, date_added", customers)
	if err != nil {
		return err
	}
	return s.insert(ctx, "address", "address_id, customer_id, firstname, lastname, company, address_1, address_2, city, postcode, country_id, zone_id, custom_field, `default`", addresses)
}

// escape is PHP's htmlspecialchars as the shop calls it: apostrophes stay.
func escape(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(html.EscapeString(text), "&#39;", "'"), "&#34;", "&quot;")
}

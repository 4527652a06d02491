package shop

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
)

// form is a page of the administration with what it held when it was opened: the statements that
// save it. They write all of it back, mostly by a DELETE and an INSERT a row, whatever has changed
// meanwhile.
type form []step

type step struct {
	statement string
	args      []any
}

func (f *form) add(statement string, args ...any) { *f = append(*f, step{statement, args}) }

// rewrite adds what clears the rows of a key and inserts them again, as they are now.
func (f *form) rewrite(ctx context.Context, s *Shop, read, remove, insert string, key any) error {
	rows, err := s.rowsOf(ctx, read, key)
	if err != nil {
		return err
	}
	f.add(remove, key)
	for _, row := range rows {
		f.add(insert, row...)
	}
	return nil
}

// save sends the form. Two of them saved at once would insert the same rows, so they wait.
func (s *Shop) save(ctx context.Context, f form) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.send(ctx, f)
}

// send is save for one who has the lock.
func (s *Shop) send(ctx context.Context, f form) error {
	for _, step := range f {
		if _, err := s.exec(ctx, 0, step.statement, step.args...); err != nil {
			return err
		}
	}
	return nil
}

// SaveSettings saves a page of settings unchanged, as the shop does: all rows of a code are
// deleted, then inserted one by one. The codes are those of the setting table: config,
// payment_cod, shipping_flat …
func (s *Shop) SaveSettings(ctx context.Context, code string) error {
	return s.resave(ctx, func() (form, error) { return s.openSettings(ctx, code) })
}

// SaveTaxClass saves a tax class unchanged: its rules are deleted, then inserted one by one.
func (s *Shop) SaveTaxClass(ctx context.Context, class int) error {
	return s.resave(ctx, func() (form, error) { return s.openTaxClass(ctx, class) })
}

// resave opens a form and saves it, with nobody else's between.
func (s *Shop) resave(ctx context.Context, open func() (form, error)) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	f, err := open()
	if err != nil {
		return err
	}
	return s.send(ctx, f)
}

func (s *Shop) openSettings(ctx context.Context, code string) (f form, err error) {
	return f.filled("settings of "+code, f.rewrite(ctx, s, "read settings", "setting delete", "setting", code))
}

func (s *Shop) openTaxClass(ctx context.Context, class int) (f form, err error) {
	return f.filled(fmt.Sprintf("tax class %d", class), f.rewrite(ctx, s, "read tax rules", "tax rules delete", "tax rule", class))
}

// filled refuses a form of nothing: saved, it would lose the page for good.
func (f *form) filled(what string, err error) (form, error) {
	if err == nil && len(*f) == 1 {
		err = fmt.Errorf("%s: nothing to save", what)
	}
	return *f, err
}

// ProductForm is the page of a product. Its quantities are absolute: saved, it takes back what was
// sold since it was opened.
type ProductForm struct {
	Product int
	Stock   map[string]int64 // pieces that it writes, by row of the shop's stock: product:5, option:51

	shop *Shop
	form form
}

// OpenProduct opens the page of a product.
func (s *Shop) OpenProduct(ctx context.Context, product int) (*ProductForm, error) {
	f := &ProductForm{Product: product, Stock: map[string]int64{}, shop: s}
	rows, err := s.rowsOf(ctx, "read product", product)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("product %d: %w", product, sql.ErrNoRows)
	}
	const quantity = 4
	f.Stock[fmt.Sprintf("product:%d", product)] = pieces(rows[0][quantity])
	f.form.add("product save", rows[0]...)
	if err := f.form.rewrite(ctx, s, "read descriptions", "descriptions delete", "description", product); err != nil {
		return nil, err
	}
	if err := f.form.rewrite(ctx, s, "read codes", "codes delete", "code", product); err != nil {
		return nil, err
	}
	f.clear("categories delete", "stores delete")
	if err := f.addOptions(ctx); err != nil {
		return nil, err
	}
	f.clear("discounts delete", "images delete", "rewards delete", "addresses delete")
	return f, nil
}

// clear adds the statements for tables in which this shop has no rows.
func (f *ProductForm) clear(statements ...string) {
	for _, name := range statements {
		f.form.add(name, f.Product)
	}
}

// addOptions adds the options with their values, all with the ids that they have.
func (f *ProductForm) addOptions(ctx context.Context) error {
	options, err := f.shop.rowsOf(ctx, "read product options", f.Product)
	if err != nil {
		return err
	}
	values, err := f.shop.rowsOf(ctx, "read product option values", f.Product)
	if err != nil {
		return err
	}
	f.clear("product options delete", "product option values delete")
	const id, ofOption, quantity = 0, 1, 5
	for _, option := range options {
		f.form.add("product option", option...)
		for _, value := range values {
			if value[ofOption] == option[id] {
				f.form.add("product option value", value...)
				f.Stock[fmt.Sprintf("option:%s", value[id])] = pieces(value[quantity])
			}
		}
	}
	return nil
}

// Save saves the page. It can be called again when it was cut off.
func (f *ProductForm) Save(ctx context.Context) error { return f.shop.save(ctx, f.form) }

func pieces(column any) int64 {
	n, _ := strconv.ParseInt(fmt.Sprint(column), 10, 64)
	return n
}

// rowsOf reads the rows of a query by its key, each value as text or nil.
func (s *Shop) rowsOf(ctx context.Context, name string, key any) (all [][]any, err error) {
	err = s.scan(ctx, name, key, func(rows *sql.Rows) error {
		names, err := rows.Columns()
		if err != nil {
			return err
		}
		texts, into, row := make([]sql.NullString, len(names)), make([]any, len(names)), make([]any, len(names))
		for i := range texts {
			into[i] = &texts[i]
		}
		err = rows.Scan(into...)
		for i, text := range texts {
			if text.Valid {
				row[i] = text.String
			}
		}
		all = append(all, row)
		return err
	})
	return all, err
}

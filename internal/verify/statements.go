package verify

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/spola-cdc/spola/schemas"
)

// The files with the proof's SQL.
const (
	shopFile = "shop/opencart/verify.mysql.sql"
	erpFile  = "erp/verify.postgres.sql"
)

// statements are the statements of a file by the name in the line above each.
type statements map[string]string

func load(fsys fs.FS, file, prefix string) (statements, error) {
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read the proof's SQL: %w", err)
	}
	all, name := statements{}, ""
	for _, line := range strings.Split(strings.ReplaceAll(string(text), "{prefix}", prefix), "\n") {
		if found, ok := strings.CutPrefix(line, "-- name: "); ok {
			name = found
		} else if name != "" {
			all[name] += line + "\n"
		}
	}
	return all, nil
}

func loadStatements(prefix string) (shop, erp statements, err error) {
	if shop, err = load(schemas.Shops, shopFile, prefix); err != nil {
		return nil, nil, err
	}
	erp, err = load(schemas.Verify, erpFile, "")
	return shop, erp, err
}

// scope is which orders are read: all, or those from one number on, or some.
type scope struct {
	from   int64
	orders []int64
}

// of is a statement for these orders.
func (s scope) of(statement string) string {
	condition := fmt.Sprintf("order_id >= %d", s.from)
	if s.orders != nil {
		numbers := make([]string, len(s.orders))
		for i, id := range s.orders {
			numbers[i] = fmt.Sprint(id)
		}
		condition = "order_id IN (" + strings.Join(numbers, ", ") + ")"
	}
	return strings.ReplaceAll(statement, "{orders}", condition)
}

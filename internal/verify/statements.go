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

// Package erp gives tests an ERP's database that has its tables already.
package erp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Database is the URL of a fresh database on the shared PostgreSQL, migrated to the newest version of these
// sets in this order ("spola", "erp"), and dropped after the test.
func Database(t testing.TB, names ...string) string {
	t.Helper()
	sets, sum, err := read(names)
	if err != nil {
		t.Fatal(err)
	}
	return server.CopiedPostgres(t, "spola_template_"+sum, func(url string) error {
		return postgres.Migrate(context.Background(), url, sets...)
	})
}

// read returns the sets and a sum over all of their files.
func read(names []string) ([]postgres.Migrations, string, error) {
	all := map[string]fs.FS{"spola": schemas.Spola, "erp": schemas.ERP}
	sum := sha256.New()
	var sets []postgres.Migrations
	for _, name := range names {
		if all[name] == nil {
			return nil, "", fmt.Errorf("no set of migrations is named %s", name)
		}
		files, err := fs.Sub(all[name], name)
		if err != nil {
			return nil, "", err
		}
		paths, err := fs.Glob(files, "*.sql")
		if err != nil {
			return nil, "", err
		}
		for _, path := range paths {
			text, err := fs.ReadFile(files, path)
			if err != nil {
				return nil, "", err
			}
			fmt.Fprintf(sum, "%s/%s %d\n%s", name, path, len(text), text)
		}
		sets = append(sets, postgres.Migrations{Name: name, Files: files})
	}
	return sets, hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

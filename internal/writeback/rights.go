package writeback

import (
	"context"
	"slices"
	"strings"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

// checkRights tries statements on rows that there are not, and names the grants of those that are refused, before
// anything is written.
func (s statements) checkRights(ctx context.Context, tx *mysql.Tx, prefix string, statements ...string) error {
	var missing []string
	var first error
	for _, name := range statements {
		text, err := s.of(name, []int64{-1}, map[int64]int64{-1: 0})
		if err != nil {
			return err
		}
		args := make([]any, strings.Count(text, "?"))
		for i := range args {
			args[i] = "-1"
		}
		err = tx.Query(ctx, text, args, func(func(...any) error) error { return nil })
		table, refused := mysql.RefusedTable(err)
		switch {
		case err == nil:
		case !refused:
			return err
		default:
			first = cmpErr(first, err)
			missing = append(missing, table)
		}
	}
	if first == nil {
		return nil
	}
	return &mysql.StopError{What: "who writes into the shop lacks rights there", Mend: grants(ctx, tx, prefix, missing), Err: first}
}

func cmpErr(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// grants are the statements that an administrator runs.
func grants(ctx context.Context, tx *mysql.Tx, prefix string, tables []string) string {
	account := "CURRENT_USER()"
	_ = tx.Query(ctx, "SELECT CURRENT_USER()", nil, func(scan func(...any) error) error { // without an answer the words stand for it
		err := scan(&account)
		user, host, _ := strings.Cut(account, "@")
		account = "'" + user + "'@'" + host + "'"
		return err
	})
	slices.Sort(tables)
	var lines []string
	for _, table := range slices.Compact(tables) {
		lines = append(lines, deploy.ShopWriterGrants(prefix, strings.TrimPrefix(table, prefix), account)...)
	}
	return "have an administrator of the shop's database run " + strings.Join(lines, " ")
}

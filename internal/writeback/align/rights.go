package align

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"
)

// ErrRights is the error of a user of the shop's database who lacks rights.
var ErrRights = errors.New("the shop's database refuses")

// need is a right that a statement takes.
type need struct {
	field     Field // empty: all
	statement string
	right     string // SELECT, UPDATE (`price`)
	tables    []string
}

func (n need) reads() bool { return n.right == "SELECT" }

// Rights tells which GRANT statements the user lacks for looking at these fields, or for writing them too. Every statement is
// asked for its plan, which takes the rights of the statement, from roles as well, and touches nothing.
func (c *Catalogue) Rights(ctx context.Context, fields []Field, writing bool) (grants []string, err error) {
	if fields == nil {
		fields = Fields
	}
	var needs []need
	err = read(ctx, c.db, "rights", c.text["rights"], nil, func(scan func(...any) error) error {
		var n need
		var tables string
		err := scan(&n.field, &n.statement, &n.right, &tables)
		n.tables = strings.Fields(tables)
		if n.reads() || writing && (n.field == "" || slices.Contains(fields, n.field)) {
			needs = append(needs, n)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var database, user string
	if err := c.db.QueryRowContext(ctx, "SELECT DATABASE(), CURRENT_USER()").Scan(&database, &user); err != nil {
		return nil, fmt.Errorf("ask the shop's database who we are: %w", err)
	}
	for _, n := range needs {
		refused, err := c.refused(ctx, n.statement)
		if err != nil {
			return nil, err
		}
		for _, table := range n.tables {
			grant := fmt.Sprintf("GRANT %s ON `%s`.`%s` TO %s", n.right, database, table, quoteUser(user))
			if refused && !slices.Contains(grants, grant) {
				grants = append(grants, grant)
			}
		}
	}
	return grants, nil
}

// refused tells whether the user lacks a right for a statement.
func (c *Catalogue) refused(ctx context.Context, statement string) (bool, error) {
	name, locks := strings.CutSuffix(statement, forUpdate)
	text := "EXPLAIN " + withIDs(c.text[name], []int64{0})
	if locks {
		text += forUpdate
	}
	rows, err := c.db.QueryContext(ctx, text, make([]any, strings.Count(text, "?"))...)
	if err == nil {
		defer func() { _ = rows.Close() }() // Err has what went wrong
		err = rows.Err()
	}
	var answer *driver.MySQLError
	if errors.As(err, &answer) && slices.Contains([]uint16{1044, 1142, 1143}, answer.Number) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask the shop's database for the right to %s: %w", statement, err)
	}
	return false, nil
}

// quoteUser writes an account of MySQL, user@host, as a GRANT takes it.
func quoteUser(user string) string {
	at := strings.LastIndex(user, "@")
	if at < 0 {
		return "'" + user + "'"
	}
	return "'" + user[:at] + "'@'" + user[at+1:] + "'"
}

// Lacking is the error of missing rights; nil without any.
func Lacking(grants []string) error {
	if len(grants) == 0 {
		return nil
	}
	return fmt.Errorf("%w; an administrator of the shop's database runs:\n  %s;", ErrRights, strings.Join(grants, ";\n  "))
}

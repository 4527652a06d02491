package stock

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/schemas"
)

// Shop is the shop's database, for comparing its rows with the mirror: what the binary log never names (changes with
// sql_log_bin=0) is found this way alone.
type Shop struct {
	DB      *sql.DB
	Prefix  string                                             // of its tables
	Mirror  string                                             // schema of the mirror
	Tables  []schemas.Compared                                 // what is compared
	Request func(context.Context, mysql.SnapshotRequest) error // has ranges of keys read again
}

const (
	rangeRows = 5000                   // keys of one range
	rest      = 4                      // parts of time that the shop is left alone, for one in which it is asked
	lagging   = 700 * time.Millisecond // before a range that differs is looked at again: the mirror may be behind
	looks     = 3                      // at a range that differs
	behind    = 5 * time.Second        // that the mirror may be behind
)

// keyRange is a range of a table's keys, above from and up to to; nil: unbounded.
type keyRange struct {
	from, to *int64
}

// checksum is what is compared of a range.
type checksum struct {
	rows int64
	sum  int64 // of 32 bits of each row's SHA-256: all servers have that (MySQL 9.6 gave up MD5, PostgreSQL 15 has no CRC)
}

// compare asks shop and mirror for checksums of each range of keys, has those read again that differ, and tells how many these
// were, and how many rows it has compared. The two are asked at different positions, so a difference says only that a range is worth being read: nothing is
// repaired from it. Reading is at a matched position: a snapshot between watermarks. Where the mirror is behind everything
// differs, and reading it again would only put more in its way: then it is an error.
func (s *Shop) compare(ctx context.Context, conn *pgx.Conn, shop string) (unequal, rows int64, err error) {
	if err := s.caughtUp(ctx, conn, shop); err != nil {
		return 0, 0, err
	}
	for _, table := range s.Tables {
		c := comparison{Shop: s, conn: conn, table: table}
		found, compared, err := c.ranges(ctx)
		rows += compared
		if err != nil {
			return unequal, rows, fmt.Errorf("compare table %s%s with its mirror: %w", s.Prefix, table.Table, err)
		}
		if len(found) > 0 {
			if err := s.caughtUp(ctx, conn, shop); err != nil {
				return unequal, rows, err
			}
		}
		unequal += int64(len(found))
		if err := c.readAgain(ctx, found); err != nil {
			return unequal, rows, fmt.Errorf("have table %s%s read again: %w", s.Prefix, table.Table, err)
		}
	}
	return unequal, rows, nil
}

// caughtUp refuses while the mirror is behind the shop: a probe tells.
func (s *Shop) caughtUp(ctx context.Context, conn *pgx.Conn, shop string) error {
	number, err := mysql.Probe(ctx, s.DB)
	if err != nil {
		return err
	}
	err = mirror.AwaitProbe(ctx, conn, shop, number, behind)
	if errors.Is(err, mirror.ErrBehind) {
		return fmt.Errorf("the mirror is more than %v behind the shop: they are compared when it has caught up (`applier status`)", behind)
	}
	return err
}

type comparison struct {
	*Shop
	conn  *pgx.Conn
	table schemas.Compared
}

// ranges goes through the table and returns the ranges that stay different.
func (c comparison) ranges(ctx context.Context) (found []keyRange, rows int64, err error) {
	var r keyRange
	if c.table.Bounded { // older rows are not read
		if r.from, err = c.first(ctx); err != nil || r.from == nil {
			return nil, 0, err
		}
	}
	for {
		began := time.Now()
		r.to, err = c.last(ctx, r.from)
		if err != nil {
			return nil, rows, err
		}
		differs, in, err := c.differs(ctx, r)
		if err != nil {
			return nil, rows, err
		}
		rows += in
		for n := 1; differs && n < looks; n++ {
			if err := wait(ctx, lagging); err != nil {
				return nil, rows, err
			}
			if differs, _, err = c.differs(ctx, r); err != nil {
				return nil, rows, err
			}
		}
		if differs {
			found = append(found, r)
		}
		if r.to == nil {
			return found, rows, nil
		}
		r.from = r.to
		if err := wait(ctx, min(rest*time.Since(began), time.Second)); err != nil {
			return nil, rows, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// first is the key before the first row that the mirror has; nil: it has none.
func (c comparison) first(ctx context.Context) (key *int64, err error) {
	err = c.conn.QueryRow(ctx, "select min("+pg(c.table.Key)+") - 1 from "+c.mirrored()).Scan(&key)
	return key, err
}

// last is the key that ends the range of so many rows above from; nil: there are no more behind it.
func (c comparison) last(ctx context.Context, from *int64) (*int64, error) {
	var rows int64
	var key *int64
	err := c.DB.QueryRowContext(ctx, "SELECT COUNT(*), MAX(k) FROM (SELECT "+my(c.table.Key)+" AS k FROM "+my(c.Prefix+c.table.Table)+
		" WHERE ? IS NULL OR "+my(c.table.Key)+" > ? ORDER BY 1 LIMIT ?) AS x", from, from, rangeRows).Scan(&rows, &key)
	if err != nil || rows < rangeRows {
		return nil, err
	}
	return key, nil
}

// differs tells whether shop and mirror differ in a range, and how many rows of it the shop has.
func (c comparison) differs(ctx context.Context, r keyRange) (differs bool, rows int64, err error) {
	var shop, mirror checksum
	err = c.DB.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(CAST(CONV(LEFT(SHA2(CONCAT_WS('|', "+c.columns(my, "CHAR")+"), 256), 8), 16, 10) AS UNSIGNED)), 0) FROM "+
		my(c.Prefix+c.table.Table)+" WHERE (? IS NULL OR "+my(c.table.Key)+" > ?) AND (? IS NULL OR "+my(c.table.Key)+" <= ?)", r.from, r.from, r.to, r.to).
		Scan(&shop.rows, &shop.sum)
	if err != nil {
		return false, 0, err
	}
	err = c.conn.QueryRow(ctx, "select count(*), coalesce(sum(('x00000000' || left(encode(sha256(convert_to(concat_ws('|', "+c.columns(pg, "text")+"), 'UTF8')), 'hex'), 8))::bit(64)::bigint), 0)::bigint from "+
		c.mirrored()+" where ($1::bigint is null or "+pg(c.table.Key)+" > $1) and ($2::bigint is null or "+pg(c.table.Key)+" <= $2)", r.from, r.to).
		Scan(&mirror.rows, &mirror.sum)
	return shop != mirror, shop.rows, err
}

// columns are the compared columns as texts, null as a dash.
func (c comparison) columns(quote func(string) string, text string) string {
	list := []string{quote(c.table.Key)}
	for _, column := range c.table.Columns {
		list = append(list, "COALESCE(CAST("+quote(column)+" AS "+text+"), '-')")
	}
	return strings.Join(list, ", ")
}

func (c comparison) mirrored() string {
	return pgx.Identifier{c.Mirror, c.Prefix + c.table.Table}.Sanitize()
}

func my(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
func pg(name string) string { return pgx.Identifier{name}.Sanitize() }

// ReadAgain has rows of a compared table read again by their keys, with the rows of other tables that belong to them.
func (s *Shop) ReadAgain(ctx context.Context, table string, keys []int64) error {
	for _, compared := range s.Tables {
		if compared.Table != table {
			continue
		}
		var rows []keyRange
		for _, key := range keys {
			before := key - 1
			rows = append(rows, keyRange{&before, &key})
		}
		return (comparison{Shop: s, table: compared}).readAgain(ctx, rows)
	}
	return fmt.Errorf("have rows of table %s%s read again: the profile does not compare it", s.Prefix, table)
}

// readAgain asks for a snapshot of the ranges, and of the rows of other tables that belong to them.
func (c comparison) readAgain(ctx context.Context, found []keyRange) error {
	var request mysql.SnapshotRequest
	for _, r := range found {
		request.Ranges = append(request.Ranges, mysql.KeyRange{Table: c.Prefix + c.table.Table, From: jsonKey(r.from), To: jsonKey(r.to)})
		for _, with := range c.table.With {
			keys, err := c.keysOf(ctx, with, r)
			if err != nil {
				return err
			}
			if keys != nil {
				request.Ranges = append(request.Ranges, *keys)
			}
		}
	}
	if len(request.Ranges) == 0 {
		return nil
	}
	return c.Request(ctx, request)
}

// keysOf is the range of another table's keys whose rows belong to a range; nil: there are none.
func (c comparison) keysOf(ctx context.Context, with schemas.ComparedWith, r keyRange) (*mysql.KeyRange, error) {
	var first, last *int64
	err := c.DB.QueryRowContext(ctx, "SELECT MIN("+my(with.Key)+") - 1, MAX("+my(with.Key)+") FROM "+my(c.Prefix+with.Table)+
		" WHERE (? IS NULL OR "+my(with.By)+" > ?) AND (? IS NULL OR "+my(with.By)+" <= ?)", r.from, r.from, r.to, r.to).Scan(&first, &last)
	if err != nil || last == nil {
		return nil, err
	}
	return &mysql.KeyRange{Table: c.Prefix + with.Table, From: jsonKey(first), To: jsonKey(last)}, nil
}

func jsonKey(key *int64) []json.RawMessage {
	if key == nil {
		return nil
	}
	return []json.RawMessage{json.RawMessage(fmt.Sprint(*key))}
}

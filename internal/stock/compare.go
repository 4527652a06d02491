package stock

import (
	"cmp"
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
	For     time.Duration                                      // that a run compares a table that grows for ever: the next goes on there; 0: long
}

const (
	leastRows, mostRows = 500, 5000 // keys of one range: as many as are asked for in a short time, also where a busy server takes longer

	short   = 2 * time.Millisecond   // that a statement is to take: on two cores a longer one is in the way of a checkout
	rest    = 24                     // parts of time that the servers are left alone, for one in which they are asked
	lagging = 700 * time.Millisecond // before a range that differs is looked at again: the mirror may be behind
	looks   = 3                      // at a range that differs
	behind  = 5 * time.Second        // that the mirror may be behind
	long    = 5 * time.Minute
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
	rows, err = s.eachTable(ctx, conn, shop, s.Tables, func(c comparison, found []keyRange) error {
		if len(found) > 0 {
			if err := s.caughtUp(ctx, conn, shop); err != nil {
				return err
			}
		}
		unequal += int64(len(found))
		if err := c.readAgain(ctx, found); err != nil {
			return fmt.Errorf("have table %s%s read again: %w", s.Prefix, c.table.Table, err)
		}
		return nil
	})
	return unequal, rows, err
}

// eachTable compares tables whole, gives do the ranges of each that differ, and tells how many rows it has compared.
func (s *Shop) eachTable(ctx context.Context, conn *pgx.Conn, shop string, tables []schemas.Compared, do func(comparison, []keyRange) error) (rows int64, err error) {
	if err := s.caughtUp(ctx, conn, shop); err != nil {
		return 0, err
	}
	for _, table := range tables {
		c := comparison{Shop: s, conn: conn, shop: shop, table: table}
		found, compared, err := c.ranges(ctx)
		rows += compared
		if err != nil {
			return rows, fmt.Errorf("compare table %s%s with its mirror: %w", s.Prefix, table.Table, err)
		}
		if err := do(c, found); err != nil {
			return rows, err
		}
	}
	return rows, nil
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
	shop  string
	table schemas.Compared
}

// ranges goes through the table and returns the ranges that stay different. How many rows it asks for at once follows from how long
// that took, and so does how long it rests: a server that is busy is asked for less, and less often. A table that grows for ever is gone
// through over as many runs as it takes.
func (c comparison) ranges(ctx context.Context) (found []keyRange, rows int64, err error) {
	var r keyRange
	if c.table.Bounded { // older rows are not read
		if r.from, err = c.first(ctx); err != nil || r.from == nil {
			return nil, 0, err
		}
	}
	end := time.Now().Add(cmp.Or(c.For, long))
	for most := leastRows; ; {
		began := time.Now()
		var shop checksum
		if r.to, shop, err = c.next(ctx, r.from, most); err != nil {
			return nil, rows, err
		}
		asked := time.Since(began)
		mirror, err := c.inMirror(ctx, r)
		if err != nil {
			return nil, rows, err
		}
		took := time.Since(began)
		rows += shop.rows
		differs := shop != mirror
		for n := 1; differs && n < looks; n++ {
			if err := wait(ctx, lagging); err != nil {
				return nil, rows, err
			}
			if differs, err = c.differs(ctx, r); err != nil {
				return nil, rows, err
			}
		}
		if differs {
			found = append(found, r)
		}
		if r.to == nil || c.table.Bounded && time.Now().After(end) {
			return found, rows, c.goesOn(ctx, r.to)
		}
		r.from = r.to
		most = fitting(most, max(asked, took-asked))
		if err := wait(ctx, rest*took); err != nil {
			return nil, rows, err
		}
	}
}

// fitting is how many rows are asked for in a short time, where so many took so long.
func fitting(rows int, took time.Duration) int {
	fit := float64(rows) * float64(short) / float64(max(took, time.Microsecond))
	return int(min(max(fit, leastRows, float64(rows)/2), mostRows, float64(rows)*2))
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// first is the key above which rows are compared: where the last run ended, or before the first row that the mirror has; nil: it has none.
func (c comparison) first(ctx context.Context) (key *int64, err error) {
	err = c.conn.QueryRow(ctx, "select coalesce((select c.above from spola.comparison c where c.shop = $1 and c.tbl = $2), (select min("+pg(c.table.Key)+") - 1 from "+c.mirrored()+"))",
		c.shop, c.table.Table).Scan(&key)
	return key, err
}

// goesOn notes above which key the next run compares; nil: from the beginning.
func (c comparison) goesOn(ctx context.Context, above *int64) (err error) {
	if above == nil {
		_, err = c.conn.Exec(ctx, "delete from spola.comparison where shop = $1 and tbl = $2", c.shop, c.table.Table)
	} else {
		_, err = c.conn.Exec(ctx, "insert into spola.comparison (shop, tbl, above) values ($1, $2, $3) on conflict (shop, tbl) do update set above = excluded.above", c.shop, c.table.Table, *above)
	}
	return err
}

// next reads the range of at most so many of the shop's rows above from, and returns the key that ends it; nil: there are no more behind it.
func (c comparison) next(ctx context.Context, from *int64, most int) (to *int64, sum checksum, err error) {
	err = c.DB.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(s), 0), MAX(k) FROM (SELECT "+my(c.table.Key)+" AS k, "+c.shopSum()+" AS s FROM "+
		my(c.Prefix+c.table.Table)+c.within(keyRange{from: from}, my)+fmt.Sprintf(" ORDER BY 1 LIMIT %d) AS x", most)).Scan(&sum.rows, &sum.sum, &to)
	if sum.rows < int64(most) {
		to = nil
	}
	return to, sum, err
}

// differs tells whether shop and mirror differ in a range.
func (c comparison) differs(ctx context.Context, r keyRange) (bool, error) {
	var shop checksum
	err := c.DB.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM("+c.shopSum()+"), 0) FROM "+my(c.Prefix+c.table.Table)+c.within(r, my)).Scan(&shop.rows, &shop.sum)
	if err != nil {
		return false, err
	}
	mirror, err := c.inMirror(ctx, r)
	return shop != mirror, err
}

// inMirror is what the mirror has of a range.
func (c comparison) inMirror(ctx context.Context, r keyRange) (sum checksum, err error) {
	err = c.conn.QueryRow(ctx, "select count(*), coalesce(sum(('x00000000' || left(encode(sha256(convert_to(concat_ws('|', "+c.columns(pg, "text")+"), 'UTF8')), 'hex'), 8))::bit(64)::bigint), 0)::bigint from "+
		c.mirrored()+c.within(r, pg), pgx.QueryExecModeExec).Scan(&sum.rows, &sum.sum)
	return sum, err
}

// shopSum is the sum of one of the shop's rows.
func (c comparison) shopSum() string {
	return "CAST(CONV(LEFT(SHA2(CONCAT_WS('|', " + c.columns(my, "CHAR") + "), 256), 8), 16, 10) AS UNSIGNED)"
}

// within is the condition for a range of keys. Numbers are written into it: a statement for each range is asked once, and prepared for nobody.
func (c comparison) within(r keyRange, quote func(string) string) string {
	var bounds []string
	if r.from != nil {
		bounds = append(bounds, fmt.Sprintf("%s > %d", quote(c.table.Key), *r.from))
	}
	if r.to != nil {
		bounds = append(bounds, fmt.Sprintf("%s <= %d", quote(c.table.Key), *r.to))
	}
	if bounds == nil {
		return ""
	}
	return " WHERE " + strings.Join(bounds, " AND ")
}

// columns are the key and the compared columns as texts, null as a dash.
func (c comparison) columns(quote func(string) string, text string) string {
	return strings.Join(append([]string{quote(c.table.Key)}, c.texts(quote, text)...), ", ")
}

func (c comparison) texts(quote func(string) string, text string) (list []string) {
	for _, column := range c.table.Columns {
		list = append(list, "COALESCE(CAST("+quote(column)+" AS "+text+"), '-')")
	}
	return list
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

package writeback

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

// ledgerTable is the ledger as the ERP's log names it.
const ledgerTable = "spola.ledger"

// atOnce is how many stock rows one transaction locks: a checkout that meets it waits for
// milliseconds, however large the backlog.
const atOnce = 200

// retryEvery is how often rows that could not take what they are owed are looked at again, beside
// each new entry of theirs.
var retryEvery = time.Minute

// entry is what the ledger says last of a stock row.
type entry struct {
	life   int64 // of the ERP
	no     int64
	target int64 // sum of the account behind this entry: what is to have been applied
	read   bool  // by a snapshot, which names old entries again: it counts by its number alone
	again  bool  // none of the log: what a row is still owed
}

// newer tells whether e is a later word than the entry with this life and number. A restored ERP
// counts from an earlier number, in a new life.
func (e entry) newer(life, no int64) bool {
	if e.read || e.life == life {
		return e.no > no
	}
	return e.life > life
}

// Stock is the effect of `applier run stock`: the shop's stock rows get the pieces that the ledger
// owes them, as differences.
type Stock struct {
	shop   string
	prefix string // of the shop's tables
	sql    statements
	log    zerolog.Logger
	life   life

	// Of the writing goroutine.
	columns []column
	pending map[string]entry     // of the parts of a source transaction that is not whole yet
	owed    map[string]time.Time // stock rows that could not take all, and when they were tried last
}

// NewStock makes the effect for a shop.
func NewStock(shop, platform, prefix string, log zerolog.Logger) (*Stock, error) {
	sql, err := load(platform, prefix)
	if err != nil {
		return nil, err
	}
	return &Stock{shop: shop, prefix: prefix, sql: sql, log: log, life: life{row: lifeRow(StockApplier)}}, nil
}

// Start reads what the columns of the shop can hold, and what is still owed.
func (s *Stock) Start(ctx context.Context, tx *mysql.Tx) (err error) {
	s.pending, s.owed = map[string]entry{}, map[string]time.Time{}
	if err := s.sql.check(ctx, tx, "stock engines"); err != nil {
		return err
	}
	if err := s.sql.checkRights(ctx, tx, s.prefix, "lock product", "add product", "lock option", "add option", "sum rows option"); err != nil {
		return err
	}
	if s.columns, err = s.sql.columns(ctx, tx); err != nil {
		return err
	}
	if err := s.life.start(ctx, tx); err != nil {
		return err
	}
	return tx.Query(ctx, "SELECT name FROM "+mysql.Marker+` WHERE note LIKE '{"owed":%'`, nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		s.owed[name] = time.Time{}
		return err
	})
}

// Part begins a part of a batch.
func (s *Stock) Part(int64) apply.Part[*mysql.Tx] {
	return &stockPart{s: s, entries: map[string]entry{}, life: s.life.read}
}

// stockPart holds the newest entry of each stock row.
type stockPart struct {
	s       *Stock
	entries map[string]entry
	life    int64 // behind it
}

// Patient tells that nothing is to be delivered: what moves the ERP's stock comes before the ledger's entry for it.
func (p *stockPart) Patient() bool { return len(p.entries) == 0 }

// Splits is always false: only the newest entry counts, wherever a batch ends.
func (p *stockPart) Splits([]change.Record) bool { return false }

// Bytes is the memory that the part holds, roughly.
func (p *stockPart) Bytes() int { return len(p.entries) * 200 }

// Add takes note of the ledger's entries for this shop.
func (p *stockPart) Add(records []change.Record) error {
	for i := range records {
		r := &records[i]
		var err error
		switch {
		case r.Op == change.Claim:
			err = p.s.life.claimed(r)
		case r.Table == ledgerTable && (r.Op == change.Create || r.Op == change.Read):
			err = p.add(r)
		}
		if err != nil {
			return fmt.Errorf("stock of %s: record %d/%d, key %s: %w", p.s.shop, r.Gen, r.Seq, r.Key, err)
		}
	}
	p.life = p.s.life.read
	return nil
}

func (p *stockPart) add(r *change.Record) error {
	_, after, err := change.Rows(r.Value)
	if err != nil {
		return err
	}
	var shop, row string
	e := entry{life: p.s.life.read, read: r.Op == change.Read}
	found := 0
	err = change.Fields(after, func(name, value []byte) (err error) {
		text := strings.Trim(string(value), `"`)
		switch string(name) {
		case "shop":
			shop = text
		case "stock_row":
			row = text
		case "no":
			e.no, err = strconv.ParseInt(text, 10, 64)
		case "target":
			e.target, err = strconv.ParseInt(text, 10, 64)
		default:
			return nil
		}
		found++
		return err
	})
	if err != nil {
		return err
	}
	if found != 4 {
		return fmt.Errorf("an entry needs shop, stock_row, no and target: %s", after)
	}
	if shop == p.s.shop {
		keepNewest(p.entries, row, e)
	}
	return nil
}

func keepNewest(entries map[string]entry, row string, e entry) {
	if had, ok := entries[row]; !ok || e.newer(had.life, had.no) {
		entries[row] = e
	}
}

// Apply delivers when the batch ends. What a batch holds beyond atOnce rows is delivered ahead, in
// short transactions: repeating it does no harm, for an entry counts once.
func (p *stockPart) Apply(ctx context.Context, tx *mysql.Tx, last bool) error {
	s := p.s
	for row, e := range p.entries {
		keepNewest(s.pending, row, e)
	}
	if !last {
		return nil
	}
	entries := s.pending
	s.pending = map[string]entry{}
	s.addOwed(entries, time.Now())
	rows, err := s.order(ctx, tx, entries)
	if err != nil {
		return err
	}
	var missed []shortfall
	for len(rows) > atOnce {
		err := tx.Ahead(ctx, func(ahead *mysql.Tx) error {
			short, err := s.deliver(ctx, ahead, rows[:atOnce], entries)
			missed = append(missed, short...)
			return err
		})
		if err != nil {
			return err
		}
		rows = rows[atOnce:]
	}
	short, err := s.deliver(ctx, tx, rows, entries)
	if err != nil {
		return err
	}
	s.tell(append(missed, short...))
	return s.life.save(ctx, tx, p.life)
}

// Due tells whether a row that is owed something was not tried for a while.
func (s *Stock) Due(now time.Time) bool {
	for _, tried := range s.owed {
		if now.Sub(tried) >= retryEvery {
			return true
		}
	}
	return false
}

// Idle tries such rows while the ledger is quiet.
func (s *Stock) Idle(ctx context.Context, tx *mysql.Tx) error {
	entries := map[string]entry{}
	s.addOwed(entries, time.Now())
	for rows := range slices.Chunk(slices.Sorted(maps.Keys(entries)), atOnce) {
		err := tx.Ahead(ctx, func(tx *mysql.Tx) error {
			missed, err := s.deliver(ctx, tx, rows, entries)
			s.tell(missed)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addOwed adds the rows that are owed something and were not tried for a while.
func (s *Stock) addOwed(entries map[string]entry, now time.Time) {
	for row, tried := range s.owed {
		if _, named := entries[row]; !named && now.Sub(tried) >= retryEvery {
			entries[row] = entry{again: true}
		}
	}
}

// order puts the rows of a backlog into the order in which they are delivered: what goes off sale
// first, since nothing must be sold twice while the rest follows. It only looks; deliver decides.
func (s *Stock) order(ctx context.Context, tx *mysql.Tx, entries map[string]entry) ([]string, error) {
	rows := slices.Sorted(maps.Keys(entries))
	if len(rows) <= atOnce {
		return rows, nil
	}
	less := make(map[string]bool, len(rows))
	for some := range slices.Chunk(rows, 5000) {
		marks, err := readMarks(ctx, tx, some, "")
		if err != nil {
			return nil, err
		}
		for _, row := range some {
			less[row] = entries[row].target < marks[row].Applied
		}
	}
	slices.SortStableFunc(rows, func(a, b string) int { return cmp.Compare(rank(less[a]), rank(less[b])) })
	return rows, nil
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// tell logs what could not be delivered, the first by name.
func (s *Stock) tell(missed []shortfall) {
	for i, m := range missed {
		if i == 10 {
			s.log.Warn().Int("more", len(missed)-i).Msg("stock rows could not take what they are owed; `applier status` lists them")
			return
		}
		s.log.Warn().Str("stock_row", m.row).Int64("pieces", m.owed).Str("why", m.why).Msg("a stock row could not take what it is owed")
	}
}

package trace

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/schemas"
)

const (
	// lookBack is how many records before one that is known are looked at too: the shop writes an order by statements that
	// stand close together, and of a row that was changed since the mirror knows the last record only.
	lookBack = 200

	// windowsMost bounds how often the log is looked at for one order.
	windowsMost = 40

	// tailMost is how much of what intake has not applied is looked at.
	tailMost = 5000
)

// mark is what Spola has told the shop of the order.
type mark struct {
	at    int64  // number of the record, over all generations
	State string `json:"state"` // of the shop, as written last
	ERP   string `json:"erp"`   // state of the ERP's order that it stands for
	Why   string `json:"why"`   // why something waits
	Wants string `json:"wants"`
	Shows string `json:"shows"`

	Parcels []struct {
		Carrier  string `json:"carrier"`
		Tracking string `json:"tracking"`
	} `json:"parcels"`
}

// followShop adds what the shop wrote, one step a transaction; it tells whether mirror or log know the order at all.
func (r *tracer) followShop(ctx context.Context) (known bool, err error) {
	wrote, err := r.wrote(ctx)
	if err != nil {
		return false, err
	}
	if err := r.readMark(ctx); err != nil {
		return false, err
	}
	known = len(wrote) > 0
	if r.mark != nil {
		wrote = append(wrote, r.mark.at)
	}
	slices.Sort(wrote)
	wrote = slices.Compact(wrote)
	if r.shop == nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaWithin)
	defer cancel()
	records, gone, err := r.records(ctx, wrote)
	if err == nil {
		var tail []change.Record
		if tail, err = r.tail(ctx); err == nil {
			records = append(records, tail...)
		}
	}
	if err != nil {
		r.note("The shop's log can't be read, so places in it are missing: %v", err)
		return known, nil // what the databases know is told all the same
	}
	if gone > 0 {
		r.note("%d of the records that wrote this order are no longer in the shop's log (its retention is over, or it was begun again): the mirror has their rows, their times and transactions are not known.", gone)
	}
	r.tell(records)
	return known || len(records) > 0, nil
}

// wrote returns the numbers of the records that wrote the order's rows as they stand in the mirror.
func (r *tracer) wrote(ctx context.Context) ([]int64, error) {
	var parts []string
	for _, t := range r.Profile.Tables {
		if t.Order == "" {
			continue
		}
		there, err := r.there(ctx, pgx.Identifier{mirror.Schema(r.Shop), r.Prefix + t.Name}.Sanitize())
		if err != nil {
			return nil, err
		}
		if there {
			parts = append(parts, "select spola_at from "+r.mirrorOf()+"."+pgx.Identifier{r.Prefix + t.Name}.Sanitize()+" where "+pgx.Identifier{t.Order}.Sanitize()+" = $1")
		}
	}
	if parts == nil {
		return nil, nil
	}
	rows, err := r.conn.Query(ctx, strings.Join(parts, " union "), r.t.Order)
	if err == nil {
		var numbers []int64
		if numbers, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err == nil {
			return numbers, nil
		}
	}
	return nil, r.failed("read its rows in the mirror", err)
}

func (r *tracer) readMark(ctx context.Context) error {
	if there, err := r.there(ctx, r.mirrorOf()+".spola_marker"); err != nil || !there {
		return err
	}
	var m mark
	var note string
	err := r.conn.QueryRow(ctx, strings.ReplaceAll(statements["mark"], "{mirror}", r.mirrorOf()), fmt.Sprintf("order.%d", r.t.Order)).Scan(&m.at, &note)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return r.failed("read its mark", err)
	}
	_ = json.Unmarshal([]byte(note), &m) // another note says nothing
	r.mark = &m
	return nil
}

// records looks up the records with these numbers, and the order's others around them. gone is how many the log has no more.
func (r *tracer) records(ctx context.Context, numbers []int64) (found []change.Record, gone int, err error) {
	p := r.places["intake"]
	seen := map[int64]bool{}
	windows := 0
	for _, n := range numbers {
		seq := n - (p.Applied - p.Seq)
		if seen[seq] {
			continue
		}
		if seq < 1 {
			gone++ // of a generation before
			continue
		}
		if windows++; windows > windowsMost {
			r.note("The order was written in very many places of the log: only the first %d were looked at.", windowsMost)
			break
		}
		offset, there, err := r.shop.At(ctx, p.Gen, seq, p.Stand)
		if err != nil {
			return nil, 0, err
		}
		if !there {
			gone++
			continue
		}
		some, err := r.window(ctx, offset)
		if err != nil {
			return nil, 0, err
		}
		for _, one := range some {
			if !seen[one.Seq] {
				seen[one.Seq] = true
				found = append(found, one)
			}
		}
		if !seen[seq] {
			gone++ // its number is another record's: the log was begun again
		}
	}
	return found, gone, nil
}

// window returns the order's records from some before an offset up to it, and what the same look brings behind it.
func (r *tracer) window(ctx context.Context, offset int64) (found []change.Record, err error) {
	for next := offset - lookBack; next <= offset; {
		var some []change.Record
		if some, next, err = r.shop.From(ctx, next); err != nil {
			return nil, err
		}
		if len(some) == 0 {
			break
		}
		found = append(found, r.ours(some)...)
	}
	return found, nil
}

// tail returns the order's records among those that intake has not applied.
func (r *tracer) tail(ctx context.Context) (found []change.Record, err error) {
	_, end := r.shop.Bounds()
	from := r.places["intake"].Offset + 1
	for next := from; next < end && next-from < tailMost; {
		var some []change.Record
		if some, next, err = r.shop.From(ctx, next); err != nil {
			return nil, err
		}
		if len(some) == 0 {
			break
		}
		for _, one := range r.ours(some) {
			if !r.applied(one) {
				found = append(found, one)
			}
		}
	}
	return found, nil
}

// applied tells whether intake has applied a record.
func (r *tracer) applied(one change.Record) bool {
	p := r.places["intake"]
	return one.Gen < p.Gen || one.Gen == p.Gen && one.Seq <= p.Seq
}

// ours are the records about the order.
func (r *tracer) ours(all []change.Record) (found []change.Record) {
	for _, one := range all {
		if !one.Op.IsRow() {
			continue
		}
		if one.Table == mirror.Marker {
			if bytes.Contains(one.Value, fmt.Appendf(nil, `"name":"order.%d"`, r.t.Order)) {
				found = append(found, one)
			}
			continue
		}
		if t := r.table(one.Table); t != nil && t.Order != "" && names(&one, t.Order, r.t.Order) {
			found = append(found, one)
		}
	}
	return found
}

func (r *tracer) table(name string) *schemas.Table {
	bare, ok := strings.CutPrefix(name, r.Prefix)
	if !ok {
		return nil
	}
	return r.Profile.Table(bare)
}

// names tells whether a row, before or after, has a number in a column.
func names(record *change.Record, column string, number int64) bool {
	digits := strconv.FormatInt(number, 10)
	if !bytes.Contains(record.Value, []byte(digits)) {
		return false
	}
	before, after, err := change.Rows(record.Value)
	return err == nil && (field(before, column) == digits || field(after, column) == digits)
}

// field is a column of a row as text, without quotes; empty where there is none.
func field(row []byte, column string) (text string) {
	if row == nil {
		return ""
	}
	_ = change.Fields(row, func(name, value []byte) error { // a row that can't be read names nothing
		if string(name) == column && string(value) != "null" {
			text = strings.Trim(string(value), `"`)
		}
		return nil
	})
	return text
}

// tell makes a step of each transaction.
func (r *tracer) tell(records []change.Record) {
	slices.SortFunc(records, func(a, b change.Record) int { return cmp.Compare(a.Offset, b.Offset) })
	records = slices.CompactFunc(records, func(a, b change.Record) bool { return a.Offset == b.Offset }) // looks may overlap
	for len(records) > 0 {
		of := transaction(&records[0])
		n := 1
		for n < len(records) && transaction(&records[n]) == of {
			n++
		}
		r.tellOne(of, records[:n])
		records = records[n:]
	}
}

func (r *tracer) tellOne(of string, records []change.Record) {
	first := &records[0]
	at := time.UnixMilli(first.Time)
	s := Step{Stage: Shop, At: &at, Outcome: Done, Place: placeOf(r.ShopLog.Topic, of, records)}
	var words []string
	state := r.Profile.State
	for i := range records {
		one := &records[i]
		if one.Table == mirror.Marker {
			s.Stage = Back
			continue
		}
		t := r.table(one.Table)
		if t.Name != state.Table {
			continue
		}
		before, after, _ := change.Rows(one.Value)
		was, is := field(before, state.Name), field(after, state.Name)
		switch {
		case one.Op == change.Delete:
			words, s.state = append(words, "the order is deleted"), true
		case one.Op == change.Create:
			words, s.state = append(words, "the order begins, state "+r.stateName(is)), true
		case was != is && one.Op == change.Update:
			words, s.state = append(words, fmt.Sprintf("state %s → %s", r.stateName(was), r.stateName(is))), true
		}
	}
	if s.Stage == Back && len(words) == 0 && len(records) == 1 {
		words = append(words, "Spola notes what it could not write")
	} else if s.Stage == Back {
		words = append([]string{"written by Spola"}, words...)
	}
	s.What = strings.Join(append(words, r.counted(records)...), "; ")
	if !r.applied(*first) {
		s.Why = "in the log, and not applied yet"
	}
	r.add(s)
}

// stateName is a state by its name in the shop.
func (r *tracer) stateName(state string) string {
	if name := r.states[state]; name != "" {
		return fmt.Sprintf("%s (%s)", state, name)
	}
	return state
}

// counted says how many rows of each table were written, how.
func (r *tracer) counted(records []change.Record) (words []string) {
	verbs := map[change.Op]string{change.Create: "new", change.Update: "changed", change.Delete: "deleted", change.Read: "read by a snapshot"}
	counts := map[string]int{}
	var order []string
	for i := range records {
		if records[i].Table == mirror.Marker {
			continue
		}
		key := "%d " + verbs[records[i].Op] + " in " + strings.TrimPrefix(records[i].Table, r.Prefix)
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
	}
	for _, key := range order {
		words = append(words, fmt.Sprintf(key, counts[key]))
	}
	return words
}

// transaction is what a record's source calls the transaction it is of, or the chunk of a snapshot.
func transaction(r *change.Record) string {
	o, err := change.ParseOrigin(r.Origin)
	switch {
	case err != nil:
		return ""
	case o.Kind == change.Read:
		return fmt.Sprintf("snapshot %d, chunk %d", o.Run, o.Chunk)
	}
	return o.Tx.GTID
}

func placeOf(topic, of string, records []change.Record) *Place {
	first := &records[0]
	return &Place{Log: topic, Offset: first.Offset, Generation: first.Gen, Seq: first.Seq, Records: len(records), Transaction: of}
}

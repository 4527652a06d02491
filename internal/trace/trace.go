// Package trace tells the story of one order, from the shop's commit to the mail: each step with its time, its place in the logs, the
// transaction and what came of it; and of what has not happened yet, why. DESIGN.md says where each step is read.
//
//	find.go   which order is meant
//	shop.go   what the shop wrote, in its log
//	erp.go    what the ERP did, and where its log says so
//	waits.go  what has not happened yet
package trace

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/schemas"
)

//go:embed trace.postgres.sql
var files embed.FS

var statements = func() map[string]string {
	s, err := schemas.Statements(files, "trace.postgres.sql", "")
	if err != nil {
		panic(err) // it is embedded
	}
	return s
}()

// Sources are where a trace is read, beside the ERP's database.
type Sources struct {
	Shop    string
	Prefix  string // of its tables
	Profile *schemas.Profile
	ShopLog stream.Config
	ERPLog  *stream.Config // nil: it is not read, so that nothing comes back into the shop
}

// Stages of an order's way, in their order.
const (
	Shop   = "shop"   // committed there, and read into its log
	Intake = "intake" // derived from the mirror, and handed to the ERP
	ERP    = "erp"    // what its people did
	Back   = "back"   // brought into the shop
	Mail   = "mail"   // to the customer
	Person = "person" // what somebody decided with Spola's commands
)

// Outcomes of a step.
const (
	Done   = "done"
	Waits  = "waits"  // has not happened yet: Why says why
	Failed = "failed" // will not happen by itself
)

// Step is one of an order's way.
type Step struct {
	Stage   string     `json:"stage"`
	At      *time.Time `json:"at"` // when it happened, by the clock of whose step it is; null: not yet, or nobody knows
	What    string     `json:"what"`
	Outcome string     `json:"outcome"`
	Why     string     `json:"why,omitempty"`  // why it waits or failed
	Mend    string     `json:"mend,omitempty"` // what a person does about it
	Place   *Place     `json:"place,omitempty"`

	state bool // it changed the order's state: never folded with others
}

// Place is where a log says so.
type Place struct {
	Log         string `json:"log"` // topic
	Offset      int64  `json:"offset"`
	Generation  int64  `json:"generation"`
	Seq         int64  `json:"seq"`         // of the first record
	Records     int    `json:"records"`     // about this order, in this transaction
	Transaction string `json:"transaction"` // at the source: GTID, LSN, or the chunk of a snapshot
}

// Trace is the story of an order.
type Trace struct {
	Shop   string   `json:"shop"`
	Order  int64    `json:"order"`  // the shop's number
	Number string   `json:"number"` // the ERP's: W2026/17; empty: it has none
	Status string   `json:"status"` // what has become of it: unread, cart, seen, parked, imported, cancelled, closed
	State  string   `json:"state"`  // in the shop, by its name there
	Steps  []Step   `json:"steps"`
	Notes  []string `json:"notes"` // what could not be looked at, and why
}

// tracer collects a trace.
type tracer struct {
	Sources
	conn   *pgx.Conn
	t      *Trace
	states map[string]string // the shop's names of them

	mode   string
	ticks  int64
	whole  bool // the mirror is
	places map[string]place
	link   *link
	mark   *mark
	erp    *order
	shop   *stream.Finder // nil: it can't be asked
	log    *stream.Finder // the ERP's
}

// place is how far an applier is.
type place struct {
	change.Stand
	Moved    time.Time
	Paused   *time.Time
	PausedBy string
}

// link is what was derived of the order.
type link struct {
	incarnation      int64
	status           string
	erpOrder         *int64
	state, name      string
	class            string
	deleted, adopted bool
	decision         string
	derived          time.Time
	subtracted       int64
}

// kafkaWithin bounds how long brokers that do not answer hold a trace up.
const kafkaWithin = 5 * time.Second

// Of traces an order: by the shop's number, the ERP's (W2026/17), or the number of a document. conn is connected to the ERP's database.
func Of(ctx context.Context, conn *pgx.Conn, from Sources, what string) (*Trace, error) {
	r := &tracer{Sources: from, conn: conn, t: &Trace{Shop: from.Shop, Steps: []Step{}, Notes: []string{}}, states: map[string]string{}, places: map[string]place{}}
	if err := r.readShop(ctx); err != nil {
		return nil, err
	}
	var err error
	if r.t.Order, err = r.find(ctx, what); err != nil {
		return nil, err
	}
	if err := r.readLink(ctx); err != nil {
		return nil, err
	}
	r.openLogs(ctx)
	defer r.closeLogs()
	known, err := r.followShop(ctx)
	if err != nil {
		return nil, err
	}
	if !known && r.link == nil {
		return nil, r.unknown()
	}
	if err := r.followERP(ctx); err != nil {
		return nil, err
	}
	if err := r.followPeople(ctx); err != nil {
		return nil, err
	}
	if err := r.expect(ctx); err != nil {
		return nil, err
	}
	r.sort()
	return r.t, nil
}

// sort puts the steps in the order of their time, those that have not happened last. Shop and ERP have clocks of their own; what
// stands in one log keeps its order.
func (r *tracer) sort() {
	slices.SortStableFunc(r.t.Steps, func(a, b Step) int {
		switch {
		case a.At != nil && b.At != nil:
			return a.At.Compare(*b.At)
		case a.At == nil && b.At == nil:
			return cmp.Compare(rank(a), rank(b))
		case a.At == nil:
			return 1
		}
		return -1
	})
}

// rank is where a step without a time stands among such.
func rank(s Step) int {
	return slices.Index([]string{Shop, Intake, ERP, Back, Mail, Person}, s.Stage)
}

// note adds what could not be looked at.
func (r *tracer) note(format string, args ...any) {
	r.t.Notes = append(r.t.Notes, fmt.Sprintf(format, args...))
}

func (r *tracer) add(s Step) {
	if s.Outcome == "" {
		s.Outcome = Done
	}
	r.t.Steps = append(r.t.Steps, s)
}

func (r *tracer) readShop(ctx context.Context) error {
	err := r.conn.QueryRow(ctx, statements["shop"], r.Shop).Scan(&r.mode, &r.ticks, &r.whole)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("shop %s is not known: %w", r.Shop, intake.ErrUnknownShop)
	}
	if err != nil {
		return r.failed("read the shop", err)
	}
	var state, name string
	rows, err := r.conn.Query(ctx, statements["states"], r.Shop)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&state, &name}, func() error { r.states[state] = name; return nil })
	}
	if err != nil {
		return r.failed("read the shop's states", err)
	}
	var applier string
	var p place
	rows, err = r.conn.Query(ctx, statements["places"], r.Shop)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&applier, &p.Gen, &p.Seq, &p.Applied, &p.Offset, &p.Time, &p.Moved, &p.Paused, &p.PausedBy}, func() error {
			r.places[applier] = p
			return nil
		})
	}
	if err != nil {
		return r.failed("read the appliers' places", err)
	}
	return nil
}

func (r *tracer) readLink(ctx context.Context) error {
	var l link
	err := r.conn.QueryRow(ctx, statements["link"], r.Shop, r.t.Order).Scan(&l.incarnation, &l.status, &l.erpOrder, &l.state, &l.name, &l.class, &l.deleted, &l.adopted,
		&l.decision, &l.derived, &l.subtracted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		r.t.Status = "cart"
		return nil
	case err != nil:
		return r.failed("read the order's link", err)
	}
	r.link = &l
	r.t.Status, r.t.State = l.status, cmp.Or(l.name, l.state)
	return nil
}

// openLogs connects to the logs. A trace without them still tells what the databases know.
func (r *tracer) openLogs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, kafkaWithin)
	defer cancel()
	var err error
	if r.shop, err = stream.OpenFinder(ctx, r.ShopLog); err != nil {
		r.note("The shop's log can't be asked, so places in it are missing: %v", err)
		return // the ERP's is at the same brokers
	}
	if r.ERPLog == nil {
		return
	}
	if r.log, err = stream.OpenFinder(ctx, *r.ERPLog); err != nil {
		r.note("The ERP's log can't be asked, so places in it are missing: %v", err)
	}
}

func (r *tracer) closeLogs() {
	for _, f := range []*stream.Finder{r.shop, r.log} {
		if f != nil {
			f.Close()
		}
	}
}

// mirrorOf is the mirror's schema, quoted.
func (r *tracer) mirrorOf() string { return pgx.Identifier{mirror.Schema(r.Shop)}.Sanitize() }

// there tells whether a table or view is there.
func (r *tracer) there(ctx context.Context, name string) (yes bool, err error) {
	if err = r.conn.QueryRow(ctx, "select to_regclass($1) is not null", name).Scan(&yes); err != nil {
		err = r.failed("look for "+name, err)
	}
	return yes, err
}

func (r *tracer) failed(what string, err error) error {
	return fmt.Errorf("trace order %d of shop %s: %s: %w", r.t.Order, r.Shop, what, err)
}

// Fold puts together what the shop wrote in a row without changing the order's state: a shop that uses no transactions writes an order
// by a dozen of them. The first stands for its time and place.
func (t *Trace) Fold() (folded []Step) {
	more := 0
	end := func() {
		if more > 0 {
			folded[len(folded)-1].What += fmt.Sprintf(" (and %d more transactions)", more)
		}
		more = 0
	}
	for i, s := range t.Steps {
		plain := s.Stage == Shop && !s.state && s.Why == ""
		if before := i - 1; plain && before >= 0 && t.Steps[before].Stage == Shop && !t.Steps[before].state && t.Steps[before].Why == "" {
			more++
			continue
		}
		end()
		folded = append(folded, s)
	}
	end()
	return folded
}

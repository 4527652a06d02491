package verify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shopSide reads the shop.
type shopSide struct {
	db         shopDB
	scope      scope
	whole      bool // rows are taken into memory: a transaction can't answer two statements at once
	statements statements
	rules      Rules
	zone       *time.Location
	country    int64             // the shop's own
	classes    map[string]string // tax class of a total code, by its setting
	rates      map[string]ratio
	fixed      map[string]ratio // taxes that are an amount a piece
	classRates map[classKey][]ratio

	members members

	orders    *cursor[shopOrder]
	lines     *cursor[shopLine]
	options   *cursor[shopOption]
	totals    *cursor[shopTotal]
	histories *cursor[history]
}

// shopDB is a database or a transaction of it.
type shopDB interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type classKey struct {
	class   string
	group   int64
	country int64
}

type shopOrder struct {
	id              int64
	state           int
	method          string // of payment: cod.cod
	shipping        string // JSON, or empty
	group           int64
	shippingCountry int64
	paymentCountry  int64
	total           string

	lines     []shopLine
	totals    []shopTotal
	histories []history
}

type shopLine struct {
	id              int64
	product         int64
	model           string
	quantity        int64
	price, net, tax string
	variant         string // option values in order: "51,62"
	stocked         string // those of them that keep stock of their own
	options         string // as a clerk reads them
}

type shopOption struct {
	line, value int64 // order_product_id; product_option_value_id, 0 for what was typed
	stocked     bool  // the value keeps stock of its own
	name, text  string
}

type shopTotal struct{ code, title, value string }

type history struct {
	state int
	added string // the shop's wall time
}

// open reads the settings and begins to read the orders.
func (s *shopSide) open(ctx context.Context) error {
	if err := s.openSettings(ctx); err != nil {
		return err
	}
	var err error
	if s.orders, err = shopCursor(ctx, s, "orders", func(r rows) (id int64, o shopOrder, err error) {
		var payment string
		err = r.Scan(&o.id, &o.state, &payment, &o.shipping, &o.group, &o.shippingCountry, &o.paymentCountry, &o.total)
		o.method = s.members.of(payment, "code")
		return o.id, o, err
	}); err != nil {
		return err
	}
	if s.lines, err = shopCursor(ctx, s, "lines", func(r rows) (id int64, l shopLine, err error) {
		err = r.Scan(&id, &l.id, &l.product, &l.model, &l.quantity, &l.price, &l.net, &l.tax)
		return id, l, err
	}); err != nil {
		return err
	}
	if s.options, err = shopCursor(ctx, s, "options", func(r rows) (id int64, o shopOption, err error) {
		err = r.Scan(&id, &o.line, &o.value, &o.stocked, &o.name, &o.text)
		return id, o, err
	}); err != nil {
		return err
	}
	if s.totals, err = shopCursor(ctx, s, "totals", func(r rows) (id int64, t shopTotal, err error) {
		err = r.Scan(&id, &t.code, &t.title, &t.value)
		return id, t, err
	}); err != nil {
		return err
	}
	s.histories, err = shopCursor(ctx, s, "histories", func(r rows) (id int64, h history, err error) {
		err = r.Scan(&id, &h.state, &h.added)
		return id, h, err
	})
	return err
}

func shopCursor[T any](ctx context.Context, s *shopSide, name string, scan func(rows) (int64, T, error)) (*cursor[T], error) {
	r, err := s.db.QueryContext(ctx, s.scope.of(s.statements[name])) //nolint:rowserrcheck // the cursor looks at it
	if err != nil {
		return nil, fmt.Errorf("read the shop's %s: %w", name, err)
	}
	return newCursor("the shop's "+name, r, func() { _ = r.Close() }, scan, s.whole)
}

func (s *shopSide) close() {
	closeCursor(s.orders)
	closeCursor(s.lines)
	closeCursor(s.options)
	closeCursor(s.totals)
	closeCursor(s.histories)
}

func closeCursor[T any](c *cursor[T]) {
	if c != nil {
		c.close()
	}
}

func (s *shopSide) openSettings(ctx context.Context) error {
	s.zone, s.classes, s.members = time.UTC, map[string]string{}, members{}
	s.rates, s.fixed, s.classRates = map[string]ratio{}, map[string]ratio{}, map[classKey][]ratio{}
	err := s.each(ctx, "settings", func(r *sql.Rows) error {
		var key, value string
		if err := r.Scan(&key, &value); err != nil {
			return err
		}
		return s.setting(key, value)
	})
	if err != nil {
		return err
	}
	err = s.each(ctx, "rates", func(r *sql.Rows) error {
		var name, rate, kind string
		if err := r.Scan(&name, &rate, &kind); err != nil {
			return err
		}
		if kind == "P" {
			s.rates[name] = number(rate)
		} else {
			s.fixed[name] = number(rate)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.each(ctx, "class rates", func(r *sql.Rows) error {
		var k classKey
		var rate string
		err := r.Scan(&k.class, &k.group, &k.country, &rate)
		s.classRates[k] = append(s.classRates[k], number(rate))
		return err
	})
}

func (s *shopSide) setting(key, value string) (err error) {
	switch {
	case key == "config_timezone":
		s.zone, err = time.LoadLocation(value)
	case key == "config_country_id":
		_, err = fmt.Sscan(value, &s.country)
	default:
		code := strings.TrimSuffix(strings.TrimPrefix(key, "total_"), "_tax_class_id")
		s.classes[code] = value
	}
	return err
}

func (s *shopSide) each(ctx context.Context, name string, row func(*sql.Rows) error) error {
	r, err := s.db.QueryContext(ctx, s.statements[name])
	if err != nil {
		return fmt.Errorf("read the shop's %s: %w", name, err)
	}
	defer func() { _ = r.Close() }()
	for r.Next() {
		if err := row(r); err != nil {
			return fmt.Errorf("the shop's %s: %w", name, err)
		}
	}
	return r.Err()
}

// byToken finds an order whose number the journal never learnt; 0 if there is none.
func (s *shopSide) byToken(ctx context.Context, token string) (id int64, err error) {
	err = s.db.QueryRowContext(ctx, s.statements["by token"], token).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// take returns an order with its rows; nil if the shop has it no longer.
func (s *shopSide) take(id int64) (*shopOrder, error) {
	found, err := s.orders.take(id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	o := found[0]
	if o.lines, err = s.lines.take(id); err != nil {
		return nil, err
	}
	options, err := s.options.take(id)
	if err != nil {
		return nil, err
	}
	for i := range o.lines {
		o.lines[i].choose(options)
	}
	if o.totals, err = s.totals.take(id); err != nil {
		return nil, err
	}
	o.histories, err = s.histories.take(id)
	return &o, err
}

// choose gives a line those of the order's options that are its own.
func (l *shopLine) choose(all []shopOption) {
	if len(all) == 0 {
		return
	}
	var values, stocked []int64
	var texts []string
	for _, o := range all {
		if o.line != l.id {
			continue
		}
		texts = append(texts, typed(o.name)+": "+typed(o.text))
		if o.value != 0 {
			values = append(values, o.value)
		}
		if o.stocked {
			stocked = append(stocked, o.value)
		}
	}
	l.variant, l.stocked, l.options = variant(values), variant(stocked), strings.Join(texts, ", ")
}

func typed(text string) string {
	if !strings.Contains(text, "&") {
		return text
	}
	return asTyped.Replace(text)
}

// asTyped undoes the escaping for HTML with which the shop stores texts.
var asTyped = strings.NewReplacer("&quot;", `"`, "&#039;", "'", "&#39;", "'", "&lt;", "<", "&gt;", ">", "&amp;", "&")

func variant(values []int64) string {
	slices.Sort(values)
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(texts, ",")
}

// members are members of JSON objects that were read before: a shop has few ways of payment and shipping.
type members map[member]string

type member struct{ text, name string }

const membersHeld = 1000

// of is a member of a JSON object as text; empty for what is none.
func (m members) of(text, name string) string {
	which := member{text, name}
	found, before := m[which]
	if !before {
		if len(m) >= membersHeld {
			clear(m)
		}
		found = memberOf(text, name)
		m[which] = found
	}
	return found
}

func memberOf(text, name string) string {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) != nil || object[name] == nil {
		return ""
	}
	return fmt.Sprint(object[name])
}

// everTaken tells whether the order is, or was by its history, in a class that the ERP takes over.
func (s *shopSide) everTaken(o *shopOrder) bool {
	return s.rules.Takes(o.state, o.method) || slices.ContainsFunc(o.histories, func(h history) bool {
		return s.rules.Takes(h.state, o.method)
	})
}

// due tells whether an order that the ERP does not have should be there, or parked. One that the shop called done without its
// ever having been taken waits for a person only as long as it is done: called off, it is nobody's.
func (s *shopSide) due(o *shopOrder) bool {
	return s.rules.Takes(o.state, o.method) || slices.ContainsFunc(o.histories, func(h history) bool {
		return s.rules.class(h.state, o.method) == Taken
	})
}

// began is when the order was first complete.
func (s *shopSide) began(o *shopOrder) time.Time {
	var first time.Time
	for _, h := range o.histories {
		at, err := time.ParseInLocation(time.DateTime, h.added, s.zone)
		if err == nil && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

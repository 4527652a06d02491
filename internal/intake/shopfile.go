package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/internal/keys"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// ShopFile is what a merchant says about his shop: how its states, totals, payments and fields
// are to be read. deploy/shop.opencart.example.yaml explains each key.
type ShopFile struct {
	Platform       string            `yaml:"platform" json:"platform"`
	Prefix         *string           `yaml:"prefix" json:"-"` // stands in spola.yaml: refused here
	States         []StateClass      `yaml:"states" json:"states"`
	Totals         []TotalCode       `yaml:"totals" json:"totals"`
	FixedTaxes     []FixedTax        `yaml:"fixed_taxes" json:"fixed_taxes"`
	Payments       map[string]string `yaml:"payments" json:"payments"`               // method → paid or to_collect
	CustomFields   map[string]string `yaml:"custom_fields" json:"custom_fields"`     // number of the field → its meaning
	CustomerGroups map[string]string `yaml:"customer_groups" json:"customer_groups"` // number of the group → kind of customer
	Customers      Customers         `yaml:"customers" json:"customers"`
	Natures        []Nature          `yaml:"natures" json:"natures"`
	Stock          Stock             `yaml:"stock" json:"stock"`
	Statuses       map[string]string `yaml:"statuses" json:"statuses,omitempty"` // state of the ERP's order → state of the shop's
	Parcels        map[string]string `yaml:"parcels" json:"parcels,omitempty"`   // language → what the customer reads of a parcel, with {carrier}, {tracking} and {link}

	// ParkedPerMinute is how many orders may be parked for one reason within a minute of the
	// source's clock; one more stops the stream. 0: the default, 20.
	ParkedPerMinute int `yaml:"parked_per_minute" json:"parked_per_minute"`
}

// Customers says who is one customer, and what becomes of an order with malformed tax data.
type Customers struct {
	// Match is what a new account or guest is looked for by among the ERP's customers, the surest
	// first: vat_number, tax_code, email. Empty: each account and each guest's e-mail is a customer.
	Match []string `yaml:"match" json:"match"`
	// Malformed says what becomes of an order whose tax code, VAT number, SDI code or PEC can't be
	// right: take (the default; it is flagged) or park.
	Malformed string `yaml:"malformed" json:"malformed"`
}

// Stock says how the shop's stock follows the ERP's.
type Stock struct {
	Buffer     int64            `yaml:"buffer" json:"buffer"`         // pieces of each article that the shop does not show
	Reconcile  time.Duration    `yaml:"reconcile" json:"reconcile"`   // how often what the shop shows is held against its account; 0: every 15 minutes
	Warehouses []string         `yaml:"warehouses" json:"warehouses"` // of the ERP, whose pieces the shop shows; none: those of all web shops
	Articles   []StockOfArticle `yaml:"articles" json:"articles"`
}

// StockOfArticle is what holds for one article.
type StockOfArticle struct {
	SKU     string `yaml:"sku" json:"sku"`
	Buffer  *int64 `yaml:"buffer" json:"buffer"`     // nil: the shop's
	LeftOut bool   `yaml:"left_out" json:"left_out"` // its stock in the shop is never written
}

// StateClass says what an order state means, for one payment method or for all.
type StateClass struct {
	State  string `yaml:"state" json:"state"`
	Method string `yaml:"method" json:"method"` // empty: any; "cod" also means "cod.cod"
	Class  string `yaml:"class" json:"class"`   // ignored, placed, taken, cancelled, final
}

// TotalCode says what a row of an order's totals is.
type TotalCode struct {
	Code     string           `yaml:"code" json:"code"`
	Kind     string           `yaml:"kind" json:"kind"`           // charge, discount, payment, ignored
	Rate     *decimal.Decimal `yaml:"rate" json:"rate"`           // a charge's VAT in percent; nil: by tax class
	TaxClass *int64           `yaml:"tax_class" json:"tax_class"` // a charge's tax class in the shop
}

// FixedTax is a tax of the shop that is a fixed amount a piece: no VAT, but a charge with VAT in it.
type FixedTax struct {
	Title string           `yaml:"title" json:"title"` // its name in the shop, as it stands in the totals of orders
	Rate  *decimal.Decimal `yaml:"rate" json:"rate"`   // of the VAT in it, in percent
}

// Nature says why a customer is not charged VAT.
type Nature struct {
	Country string `yaml:"country" json:"country"` // two letters, EU (but for the shop's own), or * for any
	Kind    string `yaml:"kind" json:"kind"`       // private, company, public; empty: any
	Nature  string `yaml:"nature" json:"nature"`   // N3.2 …
}

// LoadShopFile reads a shop file. Unknown keys are refused with their line.
func LoadShopFile(path string) (*ShopFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read shop file: %w", err)
	}
	f, err := ParseShopFile(text)
	if err != nil {
		return nil, fmt.Errorf("shop file %s: %w", path, err)
	}
	return f, nil
}

// ParseShopFile reads a shop file's text. A file with open questions is refused, with each of
// them as an *OpenQuestion in the error.
func ParseShopFile(text []byte) (*ShopFile, error) {
	if err := unanswered(text); err != nil {
		return nil, err
	}
	var f ShopFile
	if _, mistakes := keys.Read(text, &f); len(mistakes) > 0 {
		errs := make([]error, len(mistakes))
		for i, m := range mistakes {
			errs[i] = m
		}
		return nil, errors.Join(errs...)
	}
	if f.ParkedPerMinute == 0 {
		f.ParkedPerMinute = 20
	}
	if f.Stock.Reconcile == 0 {
		f.Stock.Reconcile = 15 * time.Minute
	}
	return &f, f.check()
}

// The words that may stand in a shop file.
var (
	Classes    = []string{"ignored", "placed", "taken", "cancelled", "final"}       // of order states
	Kinds      = []string{"private", "company", "public"}                           // of customers
	Matches    = []string{"vat_number", "tax_code", "email"}                        // keys of customers
	TotalKinds = []string{"charge", "discount", "payment", "ignored"}               // of rows of an order's totals
	Meanings   = []string{"tax_code", "vat_number", "pec", "sdi", "invoice_wanted"} // of custom fields
	Moneys     = []string{"paid", "to_collect"}                                     // of payment methods
	Malformeds = []string{"take", "park"}                                           // what becomes of orders with malformed tax data
	ERPStates  = []string{"part_shipped", "shipped", "closed_short", "cancelled"}   // of the ERP's orders, of which a shop may hear
)

func (f *ShopFile) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneOf := func(what, value string, allowed []string) {
		for _, a := range allowed {
			if a == value {
				return
			}
		}
		bad("%s: %q is none of %s", what, value, strings.Join(allowed, ", "))
	}
	if f.Platform == "" {
		bad("platform is missing")
	}
	if f.Prefix != nil {
		bad("prefix: the prefix of the shop's tables stands in spola.yaml, as shop.prefix; take the line out here")
	}
	if len(f.States) == 0 {
		bad("states is empty: no order would ever be taken")
	}
	seen := map[[2]string]bool{}
	for _, s := range f.States {
		oneOf("state "+s.State, s.Class, Classes)
		key := [2]string{s.State, s.Method}
		if s.State == "" || seen[key] {
			bad("state %q with method %q stands there twice or without a state", s.State, s.Method)
		}
		seen[key] = true
	}
	for _, t := range f.Totals {
		oneOf("total "+t.Code, t.Kind, TotalKinds)
		if t.Rate != nil && (t.Rate.IsNegative() || t.Rate.GreaterThan(decimal.NewFromInt(100))) {
			bad("total %s: rate %s is no percentage", t.Code, t.Rate)
		}
	}
	for i, t := range f.FixedTaxes {
		if t.Title == "" || slices.ContainsFunc(f.FixedTaxes[:i], func(other FixedTax) bool { return other.Title == t.Title }) {
			bad("fixed tax %q stands there twice or without a title", t.Title)
		}
		if t.Rate == nil || !t.Rate.IsPositive() || t.Rate.GreaterThan(decimal.NewFromInt(100)) {
			bad("fixed tax %q needs a rate in percent, that of the VAT in it", t.Title)
		}
	}
	for method, kind := range f.Payments {
		oneOf("payment "+method, kind, Moneys)
	}
	for field, meaning := range f.CustomFields {
		oneOf("custom field "+field, meaning, Meanings)
	}
	for i, rule := range f.Customers.Match {
		oneOf("customers: match", rule, Matches)
		if slices.Contains(f.Customers.Match[:i], rule) {
			bad("customers: match names %s twice", rule)
		}
	}
	if f.Customers.Malformed != "" {
		oneOf("customers: malformed", f.Customers.Malformed, Malformeds)
	}
	for group, kind := range f.CustomerGroups {
		oneOf("customer group "+group, kind, Kinds)
	}
	for state := range f.Statuses {
		oneOf("statuses", state, ERPStates)
	}
	for language, text := range f.Parcels {
		if !strings.Contains(text, "{tracking}") {
			bad("parcels: the text of %s does not say {tracking}", language)
		}
	}
	for _, n := range f.Natures {
		if n.Kind != "" {
			oneOf("nature of "+n.Country, n.Kind, Kinds)
		}
		if n.Country == "" || n.Nature == "" {
			bad("a nature needs a country and the nature itself")
		} else if !countryCode.MatchString(n.Country) {
			bad("nature of %s: a country is two capital letters, EU or *", n.Country)
		}
	}
	errs = append(errs, f.Stock.check()...)
	return errors.Join(errs...)
}

// CountryCode is what the country of a nature looks like.
const CountryCode = `^([A-Z]{2}|\*)$`

var countryCode = regexp.MustCompile(CountryCode)

func (s Stock) check() (errs []error) {
	for i, w := range s.Warehouses {
		if w == "" || slices.Contains(s.Warehouses[:i], w) {
			errs = append(errs, fmt.Errorf("stock: warehouses: %q is empty or stands twice: write each code of the ERP once", w))
		}
	}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Buffer < 0 {
		bad("stock: a buffer of %d pieces would sell what is not there", s.Buffer)
	}
	if s.Reconcile < time.Second {
		bad("stock: reconcile every %v is too often: 15m is usual, 1s the least", s.Reconcile)
	}
	for i, a := range s.Articles {
		if a.SKU == "" || slices.ContainsFunc(s.Articles[:i], func(other StockOfArticle) bool { return other.SKU == a.SKU }) {
			bad("stock: article %q stands there twice or without its SKU", a.SKU)
		}
		if a.Buffer != nil && *a.Buffer < 0 {
			bad("stock of %s: a buffer of %d pieces would sell what is not there", a.SKU, *a.Buffer)
		}
		if a.Buffer == nil && !a.LeftOut {
			bad("stock of %s: write its buffer, or left_out: true", a.SKU)
		}
	}
	return errs
}

// Class is the class of a state for a payment method; empty if the file has none. A line for
// "cod.cod" counts before one for "cod", and that before one for all methods.
func (f *ShopFile) Class(state, method string) string {
	first, _, _ := strings.Cut(method, ".")
	for _, of := range []string{method, first, "", "*"} {
		at := slices.IndexFunc(f.States, func(s StateClass) bool { return s.State == state && s.Method == of })
		if at >= 0 {
			return f.States[at].Class
		}
	}
	return ""
}

// store writes the file into schema spola, for the SQL, in place of the one before, with the
// totals that every shop of the platform has. What waits for a class, a total code or a nature is
// found by the next tick.
func (f *ShopFile) store(ctx context.Context, tx pgx.Tx, shop string, platform map[string]string) error {
	batch := &pgx.Batch{}
	for _, table := range []string{"state_class", "total_code", "fixed_tax", "payment_method", "nature", "custom_field", "customer_kind", "stock_setting", "stock_warehouse"} {
		batch.Queue("delete from spola."+table+" where shop = $1", shop)
	}
	for _, s := range f.States {
		batch.Queue("insert into spola.state_class values ($1, $2, $3, $4)", shop, s.State, orAny(s.Method), s.Class)
	}
	for code, kind := range platform {
		batch.Queue("insert into spola.total_code (shop, code, kind) values ($1, $2, $3)", shop, code, kind)
	}
	for _, t := range f.Totals {
		batch.Queue(`insert into spola.total_code values ($1, $2, $3, $4, $5)
			on conflict (shop, code) do update set kind = excluded.kind, rate = excluded.rate, tax_class = excluded.tax_class`,
			shop, t.Code, t.Kind, rateText(t.Rate), t.TaxClass)
	}
	for _, t := range f.FixedTaxes {
		batch.Queue("insert into spola.fixed_tax values ($1, $2, $3)", shop, t.Title, rateText(t.Rate))
	}
	for method, kind := range f.Payments {
		batch.Queue("insert into spola.payment_method values ($1, $2, $3)", shop, orAny(method), kind)
	}
	for _, n := range f.Natures {
		batch.Queue("insert into spola.nature values ($1, $2, $3, $4) on conflict do nothing", shop, n.Country, orAny(n.Kind), n.Nature)
	}
	for field, meaning := range f.CustomFields {
		batch.Queue("insert into spola.custom_field values ($1, $2, $3)", shop, field, meaning)
	}
	for group, kind := range f.CustomerGroups {
		batch.Queue("insert into spola.customer_kind values ($1, $2, $3)", shop, group, kind)
	}
	for _, a := range f.Stock.Articles {
		batch.Queue("insert into spola.stock_setting values ($1, $2, $3, $4)", shop, a.SKU, a.Buffer, a.LeftOut)
	}
	for _, w := range f.Stock.Warehouses {
		batch.Queue("insert into spola.stock_warehouse values ($1, $2)", shop, w)
	}
	text, err := f.text()
	if err != nil {
		return err
	}
	malformed := f.Customers.Malformed
	if malformed == "" {
		malformed = "take"
	}
	batch.Queue("update spola.shop set file = $2, systemic = $3, matching = $4, malformed = $5, stock_buffer = $6 where shop = $1",
		shop, text, f.ParkedPerMinute, append([]string{}, f.Customers.Match...), malformed, f.Stock.Buffer)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store shop file of %s: %w", shop, err)
	}
	return f.Stock.checkWarehouses(ctx, tx)
}

// text is the file as it is stored, whatever its form was.
func (f *ShopFile) text() (string, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("shop file: %w", err)
	}
	return string(text), nil
}

// checkWarehouses stops where the ERP commits no orders of web shops: the shop would sell what nobody sends.
func (s Stock) checkWarehouses(ctx context.Context, tx pgx.Tx) error {
	if len(s.Warehouses) == 0 {
		return nil
	}
	var wrong, right string
	err := tx.QueryRow(ctx, `select coalesce((select string_agg(n, ', ') from unnest($1::text[]) n where not exists (select from erp.warehouses w where w.warehouse = n and w.web)), ''),
		coalesce((select string_agg(w.warehouse, ', ' order by w.warehouse) from erp.warehouses w where w.web), '')`, s.Warehouses).Scan(&wrong, &right)
	if err != nil {
		return fmt.Errorf("look for the ERP's warehouses: %w", err)
	}
	if wrong != "" {
		return &postgres.StopError{What: "stock.warehouses in the shop file: the ERP has no warehouse " + wrong + " for web shops", Mend: "write some of these: " + right}
	}
	return nil
}

func orAny(text string) string {
	if text == "" {
		return "*"
	}
	return text
}

func rateText(rate *decimal.Decimal) *string {
	if rate == nil {
		return nil
	}
	text := rate.String()
	return &text
}

// euMembers is what EU stands for in a shop file; spola.nature_of has the same.
var euMembers = strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK")

// Of tells whether the nature is for a delivery to this country by a shop whose own is home.
func (n Nature) Of(country, home string) bool {
	switch {
	case n.Country == country:
		return true
	case country == home:
		return false
	case InEU(country):
		return n.Country == "EU"
	}
	return n.Country == "*"
}

// InEU tells whether EU in a shop file stands for this country, too.
func InEU(country string) bool { return slices.Contains(euMembers, country) }

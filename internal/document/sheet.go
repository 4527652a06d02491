// Package document shows what the ERP issued: as pages for customers and clerks, as e-invoices for
// the exchange system, and as the accountant's register. It writes nothing and works nothing out
// that stands on a document: amounts come from the ERP (schemas/erp/00031_documents.sql and on).
package document

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/schemas"
)

//go:embed document.sql
var files embed.FS

var statements = func() map[string]string {
	s, err := schemas.Statements(files, "document.sql", "")
	if err != nil {
		panic(err) // it is embedded
	}
	return s
}()

// Kinds of documents.
const (
	Order           = "order" // as it stands now; the others are as issued
	DeliveryNote    = "ddt"
	Sale            = "sale" // of services alone: nothing was transported
	Invoice         = "invoice"
	DeferredInvoice = "deferred_invoice"
	CreditNote      = "credit_note"
	Return          = "return" // of what was not invoiced
)

// Sheet is all that stands on one document. Amounts are cents, VAT included, unless a name says net.
type Sheet struct {
	Number         string      `json:"number"` // DDT2026/17
	Kind           string      `json:"kind"`
	Date           string      `json:"date"` // 2026-11-28
	Language       string      `json:"language"`
	Currency       string      `json:"currency"`
	Seller         Seller      `json:"seller"`
	Buyer          Party       `json:"buyer"`
	ShipTo         Address     `json:"ship_to"`
	Note           string      `json:"note"`
	Phone          string      `json:"phone"`
	OrderNumber    string      `json:"order_number"`
	Shop           string      `json:"shop"`
	ShopNumber     string      `json:"shop_number"`
	Placed         string      `json:"placed"`
	Warehouse      string      `json:"warehouse"`
	Carrier        string      `json:"carrier"` // of an order: the shipping method that the buyer chose
	Tracking       string      `json:"tracking"`
	Packages       *int        `json:"packages"`
	WeightKG       *string     `json:"weight_kg"`
	Total          int64       `json:"total"`
	CashOnDelivery int64       `json:"cash_on_delivery"`
	Reason         string      `json:"reason"` // sale, return, correction
	Why            string      `json:"why"`
	State          string      `json:"state,omitempty"` // of an order
	Lines          []Line      `json:"lines"`
	VAT            []Rate      `json:"vat"`
	Payments       []Payment   `json:"payments"`
	Deliveries     []Reference `json:"deliveries"` // that an invoice lists
	Corrects       *Reference  `json:"corrects"`
}

// Seller is who sells, as it was when the document was issued.
type Seller struct {
	Name         string   `json:"name"`
	Street       string   `json:"street"`
	Postcode     string   `json:"postcode"`
	City         string   `json:"city"`
	Province     string   `json:"province"`
	Country      string   `json:"country"`
	VATNumber    string   `json:"vat_number"`
	TaxCode      string   `json:"tax_code"`
	TaxRegime    string   `json:"tax_regime"`
	REAOffice    string   `json:"rea_office"`
	REANumber    string   `json:"rea_number"`
	ShareCapital *float64 `json:"share_capital"`
	Phone        string   `json:"phone"`
	Email        string   `json:"email"`
	PEC          string   `json:"pec"`
	Website      string   `json:"website"`
	Bank         string   `json:"bank"`
	IBAN         string   `json:"iban"`
}

// Party is who buys.
type Party struct {
	Kind      string  `json:"kind"`
	Name      string  `json:"name"`
	Address   Address `json:"address"`
	TaxCode   string  `json:"tax_code"`
	VATNumber string  `json:"vat_number"`
	PEC       string  `json:"pec"`
	SDI       string  `json:"sdi"`
	Email     string  `json:"email"`
	Phone     string  `json:"phone"`
}

// Address is as typed.
type Address struct {
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Company   string `json:"company"`
	Street    string `json:"street"`
	Street2   string `json:"street2"`
	Postcode  string `json:"postcode"`
	City      string `json:"city"`
	Province  string `json:"province"`
	Country   string `json:"country"`
}

// Line is one of a document: goods, charge or discount.
type Line struct {
	Line       int    `json:"line"`
	Kind       string `json:"kind"`
	Code       string `json:"code"`
	Name       string `json:"name"`
	Options    string `json:"options"`
	Quantity   int64  `json:"quantity"` // 0: an order that was changed behind a delivery
	Gross      int64  `json:"gross"`
	VATRate    string `json:"vat_rate"`
	VATCountry string `json:"vat_country"`
	VATNature  string `json:"vat_nature"`
	Delivery   string `json:"delivery"` // of an invoice: the delivery that it lists
}

// Rate is the sum of a document at one rate.
type Rate struct {
	VATRate    string `json:"vat_rate"`
	VATCountry string `json:"vat_country"`
	VATNature  string `json:"vat_nature"`
	Gross      int64  `json:"gross"`
	Net        int64  `json:"net"`
	VAT        int64  `json:"vat"`
}

// Payment is how a part is paid: paid, to_collect, credit.
type Payment struct {
	Kind   string `json:"kind"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Amount int64  `json:"amount"`
}

// Reference names another document.
type Reference struct {
	Number      string `json:"number"`
	Date        string `json:"date"`
	Kind        string `json:"kind"`
	OrderNumber string `json:"order_number"`
	ShopNumber  string `json:"shop_number"`
}

// NotFoundError is a number that nothing has.
type NotFoundError struct{ Number string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no document and no order has the number %q: they look like F2026/17, DDT2026/17, W2026/17, orders also as in the shop", e.Number)
}

// Find is the document with this number, or with an order's number the order as it stands now.
func Find(ctx context.Context, conn *pgx.Conn, number string) (Sheet, error) {
	var text []byte
	err := conn.QueryRow(ctx, statements["find"], number).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && text == nil {
		return Sheet{}, &NotFoundError{number}
	}
	if err != nil {
		return Sheet{}, fmt.Errorf("read document %s: %w", number, err)
	}
	var s Sheet
	if err := json.Unmarshal(text, &s); err != nil {
		return Sheet{}, fmt.Errorf("read document %s: %w", number, err)
	}
	return s, nil
}

// Orders are the numbers in the ERP of the orders with this number in a shop: more than one where a restored shop has used it again.
func Orders(ctx context.Context, conn *pgx.Conn, shop, number string) ([]string, error) {
	rows, err := conn.Query(ctx, statements["orders"], shop, number)
	if err != nil {
		return nil, fmt.Errorf("look for order %s of the shop: %w", number, err)
	}
	orders, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for order %s of the shop: %w", number, err)
	}
	return orders, nil
}

// Numbered says whether a number looks like one that the ERP gives: F2026/17.
func Numbered(number string) bool { return numberOf.MatchString(number) }

// Logo is the seller's, PNG or JPEG; nil if there is none.
func Logo(ctx context.Context, conn *pgx.Conn) ([]byte, error) {
	var logo []byte
	if err := conn.QueryRow(ctx, statements["logo"]).Scan(&logo); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read the seller's logo: %w", err)
	}
	return logo, nil
}

// Filter says which documents to list; what is empty does not count.
type Filter struct {
	Order    string // its number here, or in the shop
	Shop     string // whose number that may be
	Kind     string
	From, To time.Time // days, both included
	Last     int       // at most, the newest
}

// Entry is a document in a list.
type Entry struct {
	Number      string    `json:"number"`
	Kind        string    `json:"kind"`
	Date        time.Time `json:"date"`
	OrderNumber string    `json:"order_number"`
	ShopNumber  string    `json:"shop_number"`
	Buyer       string    `json:"buyer"`
	Total       int64     `json:"total"`
	Currency    string    `json:"currency"`
	Tracking    string    `json:"tracking"`
	Corrects    string    `json:"corrects"`
}

// List lists documents, newest first.
func List(ctx context.Context, conn *pgx.Conn, f Filter) ([]Entry, error) {
	var from, to *time.Time
	if !f.From.IsZero() {
		from = &f.From
	}
	if !f.To.IsZero() {
		to = &f.To
	}
	rows, err := conn.Query(ctx, statements["list"], f.Order, f.Kind, from, to, f.Last, f.Shop)
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	return list, nil
}

// Due is a delivery whose invoice is still to be issued.
type Due struct {
	Number      string    `json:"number"`
	Date        time.Time `json:"date"`
	OrderNumber string    `json:"order_number"`
	Buyer       string    `json:"buyer"`
	Total       int64     `json:"total"`
	Flaw        string    `json:"flaw"` // what keeps it from being issued; empty: nothing
}

// ListDue lists deliveries whose invoice is due, oldest first.
func ListDue(ctx context.Context, conn *pgx.Conn) ([]Due, error) {
	rows, err := conn.Query(ctx, statements["due"])
	if err != nil {
		return nil, fmt.Errorf("list invoices that are due: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Due])
	if err != nil {
		return nil, fmt.Errorf("list invoices that are due: %w", err)
	}
	return list, nil
}

package mail

import (
	"cmp"
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	html "html/template"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	text "text/template"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/document"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

//go:embed templates
var embedded embed.FS

// Letters are the templates of mails: Spola's own, with those of a merchant's directory in their place. A mail is two files,
// shipment.it.txt, whose first line is "Subject: …", and shipment.it.html; layout.html is around each of the latter. A language
// is there when its files are.
type Letters struct {
	own  fs.FS // nil: none
	from string
}

// NewLetters reads the templates once, so that one that is wrong is told at the start. from is the sender's name, for an ERP that
// does not say who sells.
func NewLetters(dir, from string) (*Letters, error) {
	l := &Letters{from: from}
	if dir != "" {
		l.own = os.DirFS(dir)
	}
	for _, kind := range []string{Shipment, Invoice} {
		languages, err := l.languages(kind)
		if err != nil {
			return nil, err
		}
		for _, language := range languages {
			sample := Sample(kind, language)
			if err := l.render(&sample); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// TemplateFiles are Spola's own templates, by name.
func TemplateFiles() (map[string][]byte, error) {
	all := map[string][]byte{}
	names, err := fs.Glob(embedded, "templates/*")
	for _, name := range names {
		file, readErr := embedded.ReadFile(name)
		err = errors.Join(err, readErr)
		all[strings.TrimPrefix(name, "templates/")] = file
	}
	return all, err
}

func (l *Letters) read1(name string) (string, error) {
	if l.own != nil {
		file, err := fs.ReadFile(l.own, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return string(file), err
		}
	}
	file, err := embedded.ReadFile("templates/" + name)
	return string(file), err
}

// languages are those that a kind of mail can be written in.
func (l *Letters) languages(kind string) ([]string, error) {
	var all []string
	for _, from := range []fs.FS{l.own, embedded} {
		if from == nil {
			continue
		}
		pattern := kind + ".*.txt"
		if from == fs.FS(embedded) {
			pattern = "templates/" + pattern
		}
		names, err := fs.Glob(from, pattern)
		if err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		for _, name := range names {
			all = append(all, strings.Split(filepath.Base(name), ".")[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// language is the one that an order's mails are in: the order's, as far as there are templates; else as its documents, Italian or
// English.
func (l *Letters) language(kind, ordered, country string) (string, error) {
	there, err := l.languages(kind)
	if err != nil {
		return "", err
	}
	whole := strings.ToLower(ordered)
	short, _, _ := strings.Cut(whole, "-")
	for _, wanted := range []string{whole, short} {
		if slices.Contains(there, wanted) {
			return wanted, nil
		}
	}
	if ordered == "" && country == "IT" {
		return "it", nil
	}
	return "en", nil
}

// Letter is a mail before it is bytes.
type Letter struct {
	Kind      string
	Language  string
	To        string // as the order has it now; a queued mail goes where it was queued to
	Page      Page
	Documents []string // whose numbers its reader learns

	Subject, Text, HTML string
	Attachments         []Attachment
}

// Attachment is a file that goes with a mail.
type Attachment struct {
	Name, Type string
	Content    []byte
}

// Page is what templates may use.
type Page struct {
	Language string
	Shop     string          // the seller's name
	Seller   document.Seller // as on documents; empty fields where the ERP does not say
	Logo     html.URL        // of the picture; empty: there is none
	Name     string          // of the customer
	Order    string          // as the customer knows it: the shop's number, else the ERP's
	Number   string          // of the ERP's order
	Parcel   *Parcel         // of a shipment's mail
	Invoice  *document.Sheet // of an invoice's
	Subject  string          // in HTML templates

	logo []byte
}

// Parcel is what left, and what is still to come.
type Parcel struct {
	Number         string           `json:"number"`
	ShopNumber     string           `json:"shop_number"`
	Placed         string           `json:"placed"` // a day: 2026-11-28
	Seller         document.Seller  `json:"seller"`
	ShipTo         document.Address `json:"ship_to"`
	Currency       string           `json:"currency"`
	Shipped        string           `json:"shipped"`
	Carrier        string           `json:"carrier"` // empty: fetched or brought
	Tracking       string           `json:"tracking"`
	Link           string           `json:"link"` // where the customer follows it; empty: nobody knows
	Packages       int              `json:"packages"`
	CashOnDelivery int64            `json:"cash_on_delivery"` // cents
	Documents      []string         `json:"documents"`
	Lines          []Piece          `json:"lines"`
	Waiting        []Piece          `json:"waiting"`
}

// Piece is some pieces of an article.
type Piece struct {
	Name     string `json:"name"`
	Options  string `json:"options"`
	Quantity int64  `json:"quantity"`
}

func (p Page) sheet() document.Sheet {
	s := document.Sheet{Language: p.Language, Currency: "EUR"}
	if p.Parcel != nil {
		s.Currency = p.Parcel.Currency
	} else if p.Invoice != nil {
		s.Currency = p.Invoice.Currency
	}
	return s
}

// Day is a date as the language writes it.
func (p Page) Day(date string) string { return p.sheet().Day(date) }

// Sum is an amount of cents with its currency.
func (p Page) Sum(cents int64) string { return p.sheet().Sum(cents) }

// Place is the address that a parcel goes to, line by line.
func (p Page) Place() []string {
	if p.Parcel == nil {
		return nil
	}
	return p.Parcel.ShipTo.Lines(p.Seller.Country, p.Language)
}

// flawError is what is wrong with one mail, for good.
type flawError struct{ what string }

func (f *flawError) Error() string { return f.what }

// read reads what a mail says from the ERP as it stands.
func (l *Letters) read(ctx context.Context, conn *pgx.Conn, row Row) (Letter, error) {
	if row.cause == nil {
		return Letter{}, &flawError{"the ERP was restored and does not know what caused this mail"}
	}
	if row.Kind == Shipment {
		return l.parcel(ctx, conn, *row.cause)
	}
	var order int64
	err := conn.QueryRow(ctx, "select order_id from spola.mail where id = $1", row.ID).Scan(&order)
	if err != nil {
		return Letter{}, postgres.Explain(fmt.Errorf("order of mail %d: %w", row.ID, err))
	}
	return l.invoice(ctx, conn, order, row.Document)
}

func (l *Letters) parcel(ctx context.Context, conn *pgx.Conn, shipment int64) (Letter, error) {
	var sheet []byte
	var order *int64
	var p Parcel
	err := conn.QueryRow(ctx, statements["parcel"], shipment).Scan(&sheet, &order)
	if err == nil && (sheet == nil || order == nil) {
		return Letter{}, &flawError{fmt.Sprintf("the ERP has no shipment %d any more", shipment)}
	}
	if err == nil {
		err = json.Unmarshal(sheet, &p)
	}
	if err != nil {
		return Letter{}, postgres.Explain(fmt.Errorf("read shipment %d: %w", shipment, err))
	}
	letter := Letter{Kind: Shipment, Documents: p.Documents, Page: Page{Parcel: &p, Seller: p.Seller}}
	return letter, l.address(ctx, conn, &letter, *order)
}

func (l *Letters) invoice(ctx context.Context, conn *pgx.Conn, order int64, number string) (Letter, error) {
	sheet, err := document.Find(ctx, conn, number)
	if _, none := errors.AsType[*document.NotFoundError](err); none {
		return Letter{}, &flawError{"the ERP has no invoice " + number + " any more"}
	}
	if err != nil {
		return Letter{}, postgres.Explain(fmt.Errorf("read invoice %s: %w", number, err))
	}
	logo, err := document.Logo(ctx, conn)
	if err != nil {
		return Letter{}, postgres.Explain(err)
	}
	pdf, err := document.PDF(sheet, logo)
	if err != nil {
		return Letter{}, &flawError{"its PDF can't be made: " + err.Error()}
	}
	letter := Letter{Kind: Invoice, Documents: []string{number}, Page: Page{Invoice: &sheet, Seller: sheet.Seller},
		Attachments: []Attachment{{strings.ReplaceAll(number, "/", "-") + ".pdf", "application/pdf", pdf}}}
	return letter, l.address(ctx, conn, &letter, order)
}

// address fills in to whom the mail is, and renders it in his language.
func (l *Letters) address(ctx context.Context, conn *pgx.Conn, letter *Letter, order int64) error {
	var email, language, country, shopNumber string
	p := &letter.Page
	err := conn.QueryRow(ctx, statements["addressee"], order).Scan(&p.Number, &shopNumber, &email, &language, &country, &p.Name, &p.logo)
	if err != nil {
		return postgres.Explain(fmt.Errorf("addressee of order %d: %w", order, err))
	}
	letter.To = strings.TrimSpace(email)
	p.Order = cmp.Or(shopNumber, p.Number)
	if letter.Language, err = l.language(letter.Kind, language, country); err != nil {
		return err
	}
	return l.render(letter)
}

// logoID names the logo within a mail.
const logoID = "logo.spola"

func (l *Letters) render(letter *Letter) error {
	p := &letter.Page
	tame(reflect.ValueOf(p).Elem())
	p.Language = letter.Language
	if p.Shop = p.Seller.Name; p.Shop == "" {
		p.Shop = l.from
	}
	if len(p.logo) > 0 {
		p.Logo = html.URL("cid:" + logoID) //nolint:gosec // ours
	}
	name := letter.Kind + "." + letter.Language
	source, err := l.read1(name + ".txt")
	if err != nil {
		return fmt.Errorf("template %s.txt: %w", name, err)
	}
	plain, err := text.New(name + ".txt").Option("missingkey=error").Parse(source)
	if err != nil {
		return fmt.Errorf("template %s.txt: %w", name, err)
	}
	var out strings.Builder
	if err := plain.Execute(&out, p); err != nil {
		return fmt.Errorf("template %s.txt: %w", name, err)
	}
	first, rest, _ := strings.Cut(out.String(), "\n")
	subject, ok := strings.CutPrefix(first, "Subject: ")
	if !ok {
		return fmt.Errorf("template %s.txt: its first line is not \"Subject: …\"", name)
	}
	letter.Subject, letter.Text = cut(oneLine(strings.TrimSpace(subject)), 200), strings.TrimLeft(rest, "\r\n")
	p.Subject = letter.Subject
	return l.renderHTML(letter, name+".html")
}

func (l *Letters) renderHTML(letter *Letter, name string) error {
	page := html.New("layout.html").Option("missingkey=error")
	for _, file := range []string{"layout.html", name} {
		source, err := l.read1(file)
		if err == nil {
			_, err = page.Parse(source)
		}
		if err != nil {
			return fmt.Errorf("template %s: %w", file, err)
		}
	}
	var out strings.Builder
	if err := page.Execute(&out, letter.Page); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	letter.HTML = out.String()
	return nil
}

// Standalone is the HTML part with its picture in it, for a browser.
func (l Letter) Standalone() string {
	if len(l.Page.logo) == 0 {
		return l.HTML
	}
	return strings.ReplaceAll(l.HTML, "cid:"+logoID, "data:"+http.DetectContentType(l.Page.logo)+";base64,"+base64.StdEncoding.EncodeToString(l.Page.logo))
}

// tame brings every text that a template may use onto one line: what somebody typed draws no lines of its own into a mail, and does not turn
// around what stands behind it.
func tame(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(oneLine(v.String()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			tame(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			tame(v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return // the logo
		}
		for i := range v.Len() {
			tame(v.Index(i))
		}
	}
}

// oneLine keeps what somebody typed on its line, and out of headers.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}

package applier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/document"
	"github.com/spola-cdc/spola/internal/money"
	"github.com/spola-cdc/spola/internal/printable"
)

// Document is `applier document`.
type Document struct {
	List     ListDocuments    `cmd:"" default:"withargs" help:"List delivery notes, invoices, credit notes and returns, newest first."`
	Show     ShowDocument     `cmd:"" help:"Show them, by number, order or date."`
	PDF      PDFDocument      `cmd:"" name:"pdf" help:"Write them as PDF, by number, order or date."`
	XML      XMLDocument      `cmd:"" name:"xml" help:"Write invoices and credit notes as e-invoices (FatturaPA), neither signed nor sent."`
	Due      DueDocuments     `cmd:"" help:"List deliveries whose invoice is still to be issued, and what is wrong with them."`
	Register RegisterDocument `cmd:"" help:"Show the register of daily takings (corrispettivi) of a month."`
}

// ListDocuments is `applier document list`.
type ListDocuments struct {
	Order string    `help:"Only those of this order: its number in the ERP (W2026/17) or in the shop." placeholder:"NUMBER"`
	Kind  string    `help:"Only these: ${enum}." enum:",ddt,sale,invoice,deferred_invoice,credit_note,return" default:"" placeholder:"KIND"`
	From  time.Time `help:"From this day on." format:"2006-01-02" placeholder:"DAY"`
	To    time.Time `help:"Up to this day." format:"2006-01-02" placeholder:"DAY"`
	Last  int       `help:"At most so many." default:"50"`
	JSON  bool      `help:"Print JSON." name:"json"`
}

// Run lists.
func (d ListDocuments) Run(env *cli.Env) error {
	return withDocuments(env, func(conn *pgx.Conn, shop string) error {
		list, err := document.List(env.Ctx, conn, document.Filter{Order: d.Order, Shop: shop, Kind: d.Kind, From: d.From, To: d.To, Last: d.Last})
		if err != nil {
			return err
		}
		if d.JSON {
			return printJSON(env.Out, orNone(list))
		}
		if len(list) == 0 {
			fmt.Fprintln(env.Out, "There is no such document.")
			return nil
		}
		w := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "NUMBER\tKIND\tDATE\tORDER\tSHOP\tBUYER\tTOTAL\tCORRECTS")
		for _, e := range list {
			printable.Printf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s %s\t%s\n", e.Number, strings.ReplaceAll(e.Kind, "_", " "), e.Date.Format(time.DateOnly), e.OrderNumber, oneLine(e.ShopNumber),
				oneLine(e.Buyer), money.Cents(e.Total).StringFixed(2), e.Currency, e.Corrects)
		}
		return w.Flush()
	})
}

// wanted says which documents are meant: by their numbers, by their order, by their dates.
type wanted struct {
	Number []string  `arg:"" optional:"" help:"Documents by number (F2026/17), and orders as they stand, by their number in the ERP (W2026/17) or in the shop (4711)."`
	Order  string    `help:"All that was issued for this order: its number in the ERP (W2026/17) or in the shop." placeholder:"NUMBER"`
	From   time.Time `help:"All that was issued from this day on." format:"2006-01-02" placeholder:"DAY"`
	To     time.Time `help:"All that was issued up to this day." format:"2006-01-02" placeholder:"DAY"`
}

// each does something with each of the documents that are meant; what goes wrong with one does not keep the others from it.
func (w wanted) each(env *cli.Env, conn *pgx.Conn, shop string, do func(document.Sheet) error) error {
	numbers, err := w.numbers(env, conn, shop)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return cli.Usage("which documents? Name their numbers (F2026/17), --order, or --from and --to")
	}
	return eachDocument(env, conn, numbers, do)
}

func (w wanted) numbers(env *cli.Env, conn *pgx.Conn, shop string) (numbers []string, err error) {
	for _, number := range w.Number {
		if document.Numbered(number) {
			numbers = append(numbers, number)
			continue
		}
		orders, err := document.Orders(env.Ctx, conn, shop, number)
		if err == nil && len(orders) == 0 {
			err = &document.NotFoundError{Number: number}
		}
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, orders...)
	}
	if w.Order == "" && w.From.IsZero() && w.To.IsZero() {
		return numbers, nil
	}
	list, err := document.List(env.Ctx, conn, document.Filter{Order: w.Order, Shop: shop, From: w.From, To: w.To, Last: 1_000_000})
	if err == nil && len(list) == 0 {
		err = errors.New("there is no such document")
		if w.Order != "" {
			err = fmt.Errorf("order %s has no such documents", w.Order)
		}
	}
	for _, e := range slices.Backward(list) { // the oldest first
		numbers = append(numbers, e.Number)
	}
	return numbers, err
}

// ShowDocument is `applier document show`.
type ShowDocument struct {
	wanted
	JSON bool `help:"Print JSON, a line each." name:"json"`
}

// Run shows them.
func (d ShowDocument) Run(env *cli.Env) error {
	return withDocuments(env, func(conn *pgx.Conn, shop string) error {
		shown := 0
		return d.each(env, conn, shop, func(s document.Sheet) error {
			if d.JSON {
				return printJSON(env.Out, s)
			}
			if shown++; shown > 1 {
				fmt.Fprintln(env.Out)
			}
			showDocument(env.Out, s)
			return nil
		})
	})
}

func showDocument(out io.Writer, s document.Sheet) {
	amount := func(n int64) string { return money.Cents(n).StringFixed(2) }
	printable.Printf(out, "%s %s of %s\n", strings.ReplaceAll(s.Kind, "_", " "), s.Number, s.Date)
	fields := [][2]string{{"state", strings.ReplaceAll(s.State, "_", " ")}, {"buyer", s.Buyer.Name}}
	address := s.Buyer.Address.Lines(s.Seller.Country, s.Language)
	if len(address) > 0 && address[0] == s.Buyer.Name {
		address = address[1:]
	}
	fields = append(fields, [2]string{"address", strings.Join(address, ", ")})
	fields = append(fields, [2]string{"VAT number", s.Buyer.VATNumber}, [2]string{"tax code", s.Buyer.TaxCode}, [2]string{"SDI code", s.Buyer.SDI}, [2]string{"PEC", s.Buyer.PEC},
		[2]string{"ship to", strings.Join(s.ShipTo.Lines(s.Seller.Country, s.Language), ", ")}, [2]string{"phone", s.Phone}, [2]string{"order", s.OrderNumber}, [2]string{"shop order", s.ShopNumber})
	if s.Kind == document.DeliveryNote {
		fields = append(fields, [2]string{"reason", s.Reason}, [2]string{"from", s.Warehouse})
	}
	fields = append(fields, [2]string{"carrier", s.Carrier}, [2]string{"tracking", s.Tracking})
	if s.Packages != nil {
		fields = append(fields, [2]string{"packages", fmt.Sprint(*s.Packages)})
	}
	if s.WeightKG != nil {
		fields = append(fields, [2]string{"weight", *s.WeightKG + " kg"})
	}
	for _, field := range append(fields, [2]string{"why", s.Why}, [2]string{"note", s.Note}) {
		if field[1] != "" {
			printable.Printf(out, "  %-10s %s\n", field[0], oneLine(field[1]))
		}
	}
	if s.Corrects != nil {
		printable.Printf(out, "  %-10s %s of %s\n", "corrects", s.Corrects.Number, s.Corrects.Date)
	}
	for _, r := range s.Deliveries {
		printable.Printf(out, "  %-10s %s of %s\n", "lists", r.Number, r.Date)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, l := range s.Lines {
		printable.Printf(w, "  %d\t%s\t%s\t%d\t%s\t%s %%%s\n", l.Line, oneLine(l.Code), oneLine(strings.TrimSpace(l.Name+" "+l.Options)), l.Quantity, amount(l.Gross), l.VATRate, l.VATNature)
	}
	_ = w.Flush() // what it writes to has said so already
	for _, v := range s.VAT {
		printable.Printf(out, "  %s %% %s%s: %s net, %s VAT, %s\n", v.VATRate, v.VATCountry, v.VATNature, amount(v.Net), amount(v.VAT), amount(v.Gross))
	}
	for _, p := range s.Payments {
		printable.Printf(out, "  %s %s: %s\n", strings.ReplaceAll(p.Kind, "_", " "), oneLine(p.Title), amount(p.Amount))
	}
	printable.Printf(out, "  total %s %s, VAT included\n", amount(s.Total), s.Currency)
	if s.CashOnDelivery > 0 {
		printable.Printf(out, "  cash on delivery: the carrier collects %s %s\n", amount(s.CashOnDelivery), s.Currency)
	}
}

// oneLine keeps what a customer typed from drawing on a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}

// PDFDocument is `applier document pdf`.
type PDFDocument struct {
	wanted
	Dir  string `help:"Where the files go; each is called by its number, F2026-17.pdf." default:"." type:"path"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run writes PDFs.
func (d PDFDocument) Run(env *cli.Env) error {
	return withDocuments(env, func(conn *pgx.Conn, shop string) error {
		logo, err := document.Logo(env.Ctx, conn)
		if err != nil {
			return err
		}
		var written []writtenDocument
		err = d.each(env, conn, shop, func(s document.Sheet) error {
			file, err := document.PDF(s, logo)
			if err != nil {
				return err
			}
			w := writtenDocument{s.Number, filepath.Join(d.Dir, strings.ReplaceAll(s.Number, "/", "-")+".pdf")}
			if err := w.write(file); err != nil {
				return err
			}
			written = append(written, w)
			return nil
		})
		return errors.Join(tellWritten(env, written, d.JSON), err)
	})
}

// XMLDocument is `applier document xml`.
type XMLDocument struct {
	Number []string  `arg:"" optional:"" help:"Numbers of invoices and credit notes (F2026/17, NC2026/3)."`
	Month  monthFlag `help:"All of this month." placeholder:"2026-11"`
	Dir    string    `help:"Where the files go." default:"." type:"path"`
	JSON   bool      `help:"Print JSON." name:"json"`
}

// Run writes e-invoices.
func (d XMLDocument) Run(env *cli.Env) error {
	return withDocuments(env, func(conn *pgx.Conn, _ string) error {
		numbers := d.Number
		if !d.Month.IsZero() {
			for _, kind := range []string{document.Invoice, document.DeferredInvoice, document.CreditNote} {
				list, err := document.List(env.Ctx, conn, document.Filter{Kind: kind, From: d.Month.Time, To: d.Month.last(), Last: 1_000_000})
				if err != nil {
					return err
				}
				for _, e := range list {
					numbers = append(numbers, e.Number)
				}
			}
			if len(numbers) == 0 {
				return errors.New("no invoice and no credit note was issued in that month")
			}
		}
		if len(numbers) == 0 {
			return cli.Usage("which documents? Name their numbers (F2026/17), or --month")
		}
		var written []writtenDocument
		err := eachDocument(env, conn, numbers, func(s document.Sheet) error {
			file, name, err := document.EInvoice(s)
			if err != nil {
				return err
			}
			w := writtenDocument{s.Number, filepath.Join(d.Dir, name)}
			if err := w.write(file); err != nil {
				return err
			}
			written = append(written, w)
			return nil
		})
		return errors.Join(tellWritten(env, written, d.JSON), err)
	})
}

// eachDocument does something with each of the documents that are named; what goes wrong with one does not keep the
// others from it.
func eachDocument(env *cli.Env, conn *pgx.Conn, numbers []string, do func(document.Sheet) error) error {
	var errs []error
	for _, number := range numbers {
		s, err := document.Find(env.Ctx, conn, number)
		if err == nil {
			err = do(s)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// writtenDocument is a file that was written.
type writtenDocument struct {
	Number string `json:"number"`
	File   string `json:"file"`
}

// write never writes over a file that has something else in it.
func (w writtenDocument) write(text []byte) error {
	if there, err := os.ReadFile(w.File); err == nil && string(there) != string(text) {
		return fmt.Errorf("%s is there already and is not this document: move it away", w.File)
	}
	if err := os.WriteFile(w.File, text, 0o600); err != nil {
		return fmt.Errorf("write document %s: %w", w.Number, err)
	}
	return nil
}

func tellWritten(env *cli.Env, written []writtenDocument, asJSON bool) error {
	if asJSON {
		return printJSON(env.Out, orNone(written))
	}
	for _, w := range written {
		fmt.Fprintln(env.Out, w.File)
	}
	return nil
}

// DueDocuments is `applier document due`.
type DueDocuments struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// Run lists what is due.
func (d DueDocuments) Run(env *cli.Env) error {
	return withDocuments(env, func(conn *pgx.Conn, _ string) error {
		list, err := document.ListDue(env.Ctx, conn)
		if err != nil {
			return err
		}
		if d.JSON {
			return printJSON(env.Out, orNone(list))
		}
		if len(list) == 0 {
			fmt.Fprintln(env.Out, "No invoice is due.")
			return nil
		}
		w := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "DELIVERY\tDATE\tORDER\tBUYER\tTOTAL\tTO MEND")
		for _, e := range list {
			mend := "select erp.invoice_due()"
			if e.Flaw != "" {
				mend = e.Flaw + ": select erp.correct_buyer(erp.order_id('" + e.OrderNumber + "'), …)"
			}
			printable.Printf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Number, e.Date.Format(time.DateOnly), e.OrderNumber, oneLine(e.Buyer), money.Cents(e.Total).StringFixed(2), mend)
		}
		return w.Flush()
	})
}

// RegisterDocument is `applier document register`.
type RegisterDocument struct {
	Month monthFlag `required:"" help:"Of this month." placeholder:"2026-11"`
	CSV   string    `help:"Write it as CSV into this file; - is the screen." placeholder:"FILE" name:"csv"`
	JSON  bool      `help:"Print JSON." name:"json"`
}

// Run shows the register.
func (d RegisterDocument) Run(env *cli.Env) error {
	return withDocuments(env, func(conn *pgx.Conn, _ string) error {
		list, err := document.Register(env.Ctx, conn, d.Month.Time, d.Month.last())
		switch {
		case err != nil:
			return err
		case d.JSON:
			return printJSON(env.Out, orNone(list))
		case d.CSV == "-":
			return document.WriteRegister(env.Out, list)
		case d.CSV != "":
			return writeRegister(env, d.CSV, list)
		}
		printRegister(env.Out, list)
		return nil
	})
}

func writeRegister(env *cli.Env, path string, list []document.Taking) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the register: %w", err)
	}
	if err := errors.Join(document.WriteRegister(file, list), file.Close()); err != nil {
		return fmt.Errorf("write the register into %s: %w", path, err)
	}
	fmt.Fprintln(env.Out, path)
	return nil
}

func printRegister(out io.Writer, list []document.Taking) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "DAY\tCHANNEL\tVAT\tSALES\tRETURNS\tGROSS\tNET\tVAT\tDOCUMENTS\t")
	sums := map[string]int64{}
	for _, t := range list {
		amount := func(n int64) string { return money.Cents(n).StringFixed(2) }
		printable.Printf(w, "%s\t%s\t%s %s%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", t.Date.Format(time.DateOnly), t.Channel, t.VATCountry, t.VATRate, t.VATNature,
			amount(t.Sales), amount(t.Returns), amount(t.Gross), amount(t.Net), amount(t.VAT), t.Documents)
		sums[t.Currency] += t.Gross
	}
	_ = w.Flush() // what it writes to has said so already
	for currency, sum := range sums {
		printable.Printf(out, "Takings of the month: %s %s\n", money.Cents(sum).StringFixed(2), currency)
	}
	if len(list) == 0 {
		fmt.Fprintln(out, "Nothing was delivered in that month without an invoice.")
	}
}

// monthFlag is a month as 2026-11: its first day.
type monthFlag struct{ time.Time }

// UnmarshalText reads 2026-11.
func (m *monthFlag) UnmarshalText(text []byte) error {
	t, err := time.Parse("2006-01", string(text))
	if err != nil {
		return fmt.Errorf("%q is no month: write it as 2026-11", text)
	}
	m.Time = t
	return nil
}

func (m *monthFlag) last() time.Time { return m.AddDate(0, 1, -1) }

// orNone is a list that is [] in JSON when it is empty.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// withDocuments connects to an ERP that issues documents as the reference ERP does.
func withDocuments(env *cli.Env, do func(conn *pgx.Conn, shop string) error) error {
	return withERP(env, func(cfg config.Config, conn *pgx.Conn) error {
		var there bool
		if err := conn.QueryRow(env.Ctx, "select to_regclass('erp.documents') is not null").Scan(&there); err != nil {
			return fmt.Errorf("look for the ERP's documents: %w", err)
		}
		if !there {
			return errors.New("the ERP has no view erp.documents: run `applier migrate`; an ERP of your own issues documents itself")
		}
		return do(conn, cfg.Shop.Name)
	})
}

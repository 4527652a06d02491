package document

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/spola-cdc/spola/internal/money"
)

// words are what a document says by itself, by language.
var words = map[string]map[string]string{
	"it": {
		Order: "Conferma d'ordine", DeliveryNote: "Documento di trasporto", Sale: "Documento di vendita", Invoice: "Fattura",
		DeferredInvoice: "Fattura differita", CreditNote: "Nota di credito", Return: "Reso",
		"no": "n.", "of": "del", "in order": "Ordine", "shop order": "Ordine web", "dated": "del", "page": "Pagina %d di %d", "bill to": "Spett.le", "sold to": "Cliente", "ship to": "Destinazione",
		"vat number": "P. IVA", "tax code": "C.F.", "sdi": "Codice SDI", "pec": "PEC", "phone": "Tel.", "capital": "Cap. soc.", "rea": "R.E.A.",
		"code": "Codice", "description": "Descrizione", "quantity": "Q.tà", "price": "Prezzo", "rate": "IVA", "amount": "Importo",
		"prices": "Prezzi e importi IVA inclusa", "net": "Imponibile", "vat": "IVA", "gross": "Totale", "total": "Totale", "summary": "Riepilogo IVA",
		"payment": "Pagamento", "paid": "Pagato", "to_collect": "Da pagare", "credit": "Buono o credito", "bank": "Banca", "discount": "Sconto", "charge": "Spese",
		"transport": "Trasporto", "reason": "Causale", "reason sale": "Vendita", "reason return": "Reso", "carrier": "Vettore", "fetched": "a cura del mittente o del destinatario",
		"packages": "Colli", "weight": "Peso", "tracking": "Spedizione n.", "left": "Data di partenza", "from": "Partenza da", "shipping": "Spedizione",
		"cod": "CONTRASSEGNO", "cod text": "Il vettore incassa alla consegna", "note": "Nota del cliente", "signatures": "Firma del conducente|Firma del destinatario",
		"law ddt": "D.P.R. 472/1996", "corrects invoice": "Riferimento: fattura %s del %s", "corrects delivery": "Riferimento: %s del %s", "why": "Motivo", "delivery": "%s del %s",
		"of order": "ordine", "return code": "Codice di reso %s",
		"courtesy": "Copia di cortesia priva di valore fiscale: l'originale è la fattura elettronica, disponibile nell'area riservata del sito dell'Agenzia delle Entrate.",
		"confirm":  "Questo documento non è una fattura.", "boxed": "□ sta per un carattere che questo font non ha; alcune lettere sono semplificate.",
		"simplified": "Alcune lettere sono senza i loro segni, che questo font non ha.",
		"more":       "continua", "state cancelled": "ANNULLATO",
	},
	"en": {
		Order: "Order confirmation", DeliveryNote: "Delivery note", Sale: "Sale", Invoice: "Invoice",
		DeferredInvoice: "Invoice", CreditNote: "Credit note", Return: "Return",
		"no": "no.", "of": "of", "in order": "Order", "shop order": "Web order", "dated": "of", "page": "Page %d of %d", "bill to": "Bill to", "sold to": "Customer", "ship to": "Ship to",
		"vat number": "VAT no.", "tax code": "Tax code", "sdi": "SDI code", "pec": "PEC", "phone": "Phone", "capital": "Share capital", "rea": "R.E.A.",
		"code": "Item", "description": "Description", "quantity": "Qty", "price": "Price", "rate": "VAT", "amount": "Amount",
		"prices": "Prices and amounts include VAT", "net": "Net", "vat": "VAT", "gross": "Total", "total": "Total", "summary": "VAT summary",
		"payment": "Payment", "paid": "Paid", "to_collect": "To be paid", "credit": "Voucher or credit", "bank": "Bank", "discount": "Discount", "charge": "Charges",
		"transport": "Transport", "reason": "Reason", "reason sale": "Sale", "reason return": "Return", "carrier": "Carrier", "fetched": "by the sender or the recipient",
		"packages": "Packages", "weight": "Weight", "tracking": "Tracking no.", "left": "Date of dispatch", "from": "Dispatched from", "shipping": "Shipping",
		"cod": "CASH ON DELIVERY", "cod text": "The carrier collects on delivery", "note": "Customer's note", "signatures": "Driver's signature|Recipient's signature",
		"law ddt": "D.P.R. 472/1996", "corrects invoice": "Refers to invoice %s of %s", "corrects delivery": "Refers to %s of %s", "why": "Reason", "delivery": "%s of %s",
		"of order": "order", "return code": "Return code %s",
		"courtesy": "Copia di cortesia (courtesy copy) without fiscal value: the original is the electronic invoice sent to the Italian exchange system.",
		"confirm":  "This document is not an invoice.", "boxed": "□ stands for a character that this typeface lacks; some letters are simplified.",
		"simplified": "Some letters are without their marks, which this typeface lacks.",
		"more":       "continued", "state cancelled": "CANCELLED",
	},
}

// natures say why a rate is 0.
var natures = map[string]map[string]string{
	"it": {
		"N1": "Escluso art. 15 DPR 633/72", "N2.1": "Non soggetto artt. 7-7septies DPR 633/72", "N2.2": "Non soggetto", "N3.1": "Non imponibile, esportazione",
		"N3.2": "Non imponibile, cessione intracomunitaria", "N3.3": "Non imponibile, San Marino", "N3.4": "Non imponibile, assimilata all'esportazione",
		"N3.5": "Non imponibile, dichiarazione d'intento", "N3.6": "Non imponibile, altre operazioni", "N4": "Esente", "N5": "Regime del margine",
		"N6.1": "Inversione contabile: rottami", "N6.2": "Inversione contabile: oro e argento", "N6.3": "Inversione contabile: subappalto edile", "N6.4": "Inversione contabile: fabbricati",
		"N6.5": "Inversione contabile: telefoni cellulari", "N6.6": "Inversione contabile: prodotti elettronici", "N6.7": "Inversione contabile: comparto edile",
		"N6.8": "Inversione contabile: settore energetico", "N6.9": "Inversione contabile: altri casi", "N7": "IVA assolta in altro stato UE",
	},
	"en": {
		"N1": "Excluded", "N2.1": "Outside the scope of Italian VAT", "N2.2": "Not subject to VAT", "N3.1": "Zero rated: export", "N3.2": "Zero rated: intra-Community supply",
		"N3.3": "Zero rated: San Marino", "N3.4": "Zero rated", "N3.5": "Zero rated", "N3.6": "Zero rated", "N4": "Exempt", "N5": "Margin scheme",
		"N6.1": "Reverse charge: scrap", "N6.2": "Reverse charge: gold and silver", "N6.3": "Reverse charge: building subcontract", "N6.4": "Reverse charge: buildings",
		"N6.5": "Reverse charge: mobile phones", "N6.6": "Reverse charge: electronic products", "N6.7": "Reverse charge: building trade", "N6.8": "Reverse charge: energy",
		"N6.9": "Reverse charge", "N7": "VAT paid in another EU state",
	},
}

func (s Sheet) lang() string {
	if s.Language == "it" {
		return "it"
	}
	return "en"
}

func (s Sheet) say(key string) string { return words[s.lang()][key] }

// amount is cents as the language writes them: 1.234,56 or 1,234.56.
func (s Sheet) amount(n int64) string { return s.number(money.Cents(n), 2) }

// unit is the price of a piece: cents, or up to four decimals where pieces do not divide a line's amount.
func (s Sheet) unit(l Line) string {
	price := money.Cents(l.Gross).DivRound(decimal.New(max(l.Quantity, 1), 0), 4)
	if price.Equal(price.Round(2)) {
		return s.number(price, 2)
	}
	return s.number(price, 4)
}

func (s Sheet) number(d decimal.Decimal, places int32) string {
	text := d.Abs().StringFixed(places)
	whole, fraction, _ := strings.Cut(text, ".")
	thousands, point := ",", "."
	if s.lang() == "it" {
		thousands, point = ".", ","
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + thousands + whole[i:]
	}
	if fraction != "" {
		whole += point + fraction
	}
	if d.IsNegative() {
		return "-" + whole
	}
	return whole
}

// sum is an amount with its currency.
func (s Sheet) sum(n int64) string {
	if s.Currency == "EUR" {
		return "€ " + s.amount(n)
	}
	return s.Currency + " " + s.amount(n)
}

// rate is how a rate stands in a table: 22 %, DE 19 %, N3.1.
func (s Sheet) rate(percent, country, nature string) string {
	rate, err := money.ParseRate(percent)
	if err != nil {
		return percent
	}
	if rate == 0 && nature != "" {
		return nature
	}
	text := s.trim(rate.Percent()) + " %"
	if country != "IT" && country != "" {
		text = country + " " + text
	}
	return text
}

func (s Sheet) trim(d decimal.Decimal) string {
	text := d.String()
	if s.lang() == "it" {
		text = comma(text)
	}
	return text
}

// day is a date as the language writes it.
func (s Sheet) day(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	if s.lang() == "it" {
		return t.Format("02/01/2006")
	}
	return t.Format("2 January 2006")
}

// Sum is an amount of cents with its currency, as it stands on the page: for who writes about a document.
func (s Sheet) Sum(cents int64) string { return s.sum(cents) }

// Day is a date as it stands on the page.
func (s Sheet) Day(date string) string { return s.day(date) }

// Title is the kind of document as it stands on the page.
func (s Sheet) Title() string { return s.title() }

// Lines are those of an address as they stand on the page, who is there first.
func (a Address) Lines(home, lang string) []string {
	if name := a.name(); name != "" {
		return append([]string{name}, a.lines(home, lang)...)
	}
	return a.lines(home, lang)
}

// title is the kind of document in words.
func (s Sheet) title() string {
	if s.say(s.Kind) == "" {
		return s.Kind
	}
	return s.say(s.Kind)
}

// lines of an address, without those that are empty; the country where it is not the seller's.
func (a Address) lines(home, lang string) []string {
	place := strings.TrimSpace(strings.Join(strings.Fields(a.Postcode+" "+a.City), " "))
	if a.Province != "" {
		place = strings.TrimSpace(fmt.Sprintf("%s (%s)", place, a.Province))
	}
	country := ""
	if a.Country != home {
		country = regionName(a.Country, lang)
	}
	var out []string
	for _, l := range []string{a.Street, a.Street2, place, country} {
		if strings.TrimSpace(l) != "" {
			out = append(out, l)
		}
	}
	return out
}

// regionName is a country in words; one that has no name stays as it is.
func regionName(code, lang string) string {
	region, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	names := display.English.Regions()
	if lang == "it" {
		names = display.Italian.Regions()
	}
	if name := names.Name(region); name != "" && region.IsCountry() {
		return name
	}
	return code
}

// name is who is at an address.
func (a Address) name() string {
	person := strings.TrimSpace(a.FirstName + " " + a.LastName)
	switch {
	case a.Company == "":
		return person
	case person == "":
		return a.Company
	}
	return a.Company + ", " + person
}

package document

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
	"golang.org/x/text/unicode/norm"

	"github.com/spola-cdc/spola/internal/money"
)

// The part of FatturaPA 1.2 that an invoice or credit note needs, element by element in the schema's order.
type (
	eInvoice struct {
		XMLName xml.Name `xml:"p:FatturaElettronica"`
		Version string   `xml:"versione,attr"`
		P       string   `xml:"xmlns:p,attr"`
		Header  eHeader  `xml:"FatturaElettronicaHeader"`
		Body    eBody    `xml:"FatturaElettronicaBody"`
	}
	eHeader struct {
		Transmission eTransmission `xml:"DatiTrasmissione"`
		Seller       eSeller       `xml:"CedentePrestatore"`
		Buyer        eBuyer        `xml:"CessionarioCommittente"`
	}
	eTransmission struct {
		By       eID    `xml:"IdTrasmittente"`
		Progress string `xml:"ProgressivoInvio"`
		Format   string `xml:"FormatoTrasmissione"`
		Code     string `xml:"CodiceDestinatario"`
		PEC      string `xml:"PECDestinatario,omitempty"`
	}
	eID struct {
		Country string `xml:"IdPaese"`
		Code    string `xml:"IdCodice"`
	}
	eSeller struct {
		VAT      eID       `xml:"DatiAnagrafici>IdFiscaleIVA"`
		TaxCode  string    `xml:"DatiAnagrafici>CodiceFiscale,omitempty"`
		Name     string    `xml:"DatiAnagrafici>Anagrafica>Denominazione"`
		Regime   string    `xml:"DatiAnagrafici>RegimeFiscale"`
		Seat     eSeat     `xml:"Sede"`
		Register *eREA     `xml:"IscrizioneREA"`
		Contacts *eContact `xml:"Contatti"`
	}
	eREA struct {
		Office  string `xml:"Ufficio"`
		Number  string `xml:"NumeroREA"`
		Capital string `xml:"CapitaleSociale,omitempty"`
		State   string `xml:"StatoLiquidazione"`
	}
	eContact struct {
		Phone string `xml:"Telefono,omitempty"`
		Email string `xml:"Email,omitempty"`
	}
	eSeat struct {
		Street   string `xml:"Indirizzo"`
		Postcode string `xml:"CAP"`
		City     string `xml:"Comune"`
		Province string `xml:"Provincia,omitempty"`
		Country  string `xml:"Nazione"`
	}
	eBuyer struct {
		VAT       *eID   `xml:"DatiAnagrafici>IdFiscaleIVA"`
		TaxCode   string `xml:"DatiAnagrafici>CodiceFiscale,omitempty"`
		Name      string `xml:"DatiAnagrafici>Anagrafica>Denominazione,omitempty"`
		FirstName string `xml:"DatiAnagrafici>Anagrafica>Nome,omitempty"`
		LastName  string `xml:"DatiAnagrafici>Anagrafica>Cognome,omitempty"`
		Seat      eSeat  `xml:"Sede"`
	}
	eBody struct {
		Document  eDocument    `xml:"DatiGenerali>DatiGeneraliDocumento"`
		Corrected []eReference `xml:"DatiGenerali>DatiFattureCollegate"`
		Notes     []eNote      `xml:"DatiGenerali>DatiDDT"`
		Lines     []eLine      `xml:"DatiBeniServizi>DettaglioLinee"`
		Rates     []eRate      `xml:"DatiBeniServizi>DatiRiepilogo"`
		Payment   *ePayment    `xml:"DatiPagamento"`
	}
	eDocument struct {
		Type     string   `xml:"TipoDocumento"`
		Currency string   `xml:"Divisa"`
		Date     string   `xml:"Data"`
		Number   string   `xml:"Numero"`
		Total    string   `xml:"ImportoTotaleDocumento"`
		Why      []string `xml:"Causale"`
	}
	eReference struct {
		Number string `xml:"IdDocumento"`
		Date   string `xml:"Data"`
	}
	eNote struct {
		Number string `xml:"NumeroDDT"`
		Date   string `xml:"DataDDT"`
		Lines  []int  `xml:"RiferimentoNumeroLinea"`
	}
	eLine struct {
		Number   int    `xml:"NumeroLinea"`
		Type     string `xml:"TipoCessionePrestazione,omitempty"`
		Code     *eCode `xml:"CodiceArticolo"`
		Text     string `xml:"Descrizione"`
		Quantity string `xml:"Quantita,omitempty"`
		Unit     string `xml:"UnitaMisura,omitempty"`
		Price    string `xml:"PrezzoUnitario"`
		Total    string `xml:"PrezzoTotale"`
		Rate     string `xml:"AliquotaIVA"`
		Nature   string `xml:"Natura,omitempty"`
	}
	eCode struct {
		Type  string `xml:"CodiceTipo"`
		Value string `xml:"CodiceValore"`
	}
	eRate struct {
		Rate     string `xml:"AliquotaIVA"`
		Nature   string `xml:"Natura,omitempty"`
		Rounding string `xml:"Arrotondamento,omitempty"`
		Net      string `xml:"ImponibileImporto"`
		VAT      string `xml:"Imposta"`
		When     string `xml:"EsigibilitaIVA,omitempty"`
		Law      string `xml:"RiferimentoNormativo,omitempty"`
	}
	ePayment struct {
		Terms   string    `xml:"CondizioniPagamento"`
		Details []eDetail `xml:"DettaglioPagamento"`
	}
	eDetail struct {
		Way    string `xml:"ModalitaPagamento"`
		Amount string `xml:"ImportoPagamento"`
		Bank   string `xml:"IstitutoFinanziario,omitempty"`
		IBAN   string `xml:"IBAN,omitempty"`
	}
)

// nobody is the recipient's code of who has none; abroad, that of who is not in Italy.
const (
	nobody = "0000000"
	abroad = "XXXXXXX"
)

// types are the exchange system's types of documents.
var types = map[string]string{Invoice: "TD01", DeferredInvoice: "TD24", CreditNote: "TD04"}

// EInvoice is the document as a FatturaPA file, neither signed nor sent, and the name that the file
// should have. What the exchange system would refuse is an error.
func EInvoice(s Sheet) (file []byte, name string, err error) {
	kind, ok := types[s.Kind]
	if !ok {
		return nil, "", fmt.Errorf("%s is no invoice and no credit note: only these are e-invoices", s.Number)
	}
	e := eInvoice{Version: "FPR12", P: "http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2"}
	if s.Buyer.Kind == "public" {
		e.Version = "FPA12"
	}
	e.Header = eHeader{transmission(s, e.Version), seller(s.Seller), buyer(s.Buyer)}
	e.Body.Document = eDocument{Type: kind, Currency: s.Currency, Date: s.Date, Number: s.Number, Total: money.Cents(s.Total).StringFixed(2)}
	if s.Why != "" {
		e.Body.Document.Why = []string{latin(s.Why, 200)}
	}
	if s.Corrects != nil {
		e.Body.Corrected = []eReference{{s.Corrects.Number, s.Corrects.Date}}
	}
	if err := e.Body.fill(s); err != nil {
		return nil, "", fmt.Errorf("e-invoice %s: %w", s.Number, err)
	}
	text, err := xml.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, "", fmt.Errorf("e-invoice %s: %w", s.Number, err)
	}
	file = append([]byte(xml.Header), append(text, '\n')...)
	if refused := Controls(file); len(refused) > 0 {
		return nil, "", fmt.Errorf("e-invoice %s: the exchange system would refuse it: %s", s.Number, strings.Join(refused, "; "))
	}
	return file, "IT" + s.Seller.VATNumber + "_" + progress(s) + ".xml", nil
}

// progress is the file's number among all of the seller's: five letters and digits. It follows from the
// document's number, so that the same document is always the same file: two million numbers a year, until 2049.
func progress(s Sheet) string {
	parts := numberOf.FindStringSubmatch(s.Number)
	if parts == nil {
		return "0"
	}
	year, _ := strconv.ParseInt(parts[2], 10, 64) // digits both
	n, _ := strconv.ParseInt(parts[3], 10, 64)
	n += (year - 2020) * 2_000_000
	if s.Kind == CreditNote {
		n += 1_000_000
	}
	text := strings.ToUpper(strconv.FormatInt(n, 36))
	return strings.Repeat("0", max(0, 5-len(text))) + text
}

var numberOf = regexp.MustCompile(`^([A-Z]+)(\d{4})/(\d{1,18})$`)

func transmission(s Sheet, format string) eTransmission {
	t := eTransmission{By: eID{"IT", s.Seller.VATNumber}, Progress: progress(s), Format: format, Code: s.Buyer.SDI}
	if s.Seller.TaxCode != "" {
		t.By.Code = s.Seller.TaxCode
	}
	switch {
	case s.Buyer.Address.Country != "IT":
		t.Code = abroad
	case t.Code == "":
		t.Code, t.PEC = nobody, s.Buyer.PEC
	}
	return t
}

func seller(s Seller) eSeller {
	e := eSeller{VAT: eID{"IT", s.VATNumber}, TaxCode: s.TaxCode, Name: latin(s.Name, 80), Regime: s.TaxRegime,
		Seat: eSeat{latin(s.Street, 60), s.Postcode, latin(s.City, 60), province(s.Province, s.Country), s.Country}}
	if s.REANumber != "" && len(s.REAOffice) == 2 {
		e.Register = &eREA{Office: s.REAOffice, Number: latin(s.REANumber, 20), State: "LN"}
		if s.ShareCapital != nil {
			e.Register.Capital = decimal.NewFromFloat(*s.ShareCapital).StringFixed(2)
		}
	}
	phone := strings.NewReplacer(" ", "", "-", "", "/", "").Replace(s.Phone)
	if len(phone) < 5 || len(phone) > 12 {
		phone = ""
	}
	if phone != "" || s.Email != "" {
		e.Contacts = &eContact{phone, latin(s.Email, 256)}
	}
	return e
}

func buyer(b Party) eBuyer {
	a := b.Address
	e := eBuyer{Seat: eSeat{latin(strings.TrimSpace(a.Street+" "+a.Street2), 60), a.Postcode, latin(a.City, 60), province(a.Province, a.Country), a.Country}}
	if a.Country == "IT" {
		e.TaxCode = b.TaxCode
	} else {
		e.Seat.Postcode = "00000"
	}
	switch {
	case len(b.VATNumber) > 2 && b.VATNumber[0] >= 'A' && b.VATNumber[0] <= 'Z':
		e.VAT = &eID{b.VATNumber[:2], latin(b.VATNumber[2:], 28)}
	case b.VATNumber != "":
		e.VAT = &eID{a.Country, latin(b.VATNumber, 28)}
	case a.Country != "IT": // a person abroad, who has no number
		e.VAT = &eID{a.Country, nobody}
	}
	if b.Kind == "private" && a.FirstName != "" && a.LastName != "" {
		e.FirstName, e.LastName = latin(a.FirstName, 60), latin(a.LastName, 60)
	} else {
		e.Name = latin(b.Name, 80)
	}
	return e
}

// fill writes lines and summaries. Prices are net with eight decimals; what rounding each rate once
// leaves between them and the summary stands as Arrotondamento.
func (b *eBody) fill(s Sheet) error {
	sums := map[Rate]decimal.Decimal{}
	notes := map[string]*eNote{}
	if s.Kind == DeferredInvoice {
		for _, d := range s.Deliveries {
			if d.Kind == DeliveryNote {
				b.Notes = append(b.Notes, eNote{Number: d.Number, Date: d.Date})
			}
		}
		for i := range b.Notes {
			notes[b.Notes[i].Number] = &b.Notes[i]
		}
	}
	for _, l := range s.Lines {
		rate, err := money.ParseRate(l.VATRate)
		if err != nil {
			return err
		}
		line := eLine{Number: l.Line, Text: latin(strings.TrimSpace(l.Name+" "+l.Options), 1000), Rate: rate.Percent().StringFixed(2), Nature: l.VATNature}
		if line.Text == "" {
			line.Text = "-"
		}
		total := money.NetExact(decimal.New(l.Gross, 0), rate, 8)
		price := total
		switch {
		case l.Kind == "discount":
			line.Type = "SC"
		case l.Kind == "charge":
			line.Type = "AC"
		case l.Quantity > 0:
			line.Quantity, line.Unit = decimal.New(l.Quantity, 0).StringFixed(2), "PZ"
			price = money.NetExact(decimal.New(l.Gross, 0).DivRound(decimal.New(l.Quantity, 0), 16), rate, 8)
			if l.Code != "" {
				line.Code = &eCode{"SKU", latin(l.Code, 35)}
			}
		}
		line.Price, line.Total = price.StringFixed(8), total.StringFixed(8)
		key := Rate{VATRate: line.Rate, VATNature: l.VATNature}
		sums[key] = sums[key].Add(total)
		if n := notes[l.Delivery]; n != nil && len(b.Notes) > 1 {
			n.Lines = append(n.Lines, l.Line)
		}
		b.Lines = append(b.Lines, line)
	}
	for _, v := range s.VAT {
		rate, err := money.ParseRate(v.VATRate)
		if err != nil {
			return err
		}
		e := eRate{Rate: rate.Percent().StringFixed(2), Nature: v.VATNature, Net: money.Cents(v.Net).StringFixed(2), VAT: money.Cents(v.VAT).StringFixed(2), When: "I"}
		if rate == 0 {
			e.Law, e.When = latin(natures["it"][v.VATNature], 100), ""
			if e.Law == "" {
				e.Law = v.VATNature
			}
		}
		if off := money.Cents(v.Net).Sub(sums[Rate{VATRate: e.Rate, VATNature: v.VATNature}]); !off.IsZero() {
			e.Rounding = off.StringFixed(8)
		}
		b.Rates = append(b.Rates, e)
	}
	b.Payment = payment(s)
	return nil
}

// payment says what is still to be paid: to the carrier or by transfer.
func payment(s Sheet) *ePayment {
	open := int64(0)
	for _, p := range s.Payments {
		if p.Kind == "to_collect" {
			open += p.Amount
		}
	}
	var details []eDetail
	if s.CashOnDelivery > 0 {
		details = append(details, eDetail{Way: "MP01", Amount: money.Cents(s.CashOnDelivery).StringFixed(2)})
	}
	if rest := open - s.CashOnDelivery; rest > 0 {
		details = append(details, eDetail{Way: "MP05", Amount: money.Cents(rest).StringFixed(2), Bank: latin(s.Seller.Bank, 80), IBAN: strings.ReplaceAll(s.Seller.IBAN, " ", "")})
	}
	if s.Kind == CreditNote || len(details) == 0 {
		return nil
	}
	return &ePayment{"TP02", details}
}

func province(p, country string) string {
	if p = strings.ToUpper(p); country != "IT" || len(p) != 2 || strings.Trim(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return p
}

// latin is a text as the schema takes it: characters of Latin-1 on one line, and no more than so many.
// Letters with marks it does not have lose them, dashes and quotes become plain; the rest becomes "?".
func latin(s string, most int) string {
	var out []rune
	for _, r := range norm.NFC.String(strings.ToValidUTF8(s, "?")) {
		switch {
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xa0:
			out = append(out, ' ')
		case r <= 0xff:
			out = append(out, r)
		default:
			out = append(out, []rune(simple(r))...)
		}
	}
	words := strings.Join(strings.Fields(string(out)), " ")
	if cut := []rune(words); len(cut) > most {
		words = strings.TrimSpace(string(cut[:most]))
	}
	return words
}

// plain are what has no decomposition and is still written otherwise.
var plain = strings.NewReplacer("€", "EUR", "’", "'", "‘", "'", "“", `"`, "”", `"`, "„", `"`, "–", "-", "—", "-", "…", "...", "•", "-", "ł", "l", "Ł", "L",
	"đ", "d", "Đ", "D", "œ", "oe", "Œ", "OE", "ı", "i", "™", "(TM)")

func simple(r rune) string {
	if s := plain.Replace(string(r)); s != string(r) {
		return s
	}
	base := ""
	for _, d := range norm.NFKD.String(string(r)) {
		if d < 0x80 {
			base += string(d)
		}
	}
	if base == "" {
		return "?"
	}
	return base
}

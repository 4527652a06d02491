package document

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
)

// file is what the controls read of a FatturaPA file: by the names of its elements alone, so that they
// judge what was written, not what was meant.
type file struct {
	Transmission struct {
		Format string `xml:"FormatoTrasmissione"`
		Code   string `xml:"CodiceDestinatario"`
	} `xml:"FatturaElettronicaHeader>DatiTrasmissione"`
	Buyer struct {
		VAT     string `xml:"IdFiscaleIVA>IdCodice"`
		TaxCode string `xml:"CodiceFiscale"`
	} `xml:"FatturaElettronicaHeader>CessionarioCommittente>DatiAnagrafici"`
	Document struct {
		Number string `xml:"Numero"`
	} `xml:"FatturaElettronicaBody>DatiGenerali>DatiGeneraliDocumento"`
	Lines []struct {
		Number   int    `xml:"NumeroLinea"`
		Quantity string `xml:"Quantita"`
		Price    string `xml:"PrezzoUnitario"`
		Total    string `xml:"PrezzoTotale"`
		Rate     string `xml:"AliquotaIVA"`
		Nature   string `xml:"Natura"`
	} `xml:"FatturaElettronicaBody>DatiBeniServizi>DettaglioLinee"`
	Rates []struct {
		Rate     string `xml:"AliquotaIVA"`
		Nature   string `xml:"Natura"`
		Rounding string `xml:"Arrotondamento"`
		Net      string `xml:"ImponibileImporto"`
		VAT      string `xml:"Imposta"`
	} `xml:"FatturaElettronicaBody>DatiBeniServizi>DatiRiepilogo"`
}

// Tolerances of the exchange system, in euros.
var (
	cent = decimal.New(1, -2)
	euro = decimal.New(1, 0)
)

// Controls says for which of its controls of contents the exchange system would refuse a FatturaPA
// file, each with its code and the figures; none: it would take it, as far as these go.
func Controls(text []byte) []string {
	var f file
	if err := xml.Unmarshal(text, &f); err != nil {
		return []string{"00200: " + err.Error()}
	}
	var refused []string
	refuse := func(code, format string, args ...any) {
		refused = append(refused, code+": "+fmt.Sprintf(format, args...))
	}
	number := func(text, absent string) decimal.Decimal {
		if text == "" {
			text = absent
		}
		d, err := decimal.NewFromString(text)
		if err != nil {
			refuse("00200", "%q is no number", text)
		}
		return d
	}

	sums := map[string]decimal.Decimal{}
	for _, l := range f.Lines {
		rate, total := number(l.Rate, "0"), number(l.Total, "0")
		if rate.IsZero() && l.Nature == "" {
			refuse("00400", "line %d has a rate of 0 and no Natura", l.Number)
		}
		if !rate.IsZero() && l.Nature != "" {
			refuse("00401", "line %d has Natura %s and a rate of %s", l.Number, l.Nature, l.Rate)
		}
		if exact := number(l.Price, "0").Mul(number(l.Quantity, "1")); exact.Sub(total).Abs().GreaterThan(cent) {
			refuse("00423", "line %d: %s × %s is %s, not %s", l.Number, l.Quantity, l.Price, exact, l.Total)
		}
		key := rate.String() + " " + l.Nature
		sums[key] = sums[key].Add(total)
	}
	summed := map[string]bool{}
	for _, r := range f.Rates {
		rate, net := number(r.Rate, "0"), number(r.Net, "0")
		key := rate.String() + " " + r.Nature
		summed[key] = true
		if rate.IsZero() && r.Nature == "" {
			refuse("00429", "the summary has a rate of 0 and no Natura")
		}
		if !rate.IsZero() && r.Nature != "" {
			refuse("00430", "the summary has Natura %s at %s %%", r.Nature, r.Rate)
		}
		if exact := rate.Mul(net).Shift(-2).Round(2); exact.Sub(number(r.VAT, "0")).Abs().GreaterThan(cent) {
			refuse("00421", "VAT of %s at %s %% is %s, not %s", r.Net, r.Rate, exact, r.VAT)
		}
		if exact := sums[key].Add(number(r.Rounding, "0")); exact.Sub(net).Abs().GreaterThan(euro) {
			refuse("00422", "lines at %s %% come to %s, not %s", r.Rate, exact, r.Net)
		}
	}
	for _, l := range f.Lines {
		if rate := number(l.Rate, "0"); !summed[rate.String()+" "+l.Nature] {
			refuse("00419", "no summary for %s %% %s of line %d", l.Rate, l.Nature, l.Number)
		}
	}
	if f.Buyer.VAT == "" && f.Buyer.TaxCode == "" {
		refuse("00417", "the buyer has neither VAT number nor tax code")
	}
	if !strings.ContainsAny(f.Document.Number, "0123456789") {
		refuse("00425", "number %q has no digit", f.Document.Number)
	}
	if want := map[string]int{"FPR12": 7, "FPA12": 6}[f.Transmission.Format]; len(f.Transmission.Code) != want {
		refuse("00427", "%s wants a code of %d characters, not %q", f.Transmission.Format, want, f.Transmission.Code)
	}
	return refused
}

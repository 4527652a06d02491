package document

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/money"
)

// Invariant: e-invoices are those that somebody has read: testdata has one of each type.
func TestEInvoices(t *testing.T) {
	for _, name := range []string{"invoice", "deferred", "credit_note"} {
		got, file, err := EInvoice(samples()[name])
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".xml")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a golden file
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is another: look at it with -update (%v)", path, err)
		}
		if !strings.HasPrefix(file, "IT12345670017_") || len(file) != len("IT12345670017_00000.xml") {
			t.Errorf("%s would be called %s", name, file)
		}
	}
	for _, name := range []string{"ddt", "order"} {
		if _, _, err := EInvoice(samples()[name]); err == nil {
			t.Errorf("%s became an e-invoice", name)
		}
	}
}

// Invariant: what the exchange system refuses, the controls refuse, by its code.
func TestControls(t *testing.T) {
	sound, _, err := EInvoice(samples()["invoice"])
	if err != nil {
		t.Fatal(err)
	}
	abroad := samples()["invoice"]
	abroad.Lines[1].VATRate, abroad.Lines[1].VATNature = "0.000", "N3.1"
	abroad.VAT[2] = Rate{VATRate: "0.000", VATCountry: "IT", VATNature: "N3.1", Gross: 2490, Net: 2490}
	zero, _, err := EInvoice(abroad)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code     string
		from     []byte
		old, new string
	}{
		{"00400", zero, "        <AliquotaIVA>0.00</AliquotaIVA>\n        <Natura>N3.1</Natura>\n      </DettaglioLinee>", "        <AliquotaIVA>0.00</AliquotaIVA>\n      </DettaglioLinee>"},
		{"00401", sound, "        <AliquotaIVA>4.00</AliquotaIVA>\n      </DettaglioLinee>", "        <AliquotaIVA>4.00</AliquotaIVA>\n        <Natura>N4</Natura>\n      </DettaglioLinee>"},
		{"00429", zero, "<AliquotaIVA>0.00</AliquotaIVA>\n        <Natura>N3.1</Natura>\n        <Imp", "<AliquotaIVA>0.00</AliquotaIVA>\n        <Imp"},
		{"00430", sound, "<DatiRiepilogo>\n        <AliquotaIVA>22.00</AliquotaIVA>", "<DatiRiepilogo>\n        <AliquotaIVA>22.00</AliquotaIVA>\n        <Natura>N4</Natura>"},
		{"00421", sound, "<Imposta>18.12</Imposta>", "<Imposta>18.14</Imposta>"},
		{"00422", sound, "<PrezzoUnitario>6.14754098</PrezzoUnitario>\n        <PrezzoTotale>6.14754098</PrezzoTotale>", "<PrezzoUnitario>7.16</PrezzoUnitario>\n        <PrezzoTotale>7.16</PrezzoTotale>"},
		{"00423", sound, "<PrezzoTotale>80.32786885</PrezzoTotale>", "<PrezzoTotale>80.31</PrezzoTotale>"},
		{"00419", sound, "        <AliquotaIVA>10.00</AliquotaIVA>\n      </DettaglioLinee>", "        <AliquotaIVA>5.00</AliquotaIVA>\n      </DettaglioLinee>"},
		{"00417", sound, "01234567897", ""},
		{"00425", sound, "<Numero>F2026/17</Numero>", "<Numero>F</Numero>"},
		{"00427", sound, "<CodiceDestinatario>M5UXCR1</CodiceDestinatario>", "<CodiceDestinatario>M5UXCR</CodiceDestinatario>"},
	} {
		broken := bytes.ReplaceAll(c.from, []byte(c.old), []byte(c.new))
		if bytes.Equal(broken, c.from) {
			t.Errorf("%s: nothing to break:\n%s", c.code, c.from)
		}
		if refused := strings.Join(Controls(broken), "; "); !strings.Contains(refused, c.code) {
			t.Errorf("%s is not refused: %q", c.code, refused)
		}
	}
	if refused := Controls(sound); len(refused) > 0 {
		t.Errorf("a sound one is refused: %v", refused)
	}
}

// Invariant: for every cent from 0.01 to 10,000.00 at every usual rate, VAT as the rest of gross and net is within the
// exchange system's cent of net × rate.
func TestEveryCentIsTaken(t *testing.T) {
	for _, percent := range []string{"22", "10", "5", "4", "17", "18", "19", "20", "21", "23", "24", "25", "26", "27"} {
		rate, err := money.ParseRate(percent)
		if err != nil {
			t.Fatal(err)
		}
		for gross := int64(1); gross <= 1_000_000; gross++ {
			net := money.Net(gross, rate)
			exact := (2*net*int64(rate) + 100_000) / 200_000 // cents of VAT, half up
			if off := gross - net - exact; off < -1 || off > 1 {
				t.Fatalf("%d at %s %%: VAT is %d, the exchange system has %d", gross, percent, gross-net, exact)
			}
		}
	}
}

// Invariant: whatever is sold at whatever price, and whatever the buyer is called, the exchange system would take the
// e-invoice, its characters are those of the schema, and its sums are the document's.
func TestAnyEInvoice(t *testing.T) {
	letters := rapid.StringOfN(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("ab <&>\"' äöé €ŁŽ ΑΩ Я 王 م 🧵\u0301\n\x00"))), 1, 100, -1)
	rapid.Check(t, func(t *rapid.T) {
		s := samples()["invoice"]
		s.Kind = rapid.SampledFrom([]string{Invoice, DeferredInvoice, CreditNote}).Draw(t, "kind")
		s.Buyer.Name, s.Buyer.Address.Street, s.Why = letters.Draw(t, "name"), letters.Draw(t, "street"), letters.Draw(t, "why")
		s.Lines, s.VAT, s.Total = nil, nil, 0
		sums := map[string]int64{}
		for i := range rapid.IntRange(1, 9).Draw(t, "lines") {
			percent := rapid.SampledFrom([]string{"22.000", "10.000", "5.000", "4.000", "25.500"}).Draw(t, "rate")
			l := Line{Line: i + 1, Kind: "goods", Code: letters.Draw(t, "code"), Name: letters.Draw(t, "name"), Quantity: rapid.Int64Range(1, 1000).Draw(t, "quantity"),
				Gross: rapid.Int64Range(0, 1_000_000).Draw(t, "gross"), VATRate: percent, VATCountry: "IT"}
			s.Lines = append(s.Lines, l)
			sums[percent] += l.Gross
			s.Total += l.Gross
		}
		for percent, gross := range sums {
			rate, err := money.ParseRate(percent)
			if err != nil {
				t.Fatal(err)
			}
			s.VAT = append(s.VAT, Rate{VATRate: percent, VATCountry: "IT", Gross: gross, Net: money.Net(gross, rate), VAT: gross - money.Net(gross, rate)})
		}
		text, _, err := EInvoice(s)
		if err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(bytes.NewReader(text))
		for {
			token, err := decoder.Token()
			if err != nil {
				break
			}
			if chars, ok := token.(xml.CharData); ok {
				for _, r := range string(chars) {
					if r > 0xff {
						t.Fatalf("%q is not of Latin-1: %q", r, chars)
					}
				}
			}
		}
		if !strings.Contains(string(text), fmt.Sprintf("<ImportoTotaleDocumento>%s</ImportoTotaleDocumento>", money.Cents(s.Total).StringFixed(2))) {
			t.Fatal("another total")
		}
	})
}

// A rate of 0 says why, on the page and in the e-invoice: each of the exchange system's natures has its words in both languages.
func TestNatures(t *testing.T) {
	face, err := loadTypeface()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields("N1 N2.1 N2.2 N3.1 N3.2 N3.3 N3.4 N3.5 N3.6 N4 N5 N6.1 N6.2 N6.3 N6.4 N6.5 N6.6 N6.7 N6.8 N6.9 N7")
	for _, language := range []string{"it", "en"} {
		for _, nature := range all {
			s := samples()["invoice"]
			s.Language = language
			s.Lines, s.VAT = s.Lines[1:2], []Rate{{VATRate: "0.000", VATCountry: "IT", VATNature: nature, Gross: 2490, Net: 2490}}
			s.Lines[0].VATRate, s.Lines[0].VATNature, s.Total = "0.000", nature, 2490
			text, _, err := EInvoice(s)
			if err != nil || bytes.Count(text, []byte("<Natura>"+nature+"<")) != 2 || bytes.Contains(text, []byte("<RiferimentoNormativo>"+nature+"<")) {
				t.Errorf("%s: %v\n%s", nature, err, text)
			}
			said := false
			for _, m := range lay(s, face, nil)[0] {
				said = said || strings.HasPrefix(m.text, nature+": ") && len(m.text) > len(nature)+6
			}
			if !said {
				t.Errorf("a page in %s does not say what %s is", language, nature)
			}
		}
	}
}

// Who buys decides where the exchange system delivers, and by what he is known.
func TestRecipients(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Sheet)
		want   []string
		not    []string
	}{
		{"a company with a code", func(*Sheet) {}, []string{`versione="FPR12"`, "<CodiceDestinatario>M5UXCR1<", "<Denominazione>Bianchi"}, []string{"PECDestinatario"}},
		{"a company with PEC only", func(s *Sheet) { s.Buyer.SDI = "" }, []string{"<CodiceDestinatario>0000000<", "<PECDestinatario>bianchi@pec.example<"}, nil},
		{"a person", func(s *Sheet) {
			s.Buyer.Kind, s.Buyer.VATNumber, s.Buyer.TaxCode, s.Buyer.SDI, s.Buyer.PEC = "private", "", "RSSMRA80A01H501U", "", ""
		}, []string{"<CodiceDestinatario>0000000<", "<CodiceFiscale>RSSMRA80A01H501U<", "<Nome>Lucia<", "<Cognome>Bianchi<"}, []string{"PECDestinatario", "<Denominazione>Bianchi"}},
		{"a public body", func(s *Sheet) { s.Buyer.Kind, s.Buyer.SDI = "public", "UFABCD" }, []string{`versione="FPA12"`, "<FormatoTrasmissione>FPA12<", "<CodiceDestinatario>UFABCD<"}, nil},
		{"a company in Germany", func(s *Sheet) {
			s.Buyer.VATNumber, s.Buyer.TaxCode, s.Buyer.Address.Country, s.Buyer.Address.Postcode, s.Buyer.Address.Province = "DE123456789", "", "DE", "10115", "BE"
		}, []string{"<CodiceDestinatario>XXXXXXX<", "<IdPaese>DE</IdPaese>\n          <IdCodice>123456789<", "<CAP>00000<", "<Nazione>DE<"}, []string{"<Provincia>BE", "CodiceFiscale"}},
		{"a person in France", func(s *Sheet) {
			s.Buyer.Kind, s.Buyer.VATNumber, s.Buyer.TaxCode, s.Buyer.Address.Country = "private", "", "", "FR"
		}, []string{"<CodiceDestinatario>XXXXXXX<", "<IdPaese>FR</IdPaese>\n          <IdCodice>0000000<"}, []string{"CodiceFiscale"}},
		{"cash on delivery", func(s *Sheet) {
			s.Payments, s.CashOnDelivery = []Payment{{Kind: "to_collect", Code: "cod", Amount: 14340}}, 14340
		}, []string{"<ModalitaPagamento>MP01</ModalitaPagamento>\n        <ImportoPagamento>143.40<"}, []string{"IBAN"}},
		{"a transfer", func(s *Sheet) { s.Payments = []Payment{{Kind: "to_collect", Code: "bank", Amount: 14340}} },
			[]string{"<ModalitaPagamento>MP05</ModalitaPagamento>", "<IBAN>IT60X0542811101000000123456<"}, nil},
	} {
		s := samples()["invoice"]
		c.change(&s)
		text, _, err := EInvoice(s)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: no %s in\n%s", c.name, want, text)
			}
		}
		for _, not := range c.not {
			if strings.Contains(string(text), not) {
				t.Errorf("%s: %s in\n%s", c.name, not, text)
			}
		}
	}
}

// No two documents of a seller have one file.
func TestFileNames(t *testing.T) {
	seen := map[string]string{}
	for _, kind := range []string{Invoice, CreditNote} {
		for _, year := range []int{2026, 2027, 2049} {
			for _, n := range []int{1, 2, 35, 36, 999_999} {
				s := Sheet{Kind: kind, Number: fmt.Sprintf("F%d/%d", year, n)}
				p := progress(s)
				if len(p) != 5 || seen[p] != "" {
					t.Errorf("%s of %s %s is that of %s", p, kind, s.Number, seen[p])
				}
				seen[p] = kind + s.Number
			}
		}
	}
}

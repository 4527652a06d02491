package survey

import (
	"slices"
	"strings"
	"testing"
)

// What names of states, methods, fields and groups tell; and that what is not clear tells nothing.
func TestNamesTell(t *testing.T) {
	for names, want := range map[string]string{
		"Pending": saysPending, "In attesa/Offen": saysPending, "In attesa di pagamento": saysPending, "Non pagato": saysPending,
		"Processing": saysTaken, "In lavorazione/In Bearbeitung": saysTaken, "Pagato": saysTaken, "Paid": saysTaken,
		"Shipped": saysShipped, "Parzialmente spedito": saysShipped, "Versandt": saysShipped,
		"Complete": saysFinal, "Consegnato": saysFinal, "Delivered": saysFinal,
		"Canceled": saysCancelled, "Canceled Reversal": saysCancelled, "Nullo/Ungültig": saysCancelled, "Annullato": saysCancelled, "Refunded": saysCancelled,
		"Processed": "", "Reversed": "", "In stampa": "", "": "", "Cancelled, awaiting refund": "", "Spedito o annullato": "",
		"Awaiting supplier": "", "Awaiting Fulfillment": "", "Pending shipment": "", "In attesa di spedizione/Awaiting Shipment": "", "Awaiting Pickup": "",
		"In attesa del fornitore": "", "In attesa della merce": "", "In attesa di ritiro": "", "Offen/Wartet auf Lieferung": "", "On hold": saysPending, "Awaiting stock": "",
		"In attesa del pagamento/Awaiting Payment": saysPending, "In attesa di conferma": saysPending, "In attesa di bonifico": saysPending,
	} {
		if got := stateSays(strings.Split(names, "/")); got != want {
			t.Errorf("state %s says %q, want %q", names, got, want)
		}
	}
	for method, want := range map[string]string{
		"cod|Cash On Delivery": paysOnDelivery, "x_pod|Pagamento alla consegna": paysOnDelivery, "xcod2|Contrassegno": paysOnDelivery,
		"bank_transfer|": paysLater, "bt|Bonifico bancario": paysLater, "paypal|": paysAtOnce, "pp_express|": paysAtOnce, "nexi_xpay|": paysAtOnce,
		"custom1|Carta di credito": paysAtOnce, "free_checkout|": paysNothing, "codice_x|": "", "custom1|Barter": "", "": "",
	} {
		code, title, _ := strings.Cut(method, "|")
		if got := methodPays(code, title); got != want {
			t.Errorf("method %s pays %q, want %q", method, got, want)
		}
	}
	for names, want := range map[string][]string{
		"Codice fiscale": {"tax_code"}, "C.F.": {"tax_code"}, "Cod. Fiscale": {"tax_code"}, "Partita IVA/USt-IdNr.": {"vat_number"}, "P.IVA": {"vat_number"},
		"P. IVA / Codice fiscale": {"tax_code", "vat_number"}, "PEC": {"pec"}, "Indirizzo PEC": {"pec"}, "Codice SDI": {"sdi"}, "Codice Destinatario (fattura elettronica)": {"sdi"},
		"Desidero la fattura": {"invoice_wanted"}, "Data di nascita": nil, "Specie": nil, "": nil,
	} {
		if got := fieldMeans(strings.Split(names, "/")); !slices.Equal(got, want) {
			t.Errorf("field %s means %q, want %q", names, got, want)
		}
	}
	for names, want := range map[string]string{
		"Aziende": "company", "B2B": "company", "Wholesale": "company", "PA": "public", "Pubblica Amministrazione": "public", "Retail": "", "Default": "", "Papa": "",
	} {
		if got := groupIs([]string{names}); got != want {
			t.Errorf("group %s is %q, want %q", names, got, want)
		}
	}
}

// Values that a person typed are told from what they should be.
func TestValuesFit(t *testing.T) {
	for _, c := range []struct {
		meaning, value string
		want           int
	}{
		{"tax_code", "RSSMRA80A01H501U", 1}, {"tax_code", "rssmra80a01h501u", 1}, {"tax_code", "RSSMRA80A01", 0}, {"vat_number", "01234567897", 1},
		{"vat_number", "IT01234567897", 1}, {"vat_number", "1234", 0}, {"pec", "a@pec.it", 1}, {"pec", "a pec.it", 0}, {"sdi", "M5UXCR1", 1}, {"sdi", "UFABCD", 1}, {"sdi", "12", 0},
	} {
		if got, _ := fits(c.meaning, []string{c.value}); got != c.want {
			t.Errorf("%s %s fits %d, want %d", c.meaning, c.value, got, c.want)
		}
	}
}

// Whatever a shop calls its things, they stand in YAML as they are.
func TestScalarsAreQuotedWhereNeeded(t *testing.T) {
	for text, want := range map[string]string{
		"cod": "cod", "bank_transfer": "bank_transfer", "no": `"no"`, "Null": `"Null"`, "": `""`, "a: b": `"a: b"`, "x}": `"x}"`, "?": `"?"`, "12": `"12"`,
		"mysql://root@h:3306/d": "mysql://root@h:3306/d", "mysql://root@h/d?tls=true": `"mysql://root@h/d?tls=true"`, `a"b`: `"a\"b"`,
	} {
		if got := scalar(text); got != want {
			t.Errorf("%q is written %s, want %s", text, got, want)
		}
	}
}

// Products that share a model are told of until each is mapped by its number.
func TestDoublesAreMappedByHand(t *testing.T) {
	s := &Shop{Products: []Product{{ID: 1, Model: "A"}, {ID: 2, Model: "A"}, {ID: 3, Model: "B"}}}
	for byHand, want := range map[bool]int{false: 1, true: 0} {
		if found := s.doubles(&ERP{Mapped: map[[2]string]bool{{"2", ""}: byHand}}); len(found) != want {
			t.Errorf("mapped by hand %t: %+v", byHand, found)
		}
	}
	if found := s.doubles(nil); len(found) != 1 {
		t.Errorf("without an ERP: %+v", found)
	}
}

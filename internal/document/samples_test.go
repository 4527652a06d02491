package document

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
)

// sample is an invoice as the ERP gives it, at several rates with a discount and a gift card.
func sample() Sheet {
	packages, weight, capital := 2, "3.500", 10000.0
	return Sheet{
		Number: "F2026/17", Kind: Invoice, Date: "2026-11-28", Language: "it", Currency: "EUR", Reason: "sale",
		Seller: Seller{Name: "Tessitura Esempio S.r.l.", Street: "Via della Seta 12", Postcode: "22100", City: "Como", Province: "CO", Country: "IT", VATNumber: "12345670017",
			TaxRegime: "RF01", REAOffice: "CO", REANumber: "123456", ShareCapital: &capital, Phone: "+39 031 000000", Email: "ordini@tessitura.example", PEC: "tessitura@pec.example",
			Website: "www.tessitura.example", Bank: "Banca di Como", IBAN: "IT60X0542811101000000123456"},
		Buyer: Party{Kind: "company", Name: "Bianchi & Figli S.n.c.", VATNumber: "01234567897", TaxCode: "01234567897", SDI: "M5UXCR1", PEC: "bianchi@pec.example",
			Address: Address{FirstName: "Lucia", LastName: "Bianchi", Company: "Bianchi & Figli S.n.c.", Street: "Corso Italia 1", Postcode: "20122", City: "Milano", Province: "MI", Country: "IT"}},
		ShipTo: Address{FirstName: "Lucia", LastName: "Bianchi", Company: "Bianchi & Figli, magazzino", Street: "Via del Deposito 44", Street2: "scala B", Postcode: "20090", City: "Segrate", Province: "MI", Country: "IT"},
		Phone:  "+39 02 1234567", Note: "Suonare due volte.\nIl cancello è aperto fino alle 18.", OrderNumber: "W2026/31", Shop: "shop1", ShopNumber: "4711", Placed: "2026-11-26", Warehouse: "Milano",
		Carrier: "BRT", Tracking: "BRT000017", Packages: &packages, WeightKG: &weight, Total: 14340,
		Lines: []Line{
			{Line: 1, Kind: "goods", Code: "SC-0017-R", Name: "Sciarpa di seta «Bellagio», orlo a mano", Options: "Colore: rosso · Misura: 180 × 45 cm", Quantity: 2, Gross: 9800, VATRate: "22.000", VATCountry: "IT"},
			{Line: 2, Kind: "goods", Code: "LI-0004", Name: "Manuale della seta", Quantity: 1, Gross: 2490, VATRate: "4.000", VATCountry: "IT"},
			{Line: 3, Kind: "goods", Code: "TE-0099", Name: "Tè verde in foglie, 100 g", Quantity: 3, Gross: 2050, VATRate: "10.000", VATCountry: "IT"},
			{Line: 4, Kind: "charge", Code: "shipping", Name: "Corriere espresso", Quantity: 1, Gross: 750, VATRate: "22.000", VATCountry: "IT"},
			{Line: 5, Kind: "discount", Code: "coupon", Name: "Buono sconto (BENVENUTO)", Quantity: 1, Gross: -500, VATRate: "22.000", VATCountry: "IT"},
			{Line: 6, Kind: "discount", Code: "coupon", Name: "Buono sconto (BENVENUTO)", Quantity: 1, Gross: -250, VATRate: "10.000", VATCountry: "IT"},
		},
		VAT: []Rate{
			{VATRate: "22.000", VATCountry: "IT", Gross: 10050, Net: 8238, VAT: 1812},
			{VATRate: "10.000", VATCountry: "IT", Gross: 1800, Net: 1636, VAT: 164},
			{VATRate: "4.000", VATCountry: "IT", Gross: 2490, Net: 2394, VAT: 96},
		},
		Payments: []Payment{{Kind: "credit", Code: "voucher", Title: "Buono regalo", Amount: 2000}, {Kind: "paid", Code: "card", Title: "Carta di credito", Amount: 12340}},
	}
}

// samples are pages of every kind, and of every trouble that a name can make.
func samples() map[string]Sheet {
	note := sample()
	note.Kind, note.Number, note.CashOnDelivery = DeliveryNote, "DDT2026/31", 14340
	note.Payments = []Payment{{Kind: "to_collect", Code: "cod", Title: "Contrassegno", Amount: 14340}}

	deferred := sample()
	deferred.Kind, deferred.Number, deferred.Language = DeferredInvoice, "F2026/18", "en"
	deferred.OrderNumber, deferred.ShopNumber, deferred.Note, deferred.Carrier, deferred.Tracking = "", "", "", "", ""
	deferred.Packages, deferred.WeightKG = nil, nil
	deferred.Lines, deferred.Total = nil, 0
	for i := range 60 {
		delivery := fmt.Sprintf("DDT2026/%d", 31+i/20)
		gross := int64(1000 + 37*i)
		deferred.Lines = append(deferred.Lines, Line{Line: i + 1, Kind: "goods", Code: fmt.Sprintf("SP-%04d-XL", i), Name: "Silk scarf, hand-rolled hem, no. " + fmt.Sprint(i), Options: strings.Repeat("Colour: red ", i%3),
			Quantity: int64(1 + i%7), Gross: gross, VATRate: "22.000", VATCountry: "IT", Delivery: delivery})
		deferred.Total += gross
		if i%20 == 0 {
			deferred.Deliveries = append(deferred.Deliveries, Reference{Number: delivery, Date: "2026-11-0" + fmt.Sprint(3+i/20), Kind: DeliveryNote, OrderNumber: fmt.Sprintf("W2026/%d", 40+i), ShopNumber: fmt.Sprint(4711 + i)})
		}
	}
	net := (2*deferred.Total*100_000 + 122_000) / 244_000
	deferred.VAT = []Rate{{VATRate: "22.000", VATCountry: "IT", Gross: deferred.Total, Net: net, VAT: deferred.Total - net}}
	deferred.Payments = []Payment{{Kind: "to_collect", Code: "bank_transfer", Title: "Bank transfer", Amount: deferred.Total}}

	credit := sample()
	credit.Kind, credit.Number, credit.Reason, credit.Why, credit.Corrects = CreditNote, "NC2026/3", "return", "misura sbagliata", &Reference{Number: "F2026/17", Date: "2026-11-28", Kind: Invoice}
	credit.Note, credit.Carrier, credit.Tracking, credit.Payments, credit.Packages, credit.WeightKG = "", "", "", nil, nil, nil
	credit.Lines, credit.VAT, credit.Total = credit.Lines[:1], []Rate{{VATRate: "22.000", VATCountry: "IT", Gross: 9800, Net: 8033, VAT: 1767}}, 9800

	order := sample()
	order.Kind, order.Number, order.OrderNumber, order.Language, order.Carrier, order.Tracking = Order, "W2026/31", "W2026/31", "en", "Express courier", ""
	order.Packages, order.WeightKG = nil, nil
	order.VAT[2] = Rate{VATRate: "0.000", VATCountry: "IT", VATNature: "N3.1", Gross: 2490, Net: 2490}
	order.Lines[1].VATRate, order.Lines[1].VATNature = "0.000", "N3.1"
	order.Buyer.Kind, order.Buyer.Name, order.Buyer.VATNumber, order.Buyer.TaxCode, order.Buyer.SDI, order.Buyer.PEC = "private", "Zoë Müller-Ångström", "", "", "", ""
	order.Buyer.Address.Country, order.Buyer.Address.City, order.Buyer.Address.Postcode, order.Buyer.Address.Province = "CH", "Zürich", "8001", ""
	order.ShipTo = order.Buyer.Address

	hostile := note
	hostile.Number = "DDT2026/999999"
	hostile.Buyer.Name = "Nguyễn Thị Ánh · Γιώργος Παπαδόπουλος · Дмитрий Щукин · 王小明 · محمد علي · דוד כהן · สมชาย · नमस्ते · 🧵🪡"
	hostile.ShipTo = Address{FirstName: strings.Repeat("Wolfeschlegelsteinhausenbergerdorff", 4), LastName: "<b>O'Neill</b>\r\nBcc: x@example.com", Company: "Robert'); DROP TABLE students;--",
		Street: "\u202eevil\u202c street\x00\x07", City: "\ufdfa", Postcode: "00000", Country: "🇮🇹"}
	hostile.Note = strings.Repeat("AVeryLongWordWithoutAnySpaceInIt", 40) + "\n" + strings.Repeat("note ", 300) + "\xff\xfe(bad bytes)"
	hostile.Lines = append([]Line{{Line: 1, Kind: "goods", Code: strings.Repeat("SKU", 30), Name: strings.Repeat("Ein sehr langer Name ", 60), Options: "e\u0301\u0301\u0301 ﬁ Å ½ ™", Quantity: 1_000_000, Gross: 123456789012, VATRate: "22.000", VATCountry: "DE"}}, hostile.Lines...)

	return map[string]Sheet{"invoice": sample(), "ddt": note, "deferred": deferred, "credit_note": credit, "order": order, "hostile": hostile}
}

// picture is a seller's logo.
func picture(t testing.TB) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 240, 80))
	for x := range 240 {
		for y := range 80 {
			shade := color.RGBA{255, 255, 255, 255}
			if d := (x - 120) * (y*3 - 120) / 100; d*d < 900 || (x+y)%24 < 3 {
				shade = color.RGBA{0x1f, 0x4e, 0x79, 255}
			}
			img.Set(x, y, shade)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

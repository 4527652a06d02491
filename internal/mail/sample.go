package mail

import "github.com/spola-cdc/spola/internal/document"

// Sample is a mail about an order that never was, for who writes templates.
func Sample(kind, language string) Letter {
	seller := document.Seller{Name: "Bottega Aurora srl", Street: "Via Garibaldi 12", Postcode: "20121", City: "Milano", Province: "MI", Country: "IT",
		VATNumber: "01234567897", Phone: "+39 02 123456", Email: "ordini@bottega.example", Website: "www.bottega.example"}
	l := Letter{Kind: kind, Language: language, Page: Page{Seller: seller, Name: "Chiara D'Amico", Order: "4711", Number: "W2026/17"}}
	if kind == Invoice {
		l.Documents = []string{"F2026/17"}
		l.Page.Invoice = &document.Sheet{Number: "F2026/17", Kind: document.Invoice, Date: "2026-11-28", Language: language, Currency: "EUR", Seller: seller, Total: 12345,
			OrderNumber: "W2026/17", ShopNumber: "4711"}
		return l
	}
	l.Documents = []string{"DDT2026/17"}
	l.Page.Parcel = &Parcel{Number: "W2026/17", ShopNumber: "4711", Placed: "2026-11-26", Seller: seller, Currency: "EUR", Shipped: "2026-11-28",
		ShipTo:  document.Address{FirstName: "Chiara", LastName: "D'Amico", Street: "Via dei Mille 3", Postcode: "80121", City: "Napoli", Province: "NA", Country: "IT"},
		Carrier: "BRT", Tracking: "002010585132", Link: "https://vas.brt.it/vas/sped_det_show.hsm?nspediz=002010585132", Packages: 2, CashOnDelivery: 0,
		Documents: l.Documents, Lines: []Piece{{"Tazza in ceramica", "Colore: rosso", 2}, {"Teiera 1,2 l", "", 1}}, Waiting: []Piece{{"Vassoio in legno d'ulivo", "Misura: L", 1}}}
	return l
}

package survey

import (
	"regexp"
	"strings"
)

// What names tell, in the languages of shops that were seen: English, Italian, German, French,
// Spanish. A word stands for itself and what begins with it; "=" in front: for itself alone.

// Meanings of an order state's name.
const (
	saysCancelled = "cancelled"
	saysPending   = "pending"
	saysTaken     = "taken"
	saysShipped   = "shipped"
	saysFinal     = "final"
)

var stateWords = map[string][]string{
	saysCancelled: {"cancel", "annul", "stornier", "storno", "denied", "negat", "abgelehnt", "rifiut", "refus", "fail", "fallit", "fehlgeschlagen",
		"refund", "rimbors", "erstatt", "rembours", "reembols", "chargeback", "riaddebit", "rückbuchung", "expired", "scadut", "abgelaufen",
		"void", "=nullo", "ungültig", "échou", "rechaz"},
	saysPending: {"pending", "attesa", "offen", "ausstehend", "attente", "pendient", "awaiting", "unpaid", "=on hold", "sospes", "unbezahlt"},
	saysTaken: {"processing", "lavorazione", "bearbeitung", "preparazione", "preparation", "=paid", "=pagato", "bezahlt", "confirmed", "confermat", "bestätigt",
		"accept", "accettat", "traitement", "procesando", "=payé"},
	saysShipped: {"shipped", "spedit", "versandt", "versendet", "expédi", "enviad", "dispatched"},
	saysFinal:   {"complete", "completat", "=completo", "abgeschlossen", "terminé", "delivered", "consegnat", "zugestellt", "livré", "entregad", "evaso", "=evasa"},
}

// goodsWords name what an order waits for that is accepted already: goods, or the way to the customer. Whether its
// money has come they don't tell.
var goodsWords = []string{"supplier", "vendor", "stock", "goods", "fulfil", "shipment", "shipping", "dispatch", "courier", "delivery", "pickup", "pick up", "collection",
	"fornitor", "merce", "magazzino", "giacenza", "evasion", "spedizion", "corriere", "consegna", "ritiro", "arrivo", "produzion", "production",
	"lieferant", "lieferung", "ware", "lager", "versand", "abholung", "fournisseur", "expédition", "livraison", "retrait", "proveedor", "envío", "entrega", "recogida"}

// stateSays is what the names of a state say together; empty if that is nothing, or more than one thing. Waiting for
// goods is nothing: a guess "placed" would hold back what is paid.
func stateSays(names []string) string {
	text := strings.NewReplacer("non pagat", "unpaid", "da pagare", "unpaid", "not paid", "unpaid").Replace(strings.ToLower(strings.Join(names, " / ")))
	says := ""
	for meaning, list := range stateWords {
		if !mentions(text, list) {
			continue
		}
		if says != "" {
			return ""
		}
		says = meaning
	}
	if says == saysPending && mentions(text, goodsWords) {
		return ""
	}
	return says
}

// Kinds of payment methods.
const (
	paysOnDelivery = "on delivery"  // the courier brings the money
	paysLater      = "later"        // the order stands before the money has come
	paysAtOnce     = "at once"      // the order is confirmed once the money is sure
	paysNothing    = "nothing owed" // credit or a coupon has paid it all
)

var methodWords = map[string][]string{
	paysOnDelivery: {"=cod", "cash on delivery", "contrassegno", "nachnahme", "contre remboursement", "contra reembolso", "consegna"},
	paysLater:      {"bank_transfer", "bank transfer", "bonifico", "überweisung", "vorkasse", "virement", "transferencia", "cheque", "assegno", "invoice", "rechnung", "money order"},
	paysAtOnce: {"paypal", "pp_", "stripe", "klarna", "mollie", "braintree", "nexi", "satispay", "amazon", "worldpay", "sagepay", "opayo", "squareup", "authorizenet",
		"adyen", "sumup", "scalapay", "carta", "card", "kreditkarte", "tarjeta", "carte"},
	paysNothing: {"free_checkout", "free checkout"},
}

// methodPays is how a payment method pays, by its code and its title; empty if that is not known.
func methodPays(code, title string) string {
	for _, text := range []string{code, title} {
		pays := ""
		for kind, list := range methodWords {
			if mentions(text, list) && pays != kind {
				if pays != "" {
					return ""
				}
				pays = kind
			}
		}
		if pays != "" {
			return pays
		}
	}
	return ""
}

// fieldWords say what a customer's field is for, as the shop file calls it.
var fieldWords = map[string][]string{
	"tax_code":       {"codice fiscale", "cod fiscale", "cod fisc", "=cf", "=c f", "tax code", "fiscal code"},
	"vat_number":     {"partita iva", "=p iva", "=piva", "=part iva", "vat number", "=vat", "vat id", "ust id", "ustid", "umsatzsteuer", "numéro de tva", "n tva"},
	"pec":            {"=pec", "posta certificata", "posta elettronica certificata", "certified e mail", "certified email"},
	"sdi":            {"=sdi", "codice destinatario", "codice univoco", "recipient code", "=cod sdi"},
	"invoice_wanted": {"fattura", "invoice", "rechnung"},
}

// fieldForms are what the values of a field look like.
var fieldForms = map[string]*regexp.Regexp{
	"tax_code":   regexp.MustCompile(`(?i)^([A-Z]{6}[0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]|[0-9]{11})$`),
	"vat_number": regexp.MustCompile(`(?i)^([A-Z]{2} ?[0-9A-Z]{8,12}|[0-9]{11})$`),
	"pec":        regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`),
	"sdi":        regexp.MustCompile(`(?i)^[0-9A-Z]{6,7}$`),
}

// fieldMeans lists what a field's names may mean; more than one is one too many.
func fieldMeans(names []string) (meanings []string) {
	for _, meaning := range []string{"tax_code", "vat_number", "pec", "sdi", "invoice_wanted"} {
		if mentions(strings.Join(names, " / "), fieldWords[meaning]) {
			meanings = append(meanings, meaning)
		}
	}
	if len(meanings) > 1 && meanings[len(meanings)-1] == "invoice_wanted" { // "recipient code for the invoice"
		meanings = meanings[:len(meanings)-1]
	}
	return meanings
}

var groupWords = map[string][]string{
	"company": {"aziend", "business", "company", "companies", "b2b", "wholesale", "rivendit", "ingrosso", "reseller", "unternehmen", "firmen", "händler", "entreprise", "empresa", "partita iva"},
	"public":  {"pubblica amministrazione", "=pa", "public body", "public administration", "behörde", "ente pubblico", "enti pubblici"},
}

// groupIs is the kind of customers that a group's names tell, or empty.
func groupIs(names []string) string {
	kind := ""
	for k, list := range groupWords {
		if mentions(strings.Join(names, " / "), list) {
			if kind != "" {
				return ""
			}
			kind = k
		}
	}
	return kind
}

var marks = regexp.MustCompile(`[^\pL\pN_/]+`)

// mentions tells whether a text has one of the words.
func mentions(text string, list []string) bool {
	text = " " + strings.TrimSpace(marks.ReplaceAllString(strings.ToLower(text), " ")) + " "
	text = strings.ReplaceAll(text, "/", " / ")
	for _, word := range list {
		whole, exact := strings.CutPrefix(word, "=")
		if exact && strings.Contains(text, " "+whole+" ") || !exact && strings.Contains(text, " "+word) {
			return true
		}
	}
	return false
}

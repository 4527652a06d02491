package document

import (
	"fmt"
	"strings"
)

// The page, in mm: A4.
const (
	pageWidth, pageHeight = 210.0, 297.0
	left, right           = 16.0, 194.0
	top, bottom           = 16.0, 270.0 // of what a document says; its seller's data stand below
	leading               = 1.28        // from line to line, of the size of the letters
	longest               = 3000        // characters of one text, beyond which it is cut
)

// mark is something drawn on a page, in mm from its upper left corner.
type mark struct {
	kind       markKind
	x, y, w, h float64 // of a text: where it begins, on its base line
	text       string
	size       float64 // of a text, in points; of a line, its width in mm
	bold       bool
	shade      uint8 // 0 is black
}

type markKind int

const (
	textMark markKind = iota
	lineMark
	fillMark
	logoMark
)

// layout sets a sheet on pages.
type layout struct {
	Sheet
	face    *typeface
	logo    *logo
	pages   [][]mark
	y       float64 // where the next thing goes
	changed bool    // letters were simplified …
	boxed   bool    // … or are boxes
	total   int     // pages, known the second time
}

// lay sets a sheet on pages; twice, for each page says how many there are.
func lay(s Sheet, face *typeface, picture *logo) [][]mark {
	first := &layout{Sheet: s, face: face, logo: picture}
	first.all()
	second := &layout{Sheet: s, face: face, logo: picture, total: len(first.pages), changed: first.changed, boxed: first.boxed}
	second.all()
	return second.pages
}

func (l *layout) all() {
	l.newPage()
	l.parties()
	l.references()
	l.table()
	l.sums()
	l.transport()
	l.remarks()
}

// ---- what everything is made of

func (l *layout) put(m mark) { l.pages[len(l.pages)-1] = append(l.pages[len(l.pages)-1], m) }

type style struct {
	size  float64
	bold  bool
	shade uint8
}

var (
	plainText = style{9, false, 0}
	boldText  = style{9, true, 0}
	small     = style{7.5, false, 90}
	label     = style{7, false, 110}
	heading   = style{15, true, 0}
)

func (st style) line() float64 { return st.size * leading * 25.4 / 72 }

// clean is a text that the typeface can draw, on one line.
func (l *layout) clean(s string) string { return strings.ReplaceAll(l.paragraphs(s), "\n", " ") }

// paragraphs is the same with the lines that it came with.
func (l *layout) paragraphs(s string) string {
	text, changed := l.face.readable(s)
	l.changed = l.changed || changed
	l.boxed = l.boxed || changed && strings.ContainsRune(text, missing)
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return text
}

func (l *layout) text(x, y float64, s string, st style) {
	if s = l.clean(s); strings.TrimSpace(s) != "" {
		l.put(mark{kind: textMark, x: x, y: y, text: s, size: st.size, bold: st.bold, shade: st.shade})
	}
}

func (l *layout) textRight(x, y float64, s string, st style) {
	l.text(x-l.face.width(l.clean(s), st.size, st.bold), y, s, st)
}

// fit is textRight with letters as small as it takes.
func (l *layout) fit(x, y, width float64, s string, st style) {
	if needs := l.face.width(l.clean(s), st.size, st.bold); needs > width {
		st.size *= width / needs
	}
	l.textRight(x, y, s, st)
}

func (l *layout) rule(y float64, width float64, shade uint8) {
	l.put(mark{kind: lineMark, x: left, y: y, w: right - left, size: width, shade: shade})
}

// block writes lines of a text one below the other in a column, and says where the next would begin.
func (l *layout) block(x, y, width float64, s string, st style) float64 {
	for _, line := range l.face.cut(l.clean(s), width, st.size, st.bold) {
		l.text(x, y, line, st)
		y += st.line()
	}
	return y
}

// room makes sure that so many mm are left on the page, if need be on a new one.
func (l *layout) room(mm float64) bool {
	if l.y+mm <= bottom {
		return false
	}
	l.newPage()
	return true
}

// ---- head and foot of each page

func (l *layout) newPage() {
	l.pages = append(l.pages, nil)
	l.foot()
	if len(l.pages) > 1 {
		for _, line := range l.face.cut(l.clean(l.Seller.Name), 80, boldText.size, true) {
			l.text(left, top, line, boldText)
			break
		}
		l.fit(right, top, 90, fmt.Sprintf("%s %s %s (%s)", l.title(), l.say("no"), l.Number, l.say("more")), boldText)
		l.rule(top+2.5, 0.2, 0)
		l.y = top + 9
		return
	}
	y := top
	if l.logo != nil {
		l.put(mark{kind: logoMark, x: left, y: top - 5, w: l.logo.width, h: l.logo.height})
		y += l.logo.height + 1
	} else {
		y = l.block(left, y+1, 90, l.Seller.Name, style{13, true, 0})
	}
	s := l.Seller
	if l.logo != nil {
		y = l.block(left, y, 90, s.Name, boldText)
	}
	for _, line := range (Address{Street: s.Street, Postcode: s.Postcode, City: s.City, Province: s.Province, Country: s.Country}).lines(s.Country, l.lang()) {
		y = l.block(left, y, 90, line, small)
	}
	y = l.block(left, y, 90, join(" · ", s.Phone, s.Email, s.Website), small)

	at := top + 2
	for _, line := range l.face.cut(l.title(), 82, heading.size, true) {
		l.textRight(right, at, line, heading)
		at += heading.line()
	}
	at += 0.5
	l.textRight(right, at, fmt.Sprintf("%s %s", l.say("no"), l.Number), style{11, true, 0})
	l.textRight(right, at+5, fmt.Sprintf("%s %s", l.say("dated"), l.day(l.Date)), style{10, false, 0})
	at += 10
	if l.Kind == DeliveryNote {
		l.textRight(right, at-0.5, l.say("law ddt"), label)
		at += label.line()
	}
	if l.State == "cancelled" {
		l.textRight(right, at+1, l.say("state cancelled"), boldText)
		at += 5
	}
	l.y = max(y, at) + 4
}

func (l *layout) foot() {
	y := bottom + 6
	l.rule(y-4, 0.15, 150)
	if fiscal := l.fiscal(); fiscal != "" {
		y = l.block(left, y, right-left, fiscal, style{7.5, true, 60})
	}
	s := l.Seller
	legal := []string{s.Name}
	if s.VATNumber != "" {
		legal = append(legal, l.say("vat number")+" IT"+s.VATNumber)
	}
	if s.TaxCode != "" && s.TaxCode != s.VATNumber {
		legal = append(legal, l.say("tax code")+" "+s.TaxCode)
	}
	if s.REANumber != "" {
		legal = append(legal, join(" ", l.say("rea"), join("-", s.REAOffice, s.REANumber)))
	}
	if s.ShareCapital != nil {
		legal = append(legal, l.say("capital")+" € "+l.amount(int64(*s.ShareCapital*100+0.5)))
	}
	if s.PEC != "" {
		legal = append(legal, l.say("pec")+" "+s.PEC)
	}
	l.block(left, y, right-left-30, join(" · ", legal...), label)
	l.textRight(right, pageHeight-11, fmt.Sprintf(l.say("page"), len(l.pages), max(l.total, len(l.pages))), label)
}

// fiscal says what the paper is worth.
func (l *layout) fiscal() string {
	switch l.Kind {
	case Invoice, DeferredInvoice, CreditNote:
		return l.say("courtesy")
	case Order, Return, Sale:
		return l.say("confirm")
	}
	return ""
}

// ---- who, and what it is about

func (l *layout) parties() {
	const width, gap = 86.0, 6.0
	who := l.say("bill to")
	if l.Kind == DeliveryNote || l.Kind == Order || l.Kind == Return || l.Kind == Sale {
		who = l.say("sold to")
	}
	from := l.y
	l.text(left, l.y, who, label)
	y := l.block(left, l.y+4.5, width, l.Buyer.Name, style{10, true, 0})
	for _, line := range l.Buyer.Address.lines(l.Seller.Country, l.lang()) {
		y = l.block(left, y, width, line, plainText)
	}
	for _, pair := range [][2]string{{"vat number", l.Buyer.VATNumber}, {"tax code", l.Buyer.TaxCode}, {"sdi", l.Buyer.SDI}, {"pec", l.Buyer.PEC}} {
		if pair[1] != "" {
			y = l.block(left, y, width, l.say(pair[0])+" "+pair[1], small)
		}
	}
	other := l.ShipTo.name()
	x := left + width + gap
	l.text(x, from, l.say("ship to"), label)
	at := l.block(x, from+4.5, width, other, style{10, true, 0})
	for _, line := range l.ShipTo.lines(l.Seller.Country, l.lang()) {
		at = l.block(x, at, width, line, plainText)
	}
	if l.Phone != "" {
		at = l.block(x, at, width, l.say("phone")+" "+l.Phone, plainText)
	}
	l.y = max(y, at) + 3
}

// references is the line about order, corrected document and deliveries.
func (l *layout) references() {
	var about []string
	if l.OrderNumber != "" && l.Kind != Order {
		about = append(about, fmt.Sprintf("%s %s %s %s", l.say("in order"), l.OrderNumber, l.say("dated"), l.day(l.Placed)))
	}
	if l.ShopNumber != "" {
		about = append(about, fmt.Sprintf("%s %s", l.say("shop order"), l.ShopNumber))
	}
	if c := l.Corrects; c != nil {
		key := "corrects invoice"
		if l.Kind == Return {
			key = "corrects delivery"
		}
		about = append(about, fmt.Sprintf(l.say(key), c.Number, l.day(c.Date)))
	}
	if l.Kind == Return {
		about = append(about, fmt.Sprintf(l.say("return code"), l.Number))
	}
	if l.Why != "" {
		about = append(about, l.say("why")+": "+l.Why)
	}
	if l.Kind == DeferredInvoice && len(l.deliveryNotes()) == 1 {
		d := l.deliveryNotes()[0]
		about = append(about, fmt.Sprintf(l.say("delivery"), d.Number, l.day(d.Date)))
	}
	if len(about) > 0 {
		l.y = l.block(left, l.y, right-left, join("   ·   ", about...), plainText) + 2
	}
}

func (l *layout) deliveryNotes() []Reference {
	var out []Reference
	for _, d := range l.Deliveries {
		if d.Kind == DeliveryNote {
			out = append(out, d)
		}
	}
	return out
}

func join(between string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, between)
}

package document

import (
	"fmt"
	"strings"
)

// Columns of the table of lines: where texts begin, and where numbers end.
const (
	atCode, widthCode = left + 1, 27.0
	atText, widthText = left + 30, 76.0
	endQuantity       = left + 119
	endPrice          = left + 142
	endRate           = left + 156
	endAmount         = right - 1
)

// table writes the lines; where the page ends, the next begins with the columns' names.
func (l *layout) table() {
	l.columns()
	delivery := ""
	for i, line := range l.Lines {
		if l.Kind == DeferredInvoice && len(l.deliveryNotes()) > 1 && line.Delivery != delivery {
			delivery = line.Delivery
			l.listed(delivery)
		}
		l.row(line, i == len(l.Lines)-1)
	}
	l.rule(l.y-4.4, 0.25, 0)
	l.text(left+1, l.y-0.6, l.say("prices"), label)
	l.y += 6
}

func (l *layout) columns() {
	l.put(mark{kind: fillMark, x: left, y: l.y, w: right - left, h: 6.5, shade: 232})
	y := l.y + 4.4
	st := style{7.5, true, 40}
	l.text(atCode, y, l.say("code"), st)
	l.text(atText, y, l.say("description"), st)
	l.textRight(endQuantity, y, l.say("quantity"), st)
	l.textRight(endPrice, y, l.say("price"), st)
	l.textRight(endRate, y, l.say("rate"), st)
	l.textRight(endAmount, y, l.say("amount"), st)
	l.y += 6.5 + 4.6
}

// listed is the heading of the lines of one delivery on an invoice over several.
func (l *layout) listed(number string) {
	for _, d := range l.Deliveries {
		if d.Number != number {
			continue
		}
		text := fmt.Sprintf(l.say("delivery"), d.Number, l.day(d.Date))
		if d.OrderNumber != "" {
			text += fmt.Sprintf(" · %s %s", l.say("of order"), join(" / ", d.OrderNumber, d.ShopNumber))
		}
		l.nextRow(12)
		l.text(atText, l.y, text, style{8, true, 60})
		l.y += 5
	}
}

// nextRow begins a new page for a row that does not fit.
func (l *layout) nextRow(height float64) {
	if l.room(height) {
		l.columns()
	}
}

func (l *layout) row(line Line, last bool) {
	goods := line.Kind == "goods"
	name := line.Name
	if !goods && name == "" {
		name = l.say(line.Kind)
	}
	texts := l.face.cut(l.clean(name), widthText, plainText.size, false)
	extra := l.face.cut(l.clean(line.Options), widthText, small.size, false)
	var codes []string
	if goods {
		codes = l.face.cut(l.clean(line.Code), widthCode, 8, false)
	}
	if len(texts) == 0 {
		texts = []string{""}
	}
	// A row of a few lines stays whole; the sums below want company on their page.
	height := float64(min(max(len(texts)+len(extra), len(codes)), 6)) * plainText.line()
	if last {
		height += 8
	}
	l.nextRow(height)
	l.numbers(line, goods)
	for i := range max(len(texts)+len(extra), len(codes)) {
		l.nextRow(0)
		if i < len(codes) {
			l.text(atCode, l.y, codes[i], style{8, false, 0})
		}
		switch {
		case i < len(texts):
			l.text(atText, l.y, texts[i], plainText)
		case i < len(texts)+len(extra):
			l.text(atText, l.y, extra[i-len(texts)], small)
		}
		l.y += plainText.line()
	}
	l.y += 0.6
	if !last {
		l.rule(l.y-3.2, 0.1, 190)
	}
	l.y += 1.4
}

func (l *layout) numbers(line Line, goods bool) {
	if goods && line.Quantity > 0 {
		l.fit(endQuantity, l.y, endQuantity-atText-widthText-2, fmt.Sprint(line.Quantity), plainText)
		l.fit(endPrice, l.y, endPrice-endQuantity-2, l.unit(line), plainText)
	}
	l.fit(endRate, l.y, endRate-endPrice-2, l.rate(line.VATRate, line.VATCountry, line.VATNature), plainText)
	l.fit(endAmount, l.y, endAmount-endRate-2, l.amount(line.Gross), plainText)
}

// sums is the summary of VAT on the left, the total and how it is paid on the right: together on one page.
func (l *layout) sums() {
	reasons := map[string]string{}
	for _, v := range l.VAT {
		if text := natures[l.lang()][v.VATNature]; text != "" {
			reasons[v.VATNature] = text
		}
	}
	height := max(float64(len(l.VAT)+len(reasons))*4.6+16, float64(len(l.Payments))*4.6+26)
	l.room(height)
	from := l.y
	const endNet, endVAT, endGross = left + 42, left + 62, left + 84
	l.text(left+1, l.y, l.say("summary"), label)
	l.y += 4.6
	st := style{7.5, true, 40}
	l.text(left+1, l.y, l.say("rate"), st)
	l.textRight(endNet, l.y, l.say("net"), st)
	l.textRight(endVAT, l.y, l.say("vat"), st)
	l.textRight(endGross, l.y, l.say("gross"), st)
	l.put(mark{kind: lineMark, x: left, y: l.y + 1.4, w: 85, size: 0.15, shade: 120})
	l.y += 5.2
	var net, vat int64
	for _, v := range l.VAT {
		l.text(left+1, l.y, l.rate(v.VATRate, v.VATCountry, v.VATNature), plainText)
		l.fit(endNet, l.y, 24, l.amount(v.Net), plainText)
		l.fit(endVAT, l.y, 18, l.amount(v.VAT), plainText)
		l.fit(endGross, l.y, 20, l.amount(v.Gross), plainText)
		l.y += 4.6
		net, vat = net+v.Net, vat+v.VAT
	}
	if len(l.VAT) > 1 {
		l.put(mark{kind: lineMark, x: left, y: l.y - 3.2, w: 85, size: 0.1, shade: 190})
		l.y += 0.6
		l.fit(endNet, l.y, 24, l.amount(net), boldText)
		l.fit(endVAT, l.y, 18, l.amount(vat), boldText)
		l.fit(endGross, l.y, 20, l.amount(l.Total), boldText)
		l.y += 4.6
	}
	for _, v := range l.VAT {
		if text := reasons[v.VATNature]; text != "" {
			l.y = l.block(left+1, l.y, 84, v.VATNature+": "+text, small)
			delete(reasons, v.VATNature)
		}
	}
	l.y = max(l.y, l.pay(from)) + 4
}

func (l *layout) pay(from float64) float64 {
	const x = left + 100
	y := from - 3
	l.put(mark{kind: fillMark, x: x, y: y, w: right - x, h: 10, shade: 232})
	l.text(x+3, y+6.6, l.say("total"), style{11, true, 0})
	l.fit(right-3, y+6.6, 52, l.sum(l.Total), style{13, true, 0})
	y += 15
	transfer := false
	for _, p := range l.Payments {
		what := l.say(p.Kind)
		if p.Title != "" {
			what += ": " + p.Title
		}
		for i, line := range l.face.cut(l.clean(what), 48, 8.5, false) {
			l.text(x+3, y, line, style{8.5, false, 0})
			if i == 0 {
				l.textRight(right-3, y, l.amount(p.Amount), style{8.5, false, 0})
			}
			y += 4.3
		}
		transfer = transfer || p.Kind == "to_collect" && l.CashOnDelivery == 0
	}
	if transfer && l.Seller.IBAN != "" && l.Kind != DeliveryNote {
		y = l.block(x+3, y, right-x-6, join(" · ", l.Seller.Bank, "IBAN "+l.Seller.IBAN), small)
	}
	return y
}

// transport says how the goods travel, and what the carrier collects.
func (l *layout) transport() {
	if l.CashOnDelivery > 0 && (l.Kind == DeliveryNote || l.Kind == Invoice) {
		l.room(20)
		l.put(mark{kind: fillMark, x: left, y: l.y - 3, w: right - left, h: 12, shade: 20})
		l.put(mark{kind: fillMark, x: left + 0.5, y: l.y - 2.5, w: right - left - 1, h: 11, shade: 255})
		l.text(left+4, l.y+4.6, l.say("cod"), style{12, true, 0})
		l.text(left+62, l.y+4.4, l.say("cod text"), plainText)
		l.textRight(right-4, l.y+4.8, l.sum(l.CashOnDelivery), style{13, true, 0})
		l.y += 15
	}
	if l.Kind == Order {
		if l.Carrier != "" {
			l.room(10)
			l.y = l.block(left+1, l.y, right-left, l.say("shipping")+": "+l.Carrier, plainText) + 2
		}
		return
	}
	if l.Kind != DeliveryNote && l.Tracking == "" && l.Carrier == "" {
		return
	}
	carrier := l.Carrier
	if carrier == "" {
		carrier = l.say("fetched")
	}
	fields := [][2]string{{"carrier", carrier}, {"tracking", l.Tracking}}
	if l.Kind == DeliveryNote {
		fields = append([][2]string{{"reason", l.say("reason " + l.Reason)}}, fields...)
		fields = append(fields, [2]string{"left", l.day(l.Date)}, [2]string{"from", l.Warehouse})
	}
	if l.Packages != nil {
		fields = append(fields, [2]string{"packages", fmt.Sprint(*l.Packages)})
	}
	if l.WeightKG != nil {
		weight := strings.TrimRight(strings.TrimRight(*l.WeightKG, "0"), ".") // numeric(12,3)
		if l.lang() == "it" {
			weight = comma(weight)
		}
		fields = append(fields, [2]string{"weight", weight + " kg"})
	}
	l.room(30)
	l.text(left+1, l.y, l.say("transport"), label)
	l.y += 5
	const columns, width = 4, (right - left) / 4
	at, deepest := 0, l.y
	for _, f := range fields {
		if f[1] == "" {
			continue
		}
		x := left + 1 + float64(at%columns)*width
		if at > 0 && at%columns == 0 {
			l.y = deepest + 1.6
		}
		l.text(x, l.y, l.say(f[0]), label)
		deepest = max(deepest, l.block(x, l.y+4, width-4, f[1], boldText))
		at++
	}
	l.y = deepest + 3
}

// remarks are the customer's note, what was simplified, and on a delivery note the room for signatures.
func (l *layout) remarks() {
	if l.Note != "" {
		l.room(14)
		l.text(left+1, l.y, l.say("note"), label)
		l.y += 4.4
		for _, line := range l.face.cut(l.paragraphs(l.Note), right-left-2, plainText.size, false) {
			l.room(plainText.line())
			l.text(left+1, l.y, line, plainText)
			l.y += plainText.line()
		}
		l.y += 2
	}
	if l.changed {
		l.room(5)
		words := "simplified"
		if l.boxed {
			words = "boxed"
		}
		l.text(left+1, l.y, l.say(words), label)
		l.y += 5
	}
	if l.Kind == DeliveryNote {
		l.room(18)
		l.y = max(l.y, bottom-18)
		for i, who := range split(l.say("signatures")) {
			x := left + float64(i)*(right-left)/2
			l.put(mark{kind: lineMark, x: x, y: l.y + 11, w: (right-left)/2 - 10, size: 0.15, shade: 120})
			l.text(x, l.y+14.5, who, label)
		}
	}
}

package verify

// compareFacts holds what the ERP has against what the shopper was meant to pay, worked out by the
// test shop from prices and rates alone. The total has to be equal. A line and a rate may differ by
// a cent: in the order they are rounded together, in the journal each by itself.
func (p *proof) compareFacts(x pair, m money) {
	if x.journal == nil || x.journal.Facts.Planted {
		return
	}
	f := x.journal.Facts
	if m.total != f.Cents || m.total-m.credits != f.ToPay {
		p.differ(x.id, "journal", "the shopper was meant to owe %d and to pay %d, the shop says %d and %d",
			f.Cents, f.ToPay, m.total, m.total-m.credits)
	}
	p.compareFactLines(x, f)
	for _, want := range f.VAT {
		found := false
		for _, got := range x.link.vat {
			if got.rate.cmp(number(want.Rate)) == 0 {
				found = near(got.gross, want.Gross) && near(got.vat, want.VAT)
			}
		}
		if !found {
			p.differ(x.id, "journal", "VAT at %s %% was meant to be %d in %d; in the ERP: %v", want.Rate, want.VAT, want.Gross, texts(x.link.vat))
		}
	}
}

func (p *proof) compareFactLines(x pair, f Facts) {
	if len(f.Lines) != len(x.link.lines) {
		p.differ(x.id, "journal", "%d lines were meant, the ERP has %d", len(f.Lines), len(x.link.lines))
		return
	}
	left := append([]erpLine(nil), x.link.lines...)
	for _, want := range f.Lines {
		at := -1
		for i, got := range left {
			if got.sku == want.SKU && got.options == want.Options && got.quantity == want.Quantity && near(got.gross, want.Gross) {
				at = i
				break
			}
		}
		if at < 0 {
			p.differ(x.id, "journal", "a line of %d x %s%s for %d was meant; the ERP has %v", want.Quantity, want.SKU, withOptions(want.Options), want.Gross, texts(p.soldInERP(x.link)))
			return
		}
		left = append(left[:at], left[at+1:]...)
	}
}

func near(a, b int64) bool { return a-b <= 1 && b-a <= 1 }

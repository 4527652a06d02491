package survey

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/writeback"
)

// checkStates looks for states without a class, for classes that contradict what the shop does with
// the pieces, and for entries that mean nothing any more.
func (x *examination) checkStates() {
	every := x.shop.everyState()
	for _, state := range every {
		counts, n := x.shop.OrdersIn(state.ID)
		name := strings.TrimSpace(state.ID + " " + oneLine(strings.Join(state.Names, " / ")))
		add := func(severity Severity, what, method string) {
			entry := fmt.Sprintf("- {state: %q, class: …}", state.ID)
			if method != "" {
				entry = fmt.Sprintf("- {state: %q, method: %s, class: …}", state.ID, scalar(method))
			}
			x.add(severity, "state", x.file.section("states"), what, "under states, with ignored, placed, taken, cancelled or final: "+entry)
		}
		switch lines := x.file.classes(state.ID); {
		case len(lines) == 0 && len(state.Names) > 0:
			add(Blocking, "order state "+name+counted(n, counts)+" has no class: going live is refused", "")
		case len(lines) == 0:
			add(Parking, "order state "+name+counted(n, counts)+", which the shop no longer has, has no class: its orders are parked", "")
		default:
			for _, c := range counts {
				if x.file.class(state.ID, c.Method) == "" {
					add(Parking, fmt.Sprintf("order state %s has no class for payment method %q: %s would be parked", name, c.Method, plural(c.N, "order")), c.Method)
				}
			}
		}
	}
	for i, c := range x.file.States {
		at := slices.IndexFunc(every, func(s State) bool { return s.ID == c.State })
		line := x.file.line(fmt.Sprintf("states[%d]", i))
		switch {
		case c.State == "0":
		case at < 0:
			x.add(Warning, "state_gone", line, "state "+c.State+" is not in the shop, and no order is in it", "strike the line")
		case (c.Class == "taken" || c.Class == "final") && !every[at].Consumes:
			x.add(Warning, "state_stock", line, fmt.Sprintf("state %s is %s, but the shop takes its pieces back in it, as for a cancelled order: they are sold again while the ERP holds them", c.State, c.Class),
				"put the state into the shop's processing states (System > Settings > Option), or class it cancelled")
		case c.Class == "cancelled" && every[at].Consumes:
			x.add(Warning, "state_stock", line, fmt.Sprintf("state %s is cancelled, but the shop keeps its pieces: nobody can buy them", c.State),
				"take the state out of the shop's processing and complete states (System > Settings > Option), or class it otherwise")
		}
	}
}

// checkStatuses holds the map of the way back against the shop: what would move stock twice keeps
// `applier run orders` from running.
func (x *examination) checkStatuses() {
	if len(x.file.Statuses) == 0 {
		if x.Config.Shop.Writes() {
			x.add(Warning, "statuses", 0, "statuses is not in the shop file: tracking numbers and states of orders are not brought into the shop",
				"write it: deploy/shop.opencart.example.yaml explains it")
		}
		return
	}
	names := map[string]string{}
	var consuming []string
	for _, state := range x.shop.everyState() {
		if len(state.Names) > 0 {
			names[state.ID] = oneLine(state.Names[0])
		}
		if state.Consumes {
			consuming = append(consuming, state.ID)
		}
	}
	for _, err := range each(writeback.CheckStatuses(&x.file.ShopFile, names, consuming)) {
		if err == nil {
			continue
		}
		what, mend, _ := strings.Cut(err.Error(), "; ")
		x.add(Blocking, "statuses", x.file.section("statuses"), what, mend)
	}
	for _, of := range []string{"shipped", "cancelled"} {
		if x.file.Statuses[of] == "" {
			x.add(Warning, "statuses", x.file.section("statuses"), "statuses has no state for "+of+": such orders wait, by name, in `applier status`", "write the shop's state for it")
		}
	}
}

// classes are the entries of a state.
func (f *shopFile) classes(state string) (all []intake.StateClass) {
	for _, c := range f.States {
		if c.State == state {
			all = append(all, c)
		}
	}
	return all
}

// class is what a state means for a payment method; empty if no entry says.
func (f *shopFile) class(state, method string) string {
	class := ""
	for _, c := range f.classes(state) {
		if c.Method == method {
			return c.Class
		}
		if first, _, _ := strings.Cut(c.Method, "."); c.Method == "" || c.Method == "*" || first == method {
			class = c.Class
		}
	}
	return class
}

// checkTotals looks for codes of the totals that nobody has explained.
func (x *examination) checkTotals() {
	known := map[string]bool{}
	for i, t := range x.file.Totals {
		known[t.Code] = true
		line := x.file.line(fmt.Sprintf("totals[%d]", i))
		if t.TaxClass != nil && !slices.ContainsFunc(x.shop.Classes, func(c TaxClass) bool { return c.ID == *t.TaxClass }) {
			x.add(Parking, "tax_class", line, fmt.Sprintf("total %s names tax class %d, which the shop does not have", t.Code, *t.TaxClass), "name one of "+x.shop.classList()+", or a rate")
		}
	}
	for _, g := range x.shop.totalGuesses() {
		code := strings.Trim(strings.TrimPrefix(g.what, "code: "), `"`)
		if known[code] {
			continue
		}
		kind := g.value
		if kind == openQuestion {
			kind = "…"
		}
		x.add(Parking, "total", x.file.section("totals"), "rows of the totals have the code "+code+", which the shop file does not class: "+g.reason,
			fmt.Sprintf("under totals: - {code: %s, kind: %s}", scalar(code), kind))
	}
}

func (s *Shop) classList() string {
	var all []string
	for _, c := range s.Classes {
		all = append(all, fmt.Sprintf("%d (%s)", c.ID, oneLine(c.Title)))
	}
	return strings.Join(all, ", ")
}

// checkTitles looks for VAT rows of orders whose title is no tax rate any more.
func (x *examination) checkTitles() {
	for _, t := range x.shop.Titles {
		if slices.ContainsFunc(x.shop.Rates, func(r Rate) bool { return r.Percent && r.Title == t.Title }) {
			continue
		}
		why, mend := "no tax rate is called so", "give a rate in percent this name again (System > Localisation > Taxes > Tax Rates), or go live from a later date"
		if slices.ContainsFunc(x.shop.Rates, func(r Rate) bool { return r.Title == t.Title }) {
			if slices.ContainsFunc(x.file.FixedTaxes, func(f intake.FixedTax) bool { return f.Title == t.Title }) {
				continue
			}
			why, mend = "the tax rate of this name is a fixed amount", fmt.Sprintf("under fixed_taxes: - {title: %s, rate: …}, the VAT in it", scalar(t.Title))
		}
		x.report.Findings = append(x.report.Findings, Finding{Severity: Warning, Part: InShop, Code: "tax_title",
			What: fmt.Sprintf("%s with VAT rows called %q, the newest is %d, but %s: those that are taken over are parked", plural(t.N, "order"), oneLine(t.Title), t.Last, why),
			Mend: mend})
	}
}

// checkPayments looks for payment methods of which nobody has said how they pay.
func (x *examination) checkPayments() {
	seen := map[string]bool{}
	for _, g := range x.shop.payGuesses() {
		code := strings.Trim(g.what, `"`)
		seen[code] = true
		if x.file.pays(code) {
			continue
		}
		value := g.value
		if value == openQuestion {
			value = "… (paid or to_collect)"
		}
		x.add(Warning, "payment", x.file.section("payments"), "payment method "+code+" is not named, so its orders count as paid", "under payments: "+g.what+": "+value)
	}
	for _, code := range slices.Sorted(maps.Keys(x.file.Payments)) {
		first, _, _ := strings.Cut(code, ".")
		if !seen[first] && code != "*" {
			x.add(Note, "payment_gone", x.file.entry("payments", code), "payment method "+code+" is not switched on, and no order has it", "strike the line, if it is not to come")
		}
	}
}

func (f *shopFile) pays(method string) bool {
	for code := range f.Payments {
		if first, _, _ := strings.Cut(code, "."); first == method || code == "*" {
			return true
		}
	}
	return false
}

// checkFields looks for fields that vanished, and for those that an invoice would need.
func (x *examination) checkFields() {
	if x.shop.refused("fields") {
		return
	}
	byID := map[string]Field{}
	for _, f := range x.shop.Fields {
		byID[f.ID] = f
	}
	for _, id := range slices.Sorted(maps.Keys(x.file.CustomFields)) {
		f, there := byID[id]
		line := x.file.entry("custom_fields", id)
		switch {
		case !there:
			x.add(Warning, "field_gone", line, "custom field "+id+" ("+x.file.CustomFields[id]+") is not in the shop", "strike the line, or name the field that has taken its place")
		case !f.Active:
			x.add(Note, "field_off", line, fmt.Sprintf("custom field %s %q is switched off: new orders come without it", id, oneLine(strings.Join(f.Names, " / "))), "switch it on in the shop, if it is meant to be there")
		}
	}
	all, _ := x.shop.fieldGuesses()
	for _, g := range all {
		id := strings.Trim(g.what, `"`)
		if _, named := x.file.CustomFields[id]; !named && byID[id].Active {
			x.add(Warning, "field", x.file.section("custom_fields"), "custom field "+id+" is not used: "+g.reason, "under custom_fields, if it is what it sounds like: "+g.what+": "+g.value)
		}
	}
}

func (s *Shop) refused(what string) bool {
	return slices.ContainsFunc(s.Unread, func(line string) bool { return strings.HasPrefix(line, what+":") })
}

// checkGroups looks for customer groups that vanished.
func (x *examination) checkGroups() {
	if x.shop.refused("groups") {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(x.file.CustomerGroups)) {
		if !slices.ContainsFunc(x.shop.Groups, func(g Group) bool { return g.ID == id }) {
			x.add(Warning, "group_gone", x.file.entry("customer_groups", id), "customer group "+id+" is not in the shop", "strike the line")
		}
	}
}

// checkNatures looks for countries to which something was sold without VAT, and nothing says why.
func (x *examination) checkNatures() {
	for _, u := range x.shop.Untaxed {
		covered := slices.ContainsFunc(x.file.Natures, func(n intake.Nature) bool { return n.Of(u.Country, x.shop.Settings["country"].Value) })
		if covered || u.Country == "" {
			continue
		}
		x.add(Parking, "nature", x.file.section("natures"), fmt.Sprintf("%s to %s without VAT, such as %d, and nothing says why: such orders are parked", plural(u.N, "order"), u.Country, u.Last),
			fmt.Sprintf("under natures, with the code of the invoice: - {country: %s, nature: …}", u.Country))
	}
}

// checkArticles looks for products that the ERP does not know.
func (x *examination) checkArticles() {
	x.report.Findings = append(x.report.Findings, x.shop.doubles(x.erp)...)
	if x.erp == nil || x.erp.Empty {
		return
	}
	mapped := map[string]map[string]bool{} // product → option values, "" for the product itself
	for key := range x.erp.Mapped {
		if mapped[key[0]] == nil {
			mapped[key[0]] = map[string]bool{}
		}
		for value := range strings.SplitSeq(key[1], ",") {
			mapped[key[0]][value] = true
		}
	}
	open := map[int64][]string{} // option values without an article
	stocked := map[int64]bool{}
	for _, v := range x.shop.Variants {
		stocked[v.Product] = true
		if !mapped[fmt.Sprint(v.Product)][v.Value] {
			open[v.Product] = append(open[v.Product], v.Value)
		}
	}
	var missing, variants []string
	for _, p := range x.shop.Products {
		switch {
		case !p.Active:
		case len(open[p.ID]) > 0:
			variants = append(variants, fmt.Sprintf("%s (product %d: %s)", oneLine(p.Model), p.ID, some(open[p.ID])))
		case !stocked[p.ID] && mapped[fmt.Sprint(p.ID)] == nil && !x.erp.SKUs[p.Model]:
			missing = append(missing, p.String())
		}
	}
	add := func(code, what, mend string) {
		x.report.Findings = append(x.report.Findings, Finding{Severity: Parking, Part: InERP, Code: code, What: what, Mend: mend})
	}
	if len(missing) > 0 {
		add("article", fmt.Sprintf("%s without an article of the ERP, by SKU or by hand: %s", plural(int64(len(missing)), "product"), some(missing)),
			"create the articles in the ERP under these SKUs, or map the products: applier articles --suggest > articles.csv, look through it, applier articles --import articles.csv")
	}
	if len(variants) > 0 {
		add("variant", fmt.Sprintf("%s with option values that keep stock of their own and have no article: %s", plural(int64(len(variants)), "product"), some(variants)),
			"say which article each option value is: applier articles --suggest > articles.csv proposes it by name, applier articles --import articles.csv takes it")
	}
}

package survey

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// recognise finds the shop that the configuration names.
func (x *examination) recognise(ctx context.Context, db *sql.DB) (Found, error) {
	var database string
	if err := db.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		return Found{}, fmt.Errorf("ask the shop's server: %w", err)
	}
	all, err := Recognise(ctx, db, database)
	if err != nil {
		return Found{}, err
	}
	return Choose(all, database, &x.Config.Shop.Prefix)
}

var stateList = regexp.MustCompile(`^\[("?\d+"?(,"?\d+"?)*)?\]$`)

// settle says what is wrong with the shop's own settings: without them no order is derived.
func (s *Shop) settle() (findings []Finding) {
	add := func(severity Severity, code, what, mend string) {
		findings = append(findings, Finding{Severity: severity, Part: InShop, Code: code, What: what, Mend: mend})
	}
	const where = "set it in the shop: System > Settings"
	for _, name := range []string{"timezone", "currency", "country", "processing", "complete"} {
		v := s.Settings[name]
		switch {
		case v.Value == "":
			add(Blocking, "setting", "the shop has no setting for its "+title(name)+": no order can be read without it", where)
		case (name == "processing" || name == "complete") && !stateList.MatchString(v.Value):
			add(Blocking, "setting", fmt.Sprintf("the shop's setting %s is %q, which is no list of order states", v.Key, v.Value), where)
		}
	}
	if zone := s.Settings["timezone"].Value; zone != "" && !knownZone(zone) {
		add(Blocking, "timezone", "the shop's time zone "+zone+" is not known", where)
	}
	for _, r := range s.Rates {
		if len(r.Countries) == 0 {
			add(Blocking, "tax_rate", fmt.Sprintf("tax rate %d (%s) is for a geo zone without any country: orders wait until it is mended", r.ID, r.Title),
				"give its geo zone countries, or delete the rate: System > Localisation > Taxes")
		}
	}
	for _, r := range s.Broken {
		add(Blocking, "tax_rule", fmt.Sprintf("tax class %d has a rule for tax rate %d, which is not there: orders wait until it is mended%s", r.Class, r.Rate, s.taxedBy(r.Class)),
			"save the tax class without it: System > Localisation > Taxes > Tax Classes")
	}
	if !s.refused("tax classes") {
		findings = append(findings, s.classless()...)
	}
	return append(findings, s.ambiguousRates()...)
}

// taxedBy names the products of a tax class.
func (s *Shop) taxedBy(class int64) string {
	var all []string
	for _, p := range s.Products {
		if p.TaxClass == class {
			all = append(all, p.String())
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "; its products: " + some(all)
}

// classless finds products on sale whose tax class is gone: the shop sells them without VAT.
func (s *Shop) classless() (findings []Finding) {
	gone := map[int64]bool{}
	for _, p := range s.Products {
		if p.Active && p.TaxClass != 0 && !slices.ContainsFunc(s.Classes, func(c TaxClass) bool { return c.ID == p.TaxClass }) {
			gone[p.TaxClass] = true
		}
	}
	for _, class := range slices.Sorted(maps.Keys(gone)) {
		findings = append(findings, Finding{Severity: Warning, Part: InShop, Code: "tax_class",
			What: fmt.Sprintf("tax class %d is not in the shop, so what names it is sold without VAT%s", class, s.taxedBy(class)),
			Mend: "choose another on the pages of these products (Catalog > Products > Data): " + s.classList()})
	}
	return findings
}

func title(setting string) string {
	return map[string]string{"timezone": "time zone", "currency": "currency", "country": "country", "processing": "processing states", "complete": "complete states"}[setting]
}

// knownZone believes in a zone where this machine has no list of them.
func knownZone(name string) bool {
	if _, err := time.LoadLocation("Europe/Rome"); err != nil {
		return true
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// ambiguousRates finds two rates of one name for the same country: an order's VAT row names its
// rate by the title alone.
func (s *Shop) ambiguousRates() (findings []Finding) {
	seen := map[string]Rate{}
	for _, r := range s.Rates {
		if !r.Percent || !r.Used {
			continue
		}
		for _, country := range r.Countries {
			key := r.Title + "|" + country
			before, ok := seen[key]
			seen[key] = r
			if ok && !before.Rate.Equal(r.Rate) {
				findings = append(findings, Finding{Severity: Parking, Part: InShop, Code: "tax_title",
					What: fmt.Sprintf("tax rates %d and %d are both called %q in %s, with %s %% and %s %%: a VAT row does not tell which it is", before.ID, r.ID, r.Title, country, before.Rate, r.Rate),
					Mend: "give one of them another name: System > Localisation > Taxes > Tax Rates"})
			}
		}
	}
	return findings
}

// doubles finds products that share their model, by which articles are found; those mapped by hand no longer are. e may be nil.
func (s *Shop) doubles(e *ERP) (findings []Finding) {
	by := map[string][]string{}
	var models []string
	for _, p := range s.Products {
		if p.Model == "" || e != nil && e.Mapped[[2]string{fmt.Sprint(p.ID), ""}] {
			continue
		}
		if by[p.Model] == nil {
			models = append(models, p.Model)
		}
		by[p.Model] = append(by[p.Model], fmt.Sprint(p.ID))
	}
	for _, model := range models {
		if ids := by[model]; len(ids) > 1 {
			findings = append(findings, Finding{Severity: Warning, Part: InShop, Code: "double_sku",
				What: fmt.Sprintf("products %s share the model %q: all of them would be sold as one article", strings.Join(ids, ", "), model),
				Mend: "give each its own model in the shop, or map them by number: applier articles --import FILE.csv"})
		}
	}
	return findings
}

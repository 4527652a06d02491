package survey

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

//go:embed spola.yaml.tmpl
var configTemplate string

// Wish is what the person who runs init has said.
type Wish struct {
	Name     string   // of the source; empty: made from the database's name
	ShopURL  string   // with or without password, which is never written
	ERPURL   string   //
	Brokers  []string // none: the embedded broker
	ShopFile string   // name of the shop file beside the configuration
	Now      time.Time

	// How the password came, for what is written in its place: "environment", the path of a file, or
	// empty if it was typed or there is none.
	ShopPassword, ERPPassword string
}

// EnvironmentPassword says in a Wish that a password came from the environment.
const EnvironmentPassword = "environment"

// Config is the text of spola.yaml for a shop and an ERP.
func Config(w Wish, s *Shop, e *ERP) (string, error) {
	t, err := template.New("spola.yaml").Option("missingkey=error").Parse(configTemplate)
	if err != nil {
		return "", err
	}
	name, reason := w.Source(s.Found)
	var b strings.Builder
	err = t.Execute(&b, map[string]any{
		"Day": w.Now.Format(time.DateOnly), "Shop": s, "Name": name, "NameReason": reason, "Prefix": "spola",
		"TablePrefix": scalar(s.Prefix), "ShopFile": scalar(w.ShopFile), "ShopURL": scalar(withoutPassword(w.ShopURL)), "ERPURL": scalar(withoutPassword(w.ERPURL)),
		"ShopPassword": passwordLine("SPOLA_SHOP_PASSWORD", "secrets/shop_cdc.txt", w.ShopPassword),
		"ERPPassword":  passwordLine("SPOLA_ERP_PASSWORD", "secrets/erp_applier.txt", w.ERPPassword),
		"ERPFound":     e.describe(), "Brokers": strings.Join(w.Brokers, ", "),
	})
	if err != nil {
		return "", fmt.Errorf("write spola.yaml: %w", err)
	}
	return align(b.String()), nil
}

// Source is the name that the source gets, and why.
func (w Wish) Source(f Found) (name, reason string) {
	if w.Name != "" {
		return w.Name, "as given with --name"
	}
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(f.Database), "_"), "_")
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		name = strings.TrimSuffix("shop_"+name, "_")
	}
	return name[:min(len(name), 40)], "the shop's database is called so"
}

var notInNames = regexp.MustCompile(`[^a-z0-9_]+`)

// passwordLine says where a password comes from; the password itself is nowhere in it.
func passwordLine(variable, file, from string) string {
	switch from {
	case EnvironmentPassword:
		return fmt.Sprintf("  # password_file: %s  # for now %s is set, which wins over a file", file, variable)
	case "":
		return fmt.Sprintf("  # password_file: %s  # a file with the password, or set %s", file, variable)
	}
	return fmt.Sprintf("  password_file: %s  # as given; %s wins over it", scalar(from), variable)
}

func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User = url.User(u.User.Username())
	query := u.Query()
	query.Del("password")
	u.RawQuery = query.Encode()
	return u.String()
}

func (e *ERP) describe() string {
	text := "PostgreSQL " + e.Version
	switch {
	case e.Empty:
		return text + "; no ERP stands in schema erp yet: `applier migrate` makes the reference ERP there"
	case len(e.Lacks) > 0:
		return text + "; what stands in schema erp is not all that the contract asks for: `spola doctor` says what is missing"
	}
	return fmt.Sprintf("%s; schema erp offers the whole contract, with %s", text, plural(int64(len(e.SKUs)), "article"))
}

// ShopFile is the text of the shop file for a shop.
func ShopFile(w Wish, s *Shop, e *ERP) string {
	d := &draft{}
	d.head(w, s, e)
	d.states(s)
	d.statuses(s)
	d.totals(s)
	d.fixedTaxes(s)
	d.payments(s)
	d.fields(s)
	d.groups(s)
	d.natures(s)
	d.customers()
	return align(d.b.String())
}

// draft is a file under way.
type draft struct{ b strings.Builder }

// section begins a new part of the file with what is to be known of it.
func (d *draft) section(about string) {
	d.b.WriteString("\n")
	for line := range strings.SplitSeq(strings.TrimSpace(about), "\n") {
		d.b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
}

// line writes an entry, with its reason behind it.
func (d *draft) line(entry, reason string) {
	if reason != "" {
		entry += "  # " + oneLine(reason)
	}
	d.b.WriteString(entry + "\n")
}

// key begins the entries of a key, if there are any; where there are none, YAML wants it empty.
func (d *draft) key(name string, n int, none string) {
	if n == 0 {
		d.line(name+": "+none, "")
		return
	}
	d.line(name+":", "")
}

func (d *draft) head(w Wish, s *Shop, e *ERP) {
	set := func(name string) string {
		if v := s.Settings[name].Value; v != "" {
			return oneLine(v)
		}
		return "none (!)"
	}
	var languages, currencies, rates []string
	for _, l := range s.Languages {
		languages = append(languages, l.Code)
	}
	for _, c := range s.Currencies {
		if c.Active {
			currencies = append(currencies, c.Code)
		}
	}
	for _, r := range s.Rates {
		if r.Percent && r.Used {
			rates = append(rates, fmt.Sprintf("%q %s %% (%s)", oneLine(r.Title), r.Rate.String(), strings.Join(r.Countries, " ")))
		}
	}
	d.b.WriteString("# What Spola must know of the shop \"" + set("name") + "\". Written by `spola init` on " + w.Now.Format(time.DateOnly) + `;
# from here on it is yours. Unknown keys are refused.
#
# Every entry is a guess, with its reason behind it: go through them once with the shop's
# administration open. Where a "?" stands only you know the answer: nothing is taken over until it
# is filled in. Then ask ` + "`spola doctor`" + `, today and whenever something is odd.
#
# Found in the shop's settings, and read from there (nothing to be done here):
`)
	d.found("time zone", set("timezone"))
	d.found("country", set("country"))
	d.found("currency", set("currency")+others(currencies, s.Settings["currency"].Value))
	d.found("language", set("language")+others(languages, s.Settings["language"].Value))
	d.found("VAT", strings.Join(rates, ", "))
	if len(s.Stores) > 0 {
		var names []string
		for _, x := range s.Stores {
			names = append(names, oneLine(x.Name))
		}
		d.found("stores", "beside the first: "+strings.Join(names, ", ")+"; the orders of all of them are read")
	}
	d.found("articles", s.matched(e))
	for _, refused := range s.Unread {
		d.found("not seen", oneLine(refused))
	}
	d.b.WriteString("\n")
	d.line("platform: "+s.Platform, s.Title+" "+s.Version+", by its tables")
}

func (d *draft) found(what, how string) {
	fmt.Fprintf(&d.b, "#   %-10s %s\n", what, how)
}

// others lists what stands beside the first.
func others(all []string, first string) string {
	rest := slices.DeleteFunc(slices.Clone(all), func(x string) bool { return x == first })
	if len(rest) == 0 {
		return ""
	}
	return ", beside it " + strings.Join(rest, ", ")
}

// matched says how many products have an article by their model.
func (s *Shop) matched(e *ERP) string {
	if len(e.SKUs) == 0 {
		return plural(int64(len(s.Products)), "product") + "; the ERP has no articles yet"
	}
	n := 0
	for _, p := range s.Products {
		if e.SKUs[p.Model] {
			n++
		}
	}
	return fmt.Sprintf("%s; the model of %d is an SKU of the ERP, the others are mapped with `applier articles`", plural(int64(len(s.Products)), "product"), n)
}

func (d *draft) states(s *Shop) {
	d.section(`
What each order state means; its number is in System > Localisation > Order Statuses. A state may
mean something else for one payment method (the code of the extension: cod, bank_transfer …).

  ignored    a cart or a draft
  placed     has taken its pieces from the shop's stock, but the ERP shall not have it yet
  taken      the ERP has it
  cancelled  counts once it has stood for 3 seconds, so that saving an order is no cancellation
  final      done; it changes nothing more

Going live is refused while a state of the shop has no class. A state that is added later parks
its orders until it stands here.`)
	d.key("states", 1, "")
	for _, g := range s.stateGuesses() {
		entry := fmt.Sprintf("  - {state: %q", g.State)
		if g.Method != "" {
			entry += ", method: " + scalar(g.Method)
		}
		d.line(entry+", class: "+scalar(g.Class)+"}", g.Reason)
	}
}

func (d *draft) statuses(s *Shop) {
	d.section(`
The way back, where shop.write_as is set in spola.yaml: the shop's state for what an order has become in the ERP. It is only ever
written forward. shipped, part_shipped and closed_short must be states for which the shop holds the pieces, cancelled must not.`)
	all := s.statusGuesses()
	d.key("statuses", len(all), "{}  # no state of the shop says by its name that it would do: nothing is written back until one stands here")
	for _, g := range all {
		d.line(fmt.Sprintf("  %s: %q", g.what, g.value), g.reason)
	}
	d.section(`What the customer reads of a parcel, by language of the order, with {carrier}, {tracking} and {link}. Without a line it is Spola's own sentence.`)
	d.line("parcels: {}", "")
}

func (d *draft) totals(s *Shop) {
	d.section(`
Rows of an order's totals that come from plug-ins. OpenCart's own are known: sub_total, shipping,
coupon, reward, credit, voucher, tax, total. A code that stands nowhere parks its order.

  charge     something sold beside the goods; VAT by its tax class in the shop, or a fixed rate
  discount   taken from the price, spread over the VAT rates
  payment    paid by other means: changes no VAT
  ignored    says again what other rows say`)
	all := s.totalGuesses()
	d.key("totals", len(all), "[]  # the shop has none of its own")
	for _, g := range all {
		value := g.value
		if value == openQuestion {
			value = scalar(value)
		}
		d.line("  - {"+g.what+", kind: "+value+"}", g.reason)
	}
}

func (d *draft) fixedTaxes(s *Shop) {
	d.section(`
Taxes of the shop that are a fixed amount a piece (OpenCart's type F). They are no VAT: the ERP gets them as a charge, "tax",
of which the shop's amount is the price with VAT in it. title is the name of the tax rate, rate that VAT in percent.
Without a line here the orders are parked.`)
	all := s.fixedGuesses()
	d.key("fixed_taxes", len(all), "[]  # no order bears one")
	for _, g := range all {
		d.line("  - {"+g.what+", rate: "+scalar(g.value)+"}", g.reason)
	}
}

func (d *draft) payments(s *Shop) {
	d.section(`How an order that is taken stands with its money: paid, or to_collect on delivery.`)
	d.entries("payments", s.payGuesses(), "{}  # no method is switched on, no order has one")
}

func (d *draft) fields(s *Shop) {
	all, unused := s.fieldGuesses()
	about := `
The shop's own fields (Customers > Custom Fields, by number) that an invoice needs:
tax_code (codice fiscale), vat_number (partita IVA), pec, sdi, invoice_wanted.`
	if len(unused) > 0 {
		about += "\nNot used, for nothing in their names tells what they are for: " + strings.Join(unused, ", ") + "."
	}
	d.section(about)
	d.entries("custom_fields", all, "{}")
}

func (d *draft) groups(s *Shop) {
	all, unused := s.groupGuesses()
	about := `
Kind of customer by customer group: private, company, public. Without a line here it is a company
if there is a VAT number or a company's name, a public body if the SDI code has 6 characters.`
	if len(unused) > 0 {
		about += "\nWithout a line for now: " + strings.Join(unused, ", ") + "."
	}
	d.section(about)
	d.entries("customer_groups", all, "{}")
}

func (d *draft) entries(key string, all []guess, none string) {
	d.key(key, len(all), none)
	for _, g := range all {
		d.line("  "+g.what+": "+scalar(g.value), g.reason)
	}
}

func (d *draft) natures(s *Shop) {
	d.section(`
Why no VAT is charged, by country of delivery and kind of customer (or any). Two letters are one
country, EU is every other member, * every country outside the EU; the shop's own country has only
a line of its own. An order at 0 % that finds no line here is parked.`)
	all := s.natureGuesses()
	d.key("natures", len(all), "[]  # nothing was ever sold without VAT")
	for _, g := range all {
		d.line("  - {"+g.what+", nature: "+scalar(g.value)+"}", g.reason)
	}
}

func (d *draft) customers() {
	d.section(`
Customers. match: one whom the ERP knows already, under no number of the shop, is found by these keys, the surest
first (vat_number, tax_code, email); several that fit park the order. malformed: what becomes of an order whose tax code, VAT
number, SDI code or PEC can't be right: take (applier customers lists it) or park.`)
	d.line("customers: {match: [], malformed: take}", "")
	d.section(`
Stock: the shop shows what the ERP has on hand in the warehouses of the web shop, less what is committed, less a buffer of pieces. reconcile:
how often what it shows is compared, and repaired. warehouses: of the ERP, by their codes, whose pieces this shop shows; none: those of all web shops. articles: what is other for one, by its SKU in the ERP:
- {sku: "AB-100", buffer: 2} or {sku: "AB-200", left_out: true}, whose stock in the shop is never written.`)
	d.line("stock: {warehouses: [], buffer: 0, reconcile: 15m, articles: []}", "")
	d.section("More orders parked for one reason within a minute are no matter of single orders: the stream stops.")
	d.line("parked_per_minute: 20", "")
}

var plainScalar = regexp.MustCompile(`^[A-Za-z/.][A-Za-z0-9_./:@=&-]*$`)

// scalar is a text as YAML takes it within a flow mapping; plain where that is safe.
func scalar(text string) string {
	switch strings.ToLower(text) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
	default:
		if plainScalar.MatchString(text) && !strings.HasSuffix(text, ":") && !strings.Contains(text, "?") {
			return text
		}
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""` // a text can always be quoted
	}
	return string(quoted)
}

// align puts the comments behind neighbouring entries below each other, within reason.
func align(text string) string {
	const widest = 60
	lines := strings.Split(text, "\n")
	for start := 0; start < len(lines); {
		end, width := start, 0
		for ; end < len(lines); end++ {
			entry, _, ok := cutComment(lines[end])
			if !ok {
				break
			}
			if n := utf8.RuneCountInString(entry); n <= widest {
				width = max(width, n)
			}
		}
		for i := start; i < end; i++ {
			entry, comment, _ := cutComment(lines[i])
			lines[i] = entry + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(entry))) + "  # " + comment
		}
		start = max(end, start+1)
	}
	return strings.Join(lines, "\n")
}

// cutComment splits a line into its entry and the comment behind it.
func cutComment(line string) (entry, comment string, ok bool) {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return "", "", false
	}
	return strings.Cut(line, "  # ")
}

package survey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
)

// open is what stands in place of a guess that nobody but the merchant can make.
const openQuestion = intake.Unanswered

// guess is a line of the shop file, with its reason.
type guess struct {
	what   string // the entry without its value: `state: "1"`
	value  string // taken, or openQuestion
	reason string // for a question: what speaks for which answer
}

// stateGuesses classes every state that the shop has or its orders are in. A guess is made where
// the state's name and what the shop does with the pieces agree.
func (s *Shop) stateGuesses() []stateGuess {
	_, carts := s.OrdersIn("0")
	all := []stateGuess{{State: "0", Class: "ignored", Reason: plural(carts, "cart") + " whose customer never confirmed"}}
	for _, state := range s.everyState() {
		all = append(all, s.guessState(state)...)
	}
	return all
}

// stateGuess is a line of states.
type stateGuess struct{ State, Method, Class, Reason string }

// everyState lists the shop's states, and behind them those that only orders have.
func (s *Shop) everyState() []State {
	all := slices.Clone(s.States)
	for _, o := range s.Orders {
		if o.State != "0" && !slices.ContainsFunc(all, func(x State) bool { return x.ID == o.State }) {
			all = append(all, State{ID: o.State})
		}
	}
	return all
}

// statusGuesses are the states that stand for what an order has become in the ERP.
func (s *Shop) statusGuesses() (all []guess) {
	pick := func(what, reason string, fits func(State, string) bool) bool {
		for _, state := range s.everyState() {
			names := strings.ToLower(strings.Join(state.Names, " / "))
			if names != "" && state.ID != s.Settings["void"].Value && fits(state, names) {
				all = append(all, guess{what: what, value: state.ID, reason: strings.Join(state.Names, " / ") + ": " + reason})
				return true
			}
		}
		return false
	}
	if !pick("shipped", "its name says so, and the shop holds the pieces", func(st State, _ string) bool { return st.Consumes && stateSays(st.Names) == saysShipped }) {
		pick("shipped", "the shop has no state for shipped orders, and this one is the end", func(st State, _ string) bool { return st.Consumes && stateSays(st.Names) == saysFinal })
	}
	pick("cancelled", "its name says so, and the shop takes the pieces back", func(st State, names string) bool {
		for _, word := range []string{"cancel", "annul", "storn", "anulad"} {
			if strings.Contains(names, word) {
				return !st.Consumes && stateSays(st.Names) == saysCancelled
			}
		}
		return false
	})
	return all
}

func (s *Shop) guessState(state State) []stateGuess {
	counts, n := s.OrdersIn(state.ID)
	title := strings.Join(state.Names, " / ")
	if title == "" {
		title = "a state that the shop no longer names"
	}
	title += counted(n, counts)
	says := stateSays(state.Names)
	if says == "" && state.ID == s.Settings["new"].Value {
		says = saysPending // that of orders which nobody has looked at yet
	}
	line := func(class, reason string) []stateGuess {
		return []stateGuess{{State: state.ID, Class: class, Reason: title + ": " + reason}}
	}
	switch {
	case state.ID == s.Settings["void"].Value && !state.Consumes:
		return line("cancelled", "the shop's state for voided orders, in which every order is for a moment when it is edited")
	case says == saysCancelled && !state.Consumes:
		return line("cancelled", "its name says so, and the shop takes the pieces back")
	case says == saysPending && state.Consumes:
		all := line("placed", "waits for something, and the shop holds the pieces")
		return append(all, s.guessMethods(state)...)
	case says == saysPending:
		return line("placed", "waits for something; the shop holds no pieces for it")
	case (says == saysTaken || says == saysShipped) && state.Consumes:
		return line("taken", "its name says that somebody works on it, and the shop holds the pieces")
	case says == saysFinal && state.Consumes && s.confirmsInto(state.ID):
		return line("taken", "a payment method puts new orders here, so it is not only an end")
	case says == saysFinal && state.Consumes:
		return line("final", "its name says so, and the shop holds the pieces")
	case state.Consumes:
		return line(openQuestion, "the shop holds the pieces, so it is placed, taken or final")
	case says == "":
		return line(openQuestion, "the shop takes the pieces back, as for a cancelled order; its name does not tell")
	}
	return line(openQuestion, "its name says "+says+", yet the shop takes the pieces back as for a cancelled order")
}

// guessMethods says where a payment method makes something else of a state that waits.
func (s *Shop) guessMethods(state State) (all []stateGuess) {
	for _, m := range s.everyMethod() {
		counts, _ := s.OrdersIn(state.ID)
		at := slices.IndexFunc(counts, func(o OrderCount) bool { return o.Method == m.Code })
		confirmed := m.State == state.ID
		if at < 0 && !confirmed {
			continue
		}
		n := int64(0)
		if at >= 0 {
			n = counts[at].N
		}
		g := stateGuess{State: state.ID, Method: m.Code}
		switch pays := methodPays(m.Code, m.Title); {
		case pays == paysOnDelivery:
			g.Class, g.Reason = "taken", "to be shipped first, paid on delivery"
		case pays == paysNothing:
			g.Class, g.Reason = "taken", "nothing is left to be paid"
		case pays == paysAtOnce && confirmed:
			g.Class, g.Reason = "taken", "the shop puts an order here once "+m.Code+" has confirmed it"
		case pays == "" && confirmed:
			g.Class, g.Reason = openQuestion, "taken if the money is sure when an order comes here, else placed"
		default:
			continue // as the state
		}
		g.Reason += counted(n, nil)
		all = append(all, g)
	}
	return all
}

// method is a payment method that is switched on or that orders have.
type method struct{ Code, Title, State string }

func (s *Shop) everyMethod() (all []method) {
	for _, m := range s.Methods {
		all = append(all, method{Code: m.Code, State: m.State})
	}
	for _, o := range s.Orders {
		at := slices.IndexFunc(all, func(m method) bool { return m.Code == o.Method })
		switch {
		case o.Method == "" || o.State == "0" && at < 0: // chosen by somebody who never ordered
		case at < 0:
			all = append(all, method{Code: o.Method, Title: o.Title})
		case all[at].Title == "":
			all[at].Title = o.Title
		}
	}
	slices.SortFunc(all, func(a, b method) int { return strings.Compare(a.Code, b.Code) })
	return all
}

func (s *Shop) confirmsInto(state string) bool {
	return slices.ContainsFunc(s.Methods, func(m Method) bool { return m.State == state })
}

// payGuesses says of each payment method how an order that is taken stands with its money.
func (s *Shop) payGuesses() (all []guess) {
	for _, m := range s.everyMethod() {
		g := guess{what: scalar(m.Code), value: "paid"}
		switch methodPays(m.Code, m.Title) {
		case paysOnDelivery:
			g.value, g.reason = "to_collect", "the courier brings the money"
		case paysLater:
			g.reason = "an order is taken when its money has come"
		case paysAtOnce:
			g.reason = "the money is sure when an order is confirmed"
		case paysNothing:
			g.reason = "nothing is left to be paid"
		default:
			g.value, g.reason = openQuestion, "paid, or to_collect if the goods leave before the money has come"
		}
		if m.Title != "" {
			g.reason = fmt.Sprintf("%q: %s", oneLine(m.Title), g.reason)
		}
		all = append(all, g)
	}
	return all
}

// fixedGuesses are the taxes of orders that are a fixed amount a piece. Which VAT is in them only a person knows.
func (s *Shop) fixedGuesses() (all []guess) {
	for _, t := range s.Titles {
		if slices.ContainsFunc(s.Rates, func(r Rate) bool { return r.Title == t.Title && !r.Percent }) {
			all = append(all, guess{what: "title: " + scalar(t.Title), value: openQuestion,
				reason: fmt.Sprintf("%s, such as %d: the VAT in this amount, in percent", plural(t.N, "order"), t.Last)})
		}
	}
	return all
}

// totalGuesses says what rows of the totals mean that come from plug-ins: those that orders have,
// and those of modules that are switched on.
func (s *Shop) totalGuesses() (all []guess) {
	known := func(code string) bool { return s.Own[code] != "" }
	module := map[string]Module{}
	for _, m := range s.Modules {
		module[m.Code] = m
	}
	seen := map[string]bool{}
	for _, t := range s.Totals {
		seen[t.Code] = true
		if !known(t.Code) {
			all = append(all, guessTotal(t, module[t.Code]))
		}
	}
	for _, m := range s.Modules {
		if m.Active && !seen[m.Code] && !known(m.Code) {
			all = append(all, guessTotal(Total{Code: m.Code}, m))
		}
	}
	return all
}

func guessTotal(t Total, m Module) guess {
	g := guess{what: "code: " + scalar(t.Code)}
	switch {
	case t.N == 0:
		g.reason = "no order has it yet"
	case t.Min.Equal(t.Max):
		g.reason = fmt.Sprintf("%q, %s of %s", oneLine(t.Title), plural(t.N, "row"), t.Min.Round(2))
	default:
		g.reason = fmt.Sprintf("%q, %s from %s to %s", oneLine(t.Title), plural(t.N, "row"), t.Min.Round(2), t.Max.Round(2))
	}
	switch {
	case t.N > 0 && t.Max.Sign() <= 0 && t.Min.Sign() < 0:
		g.value, g.reason = openQuestion, g.reason+": discount if it lowers the price, payment if the customer pays with it"
	case m.TaxClass != "" && m.TaxClass != "0" && t.Min.Sign() >= 0:
		g.value, g.reason = "charge, tax_class: "+m.TaxClass, g.reason+": sold beside the goods; the tax class is its module's"
	default:
		g.value, g.reason = openQuestion, g.reason+": write kind: charge, rate: 22 for what is sold beside the goods; or discount, payment, ignored"
	}
	return g
}

// fieldGuesses says which of the shop's own fields an invoice needs; others are told apart.
func (s *Shop) fieldGuesses() (all []guess, unused []string) {
	for _, f := range s.Fields {
		title := oneLine(strings.Join(f.Names, " / "))
		means := fieldMeans(f.Names)
		if !f.Active && len(f.Values) == 0 {
			continue // such as the examples that a new shop comes with: no order has them, and none will
		}
		if len(means) == 0 {
			unused = append(unused, fmt.Sprintf("%s %s", f.ID, title))
			continue
		}
		g := guess{what: fmt.Sprintf("%q", f.ID), value: means[0]}
		fit, n := fits(means[0], f.Values)
		switch {
		case len(means) > 1:
			g.value, g.reason = openQuestion, fmt.Sprintf("%q may be %s", title, strings.Join(means, " or "))
		case n > 0 && fit*2 < n:
			g.value, g.reason = openQuestion, fmt.Sprintf("%q sounds like %s, but of its values only %d of %d look like one; strike the line if it is none", title, means[0], fit, n)
		case n > 0 && fieldForms[means[0]] != nil:
			g.reason = fmt.Sprintf("%q; values that look like one: %d of %d", title, fit, n)
		default:
			g.reason = fmt.Sprintf("%q", title)
		}
		if !f.Active {
			g.reason += "; switched off, but orders have it"
		}
		all = append(all, g)
	}
	return all, unused
}

// fits counts the values that have the form of a meaning, and all.
func fits(meaning string, values []string) (fit, n int) {
	form := fieldForms[meaning]
	for _, v := range values {
		if form == nil || form.MatchString(v) {
			fit++
		}
	}
	return fit, len(values)
}

// groupGuesses names the groups whose customers are no private ones.
func (s *Shop) groupGuesses() (all []guess, others []string) {
	for _, g := range s.Groups {
		title := oneLine(strings.Join(g.Names, " / "))
		if kind := groupIs(g.Names); kind != "" {
			all = append(all, guess{what: fmt.Sprintf("%q", g.ID), value: kind, reason: fmt.Sprintf("%q", title)})
		} else {
			others = append(others, fmt.Sprintf("%s %s", g.ID, title))
		}
	}
	return all, others
}

// natureGuesses says why no VAT was charged, for the countries to which that happened.
func (s *Shop) natureGuesses() (all []guess) {
	home := s.Settings["country"].Value
	var eu, world []string
	for _, u := range s.Untaxed {
		seen := fmt.Sprintf("%s (%s, such as %d)", u.Country, plural(u.N, "order"), u.Last)
		switch {
		case u.Country == "":
			continue // an order without a country is parked anyway
		case u.Country == home:
			all = append(all, guess{what: "country: " + home, value: openQuestion,
				reason: seen + ", the shop's own country: exempt, outside the scope, or a mistake of the shop? Your accountant knows"})
		case intake.InEU(u.Country):
			eu = append(eu, seen)
		default:
			world = append(world, seen)
		}
	}
	if len(eu) > 0 {
		all = append(all, guess{what: "country: EU, kind: company", value: italian(home, "N3.2"),
			reason: "intra-Community supply, reverse charge: " + strings.Join(eu, ", ")})
	}
	if len(world) > 0 {
		all = append(all, guess{what: `country: "*"`, value: italian(home, "N3.1"), reason: "export: " + strings.Join(world, ", ")})
	}
	return all
}

// italian gives the code of an Italian invoice, which other countries do not have.
func italian(home, code string) string {
	if home == "IT" {
		return code
	}
	return openQuestion
}

// counted puts the number of orders behind a text, by payment method where that is known.
func counted(n int64, counts []OrderCount) string {
	if n == 0 {
		return ""
	}
	var by []string
	for _, c := range counts {
		if c.Method != "" {
			by = append(by, fmt.Sprintf("%s %d", c.Method, c.N))
		}
	}
	text := " (" + plural(n, "order")
	if len(by) > 0 {
		text += ": " + strings.Join(by, ", ")
	}
	return text + ")"
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// oneLine keeps a text of the shop from ending the comment that it stands in.
func oneLine(text string) string { return printable.Text(strings.Join(strings.Fields(text), " ")) }

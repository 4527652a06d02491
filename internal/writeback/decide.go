package writeback

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/intake"
)

// wanted is an order as the ERP has it.
type wanted struct {
	order    int64 // the shop's number
	method   string
	erpOrder int64
	state    string
	byShop   bool // cancelled by the shop itself: nothing to tell it
	parcels  []parcel
}

// parcel is one that has left.
type parcel struct {
	ID       int64  `json:"id"`
	Carrier  string `json:"carrier"`
	Tracking string `json:"tracking"`
	Link     string `json:"link,omitempty"` // where the customer follows it; not in the mark
}

// same tells whether the customer would read the same of both: what leaves two warehouses under one
// tracking number is one parcel, and so is one that a restored ERP has entered again.
func (p parcel) same(other parcel) bool {
	if p.Tracking == "" && p.ID != other.ID {
		return false
	}
	return p.Carrier == other.Carrier && p.Tracking == other.Tracking
}

// shown is an order as the shop shows it, locked.
type shown struct {
	there    bool
	state    string
	language string
}

// told is the note of an order's mark: what Spola wrote last, and what it could not write.
type told struct {
	ERPOrder int64    `json:"erp_order"`
	State    string   `json:"state,omitempty"`   // of the shop, as written last
	ERP      string   `json:"erp,omitempty"`     // state of the ERP's order that it stands for
	Parcels  []parcel `json:"parcels,omitempty"` // that the customer has read of

	Why    string `json:"why,omitempty"`    // what waits; empty: nothing
	Detail string `json:"detail,omitempty"` // the tracking number
	Wants  string `json:"wants,omitempty"`  // state of the ERP's order
	Shows  string `json:"shows,omitempty"`  // state of the shop's
	Since  int64  `json:"since,omitempty"`  // Unix time
}

func toldOf(m mark) (t told) {
	if m.Note != nil {
		_ = json.Unmarshal([]byte(*m.Note), &t) // another note says nothing
	}
	return t
}

func (t told) has(p parcel) bool { return slices.ContainsFunc(t.Parcels, p.same) }

// Why a status waits.
const (
	whyUnmapped     = "unmapped"     // the shop file has no state for it
	whyDeleted      = "deleted"      // the shop has no such order any more
	whyBackwards    = "moved_back"   // the shop has taken back what was written
	whyCancelled    = "cancelled"    // the shop shows the order as cancelled, the ERP ships it
	whyFinal        = "final"        // the shop shows the order as done, the ERP has cancelled it
	whyUnknown      = "unknown"      // the shop shows a state without a class
	whyUnsubtracted = "unsubtracted" // the shop has not taken the order's pieces from its stock, and would not for a state that we write
	whyTracking     = "tracking"     // the platform refuses the tracking number
	whySettling     = "settling"     // the shop may be in the middle of saving the order
)

// Mends is what a person does about an order whose status waits, by its reason.
var Mends = map[string]string{
	whyUnmapped:     "write the shop's state for it under statuses in the shop file, and start `applier run orders` again",
	whyDeleted:      "the shop has deleted the order: tell the customer yourself",
	whyBackwards:    "somebody has set the order back in the shop: set the state there that you want; once it is the ERP's, nothing waits any more",
	whyCancelled:    "the goods have left, the shop shows the order as cancelled: set its state in the shop, or take the goods back",
	whyFinal:        "the ERP has cancelled what the shop shows as done: set its state in the shop",
	whyUnknown:      "give the shop's state a class under states in the shop file, and start `applier run orders` again",
	whyUnsubtracted: "the shop has not taken these pieces from its stock: set the order in the shop to a state for which it does",
	whyTracking:     "correct the tracking number of the shipment in the ERP",
	whySettling:     "nothing: the order is looked at again in seconds",
}

// settle is how long an order has to show a cancelled state before it counts: saving an order in the
// shop goes through one.
var settle = 5 * time.Second

// progress is how far an order is in the ERP: the shop's state only ever follows forward.
func progress(state string) int64 {
	switch state {
	case "part_shipped":
		return 1
	case "shipped", "closed_short":
		return 2
	case "cancelled":
		return 3
	}
	return 0
}

// verdict is what becomes of an order's status.
type verdict struct {
	write string // the shop's state to be written; empty: none
	why   string // why not what the ERP wants; empty: there is nothing to want
}

// rules are what decides about statuses: the shop file, and the shop's own settings.
type rules struct {
	file      *intake.ShopFile
	tracking  *regexp.Regexp // what the platform takes for a tracking number
	consuming []string       // states for which the shop has taken an order's pieces from its stock
}

// target is the shop's state for one of the ERP's; empty if there is none.
func (r rules) target(state string) string {
	s := r.file.Statuses[state]
	if s == "" && state == "closed_short" {
		s = r.file.Statuses["shipped"]
	}
	return s
}

// decide compares what the ERP wants with what the shop shows, and with what was written before.
func (r rules) decide(w wanted, s shown, before told, now time.Time) verdict {
	want := progress(w.state)
	if want == 0 || w.state == "cancelled" && w.byShop {
		return verdict{}
	}
	to := r.target(w.state)
	class := r.file.Class(s.state, w.method)
	switch {
	case !s.there:
		return verdict{why: whyDeleted}
	case to == "" && w.state == "part_shipped":
		return verdict{} // not every shop has a state for it
	case class == "cancelled" && before.ERP != "cancelled" && !before.settled(s, now):
		return verdict{why: whySettling}
	case s.state == to:
		return verdict{}
	case class == "cancelled" && w.state == "cancelled", class == "final" && w.state != "cancelled":
		return verdict{} // the shop is as far by itself, or further
	case class == "cancelled":
		return verdict{why: whyCancelled}
	case class == "final":
		return verdict{why: whyFinal}
	case to == "":
		return verdict{why: whyUnmapped}
	case class == "taken" || class == "placed":
		return r.forward(w, s, before, to)
	}
	return verdict{why: whyUnknown}
}

// settled tells whether the shop has shown a cancelled state for long enough to mean it.
func (t told) settled(s shown, now time.Time) bool {
	switch {
	case t.Shows != s.state || t.Since == 0:
		return false
	case t.Why == whySettling:
		return now.Sub(time.Unix(t.Since, 0)) >= settle
	}
	return t.Why == whyCancelled
}

// forward decides about an order that the shop shows on its way.
func (r rules) forward(w wanted, s shown, before told, to string) verdict {
	want := progress(w.state)
	for state := range r.file.Statuses {
		if state != "cancelled" && w.state != "cancelled" && progress(state) > want && s.state == r.target(state) {
			return verdict{} // a person was ahead of the ERP
		}
	}
	switch {
	case progress(before.ERP) >= want:
		return verdict{why: whyBackwards}
	case !slices.Contains(r.consuming, s.state) && slices.Contains(r.consuming, to):
		return verdict{why: whyUnsubtracted}
	}
	return verdict{write: to}
}

// refused returns the first parcel whose tracking number the platform refuses.
func (r rules) refused(w wanted, before told) (tracking string, found bool) {
	for _, p := range w.parcels {
		if p.Tracking != "" && !r.tracking.MatchString(p.Tracking) && !before.has(p) {
			return p.Tracking, true
		}
	}
	return "", false
}

// leaves tells whether writing a state takes an order's pieces out of what the shop's own code will
// ever give back.
func (r rules) leaves(from, to string) bool {
	return slices.Contains(r.consuming, from) && !slices.Contains(r.consuming, to)
}

// CheckStatuses refuses a map of statuses that would let the shop's own code move stock a second
// time, or that names states which the shop does not have. states are the shop's, with their names;
// consuming are those in which the shop has taken an order's pieces from its stock.
func CheckStatuses(file *intake.ShopFile, states map[string]string, consuming []string) error {
	var errs []error
	for _, of := range []string{"part_shipped", "shipped", "closed_short", "cancelled"} {
		state := file.Statuses[of]
		if state == "" {
			continue
		}
		class, takes, cancelled := file.Class(state, ""), slices.Contains(consuming, state), of == "cancelled"
		wrong := ""
		switch {
		case states[state] == "":
			wrong = "the shop has no order state " + state
		case cancelled && class != "cancelled":
			wrong = fmt.Sprintf("state %s (%s) has the class %q in states, it must be cancelled", state, states[state], class)
		case !cancelled && class != "taken" && class != "final":
			wrong = fmt.Sprintf("state %s (%s) has the class %q in states, it must be taken or final", state, states[state], class)
		case cancelled && takes:
			wrong = fmt.Sprintf("the shop keeps an order's pieces in state %s (%s), so they would never come back on sale", state, states[state])
		case !cancelled && !takes:
			wrong = fmt.Sprintf("the shop's own code gives an order's pieces back in state %s (%s), and takes them again behind it", state, states[state])
		case of == "part_shipped" && state == file.Statuses["shipped"]:
			wrong = fmt.Sprintf("state %s (%s) would tell the customer that all has left", state, states[state])
		}
		if wrong != "" {
			errs = append(errs, fmt.Errorf("statuses: %s: %s; %s", of, wrong, fitting(file, states, consuming, of)))
		}
	}
	return errors.Join(errs...)
}

// fitting is the line that mends a status: the states of the shop that would do.
func fitting(file *intake.ShopFile, states map[string]string, consuming []string, of string) string {
	var lines []string
	for _, state := range slices.SortedFunc(maps.Keys(states), byNumber) {
		class, takes := file.Class(state, ""), slices.Contains(consuming, state)
		if of == "cancelled" && class == "cancelled" && !takes || of != "cancelled" && (class == "taken" || class == "final") && takes &&
			!(of == "part_shipped" && state == file.Statuses["shipped"]) {
			lines = append(lines, fmt.Sprintf("%s: %q # %s", of, state, states[state]))
		}
	}
	if len(lines) == 0 {
		return "no state of the shop would do: take the line out, or give a state its class"
	}
	return "write one of\n  " + strings.Join(lines, "\n  ")
}

func byNumber(a, b string) int {
	x, _ := strconv.Atoi(a) // states that are no numbers stand first
	y, _ := strconv.Atoi(b)
	if x != y {
		return x - y
	}
	return strings.Compare(a, b)
}

// parcelTexts are what a customer reads of a parcel, where the shop file says nothing else.
var parcelTexts = map[string]string{
	"it": "Pacco affidato a {carrier}, numero di spedizione {tracking}",
	"de": "Paket mit {carrier}, Sendungsnummer {tracking}",
	"fr": "Colis confié à {carrier}, numéro de suivi {tracking}",
	"es": "Paquete con {carrier}, número de seguimiento {tracking}",
	"en": "Parcel with {carrier}, tracking number {tracking}",
}

// comment is what the customer reads of a parcel, as the shop stores it: escaped for HTML. A part
// that names nothing is left out; empty: there is nothing to be read.
func (r rules) comment(p parcel, language string) string {
	if p.Carrier == "" && p.Tracking == "" {
		return ""
	}
	text := ""
	short, _, _ := strings.Cut(strings.ToLower(language), "-")
	for _, of := range []string{r.file.Parcels[language], r.file.Parcels[short], r.file.Parcels["*"], withLink(parcelTexts[short]), withLink(parcelTexts["en"])} {
		if text == "" {
			text = of
		}
	}
	if p.Link == "" {
		text = linkPart.ReplaceAllString(text, "")
	}
	if p.Tracking == "" {
		text, _, _ = strings.Cut(text, ",")
		text = strings.ReplaceAll(text, "{tracking}", "")
	}
	if p.Carrier == "" {
		_, after, _ := strings.Cut(text, "{carrier}")
		text = capital(strings.TrimLeft(after, ", "))
	}
	text = strings.NewReplacer("{carrier}", p.Carrier, "{tracking}", p.Tracking, "{link}", p.Link).Replace(text)
	return strings.ReplaceAll(html.EscapeString(text), "&#39;", "'") // the shop leaves apostrophes alone
}

// linkPart is the place of a link in a text, with what leads to it.
var linkPart = regexp.MustCompile(`[\s:(,-]*\{link\}\)?`)

// withLink is one of our own texts with the carrier's page behind it.
func withLink(text string) string {
	if text == "" {
		return ""
	}
	return text + ": {link}"
}

func capital(text string) string {
	for i, r := range text {
		return strings.ToUpper(string(r)) + text[i+len(string(r)):]
	}
	return text
}

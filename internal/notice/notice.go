// Package notice tells one person by mail what he must look at: a stream that has stopped, an order that is parked, a drift that
// waits for him, a mail to a customer that can't be sent. DESIGN.md says what is promised.
//
//	notice.go    what there is to tell
//	book.go      what was told, and what is due
//	letter.go    how it is told
//	words.go     what a stream says that ends and won't be started again
//	notifier.go  who looks, tells and remembers
package notice

import "time"

// Cause is something that a person must look at, as one look has found it.
type Cause struct {
	Reason string    `json:"reason"` // what it is told and kept quiet by: stopped.intake, parked.unknown_article
	Title  string    `json:"title"`  // one line: 3 orders are parked: unknown_article
	Over   string    `json:"over"`   // one line for when it is over
	Part   string    `json:"part"`   // who must answer for this to be seen: shop, erp, kafka; empty: nobody
	Since  time.Time `json:"since"`
	What   []string  `json:"what"` // which ones, the newest, each a line
	Why    string    `json:"why"`
	Mend   string    `json:"mend"`   // with the command
	Newest int64     `json:"newest"` // grows when something is added to it: then it is told again

	Patience time.Duration `json:"-"` // for how long it must have been seen before anybody is told
}

// Sight is what one look has found.
type Sight struct {
	Causes []Cause
	Blind  map[string]bool // parts that did not answer: what only they show is neither there nor over
}

// Rules are when something is told. Zero values mean the defaults.
type Rules struct {
	Every time.Duration // from one mail about a reason to the next; default 15 min
	Over  time.Duration // for how long a reason must be gone before it is told to be over; default 1 min
	Apart time.Duration // from any mail to the next, so that what happens together comes together; default 20 s
}

func (r Rules) withDefaults() Rules {
	set := func(value *time.Duration, to time.Duration) {
		if *value == 0 {
			*value = to
		}
	}
	set(&r.Every, 15*time.Minute)
	set(&r.Over, time.Minute)
	set(&r.Apart, 20*time.Second)
	return r
}

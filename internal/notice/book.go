package notice

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// book is what is open and what of it was told. It stands in a file: neither the ERP nor Kafka need be there, and a process
// that starts again tells nothing twice.
type book struct {
	Open     map[string]*entry    `json:"open"`     // by reason
	Mailed   map[string]time.Time `json:"mailed"`   // by reason: when it was last told to be there
	Sent     time.Time            `json:"sent"`     // the last mail of any
	Digested string               `json:"digested"` // day of the last digest; empty: never started
	Totals   map[string]int64     `json:"totals"`   // as the last digest had them

	kept string // as it stands in the file
}

// entry is a cause from when it is first seen until it is told to be over.
type entry struct {
	Cause
	First      time.Time `json:"first"` // when it began, as it was first seen
	Gone       time.Time `json:"gone"`  // since when it is not seen any more; zero: it is
	Told       time.Time `json:"told"`  // zero: not yet
	ToldNewest int64     `json:"told_newest"`
}

func newBook() *book { return &book{Open: map[string]*entry{}, Mailed: map[string]time.Time{}} }

// see takes a look's causes over. What only a part could show that did not answer stays as it was.
func (b *book) see(now time.Time, s Sight) {
	seen := map[string]bool{}
	for _, c := range s.Causes {
		seen[c.Reason] = true
		if c.Since.IsZero() || c.Since.After(now) {
			c.Since = now
		}
		e := b.Open[c.Reason]
		if e == nil {
			e = &entry{First: c.Since}
			b.Open[c.Reason] = e
		} else if e.Gone.IsZero() && e.Since.Before(c.Since) {
			c.Since = e.Since
		}
		e.Cause, e.Gone = c, time.Time{}
	}
	for reason, e := range b.Open {
		switch {
		case seen[reason] || s.Blind[e.Part]:
		case e.Told.IsZero():
			delete(b.Open, reason) // nobody has heard of it
		case e.Gone.IsZero():
			e.Gone = now
		}
	}
}

// due is what is to be told now; nil: nothing.
func (b *book) due(now time.Time, r Rules) *letter {
	if now.Sub(b.Sent) < r.Apart {
		return nil
	}
	var l letter
	for _, reason := range slices.Sorted(maps.Keys(b.Open)) {
		e := b.Open[reason]
		switch {
		case !e.Gone.IsZero():
			if now.Sub(e.Gone) >= r.Over {
				l.Over = append(l.Over, *e)
			}
		case e.Told.IsZero() && now.Sub(e.First) >= e.Patience && now.Sub(b.Mailed[reason]) >= r.Every,
			!e.Told.IsZero() && e.Newest > e.ToldNewest && now.Sub(e.Told) >= r.Every:
			l.New = append(l.New, *e)
		case !e.Told.IsZero():
			l.Still = append(l.Still, *e)
		}
	}
	if len(l.New)+len(l.Over) == 0 {
		return nil
	}
	return &l
}

// told notes that a letter has gone.
func (b *book) told(now time.Time, l *letter) {
	b.Sent = now
	for _, e := range l.New {
		b.Mailed[e.Reason] = now
		if open := b.Open[e.Reason]; open != nil {
			open.Told, open.ToldNewest = now, e.Newest
		}
	}
	for _, e := range l.Over {
		if open := b.Open[e.Reason]; open != nil && !open.Gone.IsZero() {
			delete(b.Open, e.Reason)
		}
	}
	maps.DeleteFunc(b.Mailed, func(_ string, at time.Time) bool { return now.Sub(at) > 24*time.Hour })
}

// untold is how many causes have held for long enough and nobody has been told of, or that are over and nobody knows.
func (b *book) untold(now time.Time, r Rules) (n int) {
	for reason, e := range b.Open {
		if e.Told.IsZero() && now.Sub(e.First) >= e.Patience && now.Sub(b.Mailed[reason]) >= r.Every {
			n++
		}
	}
	return n
}

// digestDue tells whether the day's digest is to be sent, at an hour such as 08:00. The first one comes on the first such hour after
// the first start.
func (b *book) digestDue(now time.Time, at string) bool {
	if at == "" {
		return false
	}
	today, come := now.Format(time.DateOnly), now.Format("15:04") >= at
	if b.Digested == "" {
		b.Digested = today
		if !come {
			b.Digested = now.AddDate(0, 0, -1).Format(time.DateOnly)
		}
	}
	return come && b.Digested != today
}

// readBook reads a book; one that is not there is empty. An error comes with an empty book, by which something may be told twice.
func readBook(path string) (*book, error) {
	b := newBook()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(text, b)
	}
	if err != nil || b.Open == nil || b.Mailed == nil {
		return newBook(), fmt.Errorf("what was told can't be read from %s: %w", path, errors.Join(err, errBook))
	}
	return b, nil
}

var errBook = errors.New("it is no book of notices")

// keep writes the book where it has changed: what is told of an order may name a customer, and each look brings it again, so it stays out.
func (b *book) keep(path string) error {
	plain := *b
	plain.Open = map[string]*entry{}
	for reason, e := range b.Open {
		bare := *e
		bare.What, bare.Why = nil, ""
		plain.Open[reason] = &bare
	}
	text, err := json.MarshalIndent(plain, "", " ")
	if err == nil && string(text) != b.kept {
		err = replace(path, text)
	}
	if err != nil {
		return fmt.Errorf("what was told can't be written to %s: %w", path, err)
	}
	b.kept = string(text)
	return nil
}

// replace writes a file whole or not at all.
func replace(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // what is left of it is nobody's
	}
	return err
}

package mysql

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// flavor is the kind of server.
type flavor string

const (
	mysqlFlavor   flavor = "mysql"
	mariadbFlavor flavor = "mariadb"
)

// executed is the set of transactions that come before the next one in the binary log, in the
// source's own form: of MySQL all GTIDs, of MariaDB the last one of each domain.
type executed struct {
	flavor  flavor
	sources []sourceSet
	domains []domain
}

// sourceSet are the transactions of one server and tag.
type sourceSet struct {
	name string // uuid, or uuid:tag
	done []interval
}

type interval struct{ from, to int64 } // both included

type domain struct {
	id, server uint32
	number     uint64
}

// parseExecuted reads gtid_executed of MySQL or gtid_binlog_pos of MariaDB, and what String wrote.
func parseExecuted(f flavor, text string) (*executed, error) {
	e := &executed{flavor: f}
	text = strings.Join(strings.Fields(text), "")
	if text == "" {
		return e, nil
	}
	for _, part := range strings.Split(text, ",") {
		var err error
		if f == mariadbFlavor {
			err = e.parseDomain(part)
		} else {
			err = e.parseSource(part)
		}
		if err != nil {
			return nil, fmt.Errorf("GTID set %q: %w", text, err)
		}
	}
	return e, nil
}

func (e *executed) parseDomain(part string) error {
	words := strings.Split(part, "-")
	if len(words) != 3 {
		return fmt.Errorf("%q is not of the form domain-server-number", part)
	}
	id, err := strconv.ParseUint(words[0], 10, 32)
	if err != nil {
		return err
	}
	server, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(words[2], 10, 64)
	if err != nil {
		return err
	}
	e.addDomain(uint32(id), uint32(server), number)
	return nil
}

// parseSource reads uuid:1-5:7:tag:1-3.
func (e *executed) parseSource(part string) error {
	words := strings.Split(part, ":")
	if len(words) < 2 {
		return fmt.Errorf("%q is not of the form uuid:interval", part)
	}
	name := strings.ToLower(words[0])
	for _, word := range words[1:] {
		if word == "" || word[0] < '0' || word[0] > '9' {
			name = strings.ToLower(words[0] + ":" + word)
			continue
		}
		first, last, ranged := strings.Cut(word, "-")
		from, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return err
		}
		to := from
		if ranged {
			if to, err = strconv.ParseInt(last, 10, 64); err != nil {
				return err
			}
		}
		e.addInterval(name, interval{from, to})
	}
	return nil
}

// addInterval adds transactions of a MySQL server.
func (e *executed) addInterval(name string, add interval) {
	at, found := slices.BinarySearchFunc(e.sources, name, func(s sourceSet, n string) int { return strings.Compare(s.name, n) })
	if !found {
		e.sources = slices.Insert(e.sources, at, sourceSet{name: name, done: []interval{add}})
		return
	}
	s := &e.sources[at]
	if last := &s.done[len(s.done)-1]; add.from == last.to+1 {
		last.to = add.to
		return
	}
	s.done = append(s.done, add)
	slices.SortFunc(s.done, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	merged := s.done[:1]
	for _, next := range s.done[1:] {
		last := &merged[len(merged)-1]
		if next.from <= last.to+1 {
			last.to = max(last.to, next.to)
			continue
		}
		merged = append(merged, next)
	}
	s.done = merged
}

// addDomain moves a MariaDB domain on.
func (e *executed) addDomain(id, server uint32, number uint64) {
	at, found := slices.BinarySearchFunc(e.domains, id, func(d domain, id uint32) int { return cmp.Compare(d.id, id) })
	if !found {
		e.domains = slices.Insert(e.domains, at, domain{id: id})
	}
	e.domains[at] = domain{id, server, number}
}

// has tells whether the set holds a transaction, given as gtid text.
func (e *executed) has(gtid string) bool {
	one, err := parseExecuted(e.flavor, gtid)
	if err != nil {
		return false
	}
	for _, d := range one.domains {
		at := slices.IndexFunc(e.domains, func(have domain) bool { return have.id == d.id })
		if at < 0 || e.domains[at].number < d.number {
			return false
		}
	}
	for _, s := range one.sources {
		at := slices.IndexFunc(e.sources, func(have sourceSet) bool { return have.name == s.name })
		if at < 0 {
			return false
		}
		for _, want := range s.done {
			if !slices.ContainsFunc(e.sources[at].done, func(have interval) bool { return have.from <= want.from && have.to >= want.to }) {
				return false
			}
		}
	}
	return true
}

// String writes the set without white space, always in the same order.
func (e *executed) String() string { return string(e.append(nil)) }

func (e *executed) append(b []byte) []byte {
	for i, s := range e.sources {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.name...)
		for _, done := range s.done {
			b = append(b, ':')
			b = strconv.AppendInt(b, done.from, 10)
			if done.to != done.from {
				b = append(b, '-')
				b = strconv.AppendInt(b, done.to, 10)
			}
		}
	}
	for i, d := range e.domains {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDomain(b, d)
	}
	return b
}

func appendDomain(b []byte, d domain) []byte {
	b = strconv.AppendUint(b, uint64(d.id), 10)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(d.server), 10)
	b = append(b, '-')
	return strconv.AppendUint(b, d.number, 10)
}

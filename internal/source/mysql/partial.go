package mysql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"
)

// With binlog_row_value_options = PARTIAL_JSON, MySQL writes of a document that JSON_SET,
// JSON_REPLACE or JSON_REMOVE changed not its new content but what they did to the old one: a
// list of differences. The row's first image has the whole old document, so that the new one
// can be had by doing the same to its text.

// errPartial says that a difference does not fit the document before it.
var errPartial = errors.New("a partial update of a JSON document that does not fit the document before it")

// appendPatched writes the document that differences make of the one before them, which is
// given as the log shows it: a JSON string that holds the text.
func (d *decoder) appendPatched(dst, before, differences []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(before, &text); err != nil || text == "" {
		return dst, fmt.Errorf("%w: there was none", errPartial)
	}
	document := []byte(text)
	for m := (&mapReader{rest: differences}); len(m.rest) > 0; {
		operation, path := replication.JsonDiffOperation(m.byte()), string(m.text())
		var value []byte
		if operation != replication.JsonDiffOperationRemove {
			raw := m.text()
			if m.bad || len(raw) == 0 {
				return dst, errInvalidJSON
			}
			var err error
			if value, err = appendDocument(nil, raw[0], raw[1:], 0); err != nil {
				return dst, err
			}
		}
		if m.bad {
			return dst, errInvalidJSON
		}
		var fits bool
		if document, fits = patch(document, operation, path, value); !fits {
			return dst, fmt.Errorf("%w: operation %d at %s", errPartial, operation, path)
		}
	}
	return appendText(dst, document)
}

// patch does one operation to a document's text; false if its path leads nowhere.
func patch(document []byte, operation replication.JsonDiffOperation, path string, value []byte) ([]byte, bool) {
	legs, ok := parsePath(path)
	if !ok {
		return nil, false
	}
	switch operation {
	case replication.JsonDiffOperationReplace:
		if at, ok := seek(document, legs); ok {
			return splice(document, at.value, at.to, value), true
		}
	case replication.JsonDiffOperationRemove:
		if at, ok := seek(document, legs); ok && len(legs) > 0 {
			return at.cutFrom(document), true
		}
	case replication.JsonDiffOperationInsert:
		if len(legs) == 0 {
			return nil, false
		}
		parent, ok := seek(document, legs[:len(legs)-1])
		if !ok {
			return nil, false
		}
		return insert(document, parent, legs[len(legs)-1], value)
	}
	return nil, false
}

// leg is one step of a path: to a member by its name, or to an array's element by its index.
type leg struct {
	name    []byte // as it stands in a document's text, quotes included; nil for an array's element
	index   int
	fromEnd bool // index counts from the last element on
}

// parsePath reads a path as the server writes it: $, then .name, ."name", [1], [last] or [last-1].
func parsePath(path string) ([]leg, bool) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, false
	}
	var legs []leg
	for rest != "" {
		var one leg
		if rest[0] == '.' {
			one, rest, ok = parseMember(rest[1:])
		} else {
			one, rest, ok = parseCell(rest)
		}
		if !ok {
			return nil, false
		}
		legs = append(legs, one)
	}
	return legs, true
}

func parseMember(rest string) (one leg, after string, ok bool) {
	if !strings.HasPrefix(rest, `"`) {
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		return leg{name: appendQuoted(nil, []byte(rest[:end]))}, rest[end:], end > 0
	}
	end := skipString([]byte(rest), 0)
	var name string
	if err := json.Unmarshal([]byte(rest[:end]), &name); err != nil {
		return leg{}, "", false
	}
	return leg{name: appendQuoted(nil, []byte(name))}, rest[end:], true
}

func parseCell(rest string) (one leg, after string, ok bool) {
	inner, after, ok := strings.Cut(rest, "]")
	if !ok || !strings.HasPrefix(inner, "[") {
		return leg{}, "", false
	}
	number := strings.ReplaceAll(inner[1:], " ", "")
	if number, one.fromEnd = strings.CutPrefix(number, "last"); one.fromEnd {
		if number == "" {
			return one, after, true
		}
		if number, ok = strings.CutPrefix(number, "-"); !ok {
			return leg{}, "", false
		}
	}
	index, err := strconv.Atoi(number)
	one.index = index
	return one, after, err == nil && index >= 0
}

// item is an element of an array or a member of an object, by its places in the text.
type item struct {
	from  int // of the member's name, or of the value
	value int
	to    int
}

func (i item) name(document []byte) []byte {
	if i.value == i.from {
		return nil
	}
	return document[i.from : i.value-1]
}

// cutFrom takes the item out, and the comma on one side of it.
func (i item) cutFrom(document []byte) []byte {
	from, to := i.from, i.to
	switch {
	case document[to] == ',':
		to++
	case document[from-1] == ',':
		from--
	}
	return splice(document, from, to, nil)
}

func splice(document []byte, from, to int, value []byte) []byte {
	out := make([]byte, 0, len(document)-(to-from)+len(value))
	out = append(append(out, document[:from]...), value...)
	return append(out, document[to:]...)
}

// seek goes along a path from the document as a whole.
func seek(document []byte, legs []leg) (item, bool) {
	at := item{0, 0, len(document)}
	for _, step := range legs {
		found := false
		index := step.at(document, at)
		n := 0
		for child := range children(document, at) {
			if found = bytes.Equal(child.name(document), step.name) && (step.name != nil || n == index); found {
				at = child
				break
			}
			n++
		}
		if !found {
			return item{}, false
		}
	}
	return at, true
}

// at is the index that a leg means in an array, negative if it is before the first element.
func (l leg) at(document []byte, array item) int {
	if !l.fromEnd {
		return l.index
	}
	count := 0
	for range children(document, array) {
		count++
	}
	return count - 1 - l.index
}

// insert adds an element before the one that has its index, behind the last if none has, or a
// member in the order in which the server keeps them: shorter names first.
func insert(document []byte, parent item, last leg, value []byte) ([]byte, bool) {
	if open := document[parent.value]; open != pickByte(last.name != nil, '{', '[') {
		return nil, false
	}
	added := value
	if last.name != nil {
		added = append(append(bytes.Clone(last.name), ':'), value...)
	}
	index, n := last.at(document, parent), 0
	for child := range children(document, parent) {
		before := n >= index
		if last.name != nil {
			order := compareNames(last.name, child.name(document))
			if order == 0 {
				return nil, false
			}
			before = order < 0
		}
		if before {
			return splice(document, child.from, child.from, append(bytes.Clone(added), ',')), true
		}
		n++
	}
	if n > 0 {
		added = append([]byte{','}, added...)
	}
	return splice(document, parent.to-1, parent.to-1, added), true
}

func compareNames(a, b []byte) int {
	var x, y string
	_, _ = json.Unmarshal(a, &x), json.Unmarshal(b, &y) // appendQuoted has written both
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return strings.Compare(x, y)
}

// children are an array's elements or an object's members; a scalar has none.
func children(document []byte, of item) iter.Seq[item] {
	return func(yield func(item) bool) {
		open := document[of.value]
		if open != '{' && open != '[' {
			return
		}
		for at := of.value + 1; at < of.to-1; {
			child := item{from: at, value: at}
			if open == '{' {
				child.value = skipString(document, at) + 1
			}
			child.to = skipValue(document, child.value)
			if !yield(child) {
				return
			}
			at = child.to + 1
		}
	}
}

// skipValue returns where the value ends that begins at from. The text is appendDocument's: it
// is sound and has no white space.
func skipValue(document []byte, from int) int {
	depth := 0
	for at := from; at < len(document); {
		switch document[at] {
		case '"':
			at = skipString(document, at)
		case '{', '[':
			depth++
			at++
		case '}', ']', ',':
			if depth == 0 {
				return at
			}
			if document[at] != ',' {
				depth--
			}
			at++
		default:
			at++
			continue
		}
		if depth == 0 {
			return at
		}
	}
	return len(document)
}

// skipString returns where the string ends whose first quote stands at from.
func skipString(text []byte, from int) int {
	for at := from + 1; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(text)
}

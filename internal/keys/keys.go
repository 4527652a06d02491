// Package keys reads the YAML files that people write, and refuses what nobody would read: a key
// that means nothing is a setting that somebody believes in.
package keys

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Mistake is something in a file that can't be read, or that nobody reads.
type Mistake struct {
	Line int    // from 1; 0: not known
	Key  string // as it stands there, if it is unknown
	What string
	Near string // the key that may have been meant, kafka.brokers; empty: none is near
}

// Error says what is wrong, and which key may have been meant.
func (m *Mistake) Error() string {
	text := m.What
	if m.Line > 0 {
		text = fmt.Sprintf("line %d: %s", m.Line, text)
	}
	if m.Near != "" {
		text += "; did you mean " + m.Near + "?"
	}
	return text
}

// Read reads a file into a pointer to a struct with yaml tags. The file may be nil where it is no YAML.
func Read(text []byte, into any) (*ast.File, []*Mistake) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, []*Mistake{located(err)}
	}
	if unknown := Find(file, reflect.TypeOf(into).Elem()); len(unknown) > 0 {
		return file, unknown
	}
	if err := yaml.UnmarshalWithOptions(text, into, yaml.Strict()); err != nil {
		return file, []*Mistake{located(err)}
	}
	return file, nil
}

// located takes the line out of an error of the YAML library, which shows it in several lines.
func located(err error) *Mistake {
	var positioned yaml.Error
	if !errors.As(err, &positioned) {
		return &Mistake{What: err.Error()}
	}
	m := &Mistake{What: positioned.GetMessage()}
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		m.What = "here belongs " + kind(wrong.DstType) + ", not " + kind(wrong.SrcType)
	}
	if token := positioned.GetToken(); token != nil {
		m.Line = token.Position.Line
	}
	return m
}

// kind is what a person calls a value of this type.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "a section"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Pointer:
		return kind(t.Elem())
	}
	return "a number"
}

// Find lists the keys of the file that a value of this type, a struct with yaml tags, has no field for.
func Find(file *ast.File, t reflect.Type) []*Mistake {
	s := search{all: Of(t)}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			s.look(doc.Body, t, "")
		}
	}
	return s.found
}

// Of lists the keys of a struct with yaml tags and of those in it: shop, shop.name. What stands in a list
// or a map is no key of its own, but an entry.
func Of(t reflect.Type) (keys []string) {
	for name, f := range fields(t) {
		keys = append(keys, name)
		if f.Kind() == reflect.Struct {
			for _, inner := range Of(f) {
				keys = append(keys, name+"."+inner)
			}
		}
	}
	return keys
}

// fields goes through the keys of a struct in their order; other types have none.
func fields(t reflect.Type) func(yield func(string, reflect.Type) bool) {
	return func(yield func(string, reflect.Type) bool) {
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			if name != "" && name != "-" && !yield(name, t.Field(i).Type) {
				return
			}
		}
	}
}

type search struct {
	all   []string
	found []*Mistake
}

// look goes through a node that is to become a value of type t. section is its key.
func (s *search) look(node ast.Node, t reflect.Type, section string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			s.entry(v, t, section)
		}
	case *ast.MappingValueNode:
		s.entry(n, t, section)
	case *ast.SequenceNode:
		if t.Kind() == reflect.Slice {
			for _, v := range n.Values {
				s.look(v, t.Elem(), section)
			}
		}
	case *ast.AnchorNode:
		s.look(n.Value, t, section)
	}
}

func (s *search) entry(v *ast.MappingValueNode, t reflect.Type, section string) {
	if t.Kind() != reflect.Struct || !ours(t) {
		return // a map may have any key, and what is no struct is not read by keys
	}
	token := v.Key.GetToken()
	for name, f := range fields(t) {
		if name == token.Value {
			s.look(v.Value, f, join(section, name))
			return
		}
	}
	s.found = append(s.found, &Mistake{Line: token.Position.Line, Key: token.Value, What: fmt.Sprintf("unknown key %q", token.Value), Near: s.near(token.Value, t, section)})
}

// ours tells a struct that is read by its keys from one that reads itself, such as a number.
func ours(t reflect.Type) bool {
	for range fields(t) {
		return true
	}
	return false
}

// slips is how many letters may be wrong in a key for another to have been meant.
const slips = 2

// near is the key that was meant, if one is near: of the same section, or else of any.
func (s *search) near(key string, t reflect.Type, section string) string {
	best, least := "", slips+1
	closer := func(name, whole string) {
		if d := distance(strings.ToLower(key), name); d < least && d < len(name) {
			best, least = whole, d
		}
	}
	for name := range fields(t) {
		closer(name, join(section, name))
	}
	if best != "" {
		return best
	}
	for _, whole := range s.all {
		closer(whole[strings.LastIndex(whole, ".")+1:], whole)
	}
	return best
}

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

// distance counts the letters to insert, delete or change between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

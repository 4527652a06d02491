package intake

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Unanswered is what stands in a shop file where only the merchant knows what to write.
// `spola init` writes it, and nothing takes orders over while it stands there.
const Unanswered = "?"

// OpenQuestion is a line of a shop file that nobody has filled in yet.
type OpenQuestion struct {
	Line int    // from 1
	Text string // the line, without what stands around its entry
}

func (q *OpenQuestion) Error() string {
	return fmt.Sprintf("line %d is still to be filled in: %s", q.Line, q.Text)
}

// OpenQuestions lists the lines of a shop file that hold a "?" in place of a value, from the top.
func OpenQuestions(text []byte) ([]*OpenQuestion, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(text), "\n")
	find := &questions{lines: lines}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(find, doc.Body)
		}
	}
	return find.found, nil
}

// questions is a walk over the file that gathers them.
type questions struct {
	lines []string
	found []*OpenQuestion
}

// Visit looks at one node of the file.
func (q *questions) Visit(node ast.Node) ast.Visitor {
	value, ok := node.(*ast.StringNode)
	if !ok || value.Value != Unanswered {
		return q
	}
	line := value.GetToken().Position.Line
	if n := len(q.found); n > 0 && q.found[n-1].Line == line {
		return q
	}
	text := q.lines[line-1]
	if at := strings.Index(text, "  #"); at > 0 {
		text = text[:at]
	}
	q.found = append(q.found, &OpenQuestion{Line: line, Text: strings.TrimPrefix(strings.TrimSpace(text), "- ")})
	return q
}

// unanswered is the error of a file with open questions; nil if it has none.
func unanswered(text []byte) error {
	open, err := OpenQuestions(text)
	if err != nil {
		return nil //nolint:nilerr // what can't be parsed is told by who reads the values
	}
	var errs []error
	for _, q := range open {
		errs = append(errs, q)
	}
	return errors.Join(errs...)
}

package mirror

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/spola-cdc/spola/internal/change"
)

// lineWriter writes a row as a line of COPY text. Rows carry their columns in the shape's order,
// so the next name is the one expected; a row that lacks columns is a stub, or an error.
type lineWriter struct {
	part    *Part
	t       *table
	owners  map[int64]struct{} // notes the row's
	owner   int64              // which is this one, if it is owned
	owned   bool
	line    []byte
	ends    []int // of the fields written
	start   int
	missing string // first column that the row lacks
	flaw    []byte
	key     []byte
}

func (w *lineWriter) begin(p *Part, f *folded, owners map[int64]struct{}) {
	*w = lineWriter{part: p, t: f.t, owners: owners, line: f.lines, start: len(f.lines), ends: w.ends[:0], flaw: w.flaw[:0], key: w.key[:0]}
}

func (w *lineWriter) field(name, value []byte) error {
	for len(w.ends) < len(w.t.columns) && w.t.columns[len(w.ends)].name != string(name) {
		w.leaveOut()
	}
	next := len(w.ends)
	if next == len(w.t.columns) {
		return fmt.Errorf("column %s is not in the shape announced, or not at its place", name)
	}
	if next == w.t.owner {
		var err error
		if w.owner, w.owned, err = w.t.whose(value); err != nil {
			return err
		}
		if w.owned {
			w.owners[w.owner] = struct{}{}
		}
	}
	if string(value) == "null" {
		w.null()
		return nil
	}
	c := &w.t.columns[next]
	var flaw string
	var err error
	if w.line, flaw, err = c.put(w.line, value); err != nil {
		return fmt.Errorf("column %s: %w", c.name, err)
	}
	if flaw != "" {
		w.flawed(c.name + ": " + flaw)
	}
	w.close()
	return nil
}

func (w *lineWriter) null() {
	w.line = append(w.line, copyNull...)
	w.close()
}

func (w *lineWriter) leaveOut() {
	if w.missing == "" {
		w.missing = w.t.columns[len(w.ends)].name
	}
	w.null()
}

func (w *lineWriter) close() {
	w.ends = append(w.ends, len(w.line))
	w.line = append(w.line, '\t')
}

func (w *lineWriter) flawed(text string) {
	if len(w.flaw) > 0 {
		w.flaw = append(w.flaw, "; "...)
	}
	w.flaw = appendPlain(w.flaw, text)
}

// end writes Spola's own two columns behind the shop's.
func (w *lineWriter) end(r *change.Record) error {
	for len(w.ends) < len(w.t.columns) {
		w.leaveOut()
	}
	if w.missing != "" {
		if !bytes.Contains(r.Value, []byte(`,"stub":`)) {
			return fmt.Errorf("the row lacks column %s", w.missing)
		}
		w.flawed("the row is too big for the log: only its key is here")
	}
	w.line = strconv.AppendInt(w.line, w.part.at, 10)
	w.line = append(w.line, '\t')
	if len(w.flaw) == 0 {
		w.line = append(w.line, copyNull...)
	} else {
		w.line = append(w.line, w.flaw...)
	}
	w.line = append(w.line, '\n')
	for _, at := range w.t.key {
		if string(w.text(at)) == copyNull {
			return fmt.Errorf("key column %s is null", w.t.columns[at].name)
		}
	}
	return nil
}

// text returns a field as it was written.
func (w *lineWriter) text(at int) []byte {
	begin := w.start
	if at > 0 {
		begin = w.ends[at-1] + 1
	}
	return w.line[begin:w.ends[at]]
}

func (w *lineWriter) keyText() []byte {
	for i, at := range w.t.key {
		if i > 0 {
			w.key = append(w.key, '\t')
		}
		w.key = append(w.key, w.text(at)...)
	}
	return w.key
}

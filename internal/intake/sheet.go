package intake

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// byteOrderMark tells a spreadsheet that a file is UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// sheetRow is a line of a file of CSV with something in it.
type sheetRow struct {
	line   int
	fields map[string]string // by the name of the column, in lower case; spaces around them are gone
}

// readSheet reads CSV as spreadsheets write it: with commas, semicolons or tabs, with or without a
// byte order mark, a line "sep=;", quotes, CRLF, and empty columns and lines behind the others.
// The first line names the columns; those needed must be there. It refuses what is no UTF-8.
func readSheet(r io.Reader, needed ...string) ([]sheetRow, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	if text, err = plainText(text); err != nil {
		return nil, err
	}
	c, skipped := sheetReader(text)
	head, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("line 1: the file is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	columns, err := sheetColumns(head, needed)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", skipped+1, err)
	}
	var rows []sheetRow
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the file is no CSV: %w", err) // names the line
		}
		line, _ := c.FieldPos(0)
		row := sheetRow{line: line + skipped, fields: map[string]string{}}
		filled := false
		for i, f := range fields {
			f = strings.TrimSpace(f)
			filled = filled || f != ""
			switch {
			case i < len(columns):
				row.fields[columns[i]] = f
			case f != "":
				return nil, fmt.Errorf("line %d: %q stands in a column that the first line has no name for; a text with a separator in it needs quotes", row.line, f)
			}
		}
		if filled {
			rows = append(rows, row)
		}
	}
}

// plainText returns the text without its byte order mark, or says what the file is instead.
func plainText(text []byte) ([]byte, error) {
	const mend = `save it as "CSV UTF-8"`
	switch {
	case bytes.HasPrefix(text, []byte("PK\x03\x04")):
		return nil, errors.New("the file is a workbook, not CSV: " + mend)
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return nil, errors.New("the file is UTF-16: " + mend)
	}
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	for n, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			return nil, fmt.Errorf("line %d: it is not UTF-8, %q: %s", n+1, around(bytes.TrimSpace(line)), mend)
		}
	}
	return text, nil
}

// around is what stands around the first thing in a line that is no text: of a file that is none, a line may be all of it.
func around(line []byte) []byte {
	const before, behind = 30, 10
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && size <= 1 || r == 0 {
			return line[max(0, i-before):min(len(line), i+behind)]
		}
		i += size
	}
	return line[:min(len(line), before+behind)]
}

// sheetReader finds the separator. skipped is how many lines stand before the names of the columns.
func sheetReader(text []byte) (c *csv.Reader, skipped int) {
	var comma rune
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if word := strings.TrimSpace(string(first)); strings.HasPrefix(strings.ToLower(word), "sep=") {
		if comma, _ = utf8.DecodeRuneInString(word[len("sep="):]); comma != utf8.RuneError {
			text, skipped = rest, 1
			first, _, _ = bytes.Cut(text, []byte("\n"))
		}
	}
	c = csv.NewReader(bytes.NewReader(text))
	c.FieldsPerRecord = -1
	c.TrimLeadingSpace = true
	if skipped == 0 {
		comma = ','
		for _, other := range []rune{';', '\t'} {
			if strings.Count(string(first), string(other)) > strings.Count(string(first), string(comma)) {
				comma = other
			}
		}
	}
	c.Comma = comma
	if comma == '\t' {
		c.TrimLeadingSpace = false // it would take the tabs of empty columns
	}
	return c, skipped
}

func sheetColumns(head, needed []string) ([]string, error) {
	var columns []string
	for _, name := range head {
		columns = append(columns, strings.ToLower(strings.TrimSpace(name)))
	}
	for len(columns) > 0 && columns[len(columns)-1] == "" {
		columns = columns[:len(columns)-1]
	}
	for i, name := range columns {
		if name != "" && slices.Contains(columns[:i], name) {
			return nil, fmt.Errorf("two columns are named %s", name)
		}
	}
	for _, name := range needed {
		if !slices.Contains(columns, name) {
			return nil, fmt.Errorf("the columns are %s; %s is missing", strings.Join(columns, ", "), name)
		}
	}
	return columns, nil
}

// writeSheet writes CSV for a spreadsheet: with semicolons and a byte order mark, as one in Italy
// opens it without questions.
func writeSheet(w io.Writer, columns []string, rows func(write func(fields ...string) error) error) error {
	return writeFields(w, columns, func(write func(...string) error) error {
		return rows(func(fields ...string) error {
			for i, f := range fields {
				fields[i] = harmless(f)
			}
			return write(fields...)
		})
	})
}

// writeFields is writeSheet for what is harmless as it is: numbers below zero.
func writeFields(w io.Writer, columns []string, rows func(write func(fields ...string) error) error) error {
	if _, err := io.WriteString(w, byteOrderMark); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	c := csv.NewWriter(w)
	c.Comma = ';'
	if err := c.Write(columns); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	err := rows(func(fields ...string) error { return c.Write(fields) })
	if err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// harmless keeps a spreadsheet from taking what somebody typed for a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// asTyped undoes harmless, where a file comes back.
func asTyped(text string) string {
	if rest, marked := strings.CutPrefix(text, "'"); marked && harmless(rest) == text {
		return rest
	}
	return text
}

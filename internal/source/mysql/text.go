package mysql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spola-cdc/spola/internal/change"
)

// A snapshot reads rows as text. What is written here for a value must be what the decoder of
// row images writes for the same value: a test compares the two for every type.

// selected is how a column is named in a snapshot's SELECT.
func selected(c change.Column) string {
	name := quoteName(c.Name)
	if c.Type == change.Float {
		// As a double: the text of a FLOAT has six digits only.
		return "(" + name + "+0e0)"
	}
	return name
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// appendSelected writes a value that was read as text; nil is NULL.
func appendSelected(dst []byte, c change.Column, text []byte) ([]byte, error) {
	if text == nil {
		return append(dst, "null"...), nil
	}
	switch c.Type {
	case change.TinyInt, change.SmallInt, change.MediumInt, change.Int, change.Year:
		return append(dst, trimZeros(text)...), nil
	case change.BigInt:
		if c.Unsigned {
			return quoted(dst, trimZeros(text)), nil
		}
		return append(dst, trimZeros(text)...), nil
	case change.Decimal:
		return quoted(dst, trimZeros(text)), nil
	case change.Bit:
		return appendQuotedUint(dst, bigEndian(text)), nil
	case change.Float, change.Double:
		return appendSelectedFloat(dst, c, text)
	case change.Date, change.Time:
		return quoted(dst, text), nil
	case change.DateTime, change.Timestamp:
		return appendSelectedMoment(dst, c, text)
	case change.JSON:
		return appendSelectedJSON(dst, text)
	case change.Binary, change.VarBinary, change.Blob, change.Geometry:
		return appendBase64(dst, text), nil
	case change.Char, change.VarChar, change.Text, change.Enum, change.Set:
		return appendText(dst, text)
	}
	return dst, fmt.Errorf("type %s can't be read", c.Type)
}

func quoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}

// trimZeros takes away what ZEROFILL puts before a number.
func trimZeros(text []byte) []byte {
	for len(text) > 1 && text[0] == '0' && text[1] != '.' {
		text = text[1:]
	}
	return text
}

func appendSelectedFloat(dst []byte, c change.Column, text []byte) ([]byte, error) {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return dst, fmt.Errorf("number %q: %w", text, err)
	}
	if c.Type == change.Float {
		return appendFloat(dst, float64(float32(v)), 32), nil
	}
	return appendFloat(dst, v, 64), nil
}

func appendSelectedMoment(dst []byte, c change.Column, text []byte) ([]byte, error) {
	if len(text) < 19 || text[10] != ' ' {
		return dst, fmt.Errorf("%q is no date and time", text)
	}
	dst = append(dst, '"')
	dst = append(dst, text[:10]...)
	dst = append(append(dst, 'T'), text[11:]...)
	if c.Type == change.Timestamp {
		dst = append(dst, 'Z')
	}
	return append(dst, '"'), nil
}

// appendSelectedJSON rewrites a document's text as the decoder writes its stored form.
func appendSelectedJSON(dst, text []byte) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		switch b := text[i]; {
		case b == ' ':
			i++
		case b == '"':
			end := i + 1
			for end < len(text) && text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(text) {
				return dst, errInvalidJSON
			}
			var err error
			if out, err = appendRewritten(out, text[i:end+1]); err != nil {
				return dst, err
			}
			i = end + 1
		case b == '-' || b >= '0' && b <= '9':
			end := i + 1
			for end < len(text) && bytes.IndexByte([]byte("0123456789+-.eE"), text[end]) >= 0 {
				end++
			}
			var err error
			if out, err = appendNumber(out, text[i:end]); err != nil {
				return dst, err
			}
			i = end
		default:
			out = append(out, b)
			i++
		}
	}
	return appendText(dst, out)
}

// appendRewritten writes a JSON string with this package's escapes.
func appendRewritten(dst, text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '\\') < 0 {
		return append(dst, text...), nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return dst, errInvalidJSON
	}
	return appendQuoted(dst, []byte(s)), nil
}

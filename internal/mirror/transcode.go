package mirror

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spola-cdc/spola/internal/change"
)

// A transcoder appends a value of the log, which is raw JSON, to a line of COPY text. flaw is
// empty, or what of the value could not be stored as it was. An error is a value that no source
// of ours writes.
type transcoder func(dst, raw []byte) (line []byte, flaw string, err error)

const copyNull = `\N`

func transcoderOf(t change.Type) transcoder {
	switch t {
	case change.Date:
		return appendDate
	case change.DateTime, change.Timestamp:
		return appendDateTime
	case change.Time:
		return appendTime
	case change.Char, change.VarChar, change.Text, change.Enum, change.Set:
		return appendText
	case change.JSON:
		return appendJSON
	case change.Binary, change.VarBinary, change.Blob, change.Geometry:
		return appendBytes
	}
	return appendNumber
}

// appendNumber takes a number, bare or in quotes.
func appendNumber(dst, raw []byte) ([]byte, string, error) {
	text := raw
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	if len(text) == 0 {
		return dst, "", fmt.Errorf("%s is no number", raw)
	}
	for _, c := range text {
		if (c < '0' || c > '9') && c != '-' && c != '.' && c != 'e' && c != 'E' && c != '+' {
			return dst, "", fmt.Errorf("%s is no number", raw)
		}
	}
	return append(dst, text...), "", nil
}

// inner returns what stands between the quotes of a JSON string.
func inner(raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, fmt.Errorf("%.40s is no string", raw)
	}
	return raw[1 : len(raw)-1], nil
}

// appendText makes use of how near JSON's escapes are to COPY's: \\ \n \t \r \b \f are the same
// bytes in both, and what JSON must escape besides (quotes, \u) COPY takes as it is.
func appendText(dst, raw []byte) ([]byte, string, error) {
	text, err := inner(raw)
	if err != nil {
		return dst, "", err
	}
	flaw := ""
	if !utf8.Valid(text) {
		text, flaw = bytes.ToValidUTF8(text, nil), "bytes that are no UTF-8 were left out"
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(dst, text...), flaw, nil
		}
		dst = append(dst, text[:i]...)
		if i+1 >= len(text) {
			return dst, "", fmt.Errorf("string ends in an escape")
		}
		switch c := text[i+1]; c {
		case '\\', 'n', 't', 'r', 'b', 'f':
			dst, text = append(dst, '\\', c), text[i+2:]
		case '"', '/':
			dst, text = append(dst, c), text[i+2:]
		case 'u':
			char, size, ok := unicodeEscape(text[i:])
			if size == 0 {
				return dst, "", fmt.Errorf("%.12q is no escape of JSON", text[i:])
			}
			if ok {
				dst = appendChar(dst, char)
			} else {
				flaw = "a character that PostgreSQL can't store was left out"
			}
			text = text[i+size:]
		default:
			return dst, "", fmt.Errorf("%.12q is no escape of JSON", text[i:])
		}
	}
}

// unicodeEscape reads \uXXXX or a surrogate pair. ok is false for what is no character that
// PostgreSQL stores: NUL, or half of a pair.
func unicodeEscape(text []byte) (char rune, size int, ok bool) {
	first, valid := hex4(text)
	if !valid {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(first) {
		return first, 6, first != 0
	}
	if second, valid := hex4(text[6:]); valid {
		if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
			return pair, 12, true
		}
	}
	return 0, 6, false
}

func hex4(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 32)
	return rune(n), err == nil
}

// appendChar escapes the four characters that would end a field or a line, or begin an escape.
func appendChar(dst []byte, char rune) []byte {
	switch char {
	case '\\':
		return append(dst, '\\', '\\')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return utf8.AppendRune(dst, char)
}

// appendPlain appends text that is not JSON.
func appendPlain(dst []byte, text string) []byte {
	for _, char := range text {
		dst = appendChar(dst, char)
	}
	return dst
}

// unescape undoes COPY's escapes in a field; nil stands for null. The result may share memory
// with the field.
func unescape(field []byte) []byte {
	if string(field) == copyNull {
		return nil
	}
	i := bytes.IndexByte(field, '\\')
	if i < 0 {
		return field
	}
	plain := append(make([]byte, 0, len(field)), field[:i]...)
	for ; i < len(field); i++ {
		c := field[i]
		if c == '\\' && i+1 < len(field) {
			i++
			c = field[i]
			if at := bytes.IndexByte([]byte("ntrbf"), c); at >= 0 {
				c = "\n\t\r\b\f"[at]
			}
		}
		plain = append(plain, c)
	}
	return plain
}

// appendBytes writes base64 as PostgreSQL's hexadecimal form.
func appendBytes(dst, raw []byte) ([]byte, string, error) {
	text, err := inner(raw)
	if err != nil {
		return dst, "", err
	}
	dst = append(dst, `\\x`...)
	bin, err := base64.StdEncoding.AppendDecode(nil, bytes.ReplaceAll(text, []byte(`\/`), []byte("/")))
	if err != nil {
		return dst, "", fmt.Errorf("%.40s is no base64: %w", raw, err)
	}
	return hex.AppendEncode(dst, bin), "", nil
}

// appendJSON brings a document, which the log carries as a string, into a form that jsonb takes.
func appendJSON(dst, raw []byte) ([]byte, string, error) {
	text, flaw, err := appendText(nil, raw)
	if err != nil {
		return dst, "", err
	}
	document := unescape(text)
	if !json.Valid(document) {
		return append(dst, copyNull...), "no valid JSON: left out", nil
	}
	document, left := storable(document)
	if left {
		flaw = "a character that PostgreSQL can't store was left out"
	}
	for _, c := range document {
		dst = appendByte(dst, c)
	}
	return dst, flaw, nil
}

func appendByte(dst []byte, c byte) []byte {
	if c < utf8.RuneSelf {
		return appendChar(dst, rune(c))
	}
	return append(dst, c)
}

// storable leaves out the escapes of a JSON document that jsonb refuses: NUL and halves of
// surrogate pairs.
func storable(document []byte) (stored []byte, left bool) {
	for i := 0; i < len(document); {
		switch {
		case document[i] != '\\':
			stored = append(stored, document[i])
			i++
		case document[i+1] != 'u':
			stored = append(stored, document[i], document[i+1])
			i += 2
		default:
			_, size, ok := unicodeEscape(document[i:])
			if ok {
				stored = append(stored, document[i:i+size]...)
			}
			left = left || !ok
			i += max(size, 1)
		}
	}
	return stored, left
}

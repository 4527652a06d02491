package postgres

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"unicode/utf8"
)

var errInvalidText = errors.New("bytes that are no UTF-8 text")

// plain tells which bytes stand in a JSON string as they are.
var plain = func() (t [256]bool) {
	for i := 0x20; i < 0x100; i++ {
		t[i] = i != '"' && i != '\\'
	}
	return t
}()

// appendText writes UTF-8 text as a JSON string.
func appendText(dst, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return dst, errInvalidText
	}
	return appendQuoted(dst, text), nil
}

// appendQuoted writes valid UTF-8 text as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, b := range text {
		if plain[b] {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		dst = appendEscaped(dst, b)
	}
	return append(append(dst, text[from:]...), '"')
}

func appendEscaped(dst []byte, b byte) []byte {
	const digits = "0123456789abcdef"
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
}

// appendBytes writes a bytea, which comes as \x and hexadecimal digits, in base64.
func appendBytes(dst, text []byte) ([]byte, error) {
	if len(text) < 2 || text[0] != '\\' || text[1] != 'x' {
		return dst, errors.New("bytes that do not come in hexadecimal form")
	}
	raw := make([]byte, hex.DecodedLen(len(text)-2))
	if _, err := hex.Decode(raw, text[2:]); err != nil {
		return dst, err
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"'), nil
}

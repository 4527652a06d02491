package mysql

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charset turns the bytes of a text column into UTF-8.
type charset struct {
	bytes bool       // no text: bytes, shown as base64
	table *[256]rune // a character set of one byte a character
	wide  int        // 2 or 4 bytes a character, big endian unless little; 2 with surrogates
	utf8  bool
	less  bool // little endian
}

// charsetOf is the character set of a collation, by the server's own list of collations.
func charsetOf(collation uint64, charsets map[uint64]string) (charset, error) {
	name, ok := charsets[collation]
	if !ok {
		return charset{}, fmt.Errorf("collation %d is not one that the server lists", collation)
	}
	return charsetNamed(name)
}

// charsetNamed returns a character set by MySQL's name. The tables of one byte were compared
// with the servers' own conversion, byte by byte; sets that differ are not offered.
func charsetNamed(name string) (charset, error) {
	switch name {
	case "utf8mb4", "utf8mb3", "utf8", "ascii":
		return charset{utf8: true}, nil
	case "binary":
		return charset{bytes: true}, nil
	case "ucs2", "utf16":
		return charset{wide: 2}, nil
	case "utf16le":
		return charset{wide: 2, less: true}, nil
	case "utf32":
		return charset{wide: 4}, nil
	case "latin1":
		return charset{table: latin1()}, nil
	}
	maps := map[string]*charmap.Charmap{
		"latin2": charmap.ISO8859_2, "latin5": charmap.ISO8859_9, "latin7": charmap.ISO8859_13,
		"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1257": charmap.Windows1257,
		"koi8r": charmap.KOI8R, "cp850": charmap.CodePage850, "cp852": charmap.CodePage852,
	}
	m, ok := maps[name]
	if !ok {
		return charset{}, fmt.Errorf("character set %s can't be read; ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4", name)
	}
	return charset{table: singleByte(m, strings.HasPrefix(name, "latin"))}, nil
}

func singleByte(m *charmap.Charmap, iso bool) *[256]rune {
	var t [256]rune
	for i := range t {
		t[i] = m.DecodeByte(byte(i))
		if t[i] == utf8.RuneError && i >= 0x80 && i < 0xa0 && iso {
			t[i] = rune(i) // the servers leave the control characters of ISO sets as they are
		}
	}
	return &t
}

// latin1 is MySQL's: Windows-1252, with the five bytes that it leaves open as themselves.
func latin1() *[256]rune {
	t := singleByte(charmap.Windows1252, false)
	for _, open := range []byte{0x81, 0x8d, 0x8f, 0x90, 0x9d} {
		t[open] = rune(open)
	}
	return t
}

// decode is for labels, which are few.
func (c charset) decode(text string) (string, error) {
	if c.bytes || c.utf8 {
		if !utf8.ValidString(text) {
			return "", errInvalidText
		}
		return text, nil
	}
	out, err := c.appendUTF8(nil, []byte(text))
	return string(out), err
}

// appendUTF8 converts a text of a set that is not UTF-8 itself.
func (c charset) appendUTF8(dst, text []byte) ([]byte, error) {
	if c.table != nil {
		for _, b := range text {
			r := c.table[b]
			if r == utf8.RuneError {
				return dst, errInvalidText
			}
			dst = utf8.AppendRune(dst, r)
		}
		return dst, nil
	}
	if len(text)%c.wide != 0 {
		return dst, errInvalidText
	}
	for i := 0; i < len(text); i += c.wide {
		r := c.unit(text[i:])
		if c.wide == 2 && utf16.IsSurrogate(r) {
			i += 2
			if i+2 > len(text) {
				return dst, errInvalidText
			}
			r = utf16.DecodeRune(r, c.unit(text[i:]))
		}
		if r == utf8.RuneError || !utf8.ValidRune(r) {
			return dst, errInvalidText
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, nil
}

func (c charset) unit(b []byte) rune {
	switch {
	case c.wide == 4:
		return rune(b[0])<<24 | rune(b[1])<<16 | rune(b[2])<<8 | rune(b[3])
	case c.less:
		return rune(b[1])<<8 | rune(b[0])
	default:
		return rune(b[0])<<8 | rune(b[1])
	}
}

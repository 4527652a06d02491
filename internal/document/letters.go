package document

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

// typeface is the Go font, which is part of the program: nothing is downloaded, and every machine
// makes the same pages. It has the Latin, Greek and Cyrillic letters of Europe.
type typeface struct {
	regular, bold *sfnt.Font
}

// ttf is the font's file, regular or bold.
func ttf(bold bool) []byte {
	if bold {
		return gobold.TTF
	}
	return goregular.TTF
}

func loadTypeface() (*typeface, error) {
	regular, err := sfnt.Parse(ttf(false))
	if err != nil {
		return nil, fmt.Errorf("read the typeface: %w", err)
	}
	bold, err := sfnt.Parse(ttf(true))
	if err != nil {
		return nil, fmt.Errorf("read the typeface: %w", err)
	}
	return &typeface{regular, bold}, nil
}

// missing stands for a character that the typeface lacks.
const missing = '□'

// width of a text in mm at a size in points.
func (f *typeface) width(s string, size float64, bold bool) float64 {
	face := f.regular
	if bold {
		face = f.bold
	}
	var buf sfnt.Buffer
	units := fixed.Int26_6(0)
	em := fixed.I(int(face.UnitsPerEm()))
	for _, r := range s {
		i, err := face.GlyphIndex(&buf, r)
		if err != nil {
			continue
		}
		advance, err := face.GlyphAdvance(&buf, i, em, 0)
		if err != nil {
			continue
		}
		units += advance
	}
	return float64(units) / 64 / float64(face.UnitsPerEm()) * size * 25.4 / 72
}

func (f *typeface) has(r rune) bool {
	var buf sfnt.Buffer
	i, err := f.regular.GlyphIndex(&buf, r)
	return err == nil && i != 0
}

// readable is a text with only letters that the typeface has: a letter with marks that it does not
// have loses them, what is left becomes a box, and changed says so. Characters that draw nothing,
// or turn the direction of what follows, go; those that end a line become spaces, but for "\n".
func (f *typeface) readable(s string) (text string, changed bool) {
	var out strings.Builder
	for _, r := range norm.NFC.String(strings.ToValidUTF8(s, string(missing))) {
		switch {
		case r == '\n':
			out.WriteRune(r)
		case unicode.IsSpace(r) || unicode.IsControl(r):
			out.WriteRune(' ')
		case unicode.In(r, unicode.Cf, unicode.Co, unicode.Variation_Selector):
		case f.has(r):
			out.WriteRune(r)
		default:
			changed = true
			out.WriteString(f.base(r))
		}
	}
	return out.String(), changed
}

// base is a letter without its marks, or a box.
func (f *typeface) base(r rune) string {
	var out strings.Builder
	for _, d := range norm.NFKD.String(string(r)) {
		if unicode.Is(unicode.Mn, d) {
			continue
		}
		if !f.has(d) {
			return string(missing)
		}
		out.WriteRune(d)
	}
	if out.Len() == 0 {
		return "" // a mark alone
	}
	return out.String()
}

// cut breaks a text into lines of at most a width in mm: at spaces, and inside a word that is wider.
func (f *typeface) cut(s string, width, size float64, bold bool) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(s, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if joined := strings.TrimSpace(line + " " + word); f.width(joined, size, bold) <= width {
				line = joined
				continue
			}
			if line != "" {
				lines = append(lines, line)
			}
			line = ""
			for _, r := range word {
				if f.width(line+string(r), size, bold) > width && line != "" {
					lines = append(lines, line)
					line = ""
				}
				line += string(r)
			}
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

package document

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew; look at them before they are committed")

const dotsPerMM = 3.0

// Some texts are enough for every run; -rapid.checks=1000 is for an evening.
func init() {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
}

// Invariant: pages look as somebody has looked at them: testdata has a picture of each.
func TestPages(t *testing.T) {
	face, err := loadTypeface()
	if err != nil {
		t.Fatal(err)
	}
	all := samples()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var with *logo
		if name != "ddt" && name != "order" {
			if with, err = readLogo(picture(t)); err != nil {
				t.Fatal(err)
			}
		}
		for i, marks := range lay(all[name], face, with) {
			compare(t, fmt.Sprintf("%s-%d.png", name, i+1), paint(t, marks, with))
		}
	}
}

// Invariant: a changed page is found.
func TestChangedPageIsFound(t *testing.T) {
	face, err := loadTypeface()
	if err != nil {
		t.Fatal(err)
	}
	changed := samples()["ddt"]
	changed.CashOnDelivery++
	if same(t, "ddt-1.png", paint(t, lay(changed, face, nil)[0], nil)) {
		t.Error("another amount looks the same")
	}
}

func compare(t *testing.T, file string, got *image.Gray) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		var out bytes.Buffer
		if err := png.Encode(&out, got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil { //nolint:gosec // a golden file
			t.Fatal(err)
		}
	}
	if !same(t, file, got) {
		t.Errorf("%s does not look as it did: look at it with -update", path)
	}
}

// same says whether a page looks like its golden picture: not more than a shade here and there is another.
func same(t *testing.T, file string, got *image.Gray) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Error(err)
		return false
	}
	golden, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if golden.Bounds() != got.Bounds() {
		return false
	}
	want, ok := golden.(*image.Gray)
	if !ok {
		t.Fatalf("%s is %T", file, golden)
	}
	for i := range got.Pix {
		if d := int(got.Pix[i]) - int(want.Pix[i]); d < -24 || d > 24 {
			return false
		}
	}
	return true
}

// paint draws the marks of a page, as a viewer of PDFs would.
func paint(t *testing.T, marks []mark, with *logo) *image.Gray {
	t.Helper()
	dots := func(mm float64) int { return int(mm*dotsPerMM + 0.5) }
	page := image.NewGray(image.Rect(0, 0, dots(pageWidth), dots(pageHeight)))
	draw.Draw(page, page.Bounds(), image.White, image.Point{}, draw.Src)
	for _, m := range marks {
		ink := image.NewUniform(color.Gray{Y: m.shade})
		switch m.kind {
		case textMark:
			f, err := opentype.Parse(ttf(m.bold))
			if err != nil {
				t.Fatal(err)
			}
			face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: m.size, DPI: dotsPerMM * 25.4, Hinting: font.HintingNone})
			if err != nil {
				t.Fatal(err)
			}
			d := font.Drawer{Dst: page, Src: ink, Face: face, Dot: fixed.Point26_6{X: fixed.Int26_6(m.x * dotsPerMM * 64), Y: fixed.Int26_6(m.y * dotsPerMM * 64)}}
			d.DrawString(m.text)
		case lineMark:
			draw.Draw(page, image.Rect(dots(m.x), dots(m.y), dots(m.x+m.w), dots(m.y)+1), ink, image.Point{}, draw.Src)
		case fillMark:
			draw.Draw(page, image.Rect(dots(m.x), dots(m.y), dots(m.x+m.w), dots(m.y+m.h)), ink, image.Point{}, draw.Src)
		case logoMark:
			img, _, err := image.Decode(bytes.NewReader(with.file))
			if err != nil {
				t.Fatal(err)
			}
			xdraw.ApproxBiLinear.Scale(page, image.Rect(dots(m.x), dots(m.y), dots(m.x+m.w), dots(m.y+m.h)), img, img.Bounds(), draw.Over, nil)
		}
	}
	return page
}

// Invariant: the same document is the same file.
func TestSameBytes(t *testing.T) {
	for name, s := range samples() {
		first, err := PDF(s, picture(t))
		if err != nil {
			t.Fatal(name, err)
		}
		for range 3 {
			again, err := PDF(s, picture(t))
			if err != nil || !bytes.Equal(first, again) {
				t.Errorf("%s: %d bytes, then %d others, %v", name, len(first), len(again), err)
			}
		}
		if !bytes.HasPrefix(first, []byte("%PDF-")) || len(first) > 200_000 {
			t.Errorf("%s: %d bytes that begin with %q", name, len(first), first[:5])
		}
	}
}

// Invariant: whatever a customer is called and writes, the page comes out, nothing stands outside of it, and no two
// texts stand on each other.
func TestAnyText(t *testing.T) {
	face, err := loadTypeface()
	if err != nil {
		t.Fatal(err)
	}
	letters := rapid.StringOfN(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("abc äöé €ŁŽ ΑΩ Яж 王 م ש ก 🧵 \u202e\u0301\n\x00"))), 0, 200, -1)
	rapid.Check(t, func(t *rapid.T) {
		all := samples()
		s := all[rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(t, "sample")]
		for _, text := range []*string{&s.Buyer.Name, &s.Buyer.Address.Street, &s.Buyer.Address.Country, &s.ShipTo.City, &s.ShipTo.Province, &s.Note, &s.Phone, &s.Tracking, &s.Carrier, &s.ShopNumber, &s.Why,
			&s.Seller.Name, &s.Language, &s.Warehouse} {
			if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
				*text = letters.Draw(t, "text")
			}
		}
		s.Lines = slices.Clone(s.Lines)
		for i := range s.Lines {
			if rapid.IntRange(0, 5).Draw(t, "change line") == 0 {
				s.Lines[i].Name, s.Lines[i].Options, s.Lines[i].Code = letters.Draw(t, "name"), letters.Draw(t, "options"), letters.Draw(t, "code")
				s.Lines[i].Gross = rapid.Int64Range(-1_000_000_000_000, 1_000_000_000_000).Draw(t, "gross")
			}
		}
		if _, err := PDF(s, nil); err != nil {
			t.Fatal(err)
		}
		for page, marks := range lay(s, face, nil) {
			apart(t, face, page, marks)
		}
	})
}

// apart fails if a text leaves the page or stands on another.
func apart(t *rapid.T, face *typeface, page int, marks []mark) {
	type box struct{ x0, y0, x1, y1 float64 }
	var boxes []box
	for _, m := range marks {
		if m.kind != textMark {
			boxes = append(boxes, box{})
			continue
		}
		height := m.size * 25.4 / 72
		b := box{m.x, m.y - 0.7*height, m.x + face.width(m.text, m.size, m.bold), m.y + 0.15*height}
		if b.x0 < left-0.01 || b.x1 > right+0.01 || b.y0 < top-8 || b.y1 > pageHeight-5 {
			t.Fatalf("page %d: %q stands at %.1f, %.1f to %.1f, %.1f", page+1, m.text, b.x0, b.y0, b.x1, b.y1)
		}
		for j, o := range boxes {
			if b.x0 < o.x1 && o.x0 < b.x1 && b.y0 < o.y1 && o.y0 < b.y1 {
				t.Fatalf("page %d: %q stands on %q", page+1, m.text, marks[j].text)
			}
		}
		boxes = append(boxes, b)

	}
}

// What the typeface lacks is said, no more and no less; a delivery note is named once.
func TestWordsOnThePage(t *testing.T) {
	face, err := loadTypeface()
	if err != nil {
		t.Fatal(err)
	}
	says := func(s Sheet) string {
		var all []string
		for _, page := range lay(s, face, nil) {
			for _, m := range page {
				all = append(all, m.text)
			}
		}
		return strings.Join(all, "\n")
	}
	for name, want := range map[string]string{"Zoë Müller": "", "Nguyễn Thị Ánh": "Alcune lettere sono senza", "王小明": "□ sta per un carattere", "Ánh ễ 王": "□ sta per un carattere"} {
		s := sample()
		s.Buyer.Name = name
		text := says(s)
		if has := strings.Contains(text, "Alcune lettere sono senza") || strings.Contains(text, "□ sta per"); has != (want != "") || !strings.Contains(text, want) {
			t.Errorf("%s: want %q:\n%s", name, want, text)
		}
	}
	s := sample()
	s.Kind, s.Deliveries = DeferredInvoice, []Reference{{Number: "DDT2026/31", Date: "2026-11-26", Kind: DeliveryNote}}
	if text := says(s); !strings.Contains(text, "· DDT2026/31 del 26/11/2026") || strings.Contains(text, "DDT DDT") {
		t.Errorf("the delivery note:\n%s", text)
	}
}

// A logo that is none is told, and no other document is harmed by it.
func TestLogo(t *testing.T) {
	if _, err := PDF(sample(), []byte("<svg/>")); err == nil {
		t.Error("an SVG was taken for a logo")
	}
}

package document

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // logos may be JPEG
	_ "image/png"  // or PNG
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
)

// logo is the seller's, with its size on the page in mm.
type logo struct {
	file          []byte
	format        string // png, jpeg
	width, height float64
}

const logoWidth, logoHeight = 60.0, 18.0 // at most

func readLogo(file []byte) (*logo, error) {
	if len(file) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	size, format, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("the seller's logo is neither PNG nor JPEG: %w", err)
	}
	if size.Width < 1 || size.Height < 1 {
		return nil, fmt.Errorf("the seller's logo is %d × %d pixels", size.Width, size.Height)
	}
	ratio := min(logoWidth/float64(size.Width), logoHeight/float64(size.Height))
	return &logo{file, format, float64(size.Width) * ratio, float64(size.Height) * ratio}, nil
}

// PDF is the document on A4 pages. The same document with the same logo gives the same bytes.
func PDF(s Sheet, logoFile []byte) ([]byte, error) {
	face, err := loadTypeface()
	if err != nil {
		return nil, err
	}
	picture, err := readLogo(logoFile)
	if err != nil {
		return nil, err
	}
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCatalogSort(true)
	made, err := time.Parse(time.DateOnly, s.Date)
	if err != nil {
		return nil, fmt.Errorf("document %s: its date: %w", s.Number, err)
	}
	f.SetCreationDate(made)
	f.SetModificationDate(made)
	f.SetProducer("Spola", true)
	f.SetTitle(s.title()+" "+s.Number, true)
	f.SetAuthor(s.Seller.Name, true)
	f.SetLang(s.lang())
	f.SetAutoPageBreak(false, 0)
	f.SetMargins(0, 0, 0)
	f.AddUTF8FontFromBytes("go", "", ttf(false))
	f.AddUTF8FontFromBytes("go", "B", ttf(true))
	if picture != nil {
		f.RegisterImageOptionsReader("logo", fpdf.ImageOptions{ImageType: picture.format}, bytes.NewReader(picture.file))
	}
	for _, marks := range lay(s, face, picture) {
		f.AddPage()
		for _, m := range marks {
			drawMark(f, m)
		}
	}
	var out bytes.Buffer
	if err := f.Output(&out); err != nil {
		return nil, fmt.Errorf("document %s: write the PDF: %w", s.Number, err)
	}
	return out.Bytes(), nil
}

func drawMark(f *fpdf.Fpdf, m mark) {
	shade := int(m.shade)
	switch m.kind {
	case textMark:
		weight := ""
		if m.bold {
			weight = "B"
		}
		f.SetFont("go", weight, m.size)
		f.SetTextColor(shade, shade, shade)
		f.Text(m.x, m.y, m.text)
	case lineMark:
		f.SetDrawColor(shade, shade, shade)
		f.SetLineWidth(m.size)
		f.Line(m.x, m.y, m.x+m.w, m.y)
	case fillMark:
		f.SetFillColor(shade, shade, shade)
		f.Rect(m.x, m.y, m.w, m.h, "F")
	case logoMark:
		f.ImageOptions("logo", m.x, m.y, m.w, m.h, false, fpdf.ImageOptions{}, 0, "")
	}
}

func split(s string) []string { return strings.Split(s, "|") }

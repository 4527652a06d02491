package mail

import (
	"bytes"
	"fmt"
	"net/http"
	netmail "net/mail"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// message is the mail as it goes over the wire. No text of a customer's gets into a header but his name and the subject, on one line
// and encoded.
func (l Letter) message(s Server, recipient, id string) ([]byte, error) {
	if flaw := AddressFlaw(recipient); flaw != "" {
		return nil, &flawError{flaw}
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	m.FromMailAddress(&s.From)
	m.ToMailAddress(&netmail.Address{Name: cut(oneLine(l.Page.Name), 100), Address: recipient})
	if s.ReplyTo != nil {
		m.ReplyToMailAddress(s.ReplyTo)
	}
	m.SetMessageIDWithValue(id)
	m.SetDateWithValue(time.Now())
	m.Subject(l.Subject)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	if len(l.Page.logo) > 0 {
		err := m.EmbedReader("logo", bytes.NewReader(l.Page.logo), gomail.WithFileContentID(logoID),
			gomail.WithFileContentType(gomail.ContentType(http.DetectContentType(l.Page.logo))))
		if err != nil {
			return nil, fmt.Errorf("logo: %w", err)
		}
	}
	for _, a := range l.Attachments {
		if err := m.AttachReader(a.Name, bytes.NewReader(a.Content), gomail.WithFileContentType(gomail.ContentType(a.Type))); err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
	}
	var out bytes.Buffer
	if _, err := m.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("write the mail: %w", err)
	}
	return out.Bytes(), nil
}

// EML is the mail as a file that mail programs open.
func (l Letter) EML(s Server, recipient, id string) ([]byte, error) {
	return l.message(s, recipient, id)
}

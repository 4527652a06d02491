package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Tell mails a plain text to somebody of ours, outside the outbox and its journal: notices of what goes wrong. No answer to the final dot
// is an error: rather told twice than not at all.
func (s Server) Tell(ctx context.Context, to, subject, text string) error {
	if flaw := AddressFlaw(to); flaw != "" {
		return errors.New(flaw)
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	m.FromMailAddress(&s.From)
	m.ToMailAddress(&netmail.Address{Address: to})
	m.SetMessageIDWithValue(messageID("notice "+to+subject+time.Now().String(), s.Domain()))
	m.SetDateWithValue(time.Now())
	m.Subject(oneLine(subject))
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, text)
	var message bytes.Buffer
	if _, err := m.WriteTo(&message); err != nil {
		return fmt.Errorf("write the mail: %w", err)
	}
	return s.send(ctx, to, message.Bytes())
}

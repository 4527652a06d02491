// Package mail writes to customers: when a parcel leaves, and when an invoice is issued. DESIGN.md says what is promised.
//
//	queue.go    `applier run mail`, one half: the ERP's log puts mails into the outbox (schemas/spola/00060_mail.sql)
//	send.go     the other half: what is due in the outbox goes to the mail server, one at a time
//	smtp.go     one conversation with the server, and what its end means
//	journal.go  the witness outside the ERP: what was begun, and how it ended
//	letter.go   what a mail says: templates, by language
//	message.go  a mail as bytes
package mail

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	netmail "net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/spola-cdc/spola/schemas"
)

//go:embed mail.postgres.sql
var files embed.FS

var statements = func() map[string]string {
	s, err := schemas.Statements(files, "mail.postgres.sql", "")
	if err != nil {
		panic(err) // it is embedded
	}
	return s
}()

// Applier is the applier by the name of its place.
const Applier = "mail"

// Kinds of mails.
const (
	Shipment = "shipment" // a parcel has left
	Invoice  = "invoice"  // with its PDF
)

// States of a mail in the outbox.
const (
	Queued  = "queued"
	Sending = "sending"
	Sent    = "sent"
	Unknown = "unknown" // the server was given all of it, and has not answered: a person decides
	Failed  = "failed"
)

// Row is a mail in the outbox.
type Row struct {
	ID         int64      `json:"id"`
	Key        string     `json:"key"`
	Kind       string     `json:"kind"`
	Order      string     `json:"order"`       // of the ERP: W2026/17
	ShopNumber string     `json:"shop_number"` // of the shop
	Document   string     `json:"document"`    // of an invoice
	Recipient  string     `json:"recipient"`
	State      string     `json:"state"`
	Reason     string     `json:"reason"`
	Attempts   int        `json:"attempts"`
	MessageID  string     `json:"message_id"`
	QueuedAt   time.Time  `json:"queued_at"`
	NextAt     time.Time  `json:"next_at"`
	SentAt     *time.Time `json:"sent_at"`

	shop  string
	cause *int64
}

// simpleAddress is what an address may look like: one mailbox, no quotes, no comments, so that nothing in it can be read as a
// second address or as a parameter of the protocol.
var simpleAddress = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~` + "`" + `-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]$`)

// AddressFlaw says why nothing can be sent to an address: a sentence, or empty.
func AddressFlaw(address string) string {
	switch {
	case strings.TrimSpace(address) == "":
		return "the order has no e-mail address"
	case len(address) > 254 || !simpleAddress.MatchString(address):
		return fmt.Sprintf("%q is no e-mail address that can be written to", cut(address, 120))
	}
	if parsed, err := netmail.ParseAddress(address); err != nil || parsed.Address != address {
		return fmt.Sprintf("%q is no e-mail address", cut(address, 120))
	}
	return ""
}

// messageID is a mail's name in the world: the same for each attempt, so that a mailbox which gets it twice may know.
func messageID(key, domain string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:12]) + ".spola@" + domain
}

// cut shortens what somebody typed.
func cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

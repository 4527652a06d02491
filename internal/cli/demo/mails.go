package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"mime"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/document"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/schemas"
)

//go:embed mails.sql
var mailFiles embed.FS

var mailSQL = func() map[string]string {
	s, err := schemas.Statements(mailFiles, "mails.sql", "")
	if err != nil {
		panic(err) // it is embedded
	}
	return s
}()

// Mails are what customers were mailed, counted by the mail server that got it.
type Mails struct {
	Expected  int64 `json:"mails_expected"` // parcels and invoices, by the ERP's own tables
	Delivered int64 `json:"mails_delivered"`
	Twice     int64 `json:"mails_twice"`   // Message-IDs that came more than once
	Unknown   int64 `json:"mails_unknown"` // whose mailer was killed between its last word and the server's: they are listed, and not sent again

	way []string // one order's, from the shop to its mails: a line each; the files that it names are there when the demo has ended
}

func (m Mails) amiss() bool { return m.Expected != m.Delivered || m.Twice > 0 }

// lost is amiss where mailers are killed: an unknown one may have come or not.
func (m Mails) lost() bool {
	return m.Delivered > m.Expected || m.Delivered+m.Unknown < m.Expected || m.Twice > 0
}

func (m Mails) text() string {
	text := fmt.Sprintf("%d of %d delivered, %d twice", m.Delivered, m.Expected, m.Twice)
	if m.Unknown > 0 {
		text += fmt.Sprintf(", %d unknown", m.Unknown)
	}
	return text
}

// postbox starts a mail server that keeps what it gets, and has the shops' customers mailed through it.
func (st *stage) postbox() (*mailbox.Server, error) {
	box, err := mailbox.Start(mailbox.Options{Plain: true})
	if err != nil {
		return nil, err
	}
	for _, s := range st.all() {
		s.cfg.SMTP = config.SMTP{Server: box.Addr, TLS: "none", From: "Bottega Spola <ordini@" + s.name + ".example>"}
	}
	return box, nil
}

// files is where one order's documents and mails go: in a directory that stays, for somebody wants to open them. kept: that is the demo's
// own. Those of the demo before are gone then.
func (st *stage) files(kept bool) (dir string, err error) {
	dir = filepath.Join(st.lab.Dir(), "mails")
	if !kept {
		dir = filepath.Join(st.lab.Cache(), "demo")
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", fmt.Errorf("an order's files: %w", err)
	}
	return dir, nil
}

// mails waits until all are sent, and counts what came. The files of one order go into dir; empty: nowhere.
func (st *stage) mails(ctx context.Context, box *mailbox.Server, dir string) (all Mails, err error) {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return all, fmt.Errorf("count the mails: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if all, err = st.countMails(ctx, conn, box); err != nil {
		return all, err
	}
	if dir != "" {
		all.way, err = st.way(ctx, conn, box, dir)
	}
	return all, err
}

// countMails waits until all are sent, and counts what came.
func (st *stage) countMails(ctx context.Context, conn *pgx.Conn, box *mailbox.Server) (all Mails, err error) {
	for _, s := range st.all() {
		var one Mails
		settling, cancel := context.WithTimeout(ctx, settleWithin)
		err := await(settling, func() error {
			var waiting int64
			one.Delivered = s.delivered(box)
			err := errors.Join(conn.QueryRow(ctx, mailSQL["expected"], s.name).Scan(&one.Expected), conn.QueryRow(ctx, mailSQL["unknown"], s.name).Scan(&one.Unknown),
				conn.QueryRow(ctx, mailSQL["waiting"], s.name).Scan(&waiting))
			if err == nil && (waiting > 0 || one.Delivered+one.Unknown < one.Expected) {
				err = fmt.Errorf("%d of %d mails of %s have come", one.Delivered, one.Expected, s.name)
			}
			return err
		})
		late := settling.Err() != nil
		cancel()
		if err != nil && !late {
			return all, err
		}
		all.Expected += one.Expected
		all.Delivered += one.Delivered
		all.Unknown += one.Unknown
	}
	seen := map[string]int{}
	for _, m := range box.Mails() {
		if seen[messageIDOf(m)]++; seen[messageIDOf(m)] == 2 {
			all.Twice++
		}
	}
	return all, nil
}

// delivered counts the mails that came from a shop.
func (st *stage) delivered(box *mailbox.Server) (n int64) {
	for _, m := range box.Mails() {
		if strings.HasSuffix(m.From, "@"+st.name+".example") {
			n++
		}
	}
	return n
}

func messageIDOf(m mailbox.Mail) string {
	parsed, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		return "none"
	}
	return strings.Trim(parsed.Header.Get("Message-ID"), "<>")
}

// way tells one order's way from the shop to its customer's mailbox, and writes what came there and the documents as files.
func (st *stage) way(ctx context.Context, conn *pgx.Conn, box *mailbox.Server, dir string) (lines []string, err error) {
	var id int64
	var shopNumber, number, email string
	var placed, taken, shipped time.Time
	err = conn.QueryRow(ctx, mailSQL["order"], st.name).Scan(&id, &shopNumber, &number, &placed, &taken, &shipped, &email)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("an order's way: %w", err)
	}
	lines = append(lines, fmt.Sprintf("order %s   %s placed in the shop", shopNumber, placed.Local().Format(time.TimeOnly)),
		fmt.Sprintf("order %s   %s in the ERP as %s", shopNumber, taken.Local().Format("15:04:05.000"), number),
		fmt.Sprintf("order %s   %s left", shopNumber, shipped.Local().Format("15:04:05.000")))
	documents, err := st.wayOfDocuments(ctx, conn, id, dir)
	if err != nil {
		return nil, err
	}
	mails, err := wayOfMails(ctx, conn, id, box, dir)
	return append(append(lines, documents...), mails...), err
}

func (st *stage) wayOfDocuments(ctx context.Context, conn *pgx.Conn, order int64, dir string) (lines []string, err error) {
	rows, err := conn.Query(ctx, mailSQL["documents"], order)
	if err != nil {
		return nil, fmt.Errorf("an order's documents: %w", err)
	}
	type issued struct {
		Number, Kind string
		At           time.Time
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[issued])
	if err != nil {
		return nil, fmt.Errorf("an order's documents: %w", err)
	}
	for _, d := range all {
		sheet, err := document.Find(ctx, conn, d.Number)
		if err != nil {
			return nil, err
		}
		pdf, err := document.PDF(sheet, nil)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, strings.ReplaceAll(d.Number, "/", "-")+".pdf")
		if err := os.WriteFile(file, pdf, 0o644); err != nil {
			return nil, fmt.Errorf("an order's documents: %w", err)
		}
		lines = append(lines, fmt.Sprintf("%-12s %s %s  %s", d.Number, d.At.Local().Format("15:04:05.000"), strings.ReplaceAll(d.Kind, "_", " "), file))
	}
	return lines, nil
}

func wayOfMails(ctx context.Context, conn *pgx.Conn, order int64, box *mailbox.Server, dir string) (lines []string, err error) {
	rows, err := conn.Query(ctx, mailSQL["sent"], order)
	if err != nil {
		return nil, fmt.Errorf("an order's mails: %w", err)
	}
	type sent struct {
		Kind, ID string
		At       time.Time
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sent])
	if err != nil {
		return nil, fmt.Errorf("an order's mails: %w", err)
	}
	byID := map[string]mailbox.Mail{}
	for _, m := range box.Mails() {
		byID[messageIDOf(m)] = m
	}
	for i, s := range all {
		m, ok := byID[s.ID]
		if !ok {
			return lines, fmt.Errorf("mail %s was sent, but the mail server does not have it", s.ID)
		}
		file := filepath.Join(dir, fmt.Sprintf("%s-%d.eml", s.Kind, i+1))
		if err := os.WriteFile(file, m.Raw, 0o644); err != nil {
			return nil, fmt.Errorf("an order's mails: %w", err)
		}
		lines = append(lines, fmt.Sprintf("mail to      %s %s: %s  %s", m.At.Local().Format("15:04:05.000"), m.To, subjectOf(m), file))
	}
	return lines, nil
}

func subjectOf(m mailbox.Mail) string {
	parsed, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		return ""
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	if err != nil {
		return parsed.Header.Get("Subject")
	}
	return subject
}

// tell shows one order's way to a person.
func (m Mails) tell(w io.Writer) {
	if len(m.way) == 0 {
		return
	}
	fmt.Fprintf(w, "\nOne order's way, from the shop to its customer's mailbox:\n\n")
	for _, line := range m.way {
		fmt.Fprintf(w, "  %s\n", line)
	}
}

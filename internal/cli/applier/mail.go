package applier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/mail"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Mails sends customers what the ERP's log causes, until ctx ends: one half puts it into the outbox, the other gives it to the server.
func Mails(ctx context.Context, cfg config.Config, o Options) error {
	if err := CheckMailer(cfg, o.File); err != nil {
		return err
	}
	contract, err := schemas.LoadContract()
	if err != nil {
		return err
	}
	log := o.Log.With().Str("component", "applier").Str("log", cfg.ERPTopic()).Str("stream", mailStream).Logger()
	server, letters, err := Mailer(cfg, o.File)
	if err != nil {
		return err
	}
	if err := prepare(ctx, cfg, log); err != nil {
		return err
	}
	journal, err := stream.OpenJournal(ctx, cfg.Journal(log), cfg.TopicSettings())
	if err != nil {
		return err
	}
	defer journal.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		target := postgres.NewTarget(cfg.ERP.URL(), mail.Applier, cfg.Shop.Name, cli.Owner())
		queue := mail.NewQueue(cfg.Shop.Name, server.Domain(), cfg.SMTP.SinceTime(), contract, log)
		return noted(ctx, cfg, log, follow(ctx, cfg, cfg.ERPStream(log), mailStream, target, queue, witnessed(cfg, cfg.ERPStream(log), mailStream, erpRestored), o))
	})
	group.Go(func() error {
		sender := mail.Sender{Shop: cfg.Shop.Name, ERP: cfg.ERP.URL(), Server: server, Letters: letters, Journal: journal, Given: stock.CounterOf(contract).Given, Log: log}
		return noted(ctx, cfg, log, sender.Run(ctx))
	})
	return group.Wait()
}

// CheckMailer refuses a configuration by which nobody can be mailed. file is the configuration's.
func CheckMailer(cfg config.Config, file string) error {
	if !cfg.ERP.Log.Stands() {
		return &config.Error{File: file, Key: "erp.log.user", What: "it is not set: nobody reads what changes in the ERP",
			Mend: "write the user that deploy/grants/erp-reader.postgres.sql makes: spola_cdc"}
	}
	if cfg.SMTP.Server == "" {
		return noMailServer(file)
	}
	if !cfg.SMTP.Sends() {
		return &config.Error{File: file, Key: "smtp.customers", What: "it is false: customers are not mailed", Mend: "take it out"}
	}
	return nil
}

func noMailServer(file string) error {
	return &config.Error{File: file, Key: "smtp.server", What: "it is not set: nothing is mailed", Mend: "write the mail server, such as mail.example.com:587"}
}

// Mailer is the server and the templates that the configuration names.
func Mailer(cfg config.Config, file string) (mail.Server, *mail.Letters, error) {
	s := cfg.SMTP
	server := mail.Server{Address: s.Server, TLS: s.TLSConfig(), Implicit: s.TLS == "implicit", User: s.User, Password: string(s.Password), PerMinute: s.PerMinute}
	if from, err := netmail.ParseAddress(s.From); err == nil {
		server.From = *from
	}
	if to, err := netmail.ParseAddress(s.ReplyTo); err == nil {
		server.ReplyTo = to
	}
	letters, err := mail.NewLetters(s.Templates, orAddress(server.From))
	if err != nil {
		return server, nil, &config.Error{File: file, Key: "smtp.templates", What: err.Error(), Mend: "`applier mail templates` writes Spola's own, `applier mail preview` shows them"}
	}
	return server, letters, nil
}

func orAddress(a netmail.Address) string {
	if a.Name != "" {
		return a.Name
	}
	return a.Address
}

// Mail is `applier mail`.
type Mail struct {
	List      ListMails     `cmd:"" default:"withargs" help:"List mails to customers, newest first."`
	Preview   PreviewMail   `cmd:"" help:"Write the mails of an order as they would be sent now, and open them in a browser; without an order, samples. Nothing is sent."`
	Resend    ResendMail    `cmd:"" help:"Send a mail again whose outcome is unknown, that failed, or that the customer has lost."`
	Resolve   ResolveMail   `cmd:"" help:"Settle a mail whose outcome is unknown, or that is not to be tried any more."`
	Check     CheckMail     `cmd:"" help:"Connect to the mail server, log in and name the sender; --to sends a sample to somebody."`
	Templates TemplatesMail `cmd:"" help:"Write Spola's own templates into a directory, to begin with: smtp.templates names it."`
}

// ListMails is `applier mail list`.
type ListMails struct {
	State string `help:"Only these: ${enum}." enum:",queued,sending,sent,unknown,failed" default:"" placeholder:"STATE"`
	Order string `help:"Only those of this order, by its number in the ERP (W2026/17) or in the shop, or of this invoice." placeholder:"NUMBER"`
	Last  int    `help:"At most so many." default:"50"`
	JSON  bool   `help:"Print JSON." name:"json"`
}

// Run lists.
func (m ListMails) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		list, err := mail.List(env.Ctx, conn, shop, mail.Filter{State: m.State, Of: m.Order, Last: m.Last})
		if err != nil {
			return err
		}
		if m.JSON {
			return printJSON(env.Out, orNone(list))
		}
		if len(list) == 0 {
			fmt.Fprintln(env.Out, "There is no such mail.")
			return nil
		}
		w := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tKIND\tSHOP\tORDER\tINVOICE\tTO\tSTATE\tWHEN\tWHY")
		for _, r := range list {
			when := r.QueuedAt
			if r.SentAt != nil {
				when = *r.SentAt
			}
			printable.Printf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Kind, r.ShopNumber, r.Order, r.Document, r.Recipient, r.State, when.Local().Format(time.DateTime), r.Reason)
		}
		return w.Flush()
	})
}

// PreviewMail is `applier mail preview`.
type PreviewMail struct {
	Order    string `help:"Of this order, by its number in the ERP (W2026/17) or in the shop." placeholder:"NUMBER"`
	Language string `help:"Of the samples: it, en, or one of your own." default:"it"`
	Dir      string `help:"Where the files go: an .eml and a .html for each mail." default:"." type:"path"`
	HTML     bool   `help:"Print the HTML of the first mail, and write nothing." name:"html" xor:"out"`
	Open     bool   `help:"Open them in a browser where there is a screen." default:"true" negatable:""`
	JSON     bool   `help:"Print JSON." name:"json" xor:"out"`
}

// previewed is a mail that `applier mail preview` has written.
type previewed struct {
	Kind      string   `json:"kind"`
	Language  string   `json:"language"`
	Subject   string   `json:"subject"`
	To        string   `json:"to"` // as the order has it now
	EML       string   `json:"eml"`
	HTML      string   `json:"html"`
	Documents []string `json:"documents"`
}

// Run writes.
func (p PreviewMail) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config)
	if err != nil {
		return err
	}
	server, letters, err := Mailer(cfg, env.Config)
	if err != nil {
		return err
	}
	var all []mail.Letter
	if p.Order == "" {
		all, err = samples(letters, p.Language)
	} else {
		err = withShop(env, func(conn *pgx.Conn, shop string) error {
			all, err = letters.Preview(env.Ctx, conn, shop, p.Order)
			return err
		})
	}
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("of order %s nothing has left and nothing was invoiced: there is nothing to mail yet; without --order you see samples", p.Order)
	}
	if p.HTML {
		fmt.Fprintln(env.Out, all[0].Standalone())
		return nil
	}
	return p.write(env, server, all)
}

func samples(letters *mail.Letters, language string) (all []mail.Letter, err error) {
	for _, kind := range []string{mail.Shipment, mail.Invoice} {
		letter, err := letters.PreviewSample(kind, language)
		if err != nil {
			return nil, err
		}
		all = append(all, letter)
	}
	return all, nil
}

func (p PreviewMail) write(env *cli.Env, server mail.Server, all []mail.Letter) error {
	if server.From.Address == "" {
		server.From.Address = "shop@example.com" // smtp.from is not written yet
	}
	written, err := WriteMails(server, all, p.Dir)
	if err != nil {
		return err
	}
	if p.JSON {
		return printJSON(env.Out, written)
	}
	for _, w := range written {
		printable.Printf(env.Out, "%s in %s to %s: %s\n  %s\n  %s\n", w.Kind, w.Language, cmp.Or(w.To, "nobody"), w.Subject, w.EML, w.HTML)
		if p.Open {
			browse(w.HTML)
		}
	}
	return nil
}

// WriteMails writes each mail as .eml and .html into a directory.
func WriteMails(server mail.Server, all []mail.Letter, dir string) ([]previewed, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("write mails: %w", err)
	}
	written := []previewed{}
	for i, letter := range all {
		name := fmt.Sprintf("mail-%s-%s-%d", strings.Map(fileLetter, letter.Page.Order), letter.Kind, i+1)
		w := previewed{Kind: letter.Kind, Language: letter.Language, Subject: letter.Subject, To: letter.To, EML: filepath.Join(dir, name+".eml"), HTML: filepath.Join(dir, name+".html"),
			Documents: orNone(letter.Documents)}
		to := letter.To
		if mail.AddressFlaw(to) != "" {
			to = "nobody@example.com"
		}
		eml, err := letter.EML(server, to, "preview@"+server.Domain())
		if err == nil {
			err = errors.Join(os.WriteFile(w.EML, eml, 0o600), os.WriteFile(w.HTML, []byte(letter.Standalone()), 0o600))
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		written = append(written, w)
	}
	return written, nil
}

func sortedNames(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }

func fileLetter(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// browse opens a file where somebody can see it, and says nothing where nobody can.
func browse(path string) {
	switch {
	case runtime.GOOS == "darwin":
		_ = exec.Command("open", path).Start()
	case runtime.GOOS == "linux" && (os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""):
		_ = exec.Command("xdg-open", path).Start()
	}
}

// ResendMail is `applier mail resend`.
type ResendMail struct {
	ID     []int64 `arg:"" help:"Of the mails, as applier mail list shows them."`
	To     string  `help:"To this address in place of the order's." placeholder:"ADDRESS"`
	Reason string  `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool    `help:"Print JSON." name:"json"`
}

// decidedMail is what became of a mail.
type decidedMail struct {
	ID        int64  `json:"id"`
	Order     string `json:"order"`
	Recipient string `json:"recipient"`
	State     string `json:"state"`
}

// Run queues them again.
func (m ResendMail) Run(env *cli.Env) error {
	return decideMails(env, m.ID, "mail resend", m.Reason, m.JSON, func(ctx context.Context, tx pgx.Tx, shop string, id int64) (mail.Row, error) {
		row, err := mail.Resend(ctx, tx, shop, id, m.To)
		row.State = mail.Queued
		return row, err
	})
}

// ResolveMail is `applier mail resolve`.
type ResolveMail struct {
	ID      []int64 `arg:"" help:"Of the mails, as applier mail list shows them."`
	Arrived bool    `help:"The customer has it." xor:"how" required:""`
	Drop    bool    `help:"It is not sent any more." xor:"how" required:""`
	Reason  string  `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON    bool    `help:"Print JSON." name:"json"`
}

// Run settles them.
func (m ResolveMail) Run(env *cli.Env) error {
	why := cmp.Or(m.Reason, map[bool]string{true: "it has arrived", false: "it was given up"}[m.Arrived]) + " (" + cli.Person() + ")"
	return decideMails(env, m.ID, "mail resolve", m.Reason, m.JSON, func(ctx context.Context, tx pgx.Tx, shop string, id int64) (mail.Row, error) {
		return mail.Decide(ctx, tx, shop, id, m.Arrived, why)
	})
}

func decideMails(env *cli.Env, ids []int64, what, reason string, asJSON bool, decide func(context.Context, pgx.Tx, string, int64) (mail.Row, error)) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		done := []decidedMail{}
		by := intake.By{Who: cli.Person(), Reason: reason}
		err := postgres.InTransaction(env.Ctx, conn, func(tx pgx.Tx) error {
			done = done[:0]
			for _, id := range ids {
				row, err := decide(env.Ctx, tx, shop, id)
				if err != nil {
					return err
				}
				if err := intake.NoteWith(env.Ctx, tx, by, shop, what, fmt.Sprintf("mail %d of order %s: %s", row.ID, row.Order, row.State), nil); err != nil {
					return err
				}
				done = append(done, decidedMail{row.ID, row.Order, row.Recipient, row.State})
			}
			return nil
		})
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(env.Out, done)
		}
		for _, d := range done {
			printable.Printf(env.Out, "Mail %d of order %s to %s is %s.\n", d.ID, d.Order, cmp.Or(d.Recipient, "nobody"), d.State)
		}
		return nil
	})
}

// CheckMail is `applier mail check`.
type CheckMail struct {
	To   string `help:"Send a sample of a parcel's mail to this address." placeholder:"ADDRESS"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// checkedMail is what `applier mail check` found.
type checkedMail struct {
	Server string `json:"server"`
	TLS    string `json:"tls"`
	From   string `json:"from"`
	Sent   bool   `json:"sent"` // a sample
}

// Run checks.
func (m CheckMail) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedSMTP)
	if err != nil {
		return err
	}
	if cfg.SMTP.Server == "" {
		return noMailServer(env.Config)
	}
	server, letters, err := Mailer(cfg, env.Config)
	if err != nil {
		return err
	}
	if m.To == "" {
		err = server.Check(env.Ctx)
	} else {
		err = letters.SendSample(env.Ctx, server, m.To)
	}
	if err != nil {
		return err
	}
	done := checkedMail{Server: cfg.SMTP.Server, TLS: cfg.SMTP.TLS, From: server.From.Address, Sent: m.To != ""}
	if m.JSON {
		return printJSON(env.Out, done)
	}
	printable.Printf(env.Out, "%s takes mails from %s (TLS: %s).\n", done.Server, done.From, done.TLS)
	if done.Sent {
		printable.Printf(env.Out, "A sample is on its way to %s.\n", m.To)
	}
	return nil
}

// TemplatesMail is `applier mail templates`.
type TemplatesMail struct {
	Dir  string `arg:"" help:"Where they go. A file that is there stays." type:"path"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// writtenTemplate is a template that was written, or was there.
type writtenTemplate struct {
	File  string `json:"file"`
	There bool   `json:"there"` // before
}

// Run writes.
func (m TemplatesMail) Run(env *cli.Env) error {
	files, err := mail.TemplateFiles()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return fmt.Errorf("write templates: %w", err)
	}
	written := []writtenTemplate{}
	for _, name := range sortedNames(files) {
		w := writtenTemplate{File: filepath.Join(m.Dir, name)}
		file, err := os.OpenFile(w.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		switch {
		case errors.Is(err, os.ErrExist):
			w.There = true
		case err != nil:
			return fmt.Errorf("write templates: %w", err)
		default:
			_, err = file.Write(files[name])
			if err := errors.Join(err, file.Close()); err != nil {
				return fmt.Errorf("write %s: %w", w.File, err)
			}
		}
		written = append(written, w)
	}
	if m.JSON {
		return printJSON(env.Out, written)
	}
	for _, w := range written {
		printable.Printf(env.Out, "%s%s\n", w.File, yes(w.There, " (was there)", ""))
	}
	return nil
}

package survey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/source/mysql"
	erplog "github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Installation is what is examined: a configuration, and what the programs make of it.
type Installation struct {
	Config     config.Config
	File       string // of the configuration
	Source     mysql.Config
	Stream     stream.Config
	Migrations []postgres.Migrations
	ERPSource  *erplog.Config // nil: the ERP's log is not read from here
	ERPStream  stream.Config
	Mail       func(context.Context) error // connects to the mail server, logs in and names the sender; nil: nobody is mailed
}

// patience is how long a server may take to answer at all.
const patience = 20 * time.Second

// Examine holds an installation against its servers. A server that is away is a finding, too. It
// returns an error only when ctx has ended.
func Examine(ctx context.Context, in Installation) (*Report, error) {
	x := &examination{Installation: in}
	group, bounded := errgroup.WithContext(ctx)
	looks := []func(context.Context) []Finding{x.examineShop, x.examineERP, x.examineERPLog, x.examineLog, x.examineMail}
	parts := make([][]Finding, len(looks))
	for i, part := range looks {
		group.Go(func() error {
			parts[i] = part(bounded)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, findings := range parts {
		x.report.Findings = append(x.report.Findings, findings...)
	}
	x.examineShopFile()
	x.report.sort()
	return &x.report, nil
}

// examineMail looks whether the mail server takes our mails. While it does not they wait, and nothing else does.
func (x *examination) examineMail(ctx context.Context) []Finding {
	if x.Mail == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := x.Mail(ctx); err != nil {
		return []Finding{{Severity: Warning, Part: InMail, Code: "mail_server", What: "customers can't be mailed: " + oneLine(err.Error()),
			Mend: "correct smtp in " + x.File + "; `applier mail check` tries it again"}}
	}
	return nil
}

type examination struct {
	Installation
	shop   *Shop // nil: it could not be read
	erp    *ERP  // nil: it could not be read
	file   *shopFile
	report Report
}

// add notes a finding of the shop file.
func (x *examination) add(severity Severity, code string, line int, what, mend string) {
	x.report.Findings = append(x.report.Findings,
		Finding{Severity: severity, Part: InShopFile, Code: code, File: x.file.path, Line: line, What: what, Mend: mend})
}

// examineShop looks whether the shop can be read, and reads what it says of itself.
func (x *examination) examineShop(ctx context.Context) (findings []Finding) {
	add := func(severity Severity, code, what, mend string) {
		findings = append(findings, Finding{Severity: severity, Part: InShop, Code: code, What: what, Mend: mend})
	}
	preflight, err := mysql.Preflight(ctx, x.Source)
	for _, f := range preflight {
		severity, what := Warning, f.What
		switch {
		case f.Severity == mysql.Blocking:
			severity = Blocking
		case f.Code == "marker", f.Code == "server_id_collision":
			severity = Note // cdc makes it; it may be cdc itself
		}
		if f.Table != "" {
			what = "table " + f.Table + ": " + what
		}
		add(severity, f.Code, what, f.Mend)
	}
	if err != nil {
		add(Blocking, "shop_away", err.Error(), "see that the server runs, that shop.database names it, and that user and password are right")
		return findings
	}
	db, err := mysql.Open(x.Source)
	if err != nil {
		add(Blocking, "shop_away", err.Error(), "correct shop.database in the configuration")
		return findings
	}
	defer db.Close()
	found, err := x.recognise(ctx, db)
	if err != nil {
		add(Blocking, "platform", err.Error(), "correct shop.database and shop.prefix in "+x.File+", and see that the user may read the tables (deploy/grants)")
		return findings
	}
	if x.shop, err = ReadShop(ctx, db, found, x.Config.Shop.OrdersSince); err != nil {
		x.shop = nil
		add(Blocking, "survey", err.Error(), "what this table would have told was not examined; mend what comes before it in this list first")
		return findings
	}
	for _, refused := range x.shop.Unread {
		add(Warning, "grant_look", "not examined: "+refused, "let this user read the table, as deploy/grants does")
	}
	return append(findings, x.shop.settle()...)
}

// examineERP looks whether the ERP can take orders, with the eyes of the applier.
func (x *examination) examineERP(ctx context.Context) (findings []Finding) {
	add := func(severity Severity, code, what, mend string) {
		findings = append(findings, Finding{Severity: severity, Part: InERP, Code: code, What: what, Mend: mend})
	}
	e, err := ReadERP(ctx, x.Config.ERP.URL(), x.Config.Shop.Name, x.Migrations)
	if err != nil {
		mend := "see that the server runs, and that erp.database names it"
		if stop, ok := errors.AsType[*postgres.StopError](err); ok {
			mend = stop.Mend
			err = fmt.Errorf("%s: %w", stop.What, stop.Err)
		}
		add(Blocking, "erp_away", oneLine(err.Error()), mend)
		return findings
	}
	x.erp = e
	if e.Encoding != "UTF8" {
		add(Blocking, "encoding", "database "+e.Database+" stores texts as "+e.Encoding+", which has not all letters of a shop", "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and move the ERP there")
	}
	if major := e.Number / 10000; major < 15 {
		add(Warning, "erp_version", "PostgreSQL "+e.Version+" is older than any that Spola is tested with", "update to PostgreSQL 15")
	} else if major > 15 {
		add(Note, "erp_version", "PostgreSQL "+e.Version+" is expected to work, but untested (15 is tested)", "nothing")
	}
	findings = append(findings, e.migrations()...)
	if !e.comes() {
		for _, lack := range e.Lacks {
			add(Blocking, "contract", "the ERP does not offer what Spola calls: "+lack, "schemas/erp/contract.md says what it has to mean; the reference ERP comes with `applier migrate`")
		}
	}
	if e.Refuses != "" && len(e.Rights) == 0 { // a right that lacks is told with its grant
		add(Blocking, "erp_refuses", e.Refuses, e.Mend)
	}
	for _, r := range e.Rights {
		add(Blocking, "grant_erp", "role "+e.User+" may not "+r.What, r.Mend)
	}
	return findings
}

// comes tells whether what the contract lacks comes with migrations of the reference ERP that are
// still to be applied: then there is one thing to be done, not as many as there are names.
func (e *ERP) comes() bool {
	for _, m := range e.Migrations {
		if m.Schema == "erp" {
			return m.Applied < m.Newest && (e.Empty || m.Applied > 0)
		}
	}
	return false
}

// migrations says which of our schemas are not at this program's version.
func (e *ERP) migrations() (findings []Finding) {
	for _, m := range e.Migrations {
		f := Finding{Part: InERP, Code: "migrations"}
		switch {
		case m.Applied == m.Newest:
			continue
		case m.Applied > m.Newest:
			f.Severity, f.What, f.Mend = Blocking, fmt.Sprintf("schema %s is at version %d, this program knows %d", m.Schema, m.Applied, m.Newest), "run the newer program"
		case e.Creates:
			f.Severity, f.What = Note, fmt.Sprintf("schema %s is at version %d of %d; the applier brings it there when it starts", m.Schema, m.Applied, m.Newest)
			f.Mend = "or now: applier migrate"
		default:
			f.Severity, f.What = Blocking, fmt.Sprintf("schema %s is at version %d of %d, and role %s may not bring it there", m.Schema, m.Applied, m.Newest, e.User)
			f.Mend = "SPOLA_ERP_PASSWORD=… applier migrate --user spola_migrator (deploy/grants makes this role)"
		}
		findings = append(findings, f)
	}
	return findings
}

// examineLog looks whether the log stands, or can be made.
func (x *examination) examineLog(ctx context.Context) (findings []Finding) {
	add := func(severity Severity, code, what, mend string) {
		findings = append(findings, Finding{Severity: severity, Part: InLog, Code: code, What: what, Mend: mend})
	}
	if x.Config.Embedded() {
		add(Warning, "embedded", "the log stands on the embedded broker, which is for trying Spola out", "kafka.brokers: [host:9092] in "+x.File+": one Apache Kafka broker of 360 MB will do")
		return findings
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if x.Config.ERP.Log.Stands() {
		findings = append(findings, x.examineERPTopic(ctx)...)
	}
	there, brokers, err := stream.CheckTopic(ctx, x.Stream, x.Config.TopicSettings())
	if stop, ok := errors.AsType[*stream.StopError](err); ok {
		add(Blocking, "topic", "topic "+x.Stream.Topic+": "+whyUnfit(stop), stop.Mend)
		return findings
	}
	if err != nil {
		add(Blocking, "kafka_away", oneLine(err.Error()), "see that the brokers run, and that kafka.brokers and the login name them rightly")
		return findings
	}
	read, err := mysql.WasRead(ctx, x.Source)
	switch {
	case !there && err == nil && read:
		mend := "if it is lost: cdc run --new-generation; if it stands elsewhere, correct kafka.brokers and kafka.prefix in " + x.File
		if move := x.Config.LeftBehind(); move != "" {
			mend = "if it is the one that the embedded broker has left in " + x.Config.Broker.Dir + ": " + move + "; " + mend
		}
		add(Blocking, "log_gone", "the shop was read before, but its log "+x.Stream.Topic+" is not there", mend)
	case !there:
		add(Note, "topic", "topic "+x.Stream.Topic+" is not there yet", "nothing: `cdc run` makes it")
	}
	if brokers == 1 {
		add(Note, "one_broker", "there is one broker: if it loses its disk, what it acknowledged is lost (found, and read again from the shop)", "three brokers, where that is too much to lose")
	}
	return findings
}

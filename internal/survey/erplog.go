package survey

import (
	"context"
	"errors"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	erplog "github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// examineERPLog looks whether what changes in the ERP can be read: slot, publication, the rights of the
// reader's role, and the server's settings.
func (x *examination) examineERPLog(ctx context.Context) (findings []Finding) {
	add := func(severity Severity, code, what, mend string) {
		findings = append(findings, Finding{Severity: severity, Part: InERP, Code: code, What: what, Mend: mend})
	}
	if x.Config.ERP.Log.Elsewhere {
		return nil // what it takes is asked by the doctor of the shop that reads it
	}
	if x.ERPSource == nil {
		add(Note, "erp_log", "what changes in the ERP is not read: neither stock nor states of orders go back into the shop",
			"erp.log: {user: spola_cdc} in "+x.File+", with the role that deploy/grants/erp-reader.postgres.sql makes")
		return findings
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := erplog.Preflight(ctx, *x.ERPSource)
	for _, f := range found {
		if f.Code == "version" && f.Severity == erplog.Warning {
			continue // said of the ERP itself
		}
		severity, what := Warning, f.What
		if f.Severity == erplog.Blocking {
			severity = Blocking
		}
		if f.Table != "" {
			what = "table " + f.Table + ": " + what
		}
		add(severity, "log_"+f.Code, "the ERP's log: "+what, f.Mend)
	}
	if err != nil {
		mend := "see that the server runs, and that erp.database names it"
		if stop, ok := errors.AsType[*postgres.StopError](postgres.Explain(err)); ok {
			mend = stop.Mend
		}
		if said, ok := errors.AsType[*pgconn.PgError](err); ok && pgerrcode.IsInvalidAuthorizationSpecification(said.Code) {
			mend = "see that erp.log.user in " + x.File + " and its password are right, and that the server lets him in (pg_hba.conf)"
		}
		add(Blocking, "log_away", "the ERP's log: "+oneLine(err.Error()), mend)
	}
	return findings
}

// examineERPTopic looks whether the ERP's log stands, or can be made.
func (x *examination) examineERPTopic(ctx context.Context) (findings []Finding) {
	add := func(severity Severity, code, what, mend string) {
		findings = append(findings, Finding{Severity: severity, Part: InLog, Code: code, What: what, Mend: mend})
	}
	topic := x.ERPStream.Topic
	there, _, err := stream.CheckTopic(ctx, x.ERPStream, x.Config.TopicSettings())
	if stop, ok := errors.AsType[*stream.StopError](err); ok {
		add(Blocking, "erp_topic", "topic "+topic+": "+whyUnfit(stop), stop.Mend)
		return findings
	}
	if err != nil || there {
		return findings // brokers that are away are said of the shop's log
	}
	if x.ERPSource == nil {
		add(Warning, "erp_topic", "the ERP's log, topic "+topic+", is not there: nothing comes back into this shop",
			"start `spola run` or `cdc run erp` with the spola.yaml that has erp.log.user, and see that kafka.brokers and kafka.prefix are the same in both")
		return findings
	}
	if read, err := erplog.WasRead(ctx, *x.ERPSource); err == nil && read {
		add(Blocking, "erp_log_gone", "the ERP was read before, for its replication slot "+x.ERPSource.Slot+" is there, but its log "+topic+" is not",
			"if it is lost: cdc run erp --new-generation; if it stands elsewhere, correct kafka.brokers and kafka.prefix in "+x.File)
		return findings
	}
	add(Note, "erp_topic", "topic "+topic+" is not there yet", "nothing: `cdc run erp` makes it")
	return findings
}

// whyUnfit says what is wrong with a topic: of another program's, that it is one.
func whyUnfit(stop *stream.StopError) string {
	if errors.Is(stop, stream.ErrForeign) {
		return "it holds records that are not Spola's: " + stop.What
	}
	return stop.What
}

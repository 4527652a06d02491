package spola

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/survey"
)

// Doctor is `spola doctor`.
type Doctor struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// Run examines everything and prints one list, worst first. It ends with 78 if something in the
// two files must be mended, with 5 if something elsewhere keeps Spola from running or parks
// orders, and with 0 if all that is left are warnings and notes.
func (d Doctor) Run(env *cli.Env) error {
	report, err := d.examine(env)
	if err != nil {
		return err
	}
	if d.JSON {
		if err := json.NewEncoder(env.Out).Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprint(env.Out, report)
	}
	files := []string{survey.InConfig, survey.InShopFile}
	if n := report.Count(files, survey.Blocking, survey.Parking); n > 0 {
		return &config.Error{File: env.Config, What: fmt.Sprintf("to be mended in it and its shop file: %d", n)}
	}
	if n := report.Count(nil, survey.Blocking, survey.Parking); n > 0 {
		return cli.Differ("what keeps Spola from running or parks orders: %d", n)
	}
	return nil
}

func (d Doctor) examine(env *cli.Env) (*survey.Report, error) {
	cfg, err := config.Load(env.Config, config.NeedShop, config.NeedERP, config.NeedERPLog, config.NeedSMTP)
	if err != nil {
		if mistakes := mistakes(err); d.JSON && mistakes != nil {
			return mistakes, nil
		}
		return nil, err
	}
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return nil, err
	}
	sets, err := applier.Migrations()
	if err != nil {
		return nil, err
	}
	in := survey.Installation{Config: cfg, File: env.Config, Source: source, Stream: cfg.Stream(env.Log), Migrations: sets}
	if cfg.ERP.Log.Read() {
		erp, err := cdc.ERPSource(cfg, env.Config, env.Log)
		if err != nil {
			return nil, err
		}
		in.ERPSource = &erp
	}
	if cfg.SMTP.Server != "" {
		server, _, err := applier.Mailer(cfg, env.Config)
		if err != nil {
			return nil, err
		}
		in.Mail = server.Check
	}
	if cfg.ERP.Log.Stands() {
		in.ERPStream = cfg.ERPStream(env.Log)
	}
	return survey.Examine(env.Ctx, in)
}

// mistakes are those of a configuration that can't be loaded, as findings; nil if err is another.
func mistakes(err error) *survey.Report {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	report := &survey.Report{}
	for _, one := range all {
		m, ok := errors.AsType[*config.Error](one)
		if !ok {
			return nil
		}
		what := m.What
		if m.Key != "" {
			what = m.Key + ": " + what
		}
		report.Findings = append(report.Findings, survey.Finding{Severity: survey.Blocking, Part: survey.InConfig, Code: "configuration",
			File: m.File, Line: m.Line, What: what, Mend: m.Mend})
	}
	return report
}

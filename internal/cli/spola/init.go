package spola

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/survey"
)

// Init is `spola init`.
type Init struct {
	Shop    string   `help:"The shop's database. Its password: better in SPOLA_SHOP_PASSWORD or a file, for others see a command line." required:"" placeholder:"mysql://USER@HOST/DATABASE"`
	ERP     string   `help:"The ERP's database. Its password: SPOLA_ERP_PASSWORD or a file." name:"erp" required:"" placeholder:"postgres://USER@HOST/DATABASE"`
	Dir     string   `help:"Directory for spola.yaml and shop.yaml. A file that is there is never overwritten." default:"." type:"path"`
	Prefix  *string  `help:"Which shop is meant, by the prefix of its tables, where the database holds several."`
	Name    string   `help:"What the shop is called in the log and in the mirror; made from its database's name if not given." placeholder:"shop1"`
	Brokers []string `help:"Kafka brokers of the log; the embedded broker, for trying out, if not given." placeholder:"HOST:PORT"`

	ShopPasswordFile string `help:"File with the password of the shop's database." type:"existingfile" placeholder:"FILE"`
	ERPPasswordFile  string `help:"File with the password of the ERP's database." name:"erp-password-file" type:"existingfile" placeholder:"FILE"`

	JSON bool `help:"Print JSON." name:"json"`
}

// written is what `spola init` found and wrote.
type written struct {
	Shop      string     `json:"shop"`   // platform, version and database
	Server    string     `json:"server"` // of the shop
	Products  int        `json:"products"`
	Orders    int64      `json:"orders"`
	ERP       string     `json:"erp"` // version of PostgreSQL
	Articles  int        `json:"articles"`
	Config    string     `json:"config"` // the files written
	ShopFile  string     `json:"shop_file"`
	Questions []question `json:"questions"` // that only a person can answer, in the shop file
}

// question is a line of the shop file with a "?" in it.
type question struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Run looks at both, writes the two files, and says what is left to be done.
func (i Init) Run(env *cli.Env) error {
	shopURL, shopSecret, err := withSecret("--shop", i.Shop, "mysql", "SPOLA_SHOP_PASSWORD", i.ShopPasswordFile)
	if err != nil {
		return err
	}
	erpURL, erpSecret, err := withSecret("--erp", i.ERP, "postgres", "SPOLA_ERP_PASSWORD", i.ERPPasswordFile)
	if err != nil {
		return err
	}
	wish := survey.Wish{Name: i.Name, ERPURL: i.ERP, Brokers: i.Brokers, ShopFile: "shop.yaml", Now: time.Now(), ShopPassword: shopSecret, ERPPassword: erpSecret}
	found, shopURL, err := i.find(env.Ctx, shopURL)
	if err != nil {
		return err
	}
	wish.ShopURL = shopURL
	shop, erp, err := look(env.Ctx, wish, found, shopURL, erpURL)
	if err != nil {
		return err
	}
	text, err := survey.Config(wish, shop, erp)
	if err != nil {
		return err
	}
	if err := loads(text); err != nil {
		return err
	}
	settings := survey.File{Path: filepath.Join(i.Dir, "spola.yaml"), Text: text}
	file := survey.File{Path: filepath.Join(i.Dir, wish.ShopFile), Text: survey.ShopFile(wish, shop, erp)}
	done := written{Shop: found.String(), Server: shop.Server, Products: len(shop.Products), Orders: shop.Placed(),
		ERP: erp.Version, Articles: len(erp.SKUs), Config: settings.Path, ShopFile: file.Path, Questions: []question{}}
	if !i.JSON {
		printable.Printf(env.Out, "Found %s, on %s, with %d products and %d orders.\n", done.Shop, done.Server, done.Products, done.Orders)
		printable.Printf(env.Out, "Found PostgreSQL %s with %d articles.\n", done.ERP, done.Articles)
	}
	if err := survey.WriteNew(settings, file); err != nil {
		return err
	}
	open, err := intake.OpenQuestions([]byte(file.Text))
	if err != nil {
		return fmt.Errorf("read %s again: %w", file.Path, err)
	}
	for _, q := range open {
		done.Questions = append(done.Questions, question{q.Line, q.Text})
	}
	if i.JSON {
		return json.NewEncoder(env.Out).Encode(done)
	}
	done.tell(env.Out)
	return nil
}

// find looks for the shop that is meant, and returns the URL of its database.
func (i Init) find(ctx context.Context, shopURL string) (survey.Found, string, error) {
	u, err := url.Parse(shopURL)
	if err != nil {
		return survey.Found{}, "", errors.New("--shop: no URL of a database")
	}
	database := strings.Trim(u.Path, "/")
	if database == "" {
		u.Path = "/information_schema" // to look into all of them
	}
	db, err := mysql.Open(mysql.Config{Source: "shop", URL: config.Guarded(u.String())})
	if err != nil {
		return survey.Found{}, "", fmt.Errorf("--shop: %w", err)
	}
	defer db.Close()
	all, err := survey.Recognise(ctx, db, database)
	if err != nil {
		return survey.Found{}, "", cli.Told(fmt.Errorf("look at the shop's server %s: %w", u.Host, err), hint(err, "--shop", "SPOLA_SHOP_PASSWORD"))
	}
	found, err := survey.Choose(all, database, i.Prefix)
	u.Path = "/" + found.Database
	return found, u.String(), err
}

// look reads shop and ERP at the same time.
func look(ctx context.Context, wish survey.Wish, found survey.Found, shopURL, erpURL string) (shop *survey.Shop, erp *survey.ERP, err error) {
	sets, err := applier.Migrations()
	if err != nil {
		return nil, nil, err
	}
	db, err := mysql.Open(mysql.Config{Source: "shop", URL: config.Guarded(shopURL)})
	if err != nil {
		return nil, nil, fmt.Errorf("--shop: %w", err)
	}
	defer db.Close()
	name, _ := wish.Source(found)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if shop, err = survey.ReadShop(ctx, db, found, ""); err != nil {
			return cli.Told(fmt.Errorf("look at the shop: %w", err), hint(err, "--shop", "SPOLA_SHOP_PASSWORD"))
		}
		return nil
	})
	group.Go(func() (err error) {
		if erp, err = survey.ReadERP(ctx, config.Guarded(erpURL), name, sets); err != nil {
			return cli.Told(fmt.Errorf("look at the ERP: %w", err), hint(err, "--erp", "SPOLA_ERP_PASSWORD"))
		}
		return nil
	})
	return shop, erp, group.Wait()
}

// hint is what to look at when a server can't be looked at.
func hint(err error, flag, variable string) string {
	if link := cli.LinkHint(err); link != "" {
		return strings.NewReplacer("shop.database", flag, "erp.database", flag).Replace(link)
	}
	return "see that the server runs, that " + flag + " names it, its user and the database, and that the password is right (" + variable + ")"
}

// loads refuses what no program would read again: a flag had a value that can't stand there.
func loads(text string) error {
	dir, err := os.MkdirTemp("", "spola-init-")
	if err != nil {
		return fmt.Errorf("try the configuration: %w", err)
	}
	path := filepath.Join(dir, "spola.yaml")
	if err = os.WriteFile(path, []byte(text), 0o600); err == nil {
		_, err = config.Load(path)
	}
	if m, ok := errors.AsType[*config.Error](err); ok {
		err = cli.Usage("nothing was written: %s: %s; %s", m.Key, m.What, m.Mend)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// tell says what was written and what is to be done next.
func (d written) tell(w io.Writer) {
	printable.Printf(w, "\nWritten: %s and %s. No password stands in them.\n", d.Config, d.ShopFile)
	if len(d.Questions) > 0 {
		printable.Printf(w, "\nOnly you can say what goes in place of the \"?\" in these lines; behind each stands what speaks for which answer:\n")
	}
	for _, q := range d.Questions {
		printable.Printf(w, "  %s:%d: %s\n", d.ShopFile, q.Line, q.Text)
	}
	printable.Printf(w, "\nNext: read %s once with the shop's administration open, then run `spola doctor --config %s`.\n", d.ShopFile, d.Config)
}

// withSecret puts the password into a URL, from the environment or a file where it is not in it,
// and says from where it came.
func withSecret(flag, text, scheme, variable, file string) (full, from string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User.Username() == "" || !strings.HasPrefix(u.Scheme, scheme) {
		return "", "", cli.Usage("%s: want %s://user@host/database", flag, scheme) // without the text: it may hold a password
	}
	secret := os.Getenv(variable)
	switch {
	case secret != "":
		from = survey.EnvironmentPassword
	case file != "":
		content, err := os.ReadFile(file)
		if err != nil {
			return "", "", fmt.Errorf("%s: read the password: %w", flag, err)
		}
		if secret, from = strings.TrimRight(string(content), "\r\n"), file; secret == "" {
			return "", "", fmt.Errorf("%s: %s is empty", flag, file)
		}
	default:
		return text, "", nil
	}
	u.User = url.UserPassword(u.User.Username(), secret)
	return u.String(), from, nil
}

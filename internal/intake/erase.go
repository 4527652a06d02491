package intake

import (
	"context"
	_ "embed" // the statements stand in erase.sql
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

//go:embed erase.sql
var eraseSQL string

// Erasure is a customer to be erased: an account of the shop, or whoever ordered under an e-mail address.
type Erasure struct {
	Account int64  // 0: none
	Email   string // empty: none
	By      By
	Subject string // what the list of decisions calls him: nothing that names a person
	DryRun  bool
}

// Erased is what was erased, or would be.
type Erased struct {
	Shop      string        `json:"shop"`
	DryRun    bool          `json:"dry_run"`
	Customers int64         `json:"customers"` // of the ERP that had something to take off
	Matched   []int64       `json:"matched"`   // customers of the ERP from elsewhere: theirs to erase
	Orders    int64         `json:"orders"`    // of the ERP that had something to take off
	Known     []ErasedOrder `json:"known"`     // all orders of the customer
	Documents int64         `json:"documents"` // that stay as they were issued
	Mails     int64         `json:"mails"`
	Parked    int64         `json:"parked"`
	Flags     int64         `json:"flags"`
	Links     int64         `json:"links"`
	Decisions int64         `json:"decisions"` // whose text named the e-mail
	ERP       bool          `json:"erp"`       // false: an ERP of one's own, whose people erase there
}

// ErasedOrder is an order of the customer.
type ErasedOrder struct {
	Order  int64  `json:"order"`  // the shop's number
	Number string `json:"number"` // the ERP's

	id          int64
	email, name string // as the ERP took them
}

// Any tells whether anything was there to erase.
func (e Erased) Any() bool {
	return e.Customers+e.Orders+e.Mails+e.Parked+e.Flags+e.Links+e.Decisions > 0
}

// ErrShopHasHim says that the shop still shows the customer: what is erased here would come back from there.
var ErrShopHasHim = errors.New("the shop still has this customer")

// errRolledBack ends a dry run.
var errRolledBack = errors.New("dry run")

// Erase takes a person off what Spola and the reference ERP keep, in one transaction. Documents stay. The shop must have erased him
// before: its rows are the mirror's, and a later change, a snapshot or a replay would bring him back.
func Erase(ctx context.Context, conn *pgx.Conn, shop, prefix string, profile *schemas.Profile, e Erasure) (Erased, error) {
	r := eraser{shop: shop, prefix: prefix, profile: profile, e: e, query: namedStatements(strings.ReplaceAll(eraseSQL, "{canonical}", pgx.Identifier{Schema(shop)}.Sanitize()))}
	r.e.Email = strings.ToLower(strings.TrimSpace(e.Email))
	r.done = Erased{Shop: shop, DryRun: e.DryRun, Matched: []int64{}, Known: []ErasedOrder{}}
	err := postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		r.tx = tx
		if err := r.erase(ctx); err != nil {
			return err
		}
		if e.DryRun {
			return errRolledBack
		}
		return nil
	})
	if errors.Is(err, errRolledBack) {
		err = nil
	}
	return r.done, err
}

type eraser struct {
	shop, prefix string
	profile      *schemas.Profile
	e            Erasure
	query        map[string]string
	tx           pgx.Tx
	done         Erased
	customers    []int64 // of the ERP, made for him
}

func (r *eraser) erase(ctx context.Context) error {
	// Intake takes this lock first in every batch: none is halfway.
	if _, err := r.tx.Exec(ctx, "select from spola.shop where shop = $1 for update", r.shop); err != nil {
		return r.failed("lock the shop", err)
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := r.gone(ctx); err != nil {
		return err
	}
	if err := r.eraseOwn(ctx); err != nil {
		return err
	}
	if err := r.eraseERP(ctx); err != nil {
		return err
	}
	if !r.done.Any() {
		return nil
	}
	orders := make([]int64, len(r.done.Known))
	for i, o := range r.done.Known {
		orders[i] = o.Order
	}
	return audit(ctx, r.tx, r.e.By, r.shop, 0, "erase", r.e.Subject, map[string]any{"customers": r.customers, "orders": orders, "documents_kept": r.done.Documents})
}

// look finds his customers and orders in the ERP.
func (r *eraser) look(ctx context.Context) (err error) {
	account := ""
	if r.e.Account != 0 {
		account = strconv.FormatInt(r.e.Account, 10)
	}
	if r.customers, err = r.ids(ctx, "own customers", r.shop, account, r.e.Email); err != nil {
		return err
	}
	if r.done.Matched, err = r.ids(ctx, "matched customers", r.shop, account, r.e.Email); err != nil {
		return err
	}
	rows, err := r.tx.Query(ctx, r.query["orders"], r.shop, slices.Concat(r.customers, r.done.Matched), r.e.Email)
	if err != nil {
		return r.failed("look for his orders", err)
	}
	r.done.Known, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o ErasedOrder, err error) {
		var number string
		if err := row.Scan(&o.id, &o.Number, &number, &o.email, &o.name); err != nil {
			return o, err
		}
		o.Order, err = strconv.ParseInt(number, 10, 64)
		return o, err
	})
	if err != nil {
		return r.failed("look for his orders", err)
	}
	if r.done.Known == nil {
		r.done.Known = []ErasedOrder{}
	}
	return nil
}

func (r *eraser) ids(ctx context.Context, name string, args ...any) ([]int64, error) {
	rows, err := r.tx.Query(ctx, r.query[name], args...)
	if err == nil {
		var found []int64
		if found, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err == nil {
			return append([]int64{}, found...), nil
		}
	}
	return nil, r.failed("look for "+name, err)
}

// gone refuses while the mirror, and so the shop, still shows him.
func (r *eraser) gone(ctx context.Context) error {
	var ids []int64
	var emails, names []string
	for _, o := range r.done.Known {
		ids, emails, names = append(ids, o.Order), append(emails, o.email), append(names, o.name)
	}
	var derived bool
	if err := r.tx.QueryRow(ctx, "select to_regproc($1) is not null", Schema(r.shop)+".orders").Scan(&derived); err != nil {
		return r.failed("look for the shop's views", err)
	}
	var there []string
	if derived && len(ids) > 0 {
		found, err := r.ids(ctx, "orders there", ids, emails, names)
		if err != nil {
			return err
		}
		for _, id := range found {
			there = append(there, fmt.Sprintf("order %d", id))
		}
	}
	if derived && r.e.Account != 0 {
		var yes bool
		known := func(all []string) []string {
			return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "" })
		}
		if err := r.tx.QueryRow(ctx, r.query["account there"], r.e.Account, append([]string{}, known(emails)...), append([]string{}, known(names)...)).Scan(&yes); err != nil {
			return r.failed("look for his account", err)
		}
		if yes {
			there = append(there, fmt.Sprintf("account %d", r.e.Account))
		}
	}
	more, err := r.underEmail(ctx)
	if err != nil {
		return err
	}
	for _, m := range more {
		if !slices.Contains(there, m) {
			there = append(there, m)
		}
	}
	if len(there) == 0 {
		return nil
	}
	few := there[:min(len(there), 10)]
	return fmt.Errorf("%w: %s%s. Erase or anonymise them there first, and wait until that has come through (seconds); from there he would come back", ErrShopHasHim,
		strings.Join(few, ", "), map[bool]string{true: fmt.Sprintf(" and %d more", len(there)-len(few))}[len(there) > len(few)])
}

// underEmail lists rows of the mirror that bear the e-mail.
func (r *eraser) underEmail(ctx context.Context) (found []string, err error) {
	if r.e.Email == "" {
		return nil, nil
	}
	for _, t := range r.profile.Tables {
		key := t.Order + t.Account
		if !slices.Contains(t.Columns, "email") || key == "" {
			continue
		}
		name := pgx.Identifier{mirror.Schema(r.shop), r.prefix + t.Name}.Sanitize()
		var there bool
		if err := r.tx.QueryRow(ctx, "select to_regclass($1) is not null", name).Scan(&there); err != nil {
			return nil, r.failed("look for "+name, err)
		}
		if !there {
			continue
		}
		kind := "order "
		if t.Account != "" {
			kind = "account "
		}
		rows, err := r.tx.Query(ctx, "select $2::text || "+pgx.Identifier{key}.Sanitize()+"::text from "+name+" where lower(btrim(email)) = $1 order by "+pgx.Identifier{key}.Sanitize(), r.e.Email, kind)
		if err == nil {
			var some []string
			some, err = pgx.CollectRows(rows, pgx.RowTo[string])
			found = append(found, some...)
		}
		if err != nil {
			return nil, r.failed("look through "+name, err)
		}
	}
	return found, nil
}

// eraseOwn takes him off Spola's own tables.
func (r *eraser) eraseOwn(ctx context.Context) error {
	var erp, shop []int64
	var subjects []string
	for _, o := range r.done.Known {
		erp, shop, subjects = append(erp, o.id), append(shop, o.Order), append(subjects, fmt.Sprintf("order %d", o.Order))
	}
	if r.e.Account != 0 {
		subjects = append(subjects, fmt.Sprintf("account %d", r.e.Account))
	}
	erp, shop, subjects = append([]int64{}, erp...), append([]int64{}, shop...), append([]string{}, subjects...)
	do := func(name string, n *int64, args ...any) error {
		tag, err := r.tx.Exec(ctx, r.query[name], args...)
		if err != nil {
			return r.failed("erase him from "+name, err)
		}
		if n != nil {
			*n += tag.RowsAffected()
		}
		return nil
	}
	for _, err := range []error{
		do("mails", &r.done.Mails, r.shop, erp, r.e.Email),
		do("parked", &r.done.Parked, r.shop, shop, r.e.Email),
		do("flags", &r.done.Flags, r.shop, subjects),
		do("links", &r.done.Links, r.shop, shop),
		do("matches", nil, r.shop, r.e.Email),
	} {
		if err != nil {
			return err
		}
	}
	emails := map[string]bool{r.e.Email: true}
	for _, o := range r.done.Known {
		emails[o.email] = true
	}
	for email := range emails {
		if !strings.Contains(email, "@") {
			continue
		}
		if err := do("audit", &r.done.Decisions, r.shop, email, regexp.QuoteMeta(email)); err != nil {
			return err
		}
	}
	return nil
}

// eraseERP takes him off the reference ERP.
func (r *eraser) eraseERP(ctx context.Context) error {
	if err := r.tx.QueryRow(ctx, "select to_regprocedure('erp.erase_orders(bigint[])') is not null").Scan(&r.done.ERP); err != nil || !r.done.ERP {
		return r.failed("look for the ERP's functions", err)
	}
	ids := []int64{}
	for _, o := range r.done.Known {
		ids = append(ids, o.id)
	}
	var issues bool
	err := r.tx.QueryRow(ctx, "select to_regclass('erp.document') is not null").Scan(&issues)
	if err == nil && issues {
		err = r.tx.QueryRow(ctx, r.query["documents"], ids).Scan(&r.done.Documents)
	}
	if err == nil {
		err = r.tx.QueryRow(ctx, "select erp.erase_orders($1)", ids).Scan(&r.done.Orders)
	}
	if err == nil {
		err = r.tx.QueryRow(ctx, "select erp.erase_customers($1)", r.customers).Scan(&r.done.Customers)
	}
	return r.failed("erase him from the ERP", err)
}

// failed is nil for no error.
func (r *eraser) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return postgres.Explain(fmt.Errorf("erase a customer of shop %s: %s: %w", r.shop, what, err))
}

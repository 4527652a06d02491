package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Choice is what a person may decide of a parked order.
type Choice string

// The choices.
const (
	TakeShop Choice = "take-shop" // the ERP gets what the shop has
	KeepERP  Choice = "keep-erp"  // the ERP keeps what it has
	Drop     Choice = "drop"      // the ERP shall never have the order
)

// openChoices are those that are open for an order parked for a reason.
func openChoices(reason string, inERP, cancelled bool) []Choice {
	switch {
	case reason == "id_used_again":
		return []Choice{Drop}
	case inERP && cancelled:
		return []Choice{KeepERP}
	case inERP:
		return []Choice{TakeShop, KeepERP}
	case reason == "never_taken" || reason == "before_cut":
		return []Choice{TakeShop, Drop}
	}
	return []Choice{Drop}
}

// ErrRefused says that a decision can't be carried out, and why; nothing was changed.
var ErrRefused = errors.New("refused")

// ResolveParked carries out what a person decides of a parked order, and notes it. It returns a
// sentence that says what has happened. It is ErrRefused where the choice does not fit the order,
// or where shop or ERP stand against it.
func ResolveParked(ctx context.Context, conn *pgx.Conn, shop string, order int64, choice Choice, by By) (said string, err error) {
	if strings.TrimSpace(by.Reason) == "" {
		return "", fmt.Errorf("order %d: %w: a decision needs its reason", order, ErrRefused)
	}
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		if err := lockShop(ctx, tx, shop); err != nil {
			return err
		}
		p, payload, err := ShowParked(ctx, conn, shop, order)
		if err != nil {
			return err
		}
		if said, err = resolve(ctx, tx, p, choice); err != nil {
			return err
		}
		return audit(ctx, tx, by, shop, order, "resolve", string(choice), map[string]any{"parked": p, "payload": payload})
	})
	return said, err
}

// lockShop waits for the batch that runs and holds off the next.
func lockShop(ctx context.Context, tx pgx.Tx, shop string) error {
	var mode string
	err := tx.QueryRow(ctx, "select mode from spola.shop where shop = $1 for update", shop).Scan(&mode)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("shop %s is not known: %w", shop, ErrUnknownShop)
	}
	if err != nil {
		return fmt.Errorf("lock shop %s: %w", shop, err)
	}
	if mode != "live" {
		return fmt.Errorf("shop %s is only observed: %w: what becomes of its orders is decided when it goes live (applier golive --dry-run)", shop, ErrRefused)
	}
	return nil
}

func resolve(ctx context.Context, tx pgx.Tx, p Parked, choice Choice) (string, error) {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("order %d can't be resolved: %w: %s", p.Order, ErrRefused, fmt.Sprintf(format, args...))
	}
	schema := pgx.Identifier{Schema(p.Shop)}.Sanitize()
	var gone, moving bool
	err := tx.QueryRow(ctx, "select (task).order_id is null, moving from "+schema+".standing($1)", p.Order).Scan(&gone, &moving)
	if err != nil {
		return "", postgres.Explain(fmt.Errorf("look at order %d of %s: %w", p.Order, p.Shop, err))
	}
	if gone || moving {
		return "", refuse("it is being changed in the shop right now; try again in some seconds")
	}
	if !slices.Contains(p.Choices, choice) {
		return "", refuse("--%s does not fit: %s", choice, unfit(p))
	}
	do := func(function string) error {
		if _, err := tx.Exec(ctx, "select "+schema+"."+function+"($1)", p.Order); err != nil {
			return postgres.Explain(fmt.Errorf("resolve order %d of %s: %w", p.Order, p.Shop, err))
		}
		return nil
	}
	switch {
	case choice == Drop:
		return fmt.Sprintf("Order %d is dropped: the ERP will not have it.", p.Order), do("resolve_drop")
	case choice == KeepERP:
		return fmt.Sprintf("Order %d stays in the ERP as it is there. The next change in the shop counts again.", p.Order), do("resolve_keep")
	case p.ERPOrder == nil:
		return fmt.Sprintf("Order %d is taken over with the applier's next batch.", p.Order), do("resolve_import")
	}
	var ok bool
	var reason, detail *string
	err = tx.QueryRow(ctx, "select ok, reason, detail from "+schema+".resolve_take($1)", p.Order).Scan(&ok, &reason, &detail)
	if err != nil {
		return "", postgres.Explain(fmt.Errorf("resolve order %d of %s: %w", p.Order, p.Shop, err))
	}
	if !ok {
		return "", refuse("%s: %s; enter the return in the ERP or correct the order in the shop first", deref(reason), deref(detail))
	}
	return fmt.Sprintf("Order %d stands in the ERP now as the shop has it.", p.Order), nil
}

// unfit says what may be chosen instead.
func unfit(p Parked) string {
	var open []string
	for _, c := range p.Choices {
		open = append(open, "--"+string(c))
	}
	why := "the ERP does not have it. Mend it: " + p.Mend + " Or choose"
	switch {
	case p.Reason == "id_used_again":
		why = "its number belongs to another order, which the ERP keeps. Choose"
	case p.ERPOrder != nil && p.Cancelled:
		why = "the shop has cancelled it, and its goods have left. Enter what comes back in the ERP; here choose"
	case p.ERPOrder != nil:
		why = "the ERP has it. Choose"
	}
	return why + " " + strings.Join(open, " or ")
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

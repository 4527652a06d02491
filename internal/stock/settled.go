package stock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	source "github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
)

// settledLook is how often somebody looks whether a probe has come through the ledger.
const settledLook = 20 * time.Millisecond

// ErrUnsettled says that what the ERP did has not come into a shop's accounts within the time given.
var ErrUnsettled = errors.New("the ledger is behind")

// AwaitSettled returns when all that the ERP has committed by now is settled into a shop's accounts: a probe goes into the ERP's log, by the reader of
// slot, and the ledger's place goes over it. Where that takes longer than within it is ErrUnsettled.
func AwaitSettled(ctx context.Context, conn *pgx.Conn, log *stream.Finder, slot, shop string, within time.Duration) error {
	_, from, err := log.Renew(ctx)
	if err != nil {
		return err
	}
	if err := source.Probe(ctx, conn, slot); err != nil {
		return err
	}
	var probe, at change.Place
	for began := time.Now(); ; {
		if probe.Seq == 0 {
			if probe, from, err = log.Probe(ctx, from); err != nil {
				return err
			}
		}
		if probe.Seq > 0 {
			err := conn.QueryRow(ctx, "select generation, seq from spola.place where applier = 'ledger' and source = $1", shop).Scan(&at.Gen, &at.Seq)
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return fmt.Errorf("read the place of shop %s's ledger: %w", shop, err)
			}
			if !probe.Beyond(at) {
				return nil
			}
		}
		if time.Since(began) > within {
			return ErrUnsettled
		}
		if err := wait(ctx, settledLook); err != nil {
			return err
		}
	}
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/witness"
	"github.com/spola-cdc/spola/internal/verify"
)

// letWitness lets the ERP write down itself which rows its transactions change.
func (st *stage) letWitness(ctx context.Context) error {
	tables, err := verify.PublishedTables()
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("install the ERP's witness: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return witness.Install(ctx, conn, tables)
}

// touch is a change that changes nothing; it returns its transaction.
const touch = `with t as (update erp.article set ean = ean where id = (select min(id) from erp.article) returning 1)
	select (pg_current_xact_id()::text::numeric % 4294967296)::bigint from t`

// erpLogBegun waits until a change of the ERP stands in its log: what is committed from then on is in
// it, not in a snapshot.
func (st *stage) erpLogBegun(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("wait for the ERP's log: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	touching, begun := context.WithCancel(ctx)
	touched := make(chan error, 1)
	go func() {
		for {
			if _, err := conn.Exec(ctx, touch); err != nil {
				touched <- fmt.Errorf("wait for the ERP's log: %w", err)
				return
			}
			select {
			case <-touching.Done():
				touched <- nil
				return
			case <-time.After(touchEvery):
			}
		}
	}()
	err = await(ctx, func() error { return st.seeChange(ctx) }) // its topic may have to be made
	begun()
	return errors.Join(err, <-touched)
}

const touchEvery = 300 * time.Millisecond

// seeChange reads the ERP's log until a change stands in it.
func (st *stage) seeChange(ctx context.Context) error {
	client, err := st.readLog(st.cfg.ERPTopic())
	if err != nil {
		return err
	}
	defer client.Close()
	for _, err := range recordsOf(ctx, client, func(r verify.LogRecord) bool { _, is := r.ChangeOf(); return is }) {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkERPLog holds the ERP's log, up to a last change that is made now, against the ERP.
func (st *stage) checkERPLog(ctx context.Context) (verify.ERPLogReport, error) {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return verify.ERPLogReport{}, fmt.Errorf("hold the ERP's log against the ERP: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var last int64
	if err := conn.QueryRow(ctx, touch).Scan(&last); err != nil {
		return verify.ERPLogReport{}, fmt.Errorf("hold the ERP's log against the ERP: %w", err)
	}
	client, err := st.readLog(st.cfg.ERPTopic())
	if err != nil {
		return verify.ERPLogReport{}, err
	}
	defer client.Close()
	return verify.CheckERPLog(ctx, conn, recordsOf(ctx, client, func(r verify.LogRecord) bool {
		tx, is := r.ChangeOf()
		return is && tx == last
	}))
}

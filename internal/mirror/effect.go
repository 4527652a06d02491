package mirror

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
)

// Effect is an applier that keeps the mirror and derives nothing. Its batches end anywhere.
type Effect struct {
	*Mirror
}

var _ apply.Effect[pgx.Tx] = Effect{}

// Part begins a part.
func (e Effect) Part(applied int64) apply.Part[pgx.Tx] { return effectPart{e.Mirror.Part(applied)} }

type effectPart struct {
	part *Part
}

// Splits never asks for an end: a mirror is the same whatever the batches.
func (p effectPart) Splits([]change.Record) bool { return false }

// Add takes a transaction into the part.
func (p effectPart) Add(records []change.Record) error { return p.part.Add(records) }

// Bytes is what the part's rows hold of memory.
func (p effectPart) Bytes() int { return p.part.Bytes() }

// Apply writes the part's rows.
func (p effectPart) Apply(ctx context.Context, tx pgx.Tx, _ bool) error {
	_, err := p.part.Apply(ctx, tx)
	return err
}

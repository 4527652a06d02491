package cdc

import (
	"context"
	"encoding/json"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/stream"
)

// The sources that cdc reads.
const (
	Shop = "shop"
	ERP  = "erp"
)

// source is a database as the verbs of cdc want it.
type source interface {
	String() string // for people: shop or ERP
	kafka() stream.Config

	// read reads into the log until ctx ends or a person must act.
	read(ctx context.Context, end *tail, writer *stream.Writer) error
	// wasRead tells whether the source was read before.
	wasRead(ctx context.Context) (bool, error)
	preflight(ctx context.Context) ([]finding, error)
	// state is how far the source was read, as the log's tail tells it; nil if the log is empty.
	state(ctx context.Context, end *tail) (any, error)
	// owns refuses a log that another source's reader has written.
	owns(ctx context.Context, end *tail) error
	// ask asks the source's reader to read tables again, all if none is named, or rows of them
	// whose key is above from and up to to; nil: unbounded.
	ask(ctx context.Context, tables []string, from, to []json.RawMessage) error
}

// finding is what preflight found.
type finding struct {
	Blocking bool   `json:"blocking"` // it keeps cdc from starting
	Severity string `json:"severity"` // blocking, warning …
	What     string `json:"what"`
	Mend     string `json:"mend"` // the statement or line that mends it
}

// sourceOf is the source that the options name, as the configuration says it.
func sourceOf(cfg config.Config, o ReadOptions) (source, error) {
	if o.Source == ERP {
		return newERP(cfg, o)
	}
	return newShop(cfg, o)
}

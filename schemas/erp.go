package schemas

import "embed"

// ERP holds the reference ERP: goose migrations of schema erp.
//
//go:embed erp/*.sql
var ERP embed.FS

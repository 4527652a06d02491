package schemas

import "embed"

// ERP holds the reference ERP: goose migrations of schema erp, and contract.yaml with
// contract.md, which say what any other ERP has to offer in its place.
//
//go:embed erp/[0-9]*.sql erp/contract.yaml erp/contract.md
var ERP embed.FS

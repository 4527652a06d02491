package schemas

import "embed"

// Verify holds what the proof reads of the reference ERP; what it reads of a shop stands in the
// platform's directory in Shops.
//
//go:embed erp/verify.postgres.sql
var Verify embed.FS

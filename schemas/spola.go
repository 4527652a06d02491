package schemas

import "embed"

// Spola holds the bridge's own tables in the ERP's database: goose migrations of schema spola.
//
//go:embed spola/*.sql
var Spola embed.FS

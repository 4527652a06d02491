package schemas

import "embed"

// Config holds a JSON Schema for each file that people write, for their editors:
// config/spola.schema.json and config/shop.schema.json, generated from the code that reads them.
//
//go:embed config/*.json
var Config embed.FS

package schemas

import "embed"

// Events holds what stands on the topics: for each kind of record "events/<kind>.schema.json",
// a JSON Schema of its headers, key and value, and a golden sample, "events/<kind>.sample.json".
//
//go:embed events/*.json events/README.md
var Events embed.FS

// Package deploy holds what an installation begins with: example configurations, grants,
// service units and the container file. The demo runs on the same examples.
package deploy

import _ "embed" // the examples stand in files of their own

// ShopExample is the commented shop file of an OpenCart shop.
//
//go:embed shop.opencart.example.yaml
var ShopExample []byte

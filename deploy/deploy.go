// Package deploy holds what an installation begins with: example configurations, grants,
// service units and the container file. The demo runs on the same examples.
package deploy

import (
	_ "embed" // the examples stand in files of their own
	"strings"
)

// ShopExample is the commented shop file of an OpenCart shop.
//
//go:embed shop.opencart.example.yaml
var ShopExample []byte

//go:embed grants/shop-writer.opencart.mysql.sql
var shopWriter string

// ShopWriterGrants are the rights that who writes into a shop needs on a table of it, as statements for
// this account; none if it needs none. table is without its prefix.
func ShopWriterGrants(prefix, table, account string) (grants []string) {
	for line := range strings.Lines(shopWriter) {
		for _, name := range []string{"`shop`.`oc_" + table + "`", "`shop`.`" + table + "`"} {
			if strings.HasPrefix(line, "GRANT ") && strings.Contains(line, " ON "+name+" TO ") {
				on := strings.Replace(strings.TrimPrefix(name, "`shop`."), "`oc_", "`"+prefix, 1)
				line = strings.Replace(strings.TrimSpace(line), name, on, 1)
				grants = append(grants, strings.Replace(line, "'spola_writer'@'%'", account, 1))
			}
		}
	}
	return grants
}

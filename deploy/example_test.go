package deploy_test

import (
	"net/url"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/config"
)

// Who copies the example finds in the grants what it names: users, database, prefix and schemas.
func TestExampleNamesWhatTheGrantsMake(t *testing.T) {
	c, err := config.Load("spola.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shop, err := url.Parse(c.Shop.Database)
	if err != nil {
		t.Fatal(err)
	}
	erp, err := url.Parse(c.ERP.Database)
	if err != nil {
		t.Fatal(err)
	}
	of := func(file string, wanted ...string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wanted {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not have %s, which the example names", file, want)
			}
		}
	}
	for _, dialect := range []string{"mysql", "mariadb"} {
		of("grants/shop-reader.opencart."+dialect+".sql", "CREATE USER '"+shop.User.Username()+"'@",
			"`"+path.Base(shop.Path)+"`.`"+c.Shop.Prefix+"order`")
		of("grants/shop-writer.opencart."+dialect+".sql", "CREATE USER '"+c.Shop.WriteAs+"'@",
			"`"+path.Base(shop.Path)+"`.`"+c.Shop.Prefix+"order`")
	}
	of("grants/erp.postgres.sql", "CREATE ROLE "+erp.User.Username()+" ", "CREATE SCHEMA mirror_"+c.Shop.Name+" ", "CREATE SCHEMA canonical_"+c.Shop.Name+" ")
	of("grants/erp-reader.postgres.sql", "CREATE ROLE "+c.ERP.Log.User+" ", "CREATE PUBLICATION "+c.ERP.Log.Publication+" ")
}

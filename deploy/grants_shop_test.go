package deploy_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/schemas"
)

// The reader of a shop can read the binlog and exactly what the profile names, and write its
// marker; it can change nothing of the shop's.
func TestShopReaderGrants(t *testing.T) {
	for product, start := range map[string]func(testing.TB, map[string]string) *server.Server{
		"mysql": server.PrivateMySQL, "mariadb": server.PrivateMariaDB,
	} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			root := openShop(t, s.URL())
			profile := makeShop(t, root)
			run(t, root, readSQL(t, "grants/shop-reader.opencart."+product+".sql")...)
			reader := openShop(t, "mysql://spola_cdc:change-me@"+s.Addr()+"/shop")
			for _, table := range profile.Tables {
				allow(t, reader, fmt.Sprintf("SELECT `%s` FROM `oc_%s`", strings.Join(table.Columns, "`, `"), table.Name))
			}
			allow(t, reader,
				"CREATE TABLE spola_marker (name varchar(191) NOT NULL PRIMARY KEY, number bigint NOT NULL)",
				"INSERT INTO spola_marker VALUES ('tick', 1)",
				"UPDATE spola_marker SET number = 2",
				"DELETE FROM spola_marker",
				map[string]string{"mysql": "SHOW BINARY LOG STATUS", "mariadb": "SHOW MASTER STATUS"}[product],
				"SHOW BINARY LOGS")
			refuse(t, reader,
				"SELECT password FROM oc_customer",
				"SELECT * FROM oc_customer",
				"SELECT * FROM oc_user",
				"UPDATE oc_order SET order_status_id = 5",
				"DELETE FROM oc_product",
				"DROP TABLE oc_order",
				"CREATE TABLE another (id int PRIMARY KEY)",
				"SELECT * FROM mysql.user",
				"SET GLOBAL binlog_row_image = 'MINIMAL'")
			if !reads(t, s) {
				t.Error("the reader gets no event from the binlog")
			}
		})
	}
}

// The writer of a shop can do what the appliers do there, and change nothing else of the shop's.
func TestShopWriterGrants(t *testing.T) {
	for product, start := range map[string]func(testing.TB, map[string]string) *server.Server{
		"mysql": server.PrivateMySQL, "mariadb": server.PrivateMariaDB,
	} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			root := openShop(t, s.URL())
			makeShop(t, root)
			run(t, root, readSQL(t, "grants/shop-writer.opencart."+product+".sql")...)
			var made string
			run(t, root, "USE shop", strings.Replace(readSQL(t, "../internal/source/mysql/marker.sql")[0], "spola_marker", "as_cdc_makes_it", 1))
			err := root.QueryRow(`SELECT COALESCE(GROUP_CONCAT(table_name, column_name, ':', column_type, is_nullable, COALESCE(column_default, 'none')), '')
				FROM information_schema.columns c WHERE table_schema = 'shop' AND table_name IN ('spola_marker', 'as_cdc_makes_it')
				AND 2 <> (SELECT COUNT(*) FROM information_schema.columns d WHERE d.table_schema = 'shop' AND d.table_name IN ('spola_marker', 'as_cdc_makes_it')
					AND d.column_name = c.column_name AND d.ordinal_position = c.ordinal_position AND d.column_type = c.column_type
					AND d.is_nullable = c.is_nullable AND COALESCE(d.column_default, 'none') = COALESCE(c.column_default, 'none'))`).Scan(&made)
			if err != nil || made != "" {
				t.Errorf("the marker is not the one that cdc makes: %s, %v", made, err)
			}
			statements, err := schemas.Statements(os.DirFS("../schemas/shop/opencart"), schemas.WritebackFile, "oc_")
			if err != nil {
				t.Fatal(err)
			}
			writer := openShop(t, "mysql://spola_writer:change-me-writer@"+s.Addr()+"/shop")
			for name, statement := range statements {
				statement = strings.NewReplacer("{ids}", "1, 2", "{cases}", "WHEN 1 THEN 2", "?", "1").Replace(statement)
				if _, err := writer.Exec(statement); err != nil {
					t.Errorf("%s should be allowed: %v\n%s", name, err, statement)
				}
			}
			allow(t, writer,
				"INSERT INTO spola_marker (name) VALUES ('place.stock.erp')",
				"SELECT note FROM spola_marker WHERE name = 'place.stock.erp' FOR UPDATE",
				"UPDATE spola_marker SET number = 2 WHERE name = 'place.stock.erp'")
			refuse(t, writer,
				"DELETE FROM spola_marker",
				"DROP TABLE spola_marker",
				"SELECT password FROM oc_customer",
				"SELECT email FROM oc_order",
				"UPDATE oc_order SET total = 0",
				"DELETE FROM oc_order_history",
				"UPDATE oc_order_history SET comment = ''",
				"INSERT INTO oc_order (order_id) VALUES (1)",
				"INSERT INTO oc_product (product_id) VALUES (1)",
				"UPDATE oc_product SET subtract = 0",
				"UPDATE oc_product_option_value SET price = 0",
				"DELETE FROM oc_product",
				"SELECT * FROM oc_user",
				"CREATE TABLE another (id int PRIMARY KEY)",
				"SELECT * FROM mysql.user",
				map[string]string{"mysql": "SHOW BINARY LOG STATUS", "mariadb": "SHOW MASTER STATUS"}[product])
		})
	}
}

// makeShop makes the tables of OpenCart as far as rights are concerned, and two columns and a
// table that must not leave the shop.
func makeShop(t *testing.T, root *sql.DB) *schemas.Profile {
	t.Helper()
	profile, _, err := schemas.Platform("opencart")
	if err != nil {
		t.Fatal(err)
	}
	run(t, root, "CREATE DATABASE shop", "CREATE TABLE shop.oc_user (user_id int PRIMARY KEY, password varchar(255))")
	for _, name := range []string{"store", "custom_field", "custom_field_description", "customer_group", "customer_group_description"} {
		run(t, root, "CREATE TABLE shop.`oc_"+name+"` (id int PRIMARY KEY)") // for the survey alone
	}
	for _, table := range profile.Tables {
		columns := "`" + strings.Join(table.Columns, "` varchar(32) DEFAULT '', `") + "` varchar(32) DEFAULT ''"
		run(t, root, fmt.Sprintf("CREATE TABLE shop.`oc_%s` (%s, password text, token text, PRIMARY KEY (`%s`))", table.Name, columns, strings.Join(table.Key, "`, `")))
	}
	return profile
}

// reads tells whether the reader's user is given the binlog.
func reads(t *testing.T, s *server.Server) bool {
	t.Helper()
	var port uint16
	if _, err := fmt.Sscanf(s.Addr(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4711, Flavor: flavor(s.Version()), Host: "127.0.0.1", Port: port, User: "spola_cdc", Password: "change-me",
		DisableRetrySync: true,
	})
	defer syncer.Close()
	events, err := syncer.StartSync(mysql.Position{Name: "binlog.000001", Pos: 4})
	if err != nil {
		t.Errorf("read the binlog as spola_cdc: %v", err)
		return false
	}
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	for {
		event, err := events.GetEvent(ctx)
		if err != nil {
			t.Errorf("read the binlog as spola_cdc: %v", err)
			return false
		}
		if event.Header.EventType == replication.QUERY_EVENT {
			return true
		}
	}
}

func flavor(version string) string {
	if strings.HasPrefix(version, "10.") {
		return mysql.MariaDBFlavor
	}
	return mysql.MySQLFlavor
}

func openShop(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := server.OpenMySQL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

var comment = regexp.MustCompile(`(?m)^\s*--.*$`)

// readSQL returns the statements of a file.
func readSQL(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var statements []string
	for statement := range strings.SplitSeq(comment.ReplaceAllString(string(text), ""), ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements = append(statements, statement)
		}
	}
	return statements
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func allow(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Errorf("should be allowed: %s: %v", statement, err)
		}
	}
}

var refused = regexp.MustCompile(`(?i)denied|must be (owner|superuser)|must have`)

// refuse expects a refusal for want of a right, and no other error.
func refuse(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err == nil || !refused.MatchString(err.Error()) {
			t.Errorf("should be refused for want of a right: %s: %v", statement, err)
		}
	}
}

package survey_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/survey"
	"github.com/spola-cdc/spola/schemas"
)

// Every platform of the list is called by its name and prefix, whether it can be read or not; of
// several shops in one database the one that is asked for is taken.
func TestPlatformsAreRecognised(t *testing.T) {
	known, err := schemas.KnownPlatforms()
	if err != nil {
		t.Fatal(err)
	}
	dialects(t, func(t *testing.T, url string) {
		db := open(t, url)
		name := database(url)
		choose := func(prefix string) (survey.Found, error) {
			all, err := survey.Recognise(t.Context(), db, name)
			if err != nil {
				t.Fatal(err)
			}
			if prefix == "" {
				return survey.Choose(all, name, nil)
			}
			return survey.Choose(all, name, &prefix)
		}
		if _, err := choose(""); err == nil || !strings.Contains(err.Error(), "no shop was recognised in database "+name) {
			t.Errorf("in an empty database: %v", err)
		}
		for _, k := range known {
			for i, v := range k.Versions {
				prefix := fmt.Sprintf("%s%d_", k.Platform, i)
				columns := map[string]string{}
				for _, table := range k.Tables {
					columns[table] = "id int"
				}
				for _, c := range v.Columns {
					table, column, _ := strings.Cut(c, ".")
					columns[table] = strings.TrimPrefix(columns[table]+", `"+column+"` int", ", ")
				}
				for table, list := range columns {
					if _, err := db.Exec("CREATE TABLE `" + prefix + table + "` (" + list + ")"); err != nil {
						t.Fatal(err)
					}
				}
				found, err := choose(prefix)
				switch {
				case v.Supported && (err != nil || found.Platform != k.Platform || found.Version != v.Version || found.Prefix != prefix):
					t.Errorf("%s %s: found %+v, %v", k.Title, v.Version, found, err)
				case !v.Supported && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s %s in database %s, prefix %s: not yet supported", k.Title, v.Version, name, prefix))):
					t.Errorf("%s %s: %v", k.Title, v.Version, err)
				}
			}
		}
		_, err := choose("")
		if err == nil || !strings.Contains(err.Error(), "say --prefix") || !strings.Contains(err.Error(), "prefix opencart0_\n") ||
			!strings.Contains(err.Error(), "prefix magento0_ (not yet supported)") {
			t.Errorf("with several shops: %v", err)
		}
		if _, err := choose("nobodys_"); err == nil || !strings.Contains(err.Error(), `no shop has tables with prefix "nobodys_"; found were:`) {
			t.Errorf("with a prefix that is not there: %v", err)
		}
	})
}

// The genuine shop is somebody else's work and no part of this repository; where it lies beside it,
// the survey is held against it as it comes out of the box.
func TestGenuineShopAsInstalled(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "shops", "opencart-4.1.0.4")
	schema, err := os.ReadFile(filepath.Join(dir, "schema.sql"))
	if err != nil {
		t.Logf("nothing examined, the genuine shop is not here: %v", err)
		return
	}
	data, err := os.ReadFile(filepath.Join(dir, "opencart-en-gb.sql"))
	if err != nil {
		t.Fatal(err)
	}
	dialects(t, func(t *testing.T, url string) {
		db := open(t, url)
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, statement := range strings.Split(string(schema)+"\n"+string(data), ";\n") {
			lines := strings.Split(statement, "\n")
			kept := lines[:0]
			for _, line := range lines {
				if !strings.HasPrefix(line, "--") {
					kept = append(kept, line)
				}
			}
			if statement = strings.TrimSpace(strings.Join(kept, "\n")); statement == "" {
				continue
			}
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%.200s: %v", statement, err)
			}
		}
		all, err := survey.Recognise(t.Context(), db, database(url))
		if err != nil {
			t.Fatal(err)
		}
		found, err := survey.Choose(all, database(url), nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := survey.ReadShop(t.Context(), db, found, "")
		if err != nil {
			t.Fatal(err)
		}
		text := survey.ShopFile(survey.Wish{}, s, &survey.ERP{})
		if found.Version != "4.1" || len(s.Products) != 19 || len(s.States) != 14 || len(s.Unread) > 0 {
			t.Errorf("found %+v with %d products and %d states; not read: %v", found, len(s.Products), len(s.States), s.Unread)
		}
		for _, line := range []string{`{state: "1", class: placed}`, `{state: "1", method: cod, class: taken}`, `{state: "5", class: final}`,
			`{state: "7", class: cancelled}`, `{state: "16", class: cancelled}`, `{state: "12", class: "?"}`, "cod: to_collect", "free_checkout: paid", "totals: []", `shipped: "3"`, `cancelled: "7"`} {
			if !strings.Contains(text, line) {
				t.Errorf("%s does not stand in\n%s", line, text)
			}
		}
		if n := strings.Count(text, `"?"}`); n != 2 {
			t.Errorf("%d questions of a shop as installed:\n%s", n, text)
		}
	})
}

// Package internal_test holds the directions of imports: who may know whom. A reader of the
// tree may rely on them, and a breach is a decision to be made here, not an accident.
package internal_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/spola-cdc/spola/"

// layers from the bottom up: a package may import those of its own layer and below. An entry
// stands for the package and what is under it.
var layers = [][]string{
	{"internal/change", "internal/keys", "internal/printable", "internal/money", "schemas", "deploy"}, // the vocabulary; files that people write; cents; what others' words mean; files for people
	{"internal/source", "internal/stream", "internal/target", "internal/broker"},
	{"internal/apply"},
	{"internal/mirror", "internal/intake", "internal/stock", "internal/writeback", "internal/mail", "internal/notice", "internal/document", "internal/verify"},
	{"internal/ops", "internal/trace", "internal/config"},
	{"internal/survey"},
	{"internal/cli"},
	{"cmd"},
}

// sides never import each other: what knows the shop's database and what knows the ERP's.
var sides = map[string]string{
	"internal/source/mysql": "mysql", "internal/target/mysql": "mysql",
	"internal/source/postgres": "postgres", "internal/target/postgres": "postgres",
}

// only names who may import what else is kept in one place.
var only = []struct {
	imported string
	by       []string
	reason   string
}{
	{"github.com/segmentio/kafka-go", []string{"internal/stream"}, "the fences and sums of the log hold only if nobody writes past them"},
	{module + "internal/lab", []string{"internal/lab", "internal/cli/demo", "internal/cli/bench", "internal/cli/chaos"}, "no program that runs a shop carries test servers"},
}

// alone imports nothing of ours but what is named.
var alone = map[string]struct {
	but    []string
	reason string
}{
	"internal/change": {nil, "it is the bottom"},
	"internal/verify": {[]string{"schemas"}, "the proof must not share a mistake with what it proves; its queries are embedded in schemas"},
}

func TestImportDirections(t *testing.T) {
	imports, err := readImports("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(imports) < 10 {
		t.Fatalf("found %d packages only: is this the module?", len(imports))
	}
	for _, breach := range breaches(imports) {
		t.Error(breach)
	}
}

// The rules find what they are for.
func TestBreachesAreFound(t *testing.T) {
	planted := map[string][]string{
		"internal/change":          {module + "schemas"},
		"internal/stream":          {module + "internal/apply"},
		"internal/source/mysql":    {module + "internal/target/postgres"},
		"internal/target/postgres": {module + "internal/source/mysql"},
		"internal/mirror":          {"github.com/segmentio/kafka-go/protocol", module + "internal/cli/demo"},
		"internal/verify":          {module + "internal/mirror"},
		"internal/cli/applier":     {module + "internal/lab/server"},
		"internal/helpers":         {"fmt"},
	}
	for pkg, imported := range planted {
		if found := breaches(map[string][]string{pkg: imported}); len(found) < len(imported) {
			t.Errorf("%s imports %v: found only %q", pkg, imported, found)
		}
	}
	sound := map[string][]string{
		"internal/stream":       {module + "internal/change", "github.com/segmentio/kafka-go"},
		"internal/source/mysql": {module + "internal/change", module + "internal/target/mysql"},
		"internal/cli/demo":     {module + "internal/lab/server", module + "internal/config"},
		"internal/lab/fleet":    {module + "internal/lab/server", module + "internal/verify"},
		"cmd/spola":             {module + "internal/cli/demo"},
	}
	if found := breaches(sound); len(found) > 0 {
		t.Errorf("sound imports are called breaches: %q", found)
	}
}

// breaches says what of the imports is against the rules.
func breaches(imports map[string][]string) []string {
	var found []string
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		if layer(pkg) < 0 && !under(pkg, "internal/lab") {
			found = append(found, pkg+" has no layer: say in this test where it stands")
			continue
		}
		for _, imported := range imports[pkg] {
			if why := breach(pkg, imported); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", pkg, imported, why))
			}
		}
	}
	return found
}

func breach(pkg, imported string) string {
	for _, rule := range only {
		if under(imported, rule.imported) && !slices.ContainsFunc(rule.by, func(by string) bool { return under(pkg, by) }) {
			return rule.reason
		}
	}
	ours, isOurs := strings.CutPrefix(imported, module)
	if !isOurs {
		return ""
	}
	for one, rule := range alone {
		if under(pkg, one) && !under(ours, one) && !slices.Contains(rule.but, ours) {
			return "it imports nothing else of ours: " + rule.reason
		}
	}
	if a, b := side(pkg), side(ours); a != "" && b != "" && a != b {
		return "the two databases' sides never import each other"
	}
	if layer(pkg) >= 0 && layer(ours) > layer(pkg) {
		return "that is above it"
	}
	return ""
}

// layer is the place of a package, -1 if it has none.
func layer(pkg string) int {
	return slices.IndexFunc(layers, func(entries []string) bool {
		return slices.ContainsFunc(entries, func(entry string) bool { return under(pkg, entry) })
	})
}

func side(pkg string) string {
	for entry, name := range sides {
		if under(pkg, entry) {
			return name
		}
	}
	return ""
}

// under tells whether a path is an entry or below it.
func under(p, entry string) bool { return p == entry || strings.HasPrefix(p, entry+"/") }

// readImports lists what each package imports outside its tests. Packages of tests only, and
// those without Go files, are left out.
func readImports(root string) (map[string][]string, error) {
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && entry.Name() != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := path.Clean(filepath.ToSlash(inside))
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[pkg] = append(found[pkg], imported)
		}
		return nil
	})
	return found, err
}

package all_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/all"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
)

// TestMain is the program spola too, where it is called so: the shell of a test needs one that it can call.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "spola" {
		os.Exit(cli.Main(all.Program()))
	}
	os.Exit(m.Run())
}

// parser reads a program's command lines, and prints here.
func parser(t *testing.T, p cli.Program) (*kong.Kong, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	k, err := p.Parser(kong.Writers(&out, &out), kong.Exit(func(int) { panic(exited{}) }))
	if err != nil {
		t.Fatal(err)
	}
	return k, &out
}

type exited struct{}

// help is what a command line with --help prints.
func help(t *testing.T, p cli.Program, words ...string) string {
	t.Helper()
	k, out := parser(t, p)
	func() {
		defer func() {
			if _, ok := recover().(exited); !ok {
				t.Errorf("%v --help does not end", words)
			}
		}()
		_, _ = k.Parse(append(words, "--help"))
	}()
	return out.String()
}

func programs() []cli.Program {
	return []cli.Program{cdc.Program(), applier.Program(), all.Program()}
}

// eachVerb calls do for every verb of every program.
func eachVerb(t *testing.T, do func(t *testing.T, p cli.Program, verb *kong.Node)) {
	for _, p := range programs() {
		k, _ := parser(t, p)
		for _, verb := range k.Model.Leaves(true) {
			t.Run(verb.FullPath(), func(t *testing.T) { do(t, p, verb) })
		}
	}
}

// words splits an example as the shell would in which it is typed.
func words(t *testing.T, line string) []string {
	t.Helper()
	line, _, _ = strings.Cut(line, " > ")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// Every verb says what it is for, and by examples which its own grammar takes.
func TestExamplesAreTaken(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"articles.csv", "golive-shop.csv"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eachVerb(t, func(t *testing.T, p cli.Program, verb *kong.Node) {
		examples := cli.ExamplesOf(verb)
		if len(examples) == 0 || verb.Help == "" {
			t.Fatalf("no help (%q) or no example", verb.Help)
		}
		shown := help(t, p, strings.Fields(verb.FullPath())[1:]...)
		for _, e := range examples {
			line := e.Line(verb)
			k, _ := parser(t, p)
			if taken, err := k.Parse(words(t, line)[1:]); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if taken.Selected().FullPath() != verb.FullPath() {
				t.Errorf("%s is %s", line, taken.Selected().FullPath())
			}
			if e.For == "" || !strings.Contains(shown, line) {
				t.Errorf("--help does not show %s (%s)", line, e.For)
			}
		}
		for _, f := range verb.Flags {
			if f.Help == "" {
				t.Errorf("--%s has no help", f.Name)
			}
		}
	})
}

// A verb that tells something tells it to programs, too, by named fields.
func TestResultsAreJSON(t *testing.T) {
	telling := regexp.MustCompile(`(^| )(run|broker|metrics|completion|schema)$`) // these run until they are ended, or print a file
	eachVerb(t, func(t *testing.T, _ cli.Program, verb *kong.Node) {
		has := slices.ContainsFunc(verb.Flags, func(f *kong.Flag) bool { return f.Name == "json" })
		if telling.MatchString(verb.FullPath()) {
			if has {
				t.Error("prints no result, and has --json")
			}
			return
		}
		result := cli.ResultOf(verb)
		if !has || result == nil {
			t.Fatalf("has --json: %v; says what it prints then: %v", has, result != nil)
		}
		many, ok := result.(cli.Results)
		if !ok {
			many = cli.Results{{Of: result}}
		}
		for _, r := range many {
			named(t, reflect.TypeOf(r.Of))
		}
	})
}

var jsonName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// named checks that each field has a name for JSON.
func named(t *testing.T, of reflect.Type) {
	t.Helper()
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		named(t, of.Elem())
	case reflect.Struct:
		if !strings.HasPrefix(of.PkgPath(), "github.com/spola-cdc/") {
			return
		}
		for i := range of.NumField() {
			f := of.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || f.IsExported() && name != "-" {
				named(t, f.Type)
			}
			if f.IsExported() && !f.Anonymous && name != "-" && !jsonName.MatchString(name) {
				t.Errorf("%s.%s has no name for JSON", of.Name(), f.Name)
			}
		}
	}
}

// The table of exit statuses is one: in the help of each program, and in the README.
func TestExitStatusesAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range cli.Exits {
		if row := fmt.Sprintf("| %d | %s |", e.Status, e.Meaning); !strings.Contains(string(readme), row) {
			t.Errorf("README has no row %s", row)
		}
		for _, p := range programs() {
			if row := fmt.Sprintf("\n  %-4d %s\n", e.Status, e.Meaning); !strings.Contains(help(t, p), row) {
				t.Errorf("%s --help has no row %s", p.Name, row)
			}
		}
	}
}

// A shell completes verbs, flags, values and names of files.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "spola")); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"spola app":                            "applier",
		"spola applier parked re":              "retry resolve",
		"spola applier status --js":            "--json",
		"spola --config x.yaml applier gol":    "golive",
		"spola demo --shop ma":                 "mariadb",
		"spola cdc run e":                      "erp",
		"spola applier articles --import FILE": "", // left to the shell
		"spola completion b":                   "bash",
	} {
		script := `eval "$(spola completion bash)"
			COMP_WORDS=($LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); compopt() { echo "files"; }
			_spola_complete; echo "${COMPREPLY[@]}"`
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "LINE="+line)
		out, err := cmd.CombinedOutput()
		got := strings.TrimSpace(string(out))
		if strings.Contains(line, "FILE") {
			want = "files"
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
}

// The verbs print values through one place, which keeps what customers type on its line.
func TestValuesArePrintedInOnePlace(t *testing.T) {
	for _, dir := range []string{"applier", "cdc", "spola"} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(string(text), "\n") {
				if strings.Contains(line, "fmt.Fprintf(env.Out,") || strings.Contains(line, "fmt.Fprintf(w,") {
					t.Errorf("%s:%d: printable.Printf keeps a value on its line", name, i+1)
				}
			}
		}
	}
}

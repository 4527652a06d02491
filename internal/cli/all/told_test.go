package all_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var told = regexp.MustCompile("`((?:cdc|applier|spola) [a-z][^`\n\"]*)`")

// No runbook, no page of the documentation and no message tells a tired person a command that does not exist.
func TestCommandsThatAreTold(t *testing.T) {
	known := map[string]*kong.Node{}
	for _, p := range programs() {
		k, _ := parser(t, p)
		known[k.Model.Name] = k.Model.Node
	}
	seen := 0
	err := filepath.WalkDir("../../..", func(path string, entry fs.DirEntry, err error) error {
		name := filepath.ToSlash(path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && name != "../../..":
			return fs.SkipDir
		case strings.HasSuffix(name, "_test.go"), !slices.Contains([]string{".go", ".md", ".yml", ".yaml", ".sql", ".service"}, filepath.Ext(name)), filepath.Base(name) == "CHANGELOG.md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, command := range told.FindAllStringSubmatch(string(text), -1) {
			seen++
			if wrong := unknown(known, command[1]); wrong != "" {
				t.Errorf("%s tells `%s`: %s", strings.TrimPrefix(name, "../../../"), command[1], wrong)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 150 {
		t.Errorf("%d commands were found only", seen)
	}
}

// unknown says what of a command there is not; empty: nothing. Words that stand for something are passed over.
func unknown(known map[string]*kong.Node, command string) string {
	words := strings.Fields(command)
	node := known[words[0]]
	flags := node.Flags
	for _, word := range words[1:] {
		if strings.HasPrefix(word, ">") {
			break
		}
		for flag := range strings.SplitSeq(word, "|") {
			name, is := strings.CutPrefix(flag, "--")
			name, _, _ = strings.Cut(strings.TrimRight(name, ",;.)"), "=")
			if is && !slices.ContainsFunc(flags, func(f *kong.Flag) bool { return f.Name == name }) {
				return "there is no flag --" + name
			}
		}
		if at := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Type == kong.CommandNode && n.Name == word }); at >= 0 {
			node = node.Children[at]
			flags = append(slices.Clone(flags), node.Flags...)
		} else if len(node.Children) > 0 && !strings.HasPrefix(word, "-") && node == known[words[0]] {
			return "there is no verb " + word
		}
	}
	return ""
}

func TestUnknownCommandsAreFound(t *testing.T) {
	known := map[string]*kong.Node{}
	for _, p := range programs() {
		k, _ := parser(t, p)
		known[k.Model.Name] = k.Model.Node
	}
	for command, want := range map[string]string{
		"applier statsu": "there is no verb statsu", "cdc run erp --new-incarnatio": "there is no flag --new-incarnatio", "applier parked resolve 4711 --take-shop|--keep": "there is no flag --keep",
		"cdc run erp --new-incarnation": "", "applier parked resolve 4711 --take-shop|--keep-erp|--drop --reason …": "", "applier articles --suggest > articles.csv": "",
	} {
		if got := unknown(known, command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

package cli

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// The snippets call the program itself for each completion, so that they need never be renewed.
var (
	//go:embed completion.bash
	bashCompletion string
	//go:embed completion.zsh
	zshCompletion string
	//go:embed completion.fish
	fishCompletion string
)

// completing is the first argument by which a shell asks what may come next.
const completing = "__complete"

// files is what a shell is told where a file's name is wanted.
const files = ":files"

// Completion is the verb `completion` of all programs.
type Completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Examples of it.
func (Completion) Examples() []Example {
	return []Example{
		{"bash > ~/.local/share/bash-completion/completions/PROGRAM", "for bash, from the next shell on"},
		{"zsh > /usr/local/share/zsh/site-functions/_PROGRAM", "for zsh, from the next shell on"},
		{"fish > ~/.config/fish/completions/PROGRAM.fish", "for fish"},
	}
}

// Run prints the snippet.
func (c Completion) Run(env *Env) error {
	text := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := io.WriteString(env.Out, strings.ReplaceAll(text, "PROGRAM", env.Program))
	return err
}

// complete prints what the last of the words may become, each with what it is good for behind a tab.
func complete(w io.Writer, root *kong.Node, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	at, last := completion{node: root}, words[len(words)-1]
	for _, word := range words[:len(words)-1] {
		at.pass(word)
	}
	for _, candidate := range at.candidates(last) {
		if candidate == files || strings.HasPrefix(candidate, last) {
			fmt.Fprintln(w, candidate)
		}
	}
}

// completion is how far a command line has been understood.
type completion struct {
	node   *kong.Node
	wanted *kong.Value // the value of the flag before
	args   int         // arguments passed
}

func (c *completion) pass(word string) {
	if c.wanted != nil {
		c.wanted = nil
		return
	}
	if strings.HasPrefix(word, "-") {
		if f := c.flag(word); f != nil && !f.IsBool() {
			c.wanted = f.Value
		}
		return
	}
	i := slices.IndexFunc(c.node.Children, func(n *kong.Node) bool { return n.Name == word })
	if i < 0 {
		c.args++
		return
	}
	c.node, c.args = c.node.Children[i], 0
}

func (c *completion) flag(word string) *kong.Flag {
	for _, group := range c.node.AllFlags(false) {
		for _, f := range group {
			if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
				return f
			}
		}
	}
	return nil
}

func (c *completion) candidates(last string) (found []string) {
	if c.wanted != nil {
		return values(c.wanted)
	}
	if strings.HasPrefix(last, "-") {
		for _, group := range c.node.AllFlags(true) {
			for _, f := range group {
				found = append(found, "--"+f.Name+"\t"+sentence(f.Help))
			}
		}
		return found
	}
	for _, n := range c.node.Children {
		if !n.Hidden {
			found = append(found, n.Name+"\t"+sentence(n.Help))
		}
	}
	if c.args < len(c.node.Positional) {
		found = append(found, values(c.node.Positional[c.args])...)
	}
	return found
}

// values are those that a flag or an argument may have.
func values(v *kong.Value) (found []string) {
	if v.Enum != "" {
		for _, value := range v.EnumSlice() {
			found = append(found, value+"\t"+sentence(v.Help))
		}
		return found
	}
	if slices.Contains([]string{"path", "existingfile", "existingdir"}, v.Tag.Type) {
		return []string{files}
	}
	return nil
}

// sentence is the first of a help text.
func sentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}

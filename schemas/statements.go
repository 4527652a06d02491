package schemas

import (
	"fmt"
	"io/fs"
	"strings"
)

// Statements reads a file of named statements: a line "-- name: …" begins one, and {prefix} in it
// is the shop's table prefix. Lines before the first name are for people.
func Statements(dir fs.FS, file, prefix string) (map[string]string, error) {
	text, err := fs.ReadFile(dir, file)
	if err != nil {
		return nil, fmt.Errorf("read statements: %w", err)
	}
	all, name := map[string]string{}, ""
	for line := range strings.Lines(strings.ReplaceAll(string(text), "{prefix}", prefix)) {
		if found, ok := strings.CutPrefix(line, "-- name: "); ok {
			name = strings.TrimSpace(found)
		} else if name != "" {
			all[name] += line
		}
	}
	return all, nil
}

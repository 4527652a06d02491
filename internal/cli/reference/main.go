// Command reference writes what is generated from the code about the command line and the files
// that people write: docs/commands.md, and a JSON Schema for each file. `go generate` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := write("../../.."); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// write writes all of it under the module's directory.
func write(module string) error {
	said := &comments{module: module}
	commands, err := commands(said)
	if err != nil {
		return err
	}
	files := map[string]string{"docs/commands.md": commands}
	for name, of := range settings() {
		if files["schemas/config/"+name+".schema.json"], err = of.schema(said); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(module, name), []byte(text), 0o644); err != nil { //nolint:gosec // for everybody to read
			return err
		}
	}
	return nil
}

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
)

const modulePath = "github.com/spola-cdc/spola/"

// comments finds what the source says of types and fields.
type comments struct {
	module string
	read   map[string]map[string]string // package → Type or Type.Field → comment
}

// of is what stands beside or above a field.
func (c *comments) of(t reflect.Type, field string) (string, error) {
	path, ours := strings.CutPrefix(t.PkgPath(), modulePath)
	if !ours {
		return "", nil
	}
	if c.read[path] == nil {
		if err := c.load(path); err != nil {
			return "", err
		}
	}
	return c.read[path][t.Name()+"."+field], nil
}

func (c *comments) load(path string) error {
	files, err := filepath.Glob(filepath.Join(c.module, path, "*.go"))
	if err != nil {
		return err
	}
	found := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("read the comments of %s: %w", name, err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				ofFields(found, spec)
			}
			return true
		})
	}
	if c.read == nil {
		c.read = map[string]map[string]string{}
	}
	c.read[path] = found
	return nil
}

func ofFields(found map[string]string, spec *ast.TypeSpec) {
	of, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range of.Fields.List {
		text := f.Comment.Text()
		if text == "" && len(f.Names) == 1 {
			text = f.Doc.Text()
		}
		for _, name := range f.Names {
			found[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
		}
	}
}

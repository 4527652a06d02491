// Package events compares records with the JSON Schemas that describe what stands on the
// topics. Tests hold the program to them: data engineers read the topics by these schemas.
package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/schemas"
)

// Checker holds the compiled schemas.
type Checker struct {
	kinds map[string]*jsonschema.Schema
}

const schemaSuffix = ".schema.json"

// NewChecker compiles the schemas.
func NewChecker() (*Checker, error) {
	files, err := fs.Glob(schemas.Events, "events/*"+schemaSuffix)
	if err != nil {
		return nil, fmt.Errorf("event schemas: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	ids := map[string]string{}
	for _, file := range files {
		id, err := addSchema(compiler, file)
		if err != nil {
			return nil, fmt.Errorf("event schema %s: %w", file, err)
		}
		if kind := strings.TrimSuffix(path.Base(file), schemaSuffix); kind != "common" {
			ids[kind] = id
		}
	}
	c := &Checker{kinds: map[string]*jsonschema.Schema{}}
	for kind, id := range ids {
		if c.kinds[kind], err = compiler.Compile(id); err != nil {
			return nil, fmt.Errorf("event schema %s: %w", kind, err)
		}
	}
	return c, nil
}

func addSchema(compiler *jsonschema.Compiler, file string) (id string, err error) {
	text, err := schemas.Events.ReadFile(file)
	if err != nil {
		return "", err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	id, ok := doc.(map[string]any)["$id"].(string)
	if !ok {
		return "", fmt.Errorf("it has no $id")
	}
	return id, compiler.AddResource(id, doc)
}

// kinds are the schemas' names for the ops of rows.
var kinds = map[change.Op]string{change.Create: "create", change.Update: "update", change.Delete: "delete", change.Read: "read"}

// Kind returns the name of the schema for an op.
func Kind(op change.Op) string {
	if kind, ok := kinds[op]; ok {
		return kind
	}
	return string(op)
}

// Check compares a record with the schema of its kind. Beyond it, the members of the envelope
// must stand in their order, without white space between them, for programs rely on it.
func (c *Checker) Check(r *change.Record) error {
	if err := c.check(r); err != nil {
		return fmt.Errorf("record %d/%d (op %s, key %s): %w", r.Gen, r.Seq, r.Op, r.Key, err)
	}
	return nil
}

func (c *Checker) check(r *change.Record) error {
	headers, err := json.Marshal(headersOf(r))
	if err != nil {
		return err
	}
	if err := c.CheckText(Kind(r.Op), headers, r.Key, r.Value); err != nil {
		return err
	}
	if r.Op == change.Fence {
		return nil
	}
	if _, err := change.ParseOrigin(r.Origin); err != nil {
		return err
	}
	_, _, err = change.Rows(r.Value)
	return err
}

// CheckText compares headers, key and value, each JSON text, with the schema of a kind.
func (c *Checker) CheckText(kind string, headers, key, value []byte) error {
	schema, ok := c.kinds[kind]
	if !ok {
		return fmt.Errorf("there is no schema for kind %q", kind)
	}
	text := fmt.Appendf(nil, `{"headers":%s,"key":%s,"value":%s}`, headers, key, value)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

// headersOf returns a record's headers as they stand on the topic.
func headersOf(r *change.Record) map[string]string {
	if r.Op == change.Fence {
		return map[string]string{"spola-op": string(r.Op)}
	}
	last := "0"
	if r.Last {
		last = "1"
	}
	return map[string]string{
		"spola-seq": strconv.FormatInt(r.Seq, 10), "spola-gen": strconv.FormatInt(r.Gen, 10), "spola-sum": change.FormatSum(r.Sum),
		"spola-table": r.Table, "spola-op": string(r.Op), "spola-schema": strconv.Itoa(r.Schema), "spola-origin": r.Origin, "spola-last": last,
	}
}

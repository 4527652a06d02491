package events_test

import (
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/schemas"
	"github.com/spola-cdc/spola/schemas/events"
)

// sample is a golden sample: headers, key and value.
type sample struct {
	Headers map[string]string `json:"headers"`
	Key     json.RawMessage   `json:"key"`
	Value   json.RawMessage   `json:"value"`
}

func samples(t *testing.T) map[string]sample {
	t.Helper()
	files, err := fs.Glob(schemas.Events, "events/*.sample.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	all := map[string]sample{}
	for _, file := range files {
		text, err := schemas.Events.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s sample
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(path.Base(file), ".sample.json")] = s
	}
	return all
}

func checker(t *testing.T) *events.Checker {
	t.Helper()
	c, err := events.NewChecker()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s sample) check(c *events.Checker) error {
	headers, err := json.Marshal(s.Headers)
	if err != nil {
		return err
	}
	return c.CheckText(events.Kind(change.Op(s.Headers["spola-op"])), headers, s.Key, s.Value)
}

func TestSamplesFitTheirSchemas(t *testing.T) {
	c := checker(t)
	for name, s := range samples(t) {
		if err := s.check(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Headers["spola-op"] == "fence" {
			continue
		}
		if _, err := change.ParseOrigin(s.Headers["spola-origin"]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachKindHasASampleAndASchema(t *testing.T) {
	all := samples(t)
	for _, op := range []change.Op{change.Create, change.Update, change.Delete, change.Read, change.Fence, change.Claim,
		change.Heartbeat, change.Probe, change.Schema, change.Chunk} {
		if _, ok := all[events.Kind(op)]; !ok {
			t.Errorf("op %s has no sample", op)
		}
	}
}

// What is broken in one place must not fit: a schema that takes everything proves nothing.
func TestSchemasRefuse(t *testing.T) {
	c := checker(t)
	for name, breaks := range map[string]func(s *sample){
		"a header is missing":   func(s *sample) { delete(s.Headers, "spola-last") },
		"a number is not one":   func(s *sample) { s.Headers["spola-seq"] = "042" },
		"a sum is short":        func(s *sample) { s.Headers["spola-sum"] = "abc" },
		"the origin is foreign": func(s *sample) { s.Headers["spola-origin"] = "offset 12" },
		"the key has no table":  func(s *sample) { s.Key = json.RawMessage(`{"key":{"order_id":1}}`) },
		"the key is of another": func(s *sample) { s.Key = json.RawMessage(`{"spola":"other"}`) },
		"the op is another":     func(s *sample) { s.Value = json.RawMessage(strings.Replace(string(s.Value), `"op": "`, `"op": "x`, 1)) },
		"no source": func(s *sample) {
			s.Value = json.RawMessage(strings.Replace(string(s.Value), `"source"`, `"origin"`, 1))
		},
	} {
		for kind, s := range samples(t) {
			if kind == "fence" {
				continue
			}
			breaks(&s)
			if s.check(c) == nil {
				t.Errorf("%s: taken though %s", kind, name)
			}
		}
	}
}

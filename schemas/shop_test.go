package schemas

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestPlatformsLoad(t *testing.T) {
	entries, err := Shops.ReadDir("shop")
	if err != nil || len(entries) == 0 {
		t.Fatalf("platforms: %v, %v", entries, err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		p, _, err := Platform(e.Name())
		if err != nil {
			t.Error(err)
		} else if p.Platform != e.Name() {
			t.Errorf("directory %s holds platform %s", e.Name(), p.Platform)
		}
	}
}

// A version that is called supported has a profile, and the profile says so too.
func TestSupportedPlatformsHaveAProfile(t *testing.T) {
	known, err := KnownPlatforms()
	if err != nil {
		t.Fatal(err)
	}
	supported := 0
	for _, k := range known {
		for _, v := range k.Versions {
			if !v.Supported {
				continue
			}
			supported++
			if p, _, err := Platform(k.Platform); err != nil {
				t.Error(err)
			} else if !strings.Contains(p.Versions, v.Version) {
				t.Errorf("%s %s is called supported, its profile is for %s", k.Title, v.Version, p.Versions)
			}
		}
	}
	if supported == 0 {
		t.Error("no platform is supported")
	}
}

func TestNoSecretLeavesTheShop(t *testing.T) {
	p, _, err := Platform("opencart")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range p.Tables {
		for _, column := range table.Columns {
			switch column {
			case "password", "token", "ip", "forwarded_ip", "user_agent", "salt":
				t.Errorf("%s.%s is captured", table.Name, column)
			}
		}
	}
	if only := p.Table("setting").Only; only == nil || only.Column != "key" {
		t.Error("every setting leaves the shop, passwords of its mail server included")
	}
}

func TestProfileIsRefused(t *testing.T) {
	const good = `platform: x
state: {table: o, column: s}
placed: {table: o, column: t}
complete: h
tables:
  - {name: o, kind: order, key: [id], order: id, columns: [id, s, t]}
  - {name: h, kind: order, key: [id], order: o, columns: [id, o]}
`
	load := func(text string) error {
		_, err := LoadProfile(fstest.MapFS{ProfileFile: {Data: []byte(text)}}, ".")
		return err
	}
	if err := load(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"unknown key":           {"complete: h", "complete: h\nkomplete: h"},
		"state not captured":    {"columns: [id, s, t]", "columns: [id, t]"},
		"date not captured":     {"columns: [id, s, t]", "columns: [id, s]"},
		"key not captured":      {"key: [id], order: o", "key: [no], order: o"},
		"order not captured":    {"order: o", "order: no"},
		"unknown kind":          {"kind: order", "kind: odder"},
		"completeness earlier":  {"complete: h", "complete: o"},
		"unknown kind of total": {"complete: h", "complete: h\ntotals: {tax: taxes}"},
		"consumes unknown":      {"complete: h", "complete: h\nconsumes: [{table: o, column: q}]"},
	} {
		if err := load(strings.Replace(good, edit[0], edit[1], 1)); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

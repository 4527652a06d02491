package schemas

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
)

// KnownPlatform is a shop platform that can be told from others by its tables, whether or not
// Spola can read it.
type KnownPlatform struct {
	Platform string            `yaml:"platform"` // opencart: the directory with its profile, if it has one
	Title    string            `yaml:"title"`    // OpenCart
	Tables   []string          `yaml:"tables"`   // without prefix; all must be there
	Versions []PlatformVersion `yaml:"versions"`
}

// PlatformVersion is one that differs from the others by its columns.
type PlatformVersion struct {
	Version   string   `yaml:"version"`   // for people
	Columns   []string `yaml:"columns"`   // table.column, without prefix; all must be there
	Supported bool     `yaml:"supported"` // there is a profile that fits it
}

// KnownPlatforms lists them, as platforms.yaml has them.
func KnownPlatforms() ([]KnownPlatform, error) {
	text, err := Shops.ReadFile("shop/platforms.yaml")
	if err != nil {
		return nil, fmt.Errorf("read the list of platforms: %w", err)
	}
	var all []KnownPlatform
	if err := yaml.UnmarshalWithOptions(text, &all, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("platforms.yaml: %w", err)
	}
	for _, p := range all {
		if p.Platform == "" || p.Title == "" || len(p.Tables) == 0 || len(p.Versions) == 0 {
			return nil, errors.New("platforms.yaml: platform " + p.Platform + " has no title, no tables or no versions")
		}
	}
	return all, nil
}

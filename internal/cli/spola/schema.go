package spola

import (
	"fmt"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/schemas"
)

// Schema is `spola schema`.
type Schema struct {
	Of string `arg:"" enum:"spola,shop" help:"spola for spola.yaml, shop for the shop file."`
}

// Run prints it.
func (s Schema) Run(env *cli.Env) error {
	text, err := schemas.Config.ReadFile("config/" + s.Of + ".schema.json")
	if err != nil {
		return fmt.Errorf("print the schema of %s: %w", s.Of, err)
	}
	_, err = env.Out.Write(text)
	return err
}

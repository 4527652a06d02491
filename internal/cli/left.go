package cli

import (
	"errors"
	"fmt"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/stream"
)

// LeftBehind adds to the error of a log that is empty that it may have stood on the embedded broker: then
// it was moved, not lost, and nothing need be read again.
func LeftBehind(cfg config.Config, err error) error {
	move := cfg.LeftBehind()
	if move == "" || !errors.Is(err, stream.ErrEmpty) {
		return err
	}
	return fmt.Errorf("%w. But the embedded broker has left its data in %s: if that is where the log stood, it goes on here from its end with %s "+
		"(README, \"the log moves to other brokers\")", err, cfg.Broker.Dir, move)
}

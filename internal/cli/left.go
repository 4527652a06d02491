package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/stream"
)

// LeftBehind adds to the error of a log that is empty where it may have stood before: on the embedded
// broker, whose data still lies in its directory. Then it was moved, not lost, and nothing need be read again.
func LeftBehind(cfg config.Config, err error) error {
	if !errors.Is(err, stream.ErrEmpty) || cfg.Embedded() {
		return err
	}
	if _, missing := os.Stat(filepath.Join(cfg.Broker.Dir, "lock")); missing != nil {
		return err
	}
	return fmt.Errorf("%w. But the embedded broker has left its data in %s: if that is where the log stood, it goes on from its end here with "+
		"`spola broker --dir %s --listen %s` and, beside it, `cdc run --moved-from %s` (README, \"the log moves to other brokers\")",
		err, cfg.Broker.Dir, cfg.Broker.Dir, cfg.Broker.Listen, cfg.Broker.Listen)
}

package cli

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/notice"
)

// Watched runs a stream. Where somebody is told of what stops, it leaves what the stream says that no restart mends where the notices
// find it: neither the ERP nor Kafka need be there for that.
func Watched(cfg config.Config, stream string, log zerolog.Logger, run func() error) error {
	if !cfg.Notices.Tells() {
		return run()
	}
	if err := notice.Begin(cfg.Notices.Dir, cfg.Shop.Name, stream); err != nil {
		log.Warn().Err(err).Msg("notices may say that it has stopped")
	}
	err := run()
	if status := ExitStatus(err); status == ExitStopped || status == ExitConfiguration {
		words := notice.Words{Stream: stream, At: time.Now(), Status: status, Said: Sentence(err)}
		if left := notice.Leave(cfg.Notices.Dir, cfg.Shop.Name, words); left != nil {
			log.Warn().Err(left).Msg("notices can't say why it has stopped")
		}
	}
	return err
}

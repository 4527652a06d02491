package ops

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/mail"
	"github.com/spola-cdc/spola/internal/notice"
)

// Notices say who is told by mail of what the looks find, and how.
type Notices struct {
	To     string
	Dir    string // of what was told, and of the streams' last words
	Hour   string // of the daily digest, such as 08:00; empty: never
	Server mail.Server
	Rules  notice.Rules
	Log    zerolog.Logger
}

// Tell mails one text now. A server that stalls holds up notices for two minutes at most.
func (n Notices) Tell(ctx context.Context, subject, text string) error {
	server := n.Server
	server.Times = mail.Times{Connect: 20 * time.Second, Step: 20 * time.Second, Body: 30 * time.Second, Last: 30 * time.Second}
	return server.Tell(ctx, n.To, subject, text)
}

func (n Notices) notifier(w *watch) *notice.Notifier {
	shop := w.of.Shop
	return &notice.Notifier{Shop: shop, Dir: n.Dir, At: n.Hour, Send: n.Tell, Rules: n.Rules, Log: n.Log,
		Look: func() notice.Sight {
			words := notice.Left(n.Dir, shop)
			pic, trip := w.told()
			if pic == nil {
				return blind(words)
			}
			return pic.sight(trip, words)
		},
		Digest: func(before map[string]int64) (string, map[string]int64) {
			pic, trip := w.told()
			if pic == nil {
				return "Nothing has been asked yet.\n", before
			}
			return pic.digest(trip, before)
		},
	}
}

// OpenNow is what a person would be told now, by one look. What has to hold for some time is taken at the word of its own clock.
func OpenNow(ctx context.Context, of Pipeline, dir string) []notice.Cause {
	looking, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	return of.Look(looking, false).sight(Trip{}, notice.Left(dir, of.Shop)).Causes
}

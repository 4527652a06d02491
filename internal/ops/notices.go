package ops

import (
	"context"
	"errors"
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

// OpenNow is what a person would be told now, by one look. What has to hold for some time is taken at the word of its own clock; what
// only a probe can show, at that of the process that looks again and again and tells, where one does.
func OpenNow(ctx context.Context, of Pipeline, dir string) []notice.Cause {
	looking, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	pic, standing := of.Look(looking, false), notice.Standing(dir, of.Shop)
	return sinceThen(pic.sight(tripOf(standing), notice.Left(dir, of.Shop)).Causes, standing)
}

// sinceThen dates causes back to when the process that tells has first seen them.
func sinceThen(causes, standing []notice.Cause) []notice.Cause {
	for i, c := range causes {
		for _, s := range standing {
			if s.Reason == c.Reason && s.Since.Before(c.Since) {
				causes[i].Since = s.Since
			}
		}
	}
	return causes
}

// errByProbe stands for what the shop's server has said to the process that tells, which alone has it.
var errByProbe = errors.New("so says the process that tells (spola metrics or spola run): its page and /readyz?verbose have what the server said")

// tripOf is the probe's trip as what stands of its causes tells it.
func tripOf(standing []notice.Cause) (t Trip) {
	for _, c := range standing {
		switch c.Reason {
		case stoppedReader:
			t.Log.Waiting = time.Since(c.Since)
		case refusesShop:
			t.Refused, t.Err = time.Since(c.Since), errByProbe
		}
	}
	return t
}

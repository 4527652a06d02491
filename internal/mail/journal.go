package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// How an attempt stands in the journal.
const (
	begun   = "sending" // written before DATA
	arrived = "sent"
	refused = "refused" // to be tried again
	given   = "failed"  // not to be tried again
)

// Entry is what the journal has of an attempt: enough to know after a restore of the ERP that a mail was sent and which numbers
// customers have read, and nothing of who they are.
type Entry struct {
	Key       string    `json:"key"`
	Shop      string    `json:"shop"`
	Kind      string    `json:"kind"`
	State     string    `json:"state"`
	Attempt   int       `json:"attempt"`
	MessageID string    `json:"message_id"`
	Order     string    `json:"order"`      // W2026/17
	ShopOrder string    `json:"shop_order"` // the shop's number of it
	Documents []string  `json:"documents"`  // F2026/17; DDT2026/5 of a parcel
	At        time.Time `json:"at"`
}

func (e Entry) append(ctx context.Context, j *stream.Journal) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal entry of %s: %w", e.Key, err)
	}
	return j.Append(ctx, e.Key, value)
}

// ReadEntries calls each with the journal's entries from the offset on, and returns the offset behind them.
func ReadEntries(ctx context.Context, j *stream.Journal, from int64, each func(Entry) error) (next int64, err error) {
	return j.Read(ctx, from, func(key string, value []byte) error {
		var e Entry
		if err := json.Unmarshal(value, &e); err != nil || e.Key != key {
			return &postgres.StopError{What: fmt.Sprintf("the journal of mails has an entry %q that is none of Spola's", key),
				Mend: "find out who writes that topic; nothing is mailed until it can be trusted", Err: err}
		}
		return each(e)
	})
}

var documentNumber = regexp.MustCompile(`^([A-Z]+[0-9]{4})/([0-9]{1,18})$`)

// Numbers returns the highest number of each series and year that customers have read of: "F2026" → 17. After a restore the ERP
// must not give them out again.
func Numbers(ctx context.Context, j *stream.Journal) (map[string]int64, error) {
	highest := map[string]int64{}
	_, err := ReadEntries(ctx, j, 0, func(e Entry) error {
		read(highest, append(e.Documents, e.Order))
		return nil
	})
	return highest, err
}

// read takes note of numbers, the highest of each series.
func read(highest map[string]int64, numbers []string) {
	for _, number := range numbers {
		if m := documentNumber.FindStringSubmatch(number); m != nil {
			n, _ := strconv.ParseInt(m[2], 10, 64) // 18 digits fit
			highest[m[1]] = max(highest[m[1]], n)
		}
	}
}

// unheard stops if customers have read of a document that the ERP has not given a number out for.
func unheard(ctx context.Context, tx pgx.Tx, highest map[string]int64, given func(context.Context, pgx.Tx) (map[string]int64, error)) error {
	if given == nil || len(highest) == 0 {
		return nil
	}
	last, err := given(ctx, tx)
	if err != nil || last == nil {
		return err
	}
	for _, series := range slices.Sorted(maps.Keys(highest)) {
		if highest[series] > last[series] {
			return postgres.Restored(fmt.Sprintf("by the journal of mails a customer has read of %s/%d, and the last that it knows is %d", series, highest[series], last[series]))
		}
	}
	return nil
}

// fold brings what the journal knows into the outbox: attempts that a sender did not live to see the end of, and all that a
// restored ERP has forgotten. Called with the sender's lock, before anything is sent.
func fold(ctx context.Context, conn *pgx.Conn, j *stream.Journal, shop string, given func(context.Context, pgx.Tx) (map[string]int64, error), log zerolog.Logger) error {
	var from int64
	if err := conn.QueryRow(ctx, statements["journal"], shop).Scan(&from); err != nil {
		return postgres.Explain(fmt.Errorf("read the place in the journal of mails: %w", err))
	}
	last, highest := map[string]Entry{}, map[string]int64{}
	entries := func(from int64) (int64, error) {
		return ReadEntries(ctx, j, from, func(e Entry) error {
			read(highest, e.Documents)
			if e.Shop == shop && e.Attempt >= last[e.Key].Attempt {
				last[e.Key] = e
			}
			return nil
		})
	}
	next, err := entries(from)
	if errors.Is(err, stream.ErrForgotten) {
		log.Warn().Err(err).Msg("the journal of mails was made anew: the outbox alone knows what was sent before")
		next, err = entries(0)
	}
	if err != nil {
		return err
	}
	return postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		if err := unheard(ctx, tx, highest, given); err != nil {
			return err
		}
		restored := 0
		for _, e := range last {
			n, err := e.fold(ctx, tx)
			if err != nil {
				return postgres.Explain(fmt.Errorf("mail %s, known from the journal: %w", e.Key, err))
			}
			restored += n
		}
		if restored > 0 {
			log.Warn().Int("mails", restored).Msg("the journal knows of mails that the outbox did not: the ERP was restored; they are not sent again")
		}
		if _, err := tx.Exec(ctx, statements["abandoned"], shop); err != nil {
			return postgres.Explain(fmt.Errorf("mails whose sender has ended: %w", err))
		}
		_, err := tx.Exec(ctx, statements["journaled"], shop, next)
		return postgres.Explain(err)
	})
}

const (
	whyInterrupted = "the sender ended before the server's answer: ask the customer, or look into the server's log; applier mail resend sends it again"
	whyRestored    = "the ERP was restored; the journal of mails knows that it was begun, not how it ended"
)

// fold settles one mail by its last attempt. It returns 1 if the outbox did not have it.
func (e Entry) fold(ctx context.Context, tx pgx.Tx) (restored int, err error) {
	state := map[string]string{begun: Unknown, arrived: Sent, given: Failed}[e.State]
	var attempts int
	var is string
	err = tx.QueryRow(ctx, statements["known"], e.Key).Scan(&attempts, &is)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && state == "":
		return 0, nil // it was refused: what causes it queues it again
	case errors.Is(err, pgx.ErrNoRows):
		document := ""
		if e.Kind == Invoice && len(e.Documents) > 0 {
			document = e.Documents[0]
		}
		reason := map[string]string{Unknown: whyRestored, Failed: "it had failed before the ERP was restored"}[state]
		_, err = tx.Exec(ctx, statements["restore"], e.Key, e.Shop, e.Kind, e.Order, e.ShopOrder, document, state, reason, e.Attempt, e.MessageID, e.At)
		return 1, err
	case err != nil:
		return 0, err
	case e.Attempt < attempts, is == Sent, is == Failed, is == Unknown && state != Sent:
		return 0, nil
	case state == "":
		state = Queued
	}
	reason := ""
	if state == Unknown {
		reason = whyInterrupted
	}
	_, err = tx.Exec(ctx, statements["settle"], e.Key, state, reason, e.Attempt, e.At)
	return 0, err
}

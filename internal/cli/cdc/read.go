package cdc

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/stream"
)

// ReadOptions are what a program that holds the reader wants of it.
type ReadOptions struct {
	Log            zerolog.Logger
	Source         string // Shop or ERP; empty: the shop
	File           string // of the configuration, for messages
	NewGeneration  bool
	MovedFrom      []string
	NewIncarnation bool
}

func (o ReadOptions) logger(topic string) zerolog.Logger {
	return o.Log.With().Str("component", "cdc").Str("log", topic).Logger()
}

// goodbye is how long a reader that is told to stop waits for what it has sent.
const goodbye = 5 * time.Second

// Read reads a source into its log until ctx ends or a person must act.
func Read(ctx context.Context, cfg config.Config, o ReadOptions) error {
	err := read(ctx, cfg, o)
	if err != nil && o.Source == ERP {
		return ofERP{err}
	}
	return err
}

// ofERP names the ERP in the verbs that an error of its log recommends: without a word they would be about
// the shop's log.
type ofERP struct{ error }

func (e ofERP) Error() string {
	text := strings.ReplaceAll(e.error.Error(), "`cdc run --", "`cdc run erp --")
	if errors.Is(e.error, stream.ErrFenced) {
		text += "; where several shops share the ERP, one spola.yaml has erp.log.user, the others have erp.log.elsewhere: true"
	}
	return text
}

func (e ofERP) Unwrap() error { return e.error }

func read(ctx context.Context, cfg config.Config, o ReadOptions) error {
	from, err := sourceOf(cfg, o)
	if err != nil {
		return err
	}
	kafka := from.kafka()
	begin, err := beginning(ctx, from, kafka, o)
	if err != nil {
		return err
	}
	if _, err := stream.EnsureTopic(ctx, kafka, cfg.TopicSettings()); err != nil {
		return err
	}
	// Before the log is taken from whoever writes it now.
	if found, err := stream.ReadTail(ctx, kafka); err == nil {
		if err := from.owns(ctx, tailOf(found)); err != nil {
			return err
		}
	}
	writer, found, err := stream.Acquire(ctx, kafka, begin)
	if err != nil {
		return cli.LeftBehind(cfg, err)
	}
	end, err := known(ctx, tailOf(found), kafka.Log)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	return errors.Join(follow(ctx, from, writer, end), writer.Close())
}

// follow reads until ctx ends, or the writer has lost the log.
func follow(ctx context.Context, from source, writer *stream.Writer, t *tail) error {
	group, reading := errgroup.WithContext(ctx)
	group.Go(func() error { return from.read(reading, t, writer) })
	group.Go(func() error {
		select {
		case <-reading.Done():
			return nil
		case <-writer.Done():
			return writer.Err()
		}
	})
	err := group.Wait()
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	return writer.Flush(last)
}

// tail is the end of the log as a source's reader wants it: its own type has the same fields.
type tail struct {
	Empty       bool
	Generation  int64
	Predecessor *change.Predecessor
	Each        func(ctx context.Context, fold func([]change.Record) error) error
}

func tailOf(t *stream.Tail) *tail {
	return &tail{Empty: t.Offset < 0, Generation: t.Generation, Predecessor: t.Predecessor, Each: t.Each}
}

// known is what of the tail is to be gone on from. Behind a log that can't be followed to its end any
// more (it was compacted, say) a new generation begins as if the one before were lost, but for its last
// record, which names the place in the source's own log.
func known(ctx context.Context, t *tail, log zerolog.Logger) (*tail, error) {
	if t.Empty || t.Predecessor == nil {
		return t, nil
	}
	err := t.Each(ctx, func([]change.Record) error { return nil })
	if errors.Is(err, stream.ErrStopped) {
		log.Warn().Err(err).Msg("the generation before is not whole: all tables are read anew, from its last record on")
		t.Empty = true
		return t, nil
	}
	return t, err
}

// beginning decides what an empty log means. It is a first start only if the source was never
// read; else somebody emptied the log, and a person has to say so.
func beginning(ctx context.Context, from source, kafka stream.Config, o ReadOptions) (stream.Begin, error) {
	begin := stream.Begin{Owner: cli.Owner(), NewGeneration: o.NewGeneration || o.NewIncarnation || len(o.MovedFrom) > 0}
	if len(o.MovedFrom) > 0 {
		old := kafka
		old.Brokers = o.MovedFrom
		var err error
		if begin.Predecessor, err = endOf(ctx, old, begin.Owner); err != nil {
			return stream.Begin{}, err
		}
	}
	read, err := from.wasRead(ctx)
	if err != nil {
		return stream.Begin{}, err
	}
	begin.First = !read
	return begin, nil
}

// endOf ends the old log's time, so that nobody writes there any more, and tells how it ends.
func endOf(ctx context.Context, old stream.Config, owner string) (*change.Predecessor, error) {
	writer, tail, err := stream.Acquire(ctx, old, stream.Begin{Owner: owner + ", moving the log away"})
	if err != nil {
		return nil, err
	}
	return &change.Predecessor{Gen: tail.Place.Gen, Seq: tail.Place.Seq, Sum: change.FormatSum(tail.Place.Sum), Origin: tail.Origin}, writer.Close()
}

// Package broker is the embedded broker of demo, tests and trying it out: franz-go's kfake
// behind a guard, its data in a directory, every batch synced before it is acknowledged.
//
// A shop that lives from it should run Apache Kafka instead; one broker of 360 MB will do,
// and the same binaries with --brokers. What this one is not:
//
//   - It has one broker and no replicas: its disk is the only copy.
//   - It listens on the loopback only, for it has neither passwords nor encryption here.
//   - After a crash it forgets which batches it has seen, and gives an epoch to whoever asks
//     with an old one. Package stream is made for this (its fences and its reading of the
//     tail); other idempotent producers may write twice across a crash.
//   - After a crash it reads its whole data into memory once, to find where it ends, and it
//     keeps about 80 bytes a batch: fit for some gigabytes, not for more.
//   - It never compacts, and topics keep their records until the age that Config names;
//     whatever retention a client asks for is taken as "for ever" and left to that.
//   - Records are deleted from the front by whole files, and after a crash some of them may
//     be there again. The last record of a topic always stays.
//   - An error of the disk while syncing is not seen. A full disk is: the batch is refused.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Config says where the embedded broker keeps its data and where it listens.
type Config struct {
	Dir    string // made with mode 0700; one broker a directory
	Listen string // host:port on the loopback; port 0 chooses a free one
	Log    zerolog.Logger

	// Advertise is the host:port that clients are told to connect to, such as a proxy's.
	// Empty: where the broker listens.
	Advertise string

	// Retention is the age at which records are deleted. 0 means 14 days.
	Retention time.Duration
}

const (
	defaultRetention = 14 * 24 * time.Hour
	trimEvery        = time.Hour

	// maxFrame is the largest request taken: a batch of 4 MiB and then some.
	maxFrame = 8 << 20
)

// Broker is a running embedded broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *flock.Flock
	addr    string
	policy  *policy
	cancel  context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
}

// Start opens the data directory and listens. It returns when clients can connect. The
// context is for starting only; Close ends the broker.
func Start(ctx context.Context, cfg Config) (*Broker, error) {
	if cfg.Retention == 0 {
		cfg.Retention = defaultRetention
	}
	lock, err := openDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{lock: lock, policy: newPolicy()}
	if err := b.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context, cfg Config) error {
	listener, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	b.addr = listener.Listener.Addr().String()
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1), kfake.DefaultNumPartitions(1),
		kfake.DataDir(filepath.Join(cfg.Dir, "data")), kfake.SyncWrites(),
		kfake.ClusterID("spola-embedded"),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.WithLogger(logger{cfg.Log}), kfake.MaxVersions(versions()),
		// Retention is applied to all topics once one has it; ours are trimmed by trim.
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1", "log.retention.bytes": "-1", "message.max.bytes": fmt.Sprint(maxFrame / 2)}),
	)
	if err != nil {
		return errors.Join(fmt.Errorf("start the embedded broker in %s: %w", cfg.Dir, err), listener.Close())
	}
	b.policy.install(b.cluster)
	trimming, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.running.Go(func() { b.trimAlways(trimming, cfg) })
	return nil
}

// versions is what the broker speaks: what Kafka 4.3 does, less a request that kfake answers with
// a null where Kafka's own tools expect a list. Without it they ask in the older way.
func versions() *kversion.Versions {
	v := kversion.V4_3_0()
	v.SetMaxKeyVersion(int16(kmsg.DescribeTopicPartitions), -1)
	return v
}

// openDir makes the directory and locks it: two brokers in it would write over each other.
func openDir(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the embedded broker's directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it may have been there with another mode
		return nil, fmt.Errorf("close the embedded broker's directory to others: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the embedded broker's directory %s: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("another broker runs in %s", dir)
	}
	return lock, nil
}

func listen(ctx context.Context, cfg Config) (*guard, error) {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: listen on %q: %w", cfg.Listen, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("embedded broker: listen on %q: it has no passwords, so it listens on the loopback only, such as 127.0.0.1:9092; run Apache Kafka for more", cfg.Listen)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return &guard{Listener: l, log: cfg.Log, advertise: cfg.Advertise}, nil
}

// Addr returns the host:port where the broker listens.
func (b *Broker) Addr() string { return b.addr }

// Close ends the broker and waits for it.
func (b *Broker) Close() error {
	var err error
	b.once.Do(func() {
		b.cancel()
		b.running.Wait()
		b.cluster.Close()
		err = b.lock.Close()
	})
	return err
}

// logger passes on what kfake has to say.
type logger struct{ log zerolog.Logger }

// Logf writes what kfake has to say: its errors and warnings only.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error().Msgf("embedded broker: "+format, args...)
	case kfake.LogLevelWarn:
		l.log.Warn().Msgf("embedded broker: "+format, args...)
	}
}

//go:build chaos

package stream

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// The partition's leader of three brokers is killed again and again under load. Every
// acknowledged record stays, once; writer and reader go on by themselves.
func TestLeadersDie(t *testing.T) {
	cluster := server.PrivateKafka(t, 3, nil)
	cfg := freshLog(t, cluster.Addrs())
	w, _ := own(t, cfg)
	r := open(t, cfg, Position{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var want []change.Record
	kills := 0
	next := time.Now().Add(2 * time.Second)
	down := -1
	var longest time.Duration
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
		some := rows(len(want), len(want)+1+random.IntN(50))
		begin := time.Now()
		if err := w.Append(t.Context(), some); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(begin))
		want = append(want, some...)
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(time.Duration(2+random.IntN(5)) * time.Second)
		if down >= 0 {
			if err := cluster.Brokers[down].Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			down = -1
			continue
		}
		if down = leader(t, cfg, cluster); down < 0 {
			continue
		}
		kills++
		if err := cluster.Brokers[down].Kill(); err != nil {
			t.Fatal(err)
		}
	}
	sameRecords(t, want, take(t, r, len(want)+1)[1:])
	sameRecords(t, want, whole(t, cfg)[1:])
	t.Logf("%d leaders killed, %d records, longest pause %s", kills, len(want), longest)
}

// leader returns which of the cluster's brokers leads the log's partition.
func leader(t testing.TB, cfg Config, cluster *server.Cluster) int {
	t.Helper()
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	res, err := s.client.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{cfg.Topic}})
	if err != nil || len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return -1
	}
	return res.Topics[0].Partitions[0].Leader.ID - 1
}

package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/stream"
)

// Kafka's own command-line tools read the log, its topic and an applier's lag, on the embedded
// broker as on Apache Kafka.
func TestToolsOfKafka(t *testing.T) {
	lab := server.PrivateLab(t)
	t.Run("embedded", func(t *testing.T) {
		b, err := broker.Start(t.Context(), broker.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		toolsOfKafka(t, lab, b.Addr())
	})
	t.Run("Kafka", func(t *testing.T) { toolsOfKafka(t, lab, server.Kafka(t)[0]) })
}

func toolsOfKafka(t *testing.T, lab *server.Lab, addr string) {
	topic := "tools." + time.Now().Format("150405.000000000")
	cfg := stream.Config{Brokers: []string{addr}, Topic: topic, Log: zerolog.Nop()}
	if _, err := stream.EnsureTopic(t.Context(), cfg, stream.TopicSettings{}); err != nil {
		t.Fatal(err)
	}
	w, tail, err := stream.Acquire(t.Context(), cfg, stream.Begin{Owner: "test", First: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Append(t.Context(), []change.Record{claim(tail), row(1), row(2)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, last := w.Acked()
	group := topic + ".intake"
	if err := stream.CommitOffset(t.Context(), cfg, group, last-1); err != nil {
		t.Fatal(err)
	}
	const tools = "org.apache.kafka.tools."
	for _, tool := range []struct {
		class string
		args  []string
		want  []string // words that follow each other
	}{
		{tools + "TopicCommand", []string{"--describe", "--topic", topic}, []string{"PartitionCount: 1", "cleanup.policy=delete", "Partition: 0"}},
		{tools + "consumer.group.ConsumerGroupCommand", []string{"--describe", "--group", group}, []string{fmt.Sprintf("%s %s 0 %d %d 1 ", group, topic, last, last+1)}},
		{tools + "GetOffsetShell", []string{"--topic", topic}, []string{topic + ":0:"}},
		{tools + "consumer.ConsoleConsumer", []string{"--topic", topic, "--from-beginning", "--max-messages", "4", "--timeout-ms", "30000",
			"--formatter-property", "print.headers=true"}, []string{"spola-seq:1", "spola-seq:2", "spola-table:t", `{"n":1}`, "spola-seq:3"}},
	} {
		out, err := lab.KafkaTool(t.Context(), tool.class, append([]string{"--bootstrap-server", addr}, tool.args...)...)
		if err != nil {
			t.Errorf("%s: %v", tool.class, err)
			continue
		}
		rest := strings.Join(strings.Fields(out), " ")
		for _, word := range tool.want {
			_, after, found := strings.Cut(rest, word)
			if !found {
				t.Errorf("%s does not print %q, or not in order, in:\n%s", tool.class, word, out)
				break
			}
			rest = after
		}
	}
}

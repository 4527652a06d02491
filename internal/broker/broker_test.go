package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/stream"
)

// TestMain is also the broker that the tests kill: a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SPOLA_TEST_BROKER_DIR"); dir != "" {
		serve(dir, os.Getenv("SPOLA_TEST_BROKER_LISTEN"))
	}
	os.Exit(m.Run())
}

func serve(dir, listen string) {
	b, err := broker.Start(context.Background(), broker.Config{Dir: dir, Listen: listen, Log: zerolog.New(os.Stderr)})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(b.Addr())
	io.Copy(io.Discard, os.Stdin) // until the test ends, if it does not kill first
	b.Close()
	os.Exit(0)
}

// child is a broker in a process of its own.
type child struct {
	cmd  *exec.Cmd
	addr string
	in   io.WriteCloser
}

func spawn(t testing.TB, dir, listen string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SPOLA_TEST_BROKER_DIR="+dir, "SPOLA_TEST_BROKER_LISTEN="+listen)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error:") {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("the broker did not start: %s%v", line, err)
	}
	return &child{cmd: cmd, addr: strings.TrimSpace(line), in: in}
}

func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

func (c *child) stop() {
	c.in.Close()
	c.cmd.Wait()
}

func claim(tail *stream.Tail) change.Record {
	return change.Record{Op: change.Claim, Time: time.Now().UnixMilli(), Origin: "claim none", Last: true, Key: change.OwnKey(change.Claim),
		Value: fmt.Appendf(nil, `{"op":"m","message":{"kind":"claim","generation":%d}}`, tail.Generation)}
}

func row(n int) change.Record {
	return change.Record{Op: change.Create, Time: time.Now().UnixMilli(), Table: "t", Schema: 1, Last: true,
		Origin: fmt.Sprintf("tx 1 - g:%d 1 end", n), Key: fmt.Appendf(nil, `{"n":%d}`, n), Value: fmt.Appendf(nil, `{"n":%d}`, n)}
}

// Killed at any moment, the broker has every acknowledged record, and the log is 1, 2, 3 …
// with right sums; what was not acknowledged is there once or not at all. The writer goes on
// by itself.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	b := spawn(t, dir, "127.0.0.1:0")
	defer func() { b.kill() }()
	cfg := stream.Config{Brokers: []string{b.addr}, Topic: "test.kill", Log: zerolog.Nop()}
	if _, err := stream.EnsureTopic(t.Context(), cfg, stream.TopicSettings{}); err != nil {
		t.Fatal(err)
	}
	w, tail, err := stream.Acquire(t.Context(), cfg, stream.Begin{Owner: "test", First: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Append(t.Context(), []change.Record{claim(tail)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	appended := 0
	writing.Go(func() {
		for ctx.Err() == nil {
			if err := w.Append(context.WithoutCancel(ctx), []change.Record{row(appended)}); err != nil {
				t.Errorf("append: %v", err)
				return
			}
			appended++
			if appended%3 == 0 { // small batches, and a log that is soon read
				w.Flush(ctx)
			}
		}
	})
	kills := 0
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); kills++ {
		<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
		acked, _ := w.Acked()
		b.kill()
		b = spawn(t, dir, b.addr)
		if last := check(t, cfg); last < acked.Seq {
			t.Fatalf("the log ends with %d, acknowledged was %d", last, acked.Seq)
		}
	}
	cancel()
	writing.Wait()
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last := check(t, cfg); last != int64(appended+1) {
		t.Errorf("the log ends with %d, appended were %d", last, appended+1)
	}
	// A clean stop between kills leaves a snapshot of the sequence windows, which is stale after
	// the next kill.
	b.stop()
	b = spawn(t, dir, b.addr)
	for i := range 3 {
		if err := w.Append(t.Context(), []change.Record{row(appended + i)}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.kill()
		b = spawn(t, dir, b.addr)
	}
	if last := check(t, cfg); last != int64(appended+4) {
		t.Errorf("the log ends with %d, appended were %d", last, appended+4)
	}
	t.Logf("%d kills, %d records", kills+4, appended+4)
}

// check reads the log from its first record and returns the last number.
func check(t testing.TB, cfg stream.Config) int64 {
	t.Helper()
	var next, sum = int64(1), uint64(0)
	err := stream.Scan(t.Context(), cfg, func(records []change.Record) error {
		for i := range records {
			r := &records[i]
			if sum = r.NextSum(sum); r.Seq != next || r.Sum != sum {
				return fmt.Errorf("record %d with sum %x stands where %d with %x was expected", r.Seq, r.Sum, next, sum)
			}
			next++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return next - 1
}

func start(t testing.TB, dir string) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestOneBrokerADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	start(t, dir)
	if _, err := broker.Start(t.Context(), broker.Config{Dir: dir, Listen: "127.0.0.1:0"}); err == nil {
		t.Fatal("a second broker started in the same directory")
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "example.org:0"} {
		if _, err := broker.Start(t.Context(), broker.Config{Dir: t.TempDir(), Listen: listen}); err == nil {
			t.Errorf("it listens on %s", listen)
		}
	}
}

// What is not Kafka's, or not known to kfake, costs a connection and nothing else.
func TestGuard(t *testing.T) {
	b := start(t, t.TempDir())
	if res, err := http.Get("http://" + b.Addr()); err == nil {
		res.Body.Close()
		t.Error("an HTTP request was answered")
	}
	for name, bytes := range map[string]string{
		"unknown kind":     "\x00\x00\x00\x0e\x03\xe7\x00\x00\x00\x00\x00\x01\x00\x04test",
		"negative kind":    "\x00\x00\x00\x0e\xff\xff\x00\x00\x00\x00\x00\x01\x00\x04test",
		"negative version": "\x00\x00\x00\x0e\x00\x03\xff\xff\x00\x00\x00\x01\x00\x04test",
		"large":            "\x7f\xff\xff\xff\x00\x03\x00\x00\x00\x00\x00\x01\x00\x04test",
		"short":            "\x00\x00\x00\x02\x00\x03",
		"negative size":    "\xff\xff\xff\xff\x00\x03\x00\x00\x00\x00\x00\x01\x00\x04test",
	} {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(server.Patience))
		if _, err := conn.Write([]byte(bytes + "\x00\x00\x00\x00")); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 100)); err == nil || os.IsTimeout(err) {
			t.Errorf("%s: %d bytes were answered, %v", name, n, err)
		}
		conn.Close()
	}
	client := kafka.Client{Addr: kafka.TCP(b.Addr()), Transport: &kafka.Transport{}}
	if _, err := client.Metadata(t.Context(), &kafka.MetadataRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestClientsCannotAskForWhatLosesRecords(t *testing.T) {
	b := start(t, t.TempDir())
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := kafka.Client{Addr: kafka.TCP(b.Addr()), Transport: transport}
	create := func(topic string, partitions int, config ...kafka.ConfigEntry) error {
		res, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
			{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: config}}})
		if err != nil {
			t.Fatal(err)
		}
		return res.Errors[topic]
	}
	if create("compacted", 1, kafka.ConfigEntry{ConfigName: "cleanup.policy", ConfigValue: "compact"}) == nil {
		t.Error("a compacted topic was made")
	}
	if create("wide", 2) == nil {
		t.Error("a topic with two partitions was made")
	}
	if err := create("log", 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "1000"}); err != nil {
		t.Fatal(err)
	}
	res, err := client.DescribeConfigs(t.Context(), &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: "log", ConfigNames: []string{"retention.ms", "retention.bytes"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range res.Resources[0].ConfigEntries {
		if e.ConfigValue != "-1" {
			t.Errorf("%s is %s, want -1", e.ConfigName, e.ConfigValue)
		}
	}
	for name, value := range map[string]string{"cleanup.policy": "compact", "retention.ms": "1000", "retention.bytes": "1"} {
		res, err := client.IncrementalAlterConfigs(t.Context(), &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: "log", Configs: []kafka.IncrementalAlterConfigsRequestConfig{
				{Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet}}}}})
		if err == nil && res.Resources[0].Error == nil {
			t.Errorf("%s was set to %s", name, value)
		}
	}
}

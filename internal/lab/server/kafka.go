package server

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

const kafkaVersion = "4.3.0"

//go:embed kafka.pom.xml
var kafkaPOM string

//go:embed kafka.log4j2.yaml
var kafkaLogging string

// Cluster is a Kafka of one or more brokers, each of which can be killed on its own.
type Cluster struct {
	Brokers []*Server
}

// Addrs are the brokers' host:port.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Brokers))
	for i, broker := range c.Brokers {
		addrs[i] = broker.Addr()
	}
	return addrs
}

// kafkaProgram is Kafka's class path and the Java that runs it.
type kafkaProgram struct {
	java  java
	class string
}

func (l *Lab) kafkaProgram(ctx context.Context) (kafkaProgram, error) {
	java, err := l.java(ctx)
	if err != nil {
		return kafkaProgram{}, err
	}
	root := filepath.Join(l.cache, "kafka-"+kafkaVersion)
	err = l.once(ctx, root, func(dir string) error {
		l.progress("fetching Apache Kafka " + kafkaVersion + " (its Maven artifacts, once)")
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(kafkaPOM), 0o644); err != nil {
			return err
		}
		_, err := l.run(ctx, dir, java.env, java.maven, "--quiet", "--batch-mode",
			"-Dmaven.repo.local="+filepath.Join(l.cache, "m2"),
			"dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime")
		return err
	})
	if err != nil {
		return kafkaProgram{}, fmt.Errorf("fetch Apache Kafka: %w", err)
	}
	return kafkaProgram{java: java, class: filepath.Join(root, "libs", "*")}, nil
}

// argv runs one of Kafka's classes.
func (k kafkaProgram) argv(flags []string, class string, args ...string) []string {
	argv := append([]string{k.java.java}, flags...)
	return append(append(argv, "-cp", k.class, class), args...)
}

// KafkaTool runs one of Kafka's own command-line tools by its class, such as
// org.apache.kafka.tools.TopicCommand, and returns what it prints.
func (l *Lab) KafkaTool(ctx context.Context, class string, args ...string) (string, error) {
	program, err := l.kafkaProgram(ctx)
	if err != nil {
		return "", err
	}
	return l.run(ctx, l.dir, program.java.env, program.argv([]string{"-XX:TieredStopAtLevel=1"}, class, args...)...)
}

// Kafka starts an Apache Kafka 4.3 of so many brokers (1 or 3), each a controller too, that
// makes no topic by itself.
func (l *Lab) Kafka(ctx context.Context, brokers int, c Config) (*Cluster, error) {
	program, err := l.kafkaProgram(ctx)
	if err != nil {
		return nil, err
	}
	id, err := clusterID()
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{}
	var controllers []string
	for node := 1; node <= brokers; node++ {
		name := nameOr(c.Name, "kafka")
		if brokers > 1 {
			name = fmt.Sprintf("%s-%d", name, node)
		}
		s, err := l.newServer(name, func(data string) error { return l.copyKafka(ctx, program, node, id, data) })
		if err != nil {
			return nil, err
		}
		controller, err := l.Port()
		if err != nil {
			return nil, err
		}
		s.version, s.url = kafkaVersion, s.Addr()
		controllers = append(controllers, fmt.Sprintf("%d@127.0.0.1:%d", node, controller))
		cluster.Brokers = append(cluster.Brokers, s)
	}
	for i, s := range cluster.Brokers {
		_, controller, _ := strings.Cut(controllers[i], "@")
		settings := kafkaSettings(s, i+1, controller, controllers)
		if err := s.runKafka(program, merged(settings, c.Settings)); err != nil {
			return nil, err
		}
	}
	return cluster, l.launchCluster(ctx, cluster)
}

// launchCluster starts all brokers before it waits for one: a controller alone elects nobody.
func (l *Lab) launchCluster(ctx context.Context, cluster *Cluster) error {
	var failed []error
	for _, s := range cluster.Brokers {
		l.add(s)
		failed = append(failed, s.Launch())
	}
	for _, s := range cluster.Brokers {
		failed = append(failed, s.WaitReady(ctx))
	}
	err := errors.Join(failed...)
	if err == nil {
		return nil
	}
	for _, s := range cluster.Brokers {
		err = errors.Join(err, s.Kill())
	}
	return err
}

func kafkaSettings(s *Server, node int, controller string, controllers []string) map[string]string {
	factor, inSync := "1", "1"
	if len(controllers) >= 3 {
		factor, inSync = "3", "2"
	}
	return map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        fmt.Sprint(node),
		"controller.quorum.voters":       strings.Join(controllers, ","),
		"listeners":                      "PLAINTEXT://" + s.Addr() + ",CONTROLLER://" + controller,
		"advertised.listeners":           "PLAINTEXT://" + s.Addr(),
		"controller.listener.names":      "CONTROLLER",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"inter.broker.listener.name":     "PLAINTEXT",
		"log.dirs":                       s.DataDir(),
		"min.insync.replicas":            inSync,
		"default.replication.factor":     factor,
		"unclean.leader.election.enable": "false",
		"broker.session.timeout.ms":      "6000",
		"auto.create.topics.enable":      "false",
		// A test group of one member need not wait for others to join.
		"group.initial.rebalance.delay.ms": "0",
		// Kafka's own topics: 50 partitions each would be 150 files a broker for nothing.
		"offsets.topic.num.partitions":                     "1",
		"offsets.topic.replication.factor":                 factor,
		"transaction.state.log.num.partitions":             "1",
		"transaction.state.log.replication.factor":         factor,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": factor,
		"share.coordinator.state.topic.min.isr":            inSync,
	}
}

// runKafka completes a broker.
func (s *Server) runKafka(program kafkaProgram, settings map[string]string) error {
	properties := filepath.Join(s.dir, "server.properties")
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%s\n", name, settings[name])
	}
	logging := filepath.Join(s.dir, "log4j2.yaml")
	for path, content := range map[string]string{properties: text.String(), logging: kafkaLogging} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("configure %s: %w", s.name, err)
		}
	}
	flags := []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=" + logging}
	s.recipe = recipe{
		argv: program.argv(flags, "kafka.Kafka", properties), env: program.java.env,
		stop: syscall.SIGTERM, death: syscall.SIGKILL, ready: kafkaStarted,
	}
	return nil
}

// kafkaStarted looks for Kafka's own word in the log of this run: it answers on its port
// seconds before it takes records.
func kafkaStarted(_ context.Context, s *Server, started int64) error {
	log, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err
	}
	if started > int64(len(log)) || !bytes.Contains(log[started:], []byte("Kafka Server started")) {
		return errors.New("not started yet")
	}
	return nil
}

// copyKafka makes a broker's data directory from a formatted template, in a cluster of its own.
func (l *Lab) copyKafka(ctx context.Context, program kafkaProgram, node int, id, data string) error {
	template, err := l.template(ctx, fmt.Sprintf("kafka-%s-node-%d", kafkaVersion, node), func(dir string) error {
		properties := filepath.Join(filepath.Dir(dir), "server.properties")
		text := fmt.Sprintf("process.roles=broker,controller\nnode.id=%d\nlog.dirs=%s\n"+
			"controller.quorum.voters=%d@127.0.0.1:9093\nlisteners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"+
			"controller.listener.names=CONTROLLER\n", node, dir, node)
		if err := os.WriteFile(properties, []byte(text), 0o644); err != nil {
			return err
		}
		argv := program.argv(nil, "kafka.tools.StorageTool", "format", "-t", id, "-c", properties)
		_, err := l.run(ctx, filepath.Dir(dir), program.java.env, argv...)
		return err
	})
	if err != nil {
		return err
	}
	if err := l.copyTree(ctx, template, data); err != nil {
		return err
	}
	return rewriteClusterID(filepath.Join(data, "meta.properties"), id)
}

var clusterLine = regexp.MustCompile(`(?m)^cluster\.id=.*$`)

func rewriteClusterID(path, id string) error {
	meta, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, clusterLine.ReplaceAll(meta, []byte("cluster.id="+id)), 0o644)
}

// clusterID is a random one in Kafka's form. It begins with a letter: the tools would take one
// that begins with a dash for an option.
func clusterID() (string, error) {
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("draw a cluster's id: %w", err)
	}
	raw[0] &= 0x3f
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

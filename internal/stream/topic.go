package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	defaultRetention       = 14 * 24 * time.Hour
	defaultMaxMessageBytes = 4 << 20

	// batchSlack is what a batch may take beyond its records: its header, and the frames of a
	// compression that found nothing to compress.
	batchSlack = 64 << 10
)

// EnsureTopic makes the topic of a log if it is not there: one partition, deleted by age and
// never compacted. A topic that is there and can't be a log is refused with a StopError that
// says how to mend it. made tells whether it was made now.
func EnsureTopic(ctx context.Context, cfg Config, want TopicSettings) (made bool, err error) {
	return ensureTopic(ctx, cfg, want, (*session).checkOwn)
}

// ensureTopic is EnsureTopic for a topic whose records are told from those of other programs by own.
func ensureTopic(ctx context.Context, cfg Config, want TopicSettings, own func(*session, context.Context) error) (made bool, err error) {
	s, err := withSession(ctx, cfg, "ensure topic", func(s *session) error {
		brokers, partitions, err := s.describe(ctx)
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			if err := s.createTopic(ctx, want.withDefaults(brokers)); err != nil {
				return err
			}
			made = true
			return errNewTopic
		}
		if err != nil {
			return err
		}
		return s.checkTopic(ctx, want.withDefaults(brokers), partitions, own)
	})
	if err != nil {
		return made, err
	}
	s.close()
	return made, nil
}

// CheckTopic looks whether the topic of a log is there and can be one, as EnsureTopic does, but
// makes nothing and does not try again. brokers is how many the cluster has. What is unfit, or
// could not be made, is a StopError.
func CheckTopic(ctx context.Context, cfg Config, want TopicSettings) (there bool, brokers int, err error) {
	s, err := newSession(cfg)
	if err != nil {
		return false, 0, err
	}
	defer s.close()
	brokers, partitions, err := s.describe(ctx)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		if want = want.withDefaults(brokers); want.Replication > brokers {
			return false, brokers, s.unfit(fmt.Sprintf("%d replicas are configured, but there are %d brokers", want.Replication, brokers),
				"lower kafka.replication, or add brokers")
		}
		return false, brokers, nil
	}
	if err != nil {
		return false, brokers, err
	}
	return true, brokers, s.checkTopic(ctx, want.withDefaults(brokers), partitions, (*session).checkOwn)
}

// errNewTopic makes withSession look at a topic again that was just made, with a new
// picture of the cluster.
var errNewTopic = errors.New("the topic was made just now")

func (t TopicSettings) withDefaults(brokers int) TopicSettings {
	if t.Replication == 0 {
		t.Replication = 1
		if brokers >= 3 {
			t.Replication = 3
		}
	}
	if t.MinInSync == 0 {
		t.MinInSync = max(1, t.Replication-1)
	}
	if t.Retention == 0 {
		t.Retention = defaultRetention
	}
	if t.MaxMessageBytes == 0 {
		t.MaxMessageBytes = defaultMaxMessageBytes
	}
	return t
}

// describe returns the number of brokers and the topic's partitions.
func (s *session) describe(ctx context.Context) (brokers int, partitions []kafka.Partition, err error) {
	res, err := s.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{s.cfg.Topic}})
	if err != nil {
		return 0, nil, fmt.Errorf("describe topic: %w", err)
	}
	brokers = len(res.Brokers)
	if len(res.Topics) != 1 {
		return brokers, nil, fmt.Errorf("describe topic: %d topics answered", len(res.Topics))
	}
	if err := res.Topics[0].Error; err != nil {
		return brokers, nil, fmt.Errorf("describe topic: %w", err)
	}
	for _, p := range res.Topics[0].Partitions {
		if p.Error != nil {
			return brokers, nil, fmt.Errorf("describe topic: partition %d: %w", p.ID, p.Error)
		}
	}
	return brokers, res.Topics[0].Partitions, nil
}

func (s *session) createTopic(ctx context.Context, want TopicSettings) error {
	entry := func(name, value string) kafka.ConfigEntry {
		return kafka.ConfigEntry{ConfigName: name, ConfigValue: value}
	}
	res, err := s.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic:             s.cfg.Topic,
		NumPartitions:     1,
		ReplicationFactor: want.Replication,
		ConfigEntries: []kafka.ConfigEntry{
			entry("cleanup.policy", "delete"),
			entry("retention.ms", strconv.FormatInt(want.Retention.Milliseconds(), 10)),
			entry("retention.bytes", "-1"),
			entry("max.message.bytes", strconv.Itoa(want.MaxMessageBytes)),
			entry("min.insync.replicas", strconv.Itoa(want.MinInSync)),
			entry("unclean.leader.election.enable", "false"),
			entry("message.timestamp.type", "CreateTime"),
			// A shop whose clock is ahead must not be refused.
			entry("message.timestamp.after.max.ms", strconv.Itoa(math.MaxInt64)),
		},
	}}})
	if err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	if err := res.Errors[s.cfg.Topic]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		if errors.Is(err, kafka.InvalidReplicationFactor) || errors.Is(err, kafka.InvalidConfiguration) || errors.Is(err, kafka.PolicyViolation) {
			return s.unfit(fmt.Sprintf("the brokers refuse to make it: %v", err), "set replication and min.insync.replicas to what the cluster offers")
		}
		return fmt.Errorf("create topic: %w", err)
	}
	return nil
}

func (s *session) unfit(what, mend string) error {
	return &StopError{Kind: ErrTopic, Topic: s.cfg.Topic, Offset: -1, What: what, Mend: mend}
}

// checkTopic compares an existing topic with what a log needs.
func (s *session) checkTopic(ctx context.Context, want TopicSettings, partitions []kafka.Partition, own func(*session, context.Context) error) error {
	if len(partitions) != 1 {
		return s.unfit(fmt.Sprintf("it has %d partitions, a log has one", len(partitions)),
			"partitions can't be taken away: if the topic is another program's, give kafka.prefix in spola.yaml another name; if nobody needs it, delete it")
	}
	if err := own(s, ctx); err != nil {
		return err
	}
	config, err := s.topicConfig(ctx)
	if err != nil {
		return err
	}
	for _, demand := range want.demands(s.cfg.MaxBytes) {
		value, ok := config[demand.name]
		if !ok {
			continue // an older or simpler broker does not know it
		}
		if !demand.holds(value) {
			return s.unfit(fmt.Sprintf("%s is %s, a log needs %s", demand.name, value, demand.need),
				fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s%s",
					s.cfg.Brokers[0], s.cfg.Topic, demand.name, demand.set, demand.then))
		}
	}
	if got := len(partitions[0].Replicas); got < want.Replication {
		return s.unfit(fmt.Sprintf("it has %d replicas, configured are %d", got, want.Replication),
			"kafka-reassign-partitions.sh adds replicas")
	}
	return nil
}

// checkOwn refuses a topic whose newest record is not one of Spola's, before its settings are found fault with or anything is written
// to it: it is another program's.
func (s *session) checkOwn(ctx context.Context) error {
	start, end, err := s.bounds(ctx)
	if err != nil || start == end {
		return err
	}
	res, err := s.fetch(ctx, end-1, time.Second, s.cfg.maxBytes())
	if err != nil {
		return err
	}
	_, _, err = newParser(s.cfg.Topic).parse(nil, res.records, end-1)
	if errors.Is(err, ErrForeign) {
		return err
	}
	return nil // what else is wrong with it the reader of its tail says
}

// demand is a setting that a log needs.
type demand struct {
	name  string
	need  string // in words
	set   string // the value that mends it
	then  string // what else must be done
	holds func(value string) bool
}

func (t TopicSettings) demands(maxBytes int) []demand {
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	atLeast := func(least int64) func(string) bool {
		return func(value string) bool {
			n, err := strconv.ParseInt(value, 10, 64)
			return err == nil && n >= least
		}
	}
	is := func(want string) func(string) bool { return func(value string) bool { return value == want } }
	retention := atLeast(t.Retention.Milliseconds())
	return []demand{
		{"cleanup.policy", "delete, for what compaction takes away is a hole", "delete",
			", and begin a new generation if it was compacted", is("delete")},
		{"message.timestamp.type", "CreateTime, for the time is part of the checksum", "CreateTime", "", is("CreateTime")},
		{"max.message.bytes", fmt.Sprintf("%d or more", maxBytes+batchSlack), strconv.Itoa(max(t.MaxMessageBytes, maxBytes+batchSlack)), "",
			atLeast(int64(maxBytes + batchSlack))},
		{"min.insync.replicas", strconv.Itoa(t.MinInSync) + " or more", strconv.Itoa(t.MinInSync), "", atLeast(int64(t.MinInSync))},
		{"retention.ms", fmt.Sprintf("%d (%s) or more, or -1", t.Retention.Milliseconds(), t.Retention), strconv.FormatInt(t.Retention.Milliseconds(), 10), "",
			func(value string) bool { return value == "-1" || retention(value) }},
		{"unclean.leader.election.enable", "false, for it loses acknowledged records", "false", "", is("false")},
	}
}

func (s *session) topicConfig(ctx context.Context) (map[string]string, error) {
	var names []string
	for _, d := range (TopicSettings{}).demands(0) {
		names = append(names, d.name)
	}
	res, err := s.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: s.cfg.Topic, ConfigNames: names,
	}}})
	if err != nil {
		return nil, fmt.Errorf("describe the topic's settings: %w", err)
	}
	if len(res.Resources) != 1 {
		return nil, fmt.Errorf("describe the topic's settings: %d topics answered", len(res.Resources))
	}
	if err := res.Resources[0].Error; err != nil {
		return nil, fmt.Errorf("describe the topic's settings: %w", err)
	}
	config := map[string]string{}
	for _, e := range res.Resources[0].ConfigEntries {
		config[e.ConfigName] = e.ConfigValue
	}
	return config, nil
}

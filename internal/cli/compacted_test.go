package cli_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
)

// alterTopic changes settings of the log's topic, as an administrator of Kafka does.
func (p *pipeline) alterTopic(settings map[string]string) {
	p.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cfg.Kafka.Brokers...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, p.cfg.Topic()
	for name, value := range settings {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value = name, kmsg.StringPtr(value)
		resource.Configs = append(resource.Configs, config)
	}
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(p.t.Context(), client)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range answer.Resources {
		if r.ErrorCode != 0 {
			p.t.Fatalf("alter topic %s: code %d, %v", r.ResourceName, r.ErrorCode, r.ErrorMessage)
		}
	}
}

// standing is where the applier stands.
func (p *pipeline) standing() (at change.Place) {
	p.t.Helper()
	var sum string
	err := p.erp.QueryRow(p.t.Context(), "select generation, seq, sum from spola.place where applier = 'intake'").Scan(&at.Gen, &at.Seq, &sum)
	if err == nil {
		at.Sum, err = change.ParseSum(sum)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return at
}

// Kafka compacts the log, because somebody has set it so: of each row only the newest record is
// left. The applier stops at the first hole, cdc refuses to start, both say what to do, and done it is.
func TestCompactedLogIsCrossedByItsSnapshot(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	kept, cancelled := p.place("kept@example.com"), p.place("cancelled@example.com")
	p.arrived([]*program{reader, taker}, kept, cancelled)
	taker.kill()
	at := p.standing()
	if err := p.shop.Cancel(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	fresh := p.place("fresh@example.com")
	p.alterTopic(map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.001", "segment.ms": "500", "max.compaction.lag.ms": "500"})
	p.until("a log with holes", []*program{reader}, func() bool {
		_, err := stream.FindCrossing(t.Context(), p.log(), stream.Position{Place: at, Offset: -1})
		if err != nil && !errors.Is(err, stream.ErrStopped) {
			t.Fatal(err)
		}
		return err != nil
	})
	if text := p.run(3, "applier", "run"); !strings.Contains(text, "compaction") || !strings.Contains(text, "cdc run --new-generation") || !strings.Contains(text, "applier cross") {
		t.Errorf("the applier says: %s", text)
	}
	p.want("what stands behind the hole", "0", "select count(*) from spola.link where order_id = $1", fresh)
	reader.kill()
	if text := p.run(3, "cdc", "run"); !strings.Contains(text, "cleanup.policy") {
		t.Errorf("cdc says: %s", text)
	}
	p.alterTopic(map[string]string{"cleanup.policy": "delete"})
	reader, taker = p.crosses("")
	p.settled(reader, taker)
	p.arrived([]*program{reader, taker}, kept, fresh)
	p.want("cancelled in the gap", "cancelled", "select status from spola.link where order_id = $1", cancelled)
	p.provedBehindAGap()
	reader.stop()
	taker.stop()
}

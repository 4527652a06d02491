package broker

import (
	"fmt"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// policy is what the embedded broker does not let its clients ask of it, because kfake would
// lose records over it: compaction (a crash in the middle loses the partition), retention by
// kfake (it empties partitions, which then begin at offset 0 again), and deleting records by
// hand. More than one partition is refused too: a log has one.
type policy struct {
	mu   sync.Mutex
	trim map[string]int64 // what trim itself is about to delete: topic, below which offset
}

func newPolicy() *policy { return &policy{trim: map[string]int64{}} }

type control = func(kmsg.Request) (kmsg.Response, error, bool)

func (p *policy) install(c *kfake.Cluster) {
	keep := func(fn func(kmsg.Request) (kmsg.Response, bool)) control {
		return func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			res, handled := fn(req)
			return res, nil, handled
		}
	}
	c.ControlKey(int16(kmsg.CreateTopics), keep(p.createTopics))
	c.ControlKey(int16(kmsg.CreatePartitions), keep(p.createPartitions))
	c.ControlKey(int16(kmsg.AlterConfigs), keep(p.alterConfigs))
	c.ControlKey(int16(kmsg.IncrementalAlterConfigs), keep(p.incrementalAlterConfigs))
	c.ControlKey(int16(kmsg.DeleteRecords), keep(p.deleteRecords))
}

// createTopics refuses compaction and several partitions, and takes any retention as "for
// ever", so that programs written for Kafka need no other settings here.
func (p *policy) createTopics(kreq kmsg.Request) (kmsg.Response, bool) {
	req := kreq.(*kmsg.CreateTopicsRequest)
	for i := range req.Topics {
		t := &req.Topics[i]
		why := ""
		if t.NumPartitions > 1 || len(t.ReplicaAssignment) > 1 {
			why = "the embedded broker's topics have one partition"
		}
		configs := t.Configs[:0]
		for _, c := range t.Configs {
			if isCompaction(c.Name, c.Value) {
				why = noCompaction
			}
			if !isRetention(c.Name) {
				configs = append(configs, c)
			}
		}
		t.Configs = append(configs, forEver("retention.ms"), forEver("retention.bytes"))
		if why != "" {
			return refuseTopics(req, why), true
		}
	}
	return nil, false
}

const noCompaction = "the embedded broker does not compact"

func isCompaction(name string, value *string) bool {
	return name == "cleanup.policy" && value != nil && strings.Contains(*value, "compact")
}

func isRetention(name string) bool { return name == "retention.ms" || name == "retention.bytes" }

func forEver(name string) kmsg.CreateTopicsRequestTopicConfig {
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = name, kmsg.StringPtr("-1")
	return c
}

func refuseTopics(req *kmsg.CreateTopicsRequest, why string) kmsg.Response {
	res := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, kerr.PolicyViolation.Code, &why
		res.Topics = append(res.Topics, rt)
	}
	return res
}

func (p *policy) createPartitions(kreq kmsg.Request) (kmsg.Response, bool) {
	req := kreq.(*kmsg.CreatePartitionsRequest)
	res := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode = t.Topic, kerr.PolicyViolation.Code
		rt.ErrorMessage = kmsg.StringPtr("the embedded broker's topics have one partition")
		res.Topics = append(res.Topics, rt)
	}
	return res, true
}

func (p *policy) alterConfigs(kreq kmsg.Request) (kmsg.Response, bool) {
	req := kreq.(*kmsg.AlterConfigsRequest)
	res := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	bad := false
	for _, r := range req.Resources {
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		rr.ErrorCode, rr.ErrorMessage = kerr.PolicyViolation.Code, kmsg.StringPtr("the embedded broker keeps its topics' settings as a whole; change single ones")
		res.Resources = append(res.Resources, rr)
		bad = bad || r.ResourceType == kmsg.ConfigResourceTypeTopic || r.ResourceType == kmsg.ConfigResourceTypeBroker
	}
	return res, bad
}

func (p *policy) incrementalAlterConfigs(kreq kmsg.Request) (kmsg.Response, bool) {
	req := kreq.(*kmsg.IncrementalAlterConfigsRequest)
	res := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	why := ""
	for _, r := range req.Resources {
		for _, c := range r.Configs {
			switch {
			case isCompaction(c.Name, c.Value):
				why = noCompaction
			case isRetention(strings.TrimPrefix(c.Name, "log.")):
				why = fmt.Sprintf("the embedded broker deletes by the age it was started with, %s can't be set", c.Name)
			}
		}
	}
	for _, r := range req.Resources {
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		rr.ErrorCode, rr.ErrorMessage = kerr.PolicyViolation.Code, &why
		res.Resources = append(res.Resources, rr)
	}
	return res, why != ""
}

// deleteRecords lets through only what trim has announced.
func (p *policy) deleteRecords(kreq kmsg.Request) (kmsg.Response, bool) {
	req := kreq.(*kmsg.DeleteRecordsRequest)
	p.mu.Lock()
	defer p.mu.Unlock()
	announced := len(req.Topics) == 1 && len(req.Topics[0].Partitions) == 1
	if announced {
		offset, ok := p.trim[req.Topics[0].Topic]
		announced = ok && offset == req.Topics[0].Partitions[0].Offset
	}
	if announced {
		return nil, false
	}
	res := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		for _, part := range t.Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.ErrorCode = part.Partition, kerr.PolicyViolation.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		res.Topics = append(res.Topics, rt)
	}
	return res, true
}

// announce lets one deletion of trim through.
func (p *policy) announce(topic string, offset int64) (over func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trim[topic] = offset
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.trim, topic)
	}
}

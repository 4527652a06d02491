package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// trimAlways deletes what is too old, once at the start and then every hour.
func (b *Broker) trimAlways(ctx context.Context, cfg Config) {
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	for {
		if err := b.trim(ctx, time.Now().Add(-cfg.Retention)); err != nil && ctx.Err() == nil {
			cfg.Log.Warn().Err(err).Msg("embedded broker: old records could not be deleted; trying again in an hour")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// trim deletes the records of all topics from before the time. The last record stays: a
// partition that kfake emptied would begin at offset 0 again after its next start.
func (b *Broker) trim(ctx context.Context, before time.Time) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.addr)
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c := client{conn: conn}
	topics, err := c.topics()
	if err != nil {
		return fmt.Errorf("trim: list topics: %w", err)
	}
	for _, topic := range topics {
		if err := b.trimTopic(&c, topic, before); err != nil {
			return fmt.Errorf("trim topic %s: %w", topic, err)
		}
	}
	return nil
}

const (
	atStart = -2
	atEnd   = -1
)

func (b *Broker) trimTopic(c *client, topic string, before time.Time) error {
	start, err := c.offset(topic, atStart)
	if err != nil {
		return err
	}
	end, err := c.offset(topic, atEnd)
	if err != nil {
		return err
	}
	keep, err := c.offset(topic, before.UnixMilli())
	if err != nil {
		return err
	}
	if keep < 0 || keep > end-1 {
		keep = end - 1 // all are older
	}
	if keep <= start {
		return nil
	}
	defer b.policy.announce(topic, keep)()
	return c.deleteBelow(topic, keep)
}

// client speaks to the broker itself, one request at a time.
type client struct {
	conn net.Conn
	corr int32
}

func (c *client) ask(req kmsg.Request, version int16) (kmsg.Response, error) {
	req.SetVersion(version)
	c.corr++
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("spola-trim"))
	if _, err := c.conn.Write(formatter.AppendRequest(nil, req, c.corr)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.conn, frame); err != nil {
		return nil, err
	}
	if len(frame) < 4 {
		return nil, errors.New("a cut response")
	}
	res := req.ResponseKind()
	return res, res.ReadFrom(frame[4:]) // the versions asked for have no tags in the head
}

func (c *client) topics() ([]string, error) {
	req := kmsg.NewPtrMetadataRequest() // no topics named: all of them
	res, err := c.ask(req, 7)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range res.(*kmsg.MetadataResponse).Topics {
		if t.Topic != nil && !t.IsInternal && t.ErrorCode == 0 {
			names = append(names, *t.Topic)
		}
	}
	return names, nil
}

// offset returns the first offset at or after a time in ms, or that of atStart and atEnd.
func (c *client) offset(topic string, at int64) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp = at
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ListOffsetsRequestTopicPartition{part}
	req.Topics = []kmsg.ListOffsetsRequestTopic{t}
	res, err := c.ask(req, 2)
	if err != nil {
		return 0, err
	}
	topics := res.(*kmsg.ListOffsetsResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return 0, errors.New("no offset answered")
	}
	return topics[0].Partitions[0].Offset, kerr.ErrorForCode(topics[0].Partitions[0].ErrorCode)
}

func (c *client) deleteBelow(topic string, offset int64) error {
	req := kmsg.NewPtrDeleteRecordsRequest()
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Offset = offset
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.DeleteRecordsRequestTopicPartition{part}
	req.Topics = []kmsg.DeleteRecordsRequestTopic{t}
	res, err := c.ask(req, 1)
	if err != nil {
		return err
	}
	topics := res.(*kmsg.DeleteRecordsResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return errors.New("no deletion answered")
	}
	return kerr.ErrorForCode(topics[0].Partitions[0].ErrorCode)
}

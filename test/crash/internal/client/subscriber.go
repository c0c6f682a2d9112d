package client

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"pulso/test/crash/internal/ledger"
	"pulso/test/internal/mqtt"
)

// SubscriberConfig is what a subscriber is.
type SubscriberConfig struct {
	Ledger  *ledger.Ledger
	Reader  *ledger.Reader // whom its deliveries are booked for
	Addr    string
	ID      string // client identifier
	Version byte   // mqtt.V311 or mqtt.V5
	QoS     byte
	Filter  string
	// ReceiveMaximum limits what the hub may have in flight, at MQTT 5; 0: 65,535.
	ReceiveMaximum int
	// Hold delays each answer, at most until the connection has nothing more to read. 0: none.
	Hold time.Duration
}

// A Subscriber subscribes with a persistent session and takes each QoS 2 message once.
type Subscriber struct {
	cfg   SubscriberConfig
	fate  fate
	ready chan struct{}

	// The subscriber's files. Only the goroutine in Run uses them.
	held       map[int]held // QoS 2 messages by identifier, from PUBLISH to PUBREL
	subscribed bool

	// Of a connection: what the hub has in flight, and the answers that wait for the flush.
	flight  map[int]struct{}
	answers []int
}

// held is a QoS 2 message that was taken; topic is nil for one that is not in the books.
type held struct {
	topic *ledger.Topic
	n     uint32
}

// NewSubscriber makes a subscriber; Run lets it live.
func NewSubscriber(cfg *SubscriberConfig) *Subscriber {
	return &Subscriber{cfg: *cfg, ready: make(chan struct{}), held: make(map[int]held)}
}

// Doom kills the subscriber after some more steps; it comes back to life by itself.
func (s *Subscriber) Doom(steps int) { s.fate.doom(steps) }

// Ready is closed when the hub has acknowledged the subscription for the first time.
func (s *Subscriber) Ready() <-chan struct{} { return s.ready }

// Run takes messages, through as many connections and lives as it takes, until ctx ends; then it is offline, and may run again.
func (s *Subscriber) Run(ctx context.Context) {
	connect := &mqtt.Connect{Version: s.cfg.Version, ID: s.cfg.ID, Persistent: true}
	if s.cfg.ReceiveMaximum > 0 {
		connect.Properties = append(connect.Properties, append([]byte{0x21}, mqtt.Number(s.cfg.ReceiveMaximum)...))
	}
	for ctx.Err() == nil {
		l, err := open(ctx, s.cfg.Addr, connect)
		if err != nil {
			refused(s.cfg.Ledger, s.cfg.ID, err)
			pause(ctx, 20*time.Millisecond)
			continue
		}
		s.cfg.Ledger.Event(s.cfg.ID, "is connected")
		err = s.serve(ctx, l)
		if errors.Is(err, errDied) {
			l.reset()
			s.cfg.Ledger.Event(s.cfg.ID, "is killed")
			pause(ctx, 50*time.Millisecond)
			continue
		}
		l.Close()
		s.cfg.Ledger.Event(s.cfg.ID, "has lost the connection: "+err.Error())
	}
}

func (s *Subscriber) serve(ctx context.Context, l *link) error {
	var ending sync.WaitGroup
	defer ending.Wait()
	ending.Add(1)
	unwatch := context.AfterFunc(ctx, func() {
		defer ending.Done()
		_ = l.SetReadDeadline(time.Now())
	})
	defer func() {
		if unwatch() {
			ending.Done()
		}
	}()
	s.flight, s.answers = make(map[int]struct{}), nil
	if s.subscribed && !l.Present {
		s.cfg.Ledger.Faultf(ledger.NoSession, "%s", s.cfg.ID)
		clear(s.held)
		s.subscribed = false
	}
	if !s.subscribed {
		if _, err := l.Write(mqtt.Subscribe(s.cfg.Version, 1, s.cfg.QoS, s.cfg.Filter)); err != nil {
			return err
		}
	}
	for {
		if err := s.next(ctx, l); err != nil {
			return err
		}
		if l.Buffered() > 0 {
			continue
		}
		if s.cfg.Hold > 0 {
			pause(ctx, s.cfg.Hold)
		}
		if err := l.flush(); err != nil {
			return err
		}
		for _, id := range s.answers {
			delete(s.flight, id)
		}
		s.answers = s.answers[:0]
	}
}

// next takes one packet.
func (s *Subscriber) next(ctx context.Context, l *link) error {
	first, body, err := l.Next()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.fate.step(); err != nil {
		return err
	}
	if len(body) < 2 {
		return mqtt.ErrMalformed
	}
	switch first & 0xf0 {
	case mqtt.PUBLISH:
		return s.publish(l, first, body)
	case mqtt.PUBREL & 0xf0:
		return s.release(l, int(binary.BigEndian.Uint16(body)))
	case mqtt.SUBACK:
		if code := body[len(body)-1]; code != s.cfg.QoS {
			s.cfg.Ledger.Faultf(ledger.Protocol, "%s got code 0x%02x for its subscription", s.cfg.ID, code)
		}
		s.subscribed = true
		select {
		case <-s.ready:
		default:
			close(s.ready)
		}
	default:
		s.cfg.Ledger.Event(s.cfg.ID, "gets packet type "+string(rune('0'+first>>4)))
	}
	return nil
}

func (s *Subscriber) publish(l *link, first byte, body []byte) error {
	m, err := l.ParsePublish(first, body)
	if err != nil {
		return err
	}
	if m.QoS > 0 {
		s.flight[m.ID] = struct{}{}
		if s.cfg.ReceiveMaximum > 0 && len(s.flight) > s.cfg.ReceiveMaximum {
			s.cfg.Ledger.Faultf(ledger.Protocol, "%s has %d in flight of %d [MQTT-3.3.4-9]", s.cfg.ID, len(s.flight), s.cfg.ReceiveMaximum)
		}
	}
	topic, n, ok := s.cfg.Reader.Find(m.Topic, m.Payload)
	if ok && m.QoS > min(topic.QoS, s.cfg.QoS) {
		s.cfg.Ledger.Faultf(ledger.Protocol, "%s got %d of %s at QoS %d", s.cfg.ID, n, m.Topic, m.QoS)
	}
	// A retained message that answers a subscription is no delivery of the stream.
	deliver := ok && !m.Retain
	switch m.QoS {
	case 0:
		if deliver {
			s.cfg.Reader.Deliver(topic, n, 0, m.Dup)
		}
		return nil
	case 1:
		if deliver {
			s.cfg.Reader.Deliver(topic, n, m.ID, m.Dup)
		}
		s.answers = append(s.answers, m.ID)
		return s.answer(l, mqtt.PUBACK, m.ID)
	}
	before, again := s.held[m.ID]
	switch {
	case again && (before.topic != topic || before.n != n):
		s.cfg.Ledger.Faultf(ledger.Protocol, "%s got %d of %s under identifier %d, which %d of %s has",
			s.cfg.ID, n, m.Topic, m.ID, before.n, name(before.topic))
	case again && topic != nil:
		topic.Note(n, s.cfg.ID, ledger.Repeated, m.ID)
	case !again:
		// One write: that the message is taken and what its identifier is.
		s.held[m.ID] = held{topic, n}
		if deliver {
			s.cfg.Reader.Deliver(topic, n, m.ID, m.Dup)
		}
	}
	if topic != nil {
		topic.Note(n, s.cfg.ID, ledger.Answered, m.ID)
	}
	return s.answer(l, mqtt.PUBREC, m.ID)
}

func (s *Subscriber) release(l *link, id int) error {
	if h, ok := s.held[id]; ok && h.topic != nil {
		h.topic.Note(h.n, s.cfg.ID, ledger.LetGo, id)
	}
	delete(s.held, id)
	s.flight[id] = struct{}{}
	s.answers = append(s.answers, id)
	return s.answer(l, mqtt.PUBCOMP, id)
}

// answer queues an answer, unless the subscriber dies before or behind that.
func (s *Subscriber) answer(l *link, packet byte, id int) error {
	if err := s.fate.step(); err != nil {
		return err
	}
	return errors.Join(l.send(mqtt.Ack(packet, id)), s.fate.step())
}

func name(t *ledger.Topic) string {
	if t == nil {
		return "an unknown topic"
	}
	return t.Name
}

package client

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pulso/test/crash/internal/ledger"
	"pulso/test/internal/mqtt"
)

// PublisherConfig is what a publisher is.
type PublisherConfig struct {
	Ledger  *ledger.Ledger
	Addr    string
	ID      string // client identifier
	Version byte   // mqtt.V311 or mqtt.V5
	// Topics are what it publishes on, at random, all at one QoS.
	Topics []*ledger.Topic
	// Retain, if not nil, is one more topic, of retained messages.
	Retain *ledger.Topic
	// Window is how many messages are in flight at most.
	Window int
	// Count ends the publishing after so many messages; 0: when stopped.
	Count int
	// LowIDs makes it use the lowest free packet identifier, which is then soon used again; else they go round.
	LowIDs bool
	// Burst and Rest pace it: after up to Burst messages it rests up to Rest. 0: it never rests.
	Burst int
	Rest  time.Duration
	// Seed makes its choices.
	Seed uint64
}

// A Publisher publishes numbered messages, and each of them until it is acknowledged.
type Publisher struct {
	cfg   PublisherConfig
	fate  fate
	moved chan struct{} // something was acknowledged, or may go on

	mu      sync.Mutex // guards what follows: the publisher's files
	rng     *rand.Rand
	flight  []*flight       // oldest first
	done    map[int]*flight // what an identifier was used for last
	last    int             // packet identifier
	stored  int             // messages so far
	owed    bool            // the hub has acknowledged something: it must know the session
	stopped bool
	paused  bool
}

// A flight is a message on its way.
type flight struct {
	id       int
	topic    *ledger.Topic
	n        uint32
	received bool // PUBREC has come
}

// NewPublisher makes a publisher; Run lets it live.
func NewPublisher(cfg *PublisherConfig) *Publisher {
	return &Publisher{
		cfg: *cfg, moved: make(chan struct{}, 1), done: make(map[int]*flight),
		rng: rand.New(rand.NewPCG(cfg.Seed, 1)),
	}
}

// Doom kills the publisher after some more steps; it comes back to life by itself.
func (p *Publisher) Doom(steps int) { p.fate.doom(steps) }

// Stop lets the publisher begin no more messages; Run returns when all are acknowledged.
func (p *Publisher) Stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.signal()
}

// Pause lets the publisher begin no new messages for the time being, or again.
func (p *Publisher) Pause(paused bool) {
	p.mu.Lock()
	p.paused = paused
	p.mu.Unlock()
	p.signal()
}

// signal wakes the writing goroutine.
func (p *Publisher) signal() {
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// Run publishes, through as many connections and lives as it takes, until everything that it is to publish is acknowledged or
// ctx ends.
func (p *Publisher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		l, err := open(ctx, p.cfg.Addr, &mqtt.Connect{Version: p.cfg.Version, ID: p.cfg.ID, Persistent: true})
		if err != nil {
			refused(p.cfg.Ledger, p.cfg.ID, err)
			pause(ctx, 20*time.Millisecond)
			continue
		}
		p.cfg.Ledger.Event(p.cfg.ID, "is connected")
		err = p.serve(ctx, l)
		switch {
		case err == nil:
			_, _ = l.Write([]byte{mqtt.DISCONNECT, 0})
			l.Close()
			return
		case errors.Is(err, errDied):
			l.reset()
			p.cfg.Ledger.Event(p.cfg.ID, "is killed")
			pause(ctx, p.chance(200*time.Millisecond))
		default:
			l.Close()
			p.cfg.Ledger.Event(p.cfg.ID, "has lost the connection: "+err.Error())
		}
	}
}

// serve publishes by one connection. It returns nil when everything is acknowledged.
func (p *Publisher) serve(ctx context.Context, l *link) error {
	if err := p.resume(l); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { cancel(p.read(l)) })
	err := p.write(ctx, l)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	_ = l.SetReadDeadline(time.Now())
	reading.Wait()
	cancel(nil)
	return err
}

// resume sends again what is in flight, in its order [MQTT-4.4.0-1].
func (p *Publisher) resume(l *link) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owed && !l.Present {
		p.cfg.Ledger.Faultf(ledger.NoSession, "%s, with %d messages in flight", p.cfg.ID, len(p.flight))
	}
	for _, f := range p.flight {
		if err := p.fate.step(); err != nil {
			return err
		}
		var err error
		if f.received {
			f.topic.Note(f.n, p.cfg.ID, ledger.Released, f.id)
			err = l.send(mqtt.Ack(mqtt.PUBREL, f.id))
		} else {
			f.topic.Note(f.n, p.cfg.ID, ledger.Resent, f.id)
			err = l.send(p.packet(f, true))
		}
		if err != nil {
			return err
		}
	}
	return l.flush()
}

func (p *Publisher) packet(f *flight, dup bool) []byte {
	m := mqtt.Publish{
		Topic: f.topic.Name, Payload: ledger.Payload(f.topic.Name, f.n), QoS: f.topic.QoS, ID: f.id,
		Retain: f.topic == p.cfg.Retain, Dup: dup,
	}
	return m.Bytes(p.cfg.Version)
}

// write begins new messages as the window has room.
func (p *Publisher) write(ctx context.Context, l *link) error {
	window := min(p.cfg.Window, l.receiveMaximum)
	burst := 0
	for {
		if burst--; burst < 0 && p.cfg.Burst > 0 {
			if err := l.flush(); err != nil {
				return err
			}
			pause(ctx, p.chance(p.cfg.Rest))
			p.mu.Lock()
			burst = p.rng.IntN(p.cfg.Burst)
			p.mu.Unlock()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f, done := p.begin(window)
		switch {
		case done:
			return l.flush()
		case f != nil:
			if err := p.first(l, f); err != nil {
				return err
			}
			continue
		}
		if err := l.flush(); err != nil {
			return err
		}
		select {
		case <-p.moved:
		case <-ctx.Done():
		}
	}
}

// first sends a message that has just been stored.
func (p *Publisher) first(l *link, f *flight) error {
	if err := p.fate.step(); err != nil {
		return err
	}
	f.topic.Note(f.n, p.cfg.ID, ledger.Sent, f.id)
	if err := l.send(p.packet(f, false)); err != nil {
		return err
	}
	return p.fate.step()
}

// begin stores the next message. It returns none while the window is full or no more is to begin; done, when in addition
// nothing is in flight.
func (p *Publisher) begin(window int) (f *flight, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.cfg.Count > 0 && p.stored >= p.cfg.Count {
		return nil, len(p.flight) == 0
	}
	if p.paused || len(p.flight) >= window {
		return nil, false
	}
	topic := p.cfg.Topics[p.rng.IntN(len(p.cfg.Topics))]
	if p.cfg.Retain != nil && p.rng.IntN(8) == 0 {
		topic = p.cfg.Retain
	}
	f = &flight{topic: topic, n: topic.Next()}
	p.stored++
	if topic.QoS > 0 {
		f.id = p.free()
		p.flight = append(p.flight, f)
	}
	return f, false
}

// free chooses a packet identifier that is not in use.
func (p *Publisher) free() int {
	if p.cfg.LowIDs {
		p.last = 0
	}
	for {
		p.last = p.last%65535 + 1
		if !slices.ContainsFunc(p.flight, func(f *flight) bool { return f.id == p.last }) {
			return p.last
		}
	}
}

// read takes the acknowledgements.
func (p *Publisher) read(l *link) error {
	for {
		first, body, err := l.Next()
		if err != nil {
			return err
		}
		if first&0xf0 < mqtt.PUBACK || first&0xf0 > mqtt.PUBCOMP {
			p.cfg.Ledger.Event(p.cfg.ID, "gets packet type "+string(rune('0'+first>>4)))
			continue
		}
		if len(body) < 2 {
			return mqtt.ErrMalformed
		}
		if err := p.acknowledged(l, first, body); err != nil {
			return err
		}
		p.signal()
		if l.Buffered() == 0 {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
}

func (p *Publisher) acknowledged(l *link, first byte, body []byte) error {
	if err := p.fate.step(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := int(binary.BigEndian.Uint16(body))
	at := slices.IndexFunc(p.flight, func(f *flight) bool { return f.id == id })
	if at < 0 {
		p.unknown(first, id)
		return nil
	}
	f := p.flight[at]
	if len(body) > 2 && body[2] >= 0x80 {
		// 0x92: a PUBREL that was sent again is answered so where the hub had let go of it (MQTT 5, 4.3.3).
		if first != mqtt.PUBCOMP || body[2] != 0x92 {
			p.cfg.Ledger.Faultf(ledger.Protocol, "%s got packet 0x%02x with reason 0x%02x for %d of %s", p.cfg.ID, first, body[2], f.n, f.topic.Name)
		}
	}
	switch {
	case first == mqtt.PUBACK && f.topic.QoS == 1:
		f.topic.Note(f.n, p.cfg.ID, ledger.Acked, id)
		p.take(f, at)
		p.land(at)
		return nil
	case first == mqtt.PUBREC && f.topic.QoS == 2:
		f.topic.Note(f.n, p.cfg.ID, ledger.Received, id)
		p.take(f, at)
		f.received = true
		if err := p.fate.step(); err != nil {
			return err
		}
		f.topic.Note(f.n, p.cfg.ID, ledger.Released, id)
		return l.send(mqtt.Ack(mqtt.PUBREL, id))
	case first == mqtt.PUBCOMP && f.received:
		f.topic.Note(f.n, p.cfg.ID, ledger.Completed, id)
		p.land(at)
		return nil
	}
	p.cfg.Ledger.Faultf(ledger.Protocol, "%s got packet 0x%02x for %d of %s at QoS %d", p.cfg.ID, first, f.n, f.topic.Name, f.topic.QoS)
	return nil
}

// land takes out of flight what is acknowledged in full.
func (p *Publisher) land(at int) {
	p.done[p.flight[at].id] = p.flight[at]
	p.flight = slices.Delete(p.flight, at, at+1)
}

// unknown books an acknowledgement of nothing that is in flight.
func (p *Publisher) unknown(first byte, id int) {
	f := p.done[id]
	if f == nil {
		p.cfg.Ledger.Faultf(ledger.Protocol, "%s got packet 0x%02x for identifier %d, which it never used", p.cfg.ID, first, id)
		return
	}
	f.topic.Faultf(ledger.Protocol, f.n, "%s got packet 0x%02x for identifier %d, which it used last for %d of %s", p.cfg.ID, first, id, f.n, f.topic.Name)
}

// take books that the hub has taken over the message; it must do so in the order in which they were sent [MQTT-4.6.0-2].
func (p *Publisher) take(f *flight, at int) {
	if slices.ContainsFunc(p.flight[:at], func(earlier *flight) bool { return !earlier.received }) {
		p.cfg.Ledger.Faultf(ledger.Protocol, "%s: %d of %s is acknowledged before one that was sent earlier", p.cfg.ID, f.n, f.topic.Name)
	}
	p.owed = true
	f.topic.Acknowledged(f.n)
}

// chance is a random time up to most.
func (p *Publisher) chance(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.rng.Int64N(int64(most)))
}

// refused books a CONNACK that says no.
func refused(l *ledger.Ledger, id string, err error) {
	if errors.Is(err, mqtt.ErrRefused) || errors.Is(err, mqtt.ErrMalformed) {
		l.Event(id, err.Error())
	}
}

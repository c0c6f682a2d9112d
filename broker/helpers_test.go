package broker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/broker/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// A memorySink is a log in memory with one writer that commits in groups, as the bridge's does.
type memorySink struct {
	queue   chan entry
	deliver func([]event.Decoded)

	mu     sync.Mutex
	paused chan struct{} // closed when the writer may go on; nil: it may
	fail   error
	events []event.Event

	trimmed uint64 // events before are gone

	taken, settled atomic.Int64
}

type entry struct {
	event event.Event
	done  func(event.Position, error)
}

func (s *memorySink) Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error {
	select {
	case s.queue <- entry{m, done}:
		s.taken.Add(1)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *memorySink) Settle(ctx context.Context) error {
	target := s.taken.Load()
	for tick := time.NewTicker(time.Millisecond); s.settled.Load() < target; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
	return nil
}

func (s *memorySink) run(stop <-chan struct{}) {
	var group []entry
	for {
		group = group[:0]
		select {
		case e := <-s.queue:
			group = append(group, e)
		case <-stop:
			return
		}
		for more := true; more && len(group) < 1024; {
			select {
			case e := <-s.queue:
				group = append(group, e)
			default:
				more = false
			}
		}
		s.commit(group)
	}
}

func (s *memorySink) commit(group []entry) {
	s.mu.Lock()
	for s.paused != nil {
		paused := s.paused
		s.mu.Unlock()
		<-paused
		s.mu.Lock()
	}
	fail := s.fail
	batch := make([]event.Decoded, 0, len(group))
	if fail == nil {
		for i := range group {
			e := group[i].event
			e.Position = event.Position{Epoch: 1, Offset: uint64(len(s.events))}
			s.events = append(s.events, e)
			batch = append(batch, event.Decoded{Event: e})
		}
	}
	s.mu.Unlock()
	for i := range group {
		if group[i].done == nil {
			continue
		}
		if fail != nil {
			group[i].done(event.Position{}, fail)
		} else {
			group[i].done(batch[i].Position, nil)
		}
	}
	s.deliver(batch)
	s.settled.Add(int64(len(group)))
}

// Scan and Bounds are the log that the broker reads.
func (s *memorySink) Scan(from event.Position, want func(string) bool, limit int) ([]event.Event, event.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from.Offset < s.trimmed {
		first := event.Position{Epoch: 1, Offset: s.trimmed}
		return nil, from, &eventlog.TrimmedError{From: from, First: first}
	}
	var found []event.Event
	next := from
	for ; next.Offset < uint64(len(s.events)) && len(found) < limit; next.Offset++ {
		if e := s.events[next.Offset]; want(e.Topic) {
			found = append(found, e)
		}
	}
	return found, next, nil
}

func (s *memorySink) Bounds() (first, next event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return event.Position{Epoch: 1, Offset: s.trimmed}, event.Position{Epoch: 1, Offset: uint64(len(s.events))}
}

func (s *memorySink) trim(to uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trimmed = to
}

func (s *memorySink) pause() (resume func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = make(chan struct{})
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.paused)
		s.paused = nil
	})
}

func (s *memorySink) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *memorySink) all(keep func(*event.Event) bool) []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e event.Event) bool { return !keep(&e) })
}

func (s *memorySink) kind(k event.Kind, client string) []event.Event {
	return s.all(func(e *event.Event) bool { return e.Kind == k && (client == "" || e.Client == client) })
}

func (s *memorySink) topic(t string) []event.Event {
	return s.all(func(e *event.Event) bool { return e.Topic == t })
}

// A rig is a running broker with its log.
type rig struct {
	t      testing.TB
	broker *Broker
	sink   *memorySink
	addr   string

	mu       sync.Mutex
	refusals []Refusal
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, sink: &memorySink{queue: make(chan entry, 4096)}}
	cfg := Config{
		Sink: r.sink, Log: r.sink, Address: "127.0.0.1:0", Metrics: prometheus.NewRegistry(),
		OnRefused: func(f Refusal) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.refusals = append(r.refusals, f)
		},
	}
	if change != nil {
		change(&cfg)
	}
	b, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.broker = b
	r.sink.deliver = b.Deliver
	if err := b.Listen(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.addr = b.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { r.sink.run(stop) })
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Run(ctx); err != nil && !errors.Is(err, ErrStopped) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		close(stop)
		wg.Wait()
	})
	return r
}

func (r *rig) refusal(reason string) Refusal {
	r.t.Helper()
	var found Refusal
	eventually(r.t, "refusal "+reason, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, f := range r.refusals {
			if f.Reason == reason {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

func (r *rig) closed(reason string) float64 {
	return testutil.ToFloat64(r.broker.metrics.closed.WithLabelValues(reason))
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// A client speaks MQTT byte by byte.
type client struct {
	net.Conn

	t       testing.TB
	r       *bufio.Reader
	version byte
}

func (r *rig) dial() *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return newClient(r.t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client {
	t.Helper()
	if err := nc.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &client{Conn: nc, t: t, r: bufio.NewReader(nc), version: 4}
}

type options struct {
	version    byte
	id         string
	persistent bool
	keepAlive  uint16
	props      []byte // of CONNECT, MQTT 5
	will       string // topic; the payload is "gone"
	willProps  []byte
	user       string
	password   string
}

func connectPacket(o options) []byte {
	flags := byte(0)
	if !o.persistent {
		flags |= 2
	}
	if o.will != "" {
		flags |= 4
	}
	if o.user != "" {
		flags |= 0xc0
	}
	name := "MQTT"
	if o.version == 3 {
		name = "MQIsdp"
	}
	body := appendString(nil, name)
	body = append(body, o.version, flags)
	body = binary.BigEndian.AppendUint16(body, o.keepAlive)
	if o.version == 5 {
		body = append(appendVarint(body, len(o.props)), o.props...)
	}
	body = appendString(body, o.id)
	if o.will != "" {
		if o.version == 5 {
			body = append(appendVarint(body, len(o.willProps)), o.willProps...)
		}
		body = appendString(appendString(body, o.will), "gone")
	}
	if o.user != "" {
		body = appendString(appendString(body, o.user), o.password)
	}
	return rawPacketOf(0x10, body)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendVarint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func rawPacketOf(first byte, body []byte) []byte {
	return append(appendVarint([]byte{first}, len(body)), body...)
}

func (r *rig) connect(o options) *client {
	r.t.Helper()
	c := r.dial()
	if code := c.connect(o); code != 0 {
		r.t.Fatalf("CONNACK %#x", code)
	}
	return c
}

// connect returns the reason code of the CONNACK.
func (c *client) connect(o options) byte {
	c.t.Helper()
	if o.version == 0 {
		o.version = 4
	}
	c.version = o.version
	c.send(connectPacket(o))
	first, body := c.read()
	if first != 0x20 {
		c.t.Fatalf("packet %#x instead of a CONNACK", first)
	}
	return body[1]
}

func (c *client) send(p []byte) {
	c.t.Helper()
	if _, err := c.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) publish(topic, payload string, qos byte, id uint16) {
	c.t.Helper()
	c.send(packet.AppendPublish(nil, c.version, &packet.Message{
		Event: &event.Event{Topic: topic, Payload: []byte(payload)}, QoS: qos, ID: id,
	}))
}

func (c *client) subscribe(filter string, opts byte) byte {
	c.t.Helper()
	body := []byte{0, 7}
	if c.version == 5 {
		body = append(body, 0)
	}
	c.send(rawPacketOf(0x82, append(appendString(body, filter), opts)))
	b := c.want(0x90)
	return b[len(b)-1]
}

func (c *client) read() (first byte, body []byte) {
	c.t.Helper()
	first, body, err := c.tryRead()
	if err != nil {
		c.t.Fatal(err)
	}
	return first, body
}

func (c *client) tryRead() (first byte, body []byte, err error) {
	if first, err = c.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	size, err := binary.ReadUvarint(c.r)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, size)
	_, err = io.ReadFull(c.r, body)
	return first, body, err
}

func (c *client) want(first byte) []byte {
	c.t.Helper()
	got, body := c.read()
	if got != first {
		c.t.Fatalf("got packet %#x %x, want %#x", got, body, first)
	}
	return body
}

func (c *client) wantAck(first byte, id uint16) {
	c.t.Helper()
	if body := c.want(first); binary.BigEndian.Uint16(body) != id {
		c.t.Fatalf("packet %#x for id %d, want %d", first, binary.BigEndian.Uint16(body), id)
	}
}

// wantMessage reads a PUBLISH without properties.
func (c *client) wantMessage() (topic, payload string, id uint16) {
	c.t.Helper()
	first, body := c.read()
	if first>>4 != byte(packet.Publish) {
		c.t.Fatalf("got packet %#x, want a PUBLISH", first)
	}
	n := int(binary.BigEndian.Uint16(body))
	topic, body = string(body[2:2+n]), body[2+n:]
	if first&6 != 0 {
		id, body = binary.BigEndian.Uint16(body), body[2:]
	}
	if c.version == 5 {
		size, n := binary.Uvarint(body)
		body = body[n+int(size):]
	}
	return topic, string(body), id
}

// wantEnd reads until the broker closes and returns what came before.
func (c *client) wantEnd() []byte {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Fatalf("the connection was not closed: %v", err)
	}
	return b
}

// wantReason reads until the broker closes: the last packet must be a DISCONNECT with this reason code.
func (c *client) wantReason(code byte) {
	c.t.Helper()
	for {
		first, body, err := c.tryRead()
		if err != nil {
			c.t.Fatalf("the end without a DISCONNECT: %v", err)
		}
		if first != 0xe0 {
			continue
		}
		if len(body) == 0 || body[0] != code {
			c.t.Fatalf("DISCONNECT %x, want reason %#x", body, code)
		}
		c.wantEnd()
		return
	}
}

func (c *client) ping() {
	c.t.Helper()
	c.send([]byte{0xc0, 0})
	c.want(0xd0)
}

func payloads(events []event.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, string(bytes.Clone(e.Payload)))
	}
	return out
}

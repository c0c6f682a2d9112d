package broker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
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
	"pulso/broker/store"
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
	scanned int    // payload bytes of the longest reading
	mute    bool   // what is stored is neither answered nor delivered, as if the process ended between
	dead    bool   // the process has ended

	taken, settled atomic.Int64
}

type entry struct {
	event event.Event
	done  func(event.Position, error)
}

func (s *memorySink) Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error {
	if s.isDead() {
		return errCrashed
	}
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
			if s.isDead() {
				return errCrashed
			}
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
	if s.dead {
		s.mu.Unlock()
		return
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
	mute := s.mute
	s.mu.Unlock()
	if mute {
		return
	}
	for i := range group {
		if group[i].done == nil {
			continue
		}
		if fail != nil {
			group[i].done(event.Position{}, fail)
		} else {
			group[i].done(batch[i].Next(), nil)
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
	next, size := from, 0
	for ; next.Offset < uint64(len(s.events)) && len(found) < limit && size < 1<<20; next.Offset++ {
		if e := s.events[next.Offset]; want(e.Topic) {
			found = append(found, e)
			size += len(e.Payload)
		}
	}
	s.scanned = max(s.scanned, size)
	return found, next, nil
}

func (s *memorySink) Bounds() (first, next event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return event.Position{Epoch: 1, Offset: s.trimmed}, event.Position{Epoch: 1, Offset: uint64(len(s.events))}
}

func (s *memorySink) isDead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// die ends the log as the end of the process would: what is not stored now never will be.
func (s *memorySink) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	if s.paused != nil {
		close(s.paused)
		s.paused = nil
	}
}

func (s *memorySink) setMute() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = true
}

// reopened is the log that the next process finds.
func (s *memorySink) reopened() *memorySink {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &memorySink{queue: make(chan entry, 4096), events: slices.Clone(s.events), trimmed: s.trimmed}
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
		if s.paused != nil {
			close(s.paused)
			s.paused = nil
		}
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
	change func(*Config)
	path   string       // of the store; empty: there is none
	store  *gatedKeeper // nil: there is none
	end    func()

	mu       sync.Mutex
	refusals []Refusal
	gaps     []Gap
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	return startRig(t, &memorySink{queue: make(chan entry, 4096)}, "", change)
}

// newLastingRig is a rig with a store.
func newLastingRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	return startRig(t, &memorySink{queue: make(chan entry, 4096)}, filepath.Join(t.TempDir(), "state.db"), change)
}

func startRig(t testing.TB, sink *memorySink, path string, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, sink: sink, path: path, change: change}
	cfg := Config{
		Sink: r.sink, Log: r.sink, Address: "127.0.0.1:0", Metrics: prometheus.NewRegistry(),
		OnRefused: func(f Refusal) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.refusals = append(r.refusals, f)
		},
		OnGap: func(g Gap) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.gaps = append(r.gaps, g)
		},
	}
	if path != "" {
		s, err := store.Open(t.Context(), store.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		r.store = &gatedKeeper{store: s}
		cfg.Store = s
	}
	if change != nil {
		change(&cfg)
	}
	b, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.store != nil {
		b.journal.store = r.store
	}
	r.broker = b
	r.sink.deliver = b.Deliver
	if err := b.Listen(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.addr = b.Addr().String()
	r.run()
	return r
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan struct{})
	var writing, running sync.WaitGroup
	writing.Go(func() { r.sink.run(stop) })
	running.Go(func() {
		if err := r.broker.Run(ctx); err != nil && !errors.Is(err, ErrStopped) {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.end = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		close(stop)
		writing.Wait()
		if r.store != nil {
			if err := r.store.store.Close(); err != nil {
				r.t.Error(err)
			}
		}
	})
	r.t.Cleanup(r.end)
}

// crash ends the broker as kill -9 would: from one moment on nothing more reaches a client, the log or the store. It
// returns the next one, with what the first has left.
func (r *rig) crash() *rig {
	r.t.Helper()
	r.die()
	return startRig(r.t, r.sink.reopened(), r.path, r.change)
}

func (r *rig) die() {
	r.store.die()
	r.sink.die()
	r.broker.mu.Lock()
	for l := range r.broker.links {
		_ = l.conn.nc.Close()
	}
	r.broker.mu.Unlock()
	r.end()
}

// restart stops the broker and begins the next one.
func (r *rig) restart() *rig {
	r.t.Helper()
	r.end()
	return startRig(r.t, r.sink.reopened(), r.path, r.change)
}

// stored waits until the store has all that has been said so far.
func (r *rig) stored() {
	r.t.Helper()
	if err := r.sink.Settle(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	if err := r.broker.journal.sync(r.t.Context().Done()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) session(id string) *session {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	return r.broker.sessions[id]
}

func (r *rig) dropped(reason string) float64 {
	return testutil.ToFloat64(r.broker.metrics.drops.WithLabelValues(reason))
}

var errCrashed = errors.New("the process has ended")

// A gatedKeeper is a store that can be made to wait, to refuse, and to end.
type gatedKeeper struct {
	store *store.Store

	mu   sync.Mutex
	gate chan struct{} // closed when commits may go on; nil: they may
	fail error
	dead bool
}

// Commit implements keeper.
func (k *gatedKeeper) Commit(ctx context.Context, b *store.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.gate != nil {
		gate := k.gate
		k.mu.Unlock()
		<-gate
		k.mu.Lock()
	}
	switch {
	case k.dead:
		return errCrashed
	case k.fail != nil:
		return k.fail
	}
	return k.store.Commit(ctx, b)
}

// hold makes commits wait.
func (k *gatedKeeper) hold() (release func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gate = make(chan struct{})
	return k.open
}

func (k *gatedKeeper) open() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gate != nil {
		close(k.gate)
		k.gate = nil
	}
}

func (k *gatedKeeper) setFail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
}

func (k *gatedKeeper) die() {
	k.mu.Lock()
	k.dead = true
	k.mu.Unlock()
	k.open()
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
	present bool // Session Present of the CONNACK
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
	c.present = body[0] == 1
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

// A received message is a PUBLISH as a client sees it.
type received struct {
	first          byte
	topic, payload string
	id             uint16
	props          []byte
}

func (m received) qos() byte    { return m.first >> 1 & 3 }
func (m received) dup() bool    { return m.first&8 > 0 }
func (m received) retain() bool { return m.first&1 > 0 }

// message reads a PUBLISH.
func (c *client) message() received {
	c.t.Helper()
	first, body := c.read()
	if first>>4 != byte(packet.Publish) {
		c.t.Fatalf("got packet %#x %x, want a PUBLISH", first, body)
	}
	return c.parse(first, body)
}

func (c *client) parse(first byte, body []byte) received {
	m := received{first: first}
	n := int(binary.BigEndian.Uint16(body))
	m.topic, body = string(body[2:2+n]), body[2+n:]
	if m.qos() > 0 {
		m.id, body = binary.BigEndian.Uint16(body), body[2:]
	}
	if c.version == 5 {
		size, n := binary.Uvarint(body)
		m.props, body = body[n:n+int(size)], body[n+int(size):]
	}
	m.payload = string(body)
	return m
}

func (c *client) wantMessage() (topic, payload string, id uint16) {
	c.t.Helper()
	m := c.message()
	return m.topic, m.payload, m.id
}

func (c *client) ack(kind packet.Kind, id uint16) {
	c.t.Helper()
	c.send(packet.AppendAck(nil, kind, id, 0, c.version))
}

// wantNumbers reads messages whose payloads are these numbers, in order, and acknowledges each in full.
func (c *client) wantNumbers(from, to int) {
	c.t.Helper()
	released := map[uint16]bool{}
	for n := from; n < to || len(released) > 0; {
		first, body := c.read()
		switch packet.Kind(first >> 4) {
		case packet.Pubrel:
			id := binary.BigEndian.Uint16(body)
			delete(released, id)
			c.ack(packet.Pubcomp, id)
			continue
		case packet.Publish:
		default:
			c.t.Fatalf("got packet %#x %x", first, body)
		}
		m := c.parse(first, body)
		if m.payload != strconv.Itoa(n) {
			c.t.Fatalf("got message %s %s, want %d", m.topic, m.payload, n)
		}
		n++
		switch m.qos() {
		case 1:
			c.ack(packet.Puback, m.id)
		case 2:
			released[m.id] = true
			c.ack(packet.Pubrec, m.id)
		}
	}
}

// publishNumbers publishes numbers and waits for each acknowledgement.
func (c *client) publishNumbers(topic string, qos byte, from, to int) {
	c.t.Helper()
	for n := from; n < to; n++ {
		id := uint16(n%60_000 + 1)
		c.publish(topic, strconv.Itoa(n), qos, id)
		switch qos {
		case 1:
			c.wantAck(0x40, id)
		case 2:
			c.wantAck(0x50, id)
			c.ack(packet.Pubrel, id)
			c.wantAck(0x70, id)
		}
	}
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

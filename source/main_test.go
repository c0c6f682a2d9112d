package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A sink is a log in memory behind an Ingest that can be held or made to fail.
type sink struct {
	t     *testing.T
	log   *memlog.Log
	offer func([]event.Decoded)

	mu     sync.Mutex
	events []event.Event
	held   []func() // what is not stored yet; nil: everything is at once
	hold   bool
	fail   error
	full   chan struct{} // Ingest blocks until it is closed; nil: it does not
}

func newSink(t *testing.T) *sink {
	t.Helper()
	l, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &sink{t: t, log: l, offer: func([]event.Decoded) {}}
}

// Ingest implements [Sink].
func (s *sink) Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error {
	s.mu.Lock()
	full := s.full
	s.mu.Unlock()
	if full != nil {
		select {
		case <-full:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	store := func() {
		if s.fail != nil {
			if done != nil {
				done(event.Position{}, s.fail)
			}
			return
		}
		batch := []event.Event{m}
		if err := s.log.Append(batch, true); err != nil {
			s.t.Error(err)
		}
		s.events = append(s.events, batch[0])
		if done != nil {
			done(batch[0].Next(), nil)
		}
		s.offer([]event.Decoded{{Event: batch[0]}})
	}
	if s.hold {
		s.held = append(s.held, store)
		return nil
	}
	store()
	return nil
}

func (s *sink) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = false
	for _, store := range s.held {
		store()
	}
	s.held = nil
}

// payloads are what came by MQTT, in order.
func (s *sink) payloads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for i := range s.events {
		if s.events[i].Source == event.SourceMQTT {
			out = append(out, string(s.events[i].Payload))
		}
	}
	return out
}

// screen publishes as a screen does.
func (s *sink) screen(t *testing.T, topic, payload string, qos uint8) {
	t.Helper()
	m := event.Event{Topic: topic, Payload: []byte(payload), QoS: qos, Source: event.SourceGateway, Client: "s1", Time: time.Now().UnixNano()}
	if err := s.Ingest(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
}

// A running is Sources at work.
type running struct {
	*Sources

	sink     *sink
	registry *prometheus.Registry
	losses   chan Loss
	stop     func()
}

// run runs Sources until the test ends, or stop.
func run(t *testing.T, s *sink, dir string, remotes ...Remote) *running {
	t.Helper()
	r := &running{sink: s, registry: prometheus.NewRegistry(), losses: make(chan Loss, 10)}
	var err error
	r.Sources, err = New(Config{
		Sink: s, Log: s.log, Remotes: remotes, Dir: dir, MaxPacket: 4096, OnLoss: func(l Loss) { r.losses <- l }, Metrics: r.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.offer = r.Offer
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// count is the sum of a counter over its labels.
func (r *running) count(name string) (sum float64) {
	families, err := r.registry.Gather()
	if err != nil {
		r.sink.t.Error(err)
	}
	for _, f := range families {
		if f.GetName() == "pulso_source_"+name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// A fake is a broker that does what the test says.
type fake struct {
	t   *testing.T
	l   *net.TCPListener
	url string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &fake{t, l, "tcp://" + l.Addr().String()}
}

// A peer is one connection to a fake.
type peer struct {
	t       *testing.T
	c       net.Conn
	in      *bufio.Reader
	version byte
	client  string
	clean   bool
}

// accept takes a connection and reads its CONNECT.
func (f *fake) accept() *peer {
	f.t.Helper()
	_ = f.l.SetDeadline(time.Now().Add(patience))
	c, err := f.l.Accept()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	p := &peer{t: f.t, c: c, in: bufio.NewReader(c)}
	first, body := p.read()
	if first != 0x10 || !bytes.HasPrefix(body, []byte("\x00\x04MQTT")) {
		f.t.Fatalf("% x % x is no CONNECT", first, body)
	}
	p.version, p.clean = body[6], body[7]&2 != 0
	rest := body[10:]
	if p.version == 5 {
		rest = rest[1+int(rest[0]):]
	}
	id, _, err := cutString(rest)
	if err != nil {
		f.t.Fatal(err)
	}
	p.client = string(id)
	return p
}

// welcome accepts a connection, with the session or without, and answers its SUBSCRIBE, if one is due.
func (f *fake) welcome(present bool) *peer {
	f.t.Helper()
	p := f.accept()
	p.connack(present)
	if !present || p.version == 5 {
		p.suback(p.subscribe())
	}
	return p
}

func (p *peer) connack(present bool) {
	p.t.Helper()
	b := []byte{0x20, 2, 0, 0}
	if p.version == 5 {
		b = []byte{0x20, 3, 0, 0, 0}
	}
	if present {
		b[2] = 1
	}
	p.write(b)
}

// subscribe reads a SUBSCRIBE and returns its filters, with their options.
func (p *peer) subscribe() (filters []string, options []byte) {
	p.t.Helper()
	body := p.expect(0x82)[2:]
	if p.version == 5 {
		body = body[1:]
	}
	for len(body) > 0 {
		f, rest, err := cutString(body)
		if err != nil {
			p.t.Fatal(err)
		}
		filters, options, body = append(filters, string(f)), append(options, rest[0]), rest[1:]
	}
	return filters, options
}

// suback grants what was asked for.
func (p *peer) suback(filters []string, _ []byte) {
	p.subackCodes(bytes.Repeat([]byte{1}, len(filters))...)
}

func (p *peer) subackCodes(codes ...byte) {
	p.t.Helper()
	b := []byte{0, controlID}
	if p.version == 5 {
		b = append(b, 0)
	}
	p.packet(0x90, append(b, codes...))
}

func (p *peer) packet(first byte, body []byte) {
	p.t.Helper()
	p.write(append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...))
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.c.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// publish sends a message; at QoS 0 with id 0.
func (p *peer) publish(first byte, topic, payload string, id int) {
	p.t.Helper()
	b := append([]byte{byte(len(topic) >> 8), byte(len(topic))}, topic...)
	if id > 0 {
		b = append(b, byte(id>>8), byte(id))
	}
	if p.version == 5 {
		b = append(b, 0)
	}
	p.packet(first, append(b, payload...))
}

func (p *peer) read() (first byte, body []byte) {
	p.t.Helper()
	first, body, err := p.tryRead(patience)
	if err != nil {
		p.t.Fatal(err)
	}
	return first, body
}

func (p *peer) tryRead(within time.Duration) (first byte, body []byte, err error) {
	_ = p.c.SetReadDeadline(time.Now().Add(within))
	f, err := readFrame(p.in, 1<<20)
	return f.first, f.body, err
}

// expect reads a packet that begins so, and no other but pings.
func (p *peer) expect(want byte) []byte {
	p.t.Helper()
	for {
		first, body := p.read()
		if first == 0xc0 {
			continue
		}
		if first != want {
			p.t.Fatalf("% x % x came, want % x", first, body, want)
		}
		return body
	}
}

// acks reads that many PUBACKs and returns their identifiers.
func (p *peer) acks(n int) (ids []int) {
	p.t.Helper()
	for range n {
		ids = append(ids, int(binary.BigEndian.Uint16(p.expect(0x40))))
	}
	return ids
}

// silent fails if anything comes for a while.
func (p *peer) silent() {
	p.t.Helper()
	if first, body, err := p.tryRead(150 * time.Millisecond); err == nil {
		p.t.Errorf("% x % x came", first, body)
	}
}

// gone waits for the end of the connection.
func (p *peer) gone() {
	p.t.Helper()
	for {
		first, _, err := p.tryRead(patience)
		if err != nil {
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				p.t.Fatal("the connection is still there")
			}
			return
		}
		if first == 0x40 {
			p.t.Error("a PUBACK came")
		}
	}
}

// message reads a PUBLISH.
func (p *peer) message() (m incoming) {
	p.t.Helper()
	var c codec = mqtt5{}
	if p.version == 4 {
		c = mqtt3{}
	}
	for {
		first, body := p.read()
		if first>>4 != typePublish {
			continue
		}
		m, err := decodeMessage(c, &frame{first: first, body: body})
		if err != nil {
			p.t.Fatal(err)
		}
		return m
	}
}

func (p *peer) puback(id uint16) { p.write(puback(id)) }

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %s, want %s", what, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

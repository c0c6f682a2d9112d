package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"pulso/bridge"
	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A flaky log fails when it is told to, and waits when it is told to.
type flaky struct {
	eventlog.Log

	fail    atomic.Pointer[error]
	gate    chan struct{} // nil: open
	appends atomic.Int32
}

func (l *flaky) Append(batch []event.Event, durable bool) error {
	l.appends.Add(1)
	if l.gate != nil {
		<-l.gate
	}
	if err := l.fail.Load(); err != nil {
		return *err
	}
	return l.Log.Append(batch, durable)
}

// A collector follows.
type collector struct {
	mu     sync.Mutex
	events []event.Decoded
}

func (c *collector) Offer(batch []event.Decoded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, batch...)
}

func (c *collector) all() []event.Decoded {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]event.Decoded(nil), c.events...)
}

type parts struct {
	*bridge.Bridge

	log      *flaky
	follower *collector
	logged   *strings.Builder
}

func newBridge(t testing.TB, cfg bridge.Config, lc memlog.Config) parts {
	t.Helper()
	l, err := memlog.New(lc)
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := parts{log: &flaky{Log: l}, follower: &collector{}, logged: &strings.Builder{}}
	cfg.Log, cfg.Decoder, cfg.Logger = p.log, d, slog.New(slog.NewTextHandler(p.logged, nil))
	if p.Bridge, err = bridge.New(cfg); err != nil {
		t.Fatal(err)
	}
	p.Follow(p.follower)
	return p
}

// start runs the bridge and returns what ends it and waits.
func (p parts) start(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func message(topic, payload string) event.Event {
	return event.Event{Topic: topic, Payload: []byte(payload), Client: "c", Time: time.Now().UnixNano()}
}

// TestOneOrder lets many publish at once: the log, its followers and the acknowledgements agree on one order, and each
// publisher's own is kept.
func TestOneOrder(t *testing.T) {
	p := newBridge(t, bridge.Config{MaxQueued: 50, MaxBatch: 16, Metrics: prometheus.NewRegistry()}, memlog.Config{})
	stop := p.start(t)
	const publishers, each = 8, 300
	var wg sync.WaitGroup
	var calls [publishers][each]atomic.Int32
	var last event.Position // done is called from one goroutine
	for k := range publishers {
		wg.Go(func() {
			for i := range each {
				m := message(fmt.Sprintf("devices/d%d/t", k), fmt.Sprint(i))
				m.QoS = uint8(i % 2)
				err := p.Ingest(t.Context(), m, func(pos event.Position, err error) {
					calls[k][i].Add(1)
					if err != nil || pos.Offset <= last.Offset {
						t.Errorf("done with %v, %v after %v", pos, err, last)
					}
					last = pos
					before := event.Position{Epoch: pos.Epoch, Offset: pos.Offset - 1}
					if stored, err := p.log.Read(before, 1); err != nil || len(stored) != 1 || string(stored[0].Payload) != fmt.Sprint(i) {
						t.Errorf("acknowledged before it was stored: %v, %v", stored, err)
					}
				})
				if err != nil {
					t.Errorf("ingest: %v", err)
				}
			}
		})
	}
	wg.Wait()
	stop() // drains
	for k := range calls {
		for i := range calls[k] {
			if n := calls[k][i].Load(); n != 1 {
				t.Fatalf("done of %d/%d was called %d times", k, i, n)
			}
		}
	}
	first, _ := p.log.Bounds()
	got := p.follower.all()
	if len(got) != publishers*each {
		t.Fatalf("followers got %d events", len(got))
	}
	next := map[string]int{}
	for i, d := range got {
		if d.Position.Offset != first.Offset+uint64(i) {
			t.Fatalf("event %d has offset %d", i, d.Position.Offset)
		}
		if want := fmt.Sprint(next[d.Topic]); string(d.Payload) != want || len(d.Metrics) != 1 || fmt.Sprint(d.Metrics[0].Value) != want {
			t.Fatalf("%s: %s with %v, want %s", d.Topic, d.Payload, d.Metrics, want)
		}
		next[d.Topic]++
	}
	if tr := p.Traffic(); tr.Events != publishers*each || tr.P99 < tr.P50 || tr.P50 <= 0 {
		t.Errorf("traffic: %+v", tr)
	}
	if err := p.Ingest(t.Context(), message("a", "1"), nil); !errors.Is(err, bridge.ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

func TestFullQueueBlocksUntilTheContextEnds(t *testing.T) {
	for name, cfg := range map[string]bridge.Config{"count": {MaxQueued: 3}, "bytes": {MaxQueuedBytes: 3}} {
		p := newBridge(t, cfg, memlog.Config{})
		for range 3 {
			if err := p.Ingest(t.Context(), message("a", "1"), nil); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("the device has gone"))
		err := p.Ingest(ctx, message("a", "4"), func(event.Position, error) { t.Error("done of a message that was not taken") })
		cancel()
		if err == nil || !strings.Contains(err.Error(), "the device has gone") || p.Queued() != 3 {
			t.Errorf("%s: %v, %d queued", name, err, p.Queued())
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Ingest(t.Context(), message("a", "5"), nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		stop := p.start(t)
		wg.Wait()
		stop()
		if n := len(p.follower.all()); n != 4 {
			t.Errorf("%s: %d events", name, n)
		}
	}
}

func TestTooLargeIsRefusedAlone(t *testing.T) {
	p := newBridge(t, bridge.Config{}, memlog.Config{MaxEventBytes: 200})
	const messages = 64
	var refused, stored atomic.Int32
	for i := range messages {
		payload := "1"
		if i == 21 {
			payload = strings.Repeat("x", 300)
		}
		_ = p.Ingest(t.Context(), message("a", payload), func(_ event.Position, err error) {
			switch {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, eventlog.ErrTooLarge) && i == 21:
				refused.Add(1)
			default:
				t.Errorf("message %d: %v", i, err)
			}
		})
	}
	p.start(t)()
	if refused.Load() != 1 || stored.Load() != messages-1 || len(p.follower.all()) != messages-1 {
		t.Errorf("%d refused, %d stored, %d handed on", refused.Load(), stored.Load(), len(p.follower.all()))
	}
	if n := p.log.appends.Load(); n > 20 {
		t.Errorf("%d appends", n)
	}
}

func TestFailingLogAcknowledgesNothing(t *testing.T) {
	p := newBridge(t, bridge.Config{}, memlog.Config{})
	broken := fmt.Errorf("write: %w", eventlog.ErrFailed)
	p.log.fail.Store(&broken)
	stop := p.start(t)
	for range 100 {
		heard := make(chan error, 1)
		if err := p.Ingest(t.Context(), message("a", "1"), func(_ event.Position, err error) { heard <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-heard; !errors.Is(err, eventlog.ErrFailed) {
			t.Fatalf("done with %v", err)
		}
	}
	p.log.fail.Store(nil)
	heard := make(chan error, 1)
	if err := p.Ingest(t.Context(), message("a", "2"), func(_ event.Position, err error) { heard <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Errorf("after it has recovered: %v", err)
	}
	stop()
	if got := p.follower.all(); len(got) != 1 || string(got[0].Payload) != "2" {
		t.Errorf("handed on: %v", got)
	}
	if n := strings.Count(p.logged.String(), "messages not stored"); n < 1 || n > 10 {
		t.Errorf("%d lines in the log", n)
	}
}

func TestEndDrainsWhatWaits(t *testing.T) {
	p := newBridge(t, bridge.Config{MaxQueued: 4, MaxBatch: 2}, memlog.Config{})
	p.log.gate = make(chan struct{})
	var taken, done atomic.Int32
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	for range 12 {
		wg.Go(func() {
			err := p.Ingest(t.Context(), message("a", "1"), func(_ event.Position, err error) {
				if err != nil {
					t.Error(err)
				}
				done.Add(1)
			})
			switch {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, bridge.ErrStopped):
				t.Error(err)
			}
		})
	}
	wg.Go(func() { _ = p.Run(ctx) })
	for p.log.appends.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	close(p.log.gate)
	wg.Wait()
	if n := taken.Load(); n < 4 || done.Load() != n || len(p.follower.all()) != int(n) {
		t.Errorf("%d taken in, %d acknowledged, %d handed on", n, done.Load(), len(p.follower.all()))
	}
}

// TestUnits lets a unit become known after the series, change, and be overruled by nothing that is older.
func TestUnits(t *testing.T) {
	p := newBridge(t, bridge.Config{}, memlog.Config{})
	at := func(second int64, payload string) *event.Series {
		e := event.Event{Topic: "devices/d/telemetry", Payload: []byte(payload), Time: second * 1e9}
		d := p.Decode([]event.Event{e})[0]
		if len(d.Metrics) != 1 {
			t.Fatalf("%s has the readings %v", payload, d.Metrics)
		}
		return d.Metrics[0].Series
	}
	bare := at(10, `{"temperature":21}`)
	if bare.Unit != "" {
		t.Fatalf("unit %q out of nowhere", bare.Unit)
	}
	celsius := at(20, `{"temperature":21,"temperature_unit":"°C"}`)
	if celsius.Unit != "°C" || celsius.ID != bare.ID || celsius == bare {
		t.Errorf("became known: %+v after %+v", celsius, bare)
	}
	if again := at(30, `{"temperature":21}`); again != celsius {
		t.Errorf("not said: %+v", again)
	}
	if old := at(5, `{"temperature":70,"temperature_unit":"°F"}`); old != celsius {
		t.Errorf("read again: %+v", old)
	}
	if changed := at(40, `{"temperature":70,"temperature_unit":"°F"}`); changed.Unit != "°F" || changed.ID != bare.ID {
		t.Errorf("changed: %+v", changed)
	}
	if seeded := p.Intern("d", "temperature", "K", "devices/d/telemetry"); seeded.Unit != "°F" {
		t.Errorf("interned: %+v", seeded)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	p := newBridge(t, bridge.Config{MaxSeries: 2}, memlog.Config{})
	d := p.Decode([]event.Event{message("devices/d/telemetry", `{"a":1,"b":2,"c":3}`)})[0]
	if len(d.Metrics) != 2 || p.Intern("e", "n", "", "t") != nil {
		t.Errorf("readings: %v", d.Metrics)
	}
}

// TestSeriesOfADevice: one device that names metric after metric takes nothing from the others.
func TestSeriesOfADevice(t *testing.T) {
	p := newBridge(t, bridge.Config{MaxDeviceSeries: 2}, memlog.Config{})
	all := p.Decode([]event.Event{
		message("devices/d/telemetry", `{"a":1,"b":2,"c":3}`), message("devices/d/x", `{"d":1}`), message("devices/e/telemetry", `{"a":1}`),
	})
	for i, want := range []int{2, 0, 1} {
		if len(all[i].Metrics) != want {
			t.Errorf("message %d: %v", i, all[i].Metrics)
		}
	}
}

func TestPast(t *testing.T) {
	p := newBridge(t, bridge.Config{}, memlog.Config{})
	for i := range 5 {
		if err := p.Ingest(t.Context(), message("devices/d/t", fmt.Sprint(i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	p.start(t)()
	past := bridge.Past{Bridge: p.Bridge, FindTopics: func(filters, _ []string, _ event.Scope, _ int) ([]string, bool) { return filters, true }}
	first, next := past.Bounds()
	if all, err := past.Read(first, 10); err != nil || len(all) != 5 || len(all[4].Metrics) != 1 {
		t.Errorf("read: %v, %v", all, err)
	}
	if last, err := past.Last("devices/d/t", next, 2); err != nil || len(last) != 2 || string(last[1].Payload) != "4" {
		t.Errorf("last: %v, %v", last, err)
	}
	foreign := event.Position{Epoch: next.Epoch + 1}
	if _, err := past.Read(foreign, 1); !errors.Is(err, eventlog.ErrEpoch) {
		t.Errorf("read: %v", err)
	}
	if _, err := past.Last("a", foreign, 1); !errors.Is(err, eventlog.ErrEpoch) {
		t.Errorf("last: %v", err)
	}
	if topics, more := past.Topics([]string{"a"}, nil, nil, 1); len(topics) != 1 || !more {
		t.Errorf("topics: %v, %v", topics, more)
	}
}

func TestNewNeedsLogAndDecoder(t *testing.T) {
	if _, err := bridge.New(bridge.Config{}); err == nil {
		t.Error("no error")
	}
}

// FuzzFrames decodes any payload and writes it into frames, which must be JSON in UTF-8 whatever it is.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, "21.5", "\xff\x00", `{"a":"` + "\xff" + `"}`, `"\ud800"`, "[1e999]", `{"a":1}{"b":2}`, "\ufeff{}",
		"{\"a\":\n1}", `{"unit":"\u0000","value":1}`, "NaN", "01",
	} {
		f.Add("devices/d/t", []byte(s))
	}
	p := newBridge(f, bridge.Config{}, memlog.Config{})
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		if event.CheckTopic(topic) != nil {
			return
		}
		d := p.Decode([]event.Event{{Topic: topic, Payload: payload, Time: 1}})[0]
		for e := range wire.Encoding(wire.Encodings) {
			fields := e.AppendEvents(nil, e.AppendEvent(nil, &d, 2))
			for _, m := range d.Metrics {
				fields = e.AppendSeries(fields, []*event.Series{m.Series})
				fields = e.AppendValues(fields, []wire.Value{{Series: m.Series, Aggregate: wire.Aggregate{Last: m.Value, Count: 1}}})
			}
			b := e.Frame(1, event.Position{Epoch: 1}, fields).Bytes()
			if e == wire.JSON && (!json.Valid(b) || !utf8.Valid(b)) {
				t.Fatalf("not JSON in UTF-8: %q", b)
			}
			if err := proto.Unmarshal(b, new(pulsov1.Message)); e == wire.Proto && err != nil {
				t.Fatalf("no Message: %v: %x", err, b)
			}
		}
	})
}

// BenchmarkPipeline takes messages in and hands them on, with a log in memory.
func BenchmarkPipeline(b *testing.B) {
	p := newBridge(b, bridge.Config{}, memlog.Config{})
	stop := p.start(b)
	messages := make([]event.Event, 1000)
	for i := range messages {
		messages[i] = message(fmt.Sprintf("devices/d%d/telemetry", i), `{"ts":1763830000123,"temperature":21.5,"humidity":40.25,"battery":87,"mode":"eco"}`)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := p.Ingest(b.Context(), messages[i%len(messages)], nil); err != nil {
			b.Fatal(err)
		}
	}
	stop()
}

// BenchmarkDecode decodes batches of 20; an operation is one event.
func BenchmarkDecode(b *testing.B) {
	p := newBridge(b, bridge.Config{}, memlog.Config{})
	batch := make([]event.Event, 20)
	for i := range batch {
		batch[i] = message(fmt.Sprintf("devices/d%d/telemetry", i), `{"ts":1763830000123,"temperature":21.5,"humidity":40.25,"battery":87,"mode":"eco"}`)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(batch) == 0 {
			p.Decode(batch)
		}
	}
}

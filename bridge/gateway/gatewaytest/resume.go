package gatewaytest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// A ledger checks that the numbers of the script's device come one by one, and keeps the place.
type ledger struct {
	t        testing.TB
	who      string
	position string
	next     int // the number that comes next
	wrong    bool
}

// take books a message and reports whether all is well.
func (l *ledger) take(m Message) bool {
	l.t.Helper()
	for _, e := range m.Events {
		l.number(string(e.Payload), fmt.Sprintf(`{"n":%d}`, l.next))
	}
	for _, v := range m.Values {
		l.number(fmt.Sprint(v[2]), fmt.Sprint(float64(l.next)))
		if len(v) != 3 {
			l.t.Errorf("%s: a value that stands for several: %v", l.who, v)
			l.wrong = true
		}
	}
	switch {
	case m.Position != "":
		l.position = m.Position
	case m.Subscribed != nil:
		l.position = m.Subscribed.Position
	case m.Changed != nil:
		l.position = m.Changed.Position
	case m.Gap != nil, m.Error != nil:
		l.t.Errorf("%s: %+v %+v", l.who, m.Gap, m.Error)
		l.wrong = true
	}
	return !l.wrong
}

func (l *ledger) number(got, want string) {
	if got != want && !l.wrong {
		l.t.Errorf("%s: got %s where %s comes next", l.who, got, want)
		l.wrong = true
	}
	l.next++
}

// count publishes numbers in bursts, which reach the log at once or by and by.
func (h *Hub) count(numbers int) {
	h.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := range numbers {
		h.Number(n)
		if n%5 == 0 {
			<-tick.C
		}
	}
}

func cut(t *testing.T, f Factory) {
	t.Helper()
	cuts(t, f, f)
}

// cuts has clients cut off again and again in the middle of a stream and resumes them on the other transport: each gets
// every number once, in order.
func cuts(t *testing.T, factories ...Factory) {
	t.Helper()
	services := make([]Service, len(factories))
	for i, f := range factories {
		services[i] = f.Service
	}
	h := Start(t, Config{Rooms: room.Config{RingBytes: 4 << 10}}, services...)
	const numbers, clients, connections = 1500, 4, 8
	start := h.Publish("begin", nil).String()
	var wg sync.WaitGroup
	wg.Go(func() { h.count(numbers) })
	for k := range clients {
		wg.Go(func() {
			form := []string{"events", "values"}[k%2]
			l := &ledger{t: t, who: fmt.Sprintf("client %d (%s)", k, form), position: start}
			for c := 0; l.next < numbers && !l.wrong; c++ {
				read(h, factories[(c+k)%len(factories)], l, form, c < connections, numbers)
			}
		})
	}
	wg.Wait()
}

// read is one connection of a client: until it is cut off, or has all.
func read(h *Hub, f Factory, l *ledger, form string, short bool, numbers int) {
	c, err := f.Dial(h)
	if err != nil {
		l.t.Errorf("%s: %v", l.who, err)
		l.wrong = true
		return
	}
	defer c.Cut()
	command := fmt.Sprintf(`{"id":1,"subscribe":{"filters":["devices/#"],"form":%q,"from":%q}}`, form, l.position)
	if err := c.Send(command); err != nil {
		l.t.Errorf("%s: %v", l.who, err)
		l.wrong = true
		return
	}
	for left := 1 + rand.IntN(12); l.next < numbers && (left > 0 || !short); left-- {
		m, err := c.Receive()
		if err != nil {
			l.t.Errorf("%s on %s: %v", l.who, f.Name, err)
			l.wrong = true
			return
		}
		if m.Subscribed != nil && (!m.Subscribed.Recovered || m.Subscribed.Position != l.position) {
			l.t.Errorf("%s: resumed at %s: %+v", l.who, l.position, m.Subscribed)
			l.wrong = true
		}
		if !l.take(m) {
			return
		}
	}
}

// A Follower is a client that goes on where it was, whatever happens to its connections.
type Follower struct {
	Factory Factory
	// Addr is where it reaches the hub, HOST:PORT.
	Addr string
	// Form is events or values, Position where it begins.
	Form, Position string
	// Numbers is how many there will be: {"n":0}, {"n":1} and so on, on topics that begin with devices/.
	Numbers int
}

// Follow follows the numbers until it has all, or ctx ends. What comes twice, not in order or not at all is an error of
// the test. It returns how many connections that took, and how many numbers it has.
func (f Follower) Follow(ctx context.Context, t testing.TB) (connections, numbers int) {
	t.Helper()
	l := &ledger{t: t, who: "a follower on " + f.Factory.Name, position: f.Position}
	h := &Hub{t: t, Addr: f.Addr}
	for ; l.next < f.Numbers && !l.wrong && ctx.Err() == nil; connections++ {
		if err := follow(h, f, l); err == nil {
			continue
		}
		select { // before it comes back
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return connections, l.next
}

// follow is one connection of a follower.
func follow(h *Hub, f Follower, l *ledger) error {
	c, err := f.Factory.Dial(h)
	if err != nil {
		return err
	}
	defer c.Cut()
	err = c.Send(fmt.Sprintf(`{"id":1,"subscribe":{"filters":["devices/#"],"form":%q,"from":%q}}`, f.Form, l.position))
	if err != nil {
		return err
	}
	for l.next < f.Numbers {
		m, err := c.Receive()
		if err != nil {
			return err
		}
		if !l.take(m) {
			return nil
		}
	}
	return nil
}

// change takes a subscription from rate to rate and filter to filter while numbers come.
func change(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	const numbers, changes = 1000, 12
	p := h.dial(f)
	l := &ledger{t: t, who: "a client that changes"}
	in := p.subscribe(`{"filters":["devices/#"]}`).Room
	var wg sync.WaitGroup
	wg.Go(func() { h.count(numbers) })
	defer wg.Wait()
	asked, changed := 0, 0
	for frames := 0; l.next < numbers; frames++ {
		if asked == changed && changed < changes && frames%3 == 0 {
			asked++
			filter := []string{"devices/#", "devices/+/telemetry", telemetry}[asked%3]
			p.send(fmt.Sprintf(`"change":{"room":%d,"subscribe":{"filters":[%q],"rate":%d}}`, in, filter, 20+asked*10))
		}
		m := p.next()
		if m.Changed != nil {
			if m.Changed.From != in || !m.Changed.Recovered {
				t.Errorf("changed: %+v", m.Changed)
			}
			in = m.Changed.Room
			changed++
		} else if m.Room != in {
			t.Errorf("a frame of room %d in room %d", m.Room, in)
		}
		if !l.take(m) {
			return
		}
	}
	if changed != changes {
		t.Errorf("%d changes", changed)
	}
}

// resumeLatest comes back to the current values: what changed comes in one frame, and no spike is lost in it.
func resumeLatest(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	p := h.dial(f)
	h.Number(1)
	s := p.subscribe(`{"filters":["#"],"form":"values","delivery":"latest"}`)
	if m := p.next(); m.Snapshot == nil || len(m.Snapshot.Values) != 1 {
		t.Errorf("snapshot: %+v", m)
	}
	p.Cut()
	for _, n := range []int{5, -700, 900, 6} {
		h.Number(n)
	}
	again := h.dial(f)
	if s := again.subscribe(fmt.Sprintf(`{"filters":["#"],"form":"values","delivery":"latest","from":%q}`, s.Position)); !s.Recovered {
		t.Errorf("resumed: %+v", s)
	}
	got := newSpan()
	for got.count < 4 {
		got.take(again.next().Values)
	}
	if want := (span{low: -700, high: 900, last: 6, count: 4}); *got != want {
		t.Errorf("catching up: %+v, want %+v", *got, want)
	}
}

// A span is what values stand for together.
type span struct {
	low, high, last float64
	count           int
}

func newSpan() *span { return &span{low: math.Inf(1), high: math.Inf(-1)} }

func (s *span) take(values [][]float64) {
	for _, v := range values {
		low, high, count := v[2], v[2], 1
		if len(v) == 6 {
			low, high, count = v[3], v[4], int(v[5])
		}
		s.low, s.high, s.last, s.count = min(s.low, low), max(s.high, high), v[2], s.count+count
	}
}

// conflation holds a room of latest at a low rate: the smallest, the largest and how many come with the last.
func conflation(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	p := h.dial(f)
	p.subscribe(`{"filters":["#"],"form":"values","delivery":"latest","rate":4}`)
	p.next() // the snapshot
	const numbers = 400
	want, got := newSpan(), newSpan()
	for n := range numbers {
		x := n % 7
		switch n {
		case 123:
			x = -5000
		case 287:
			x = 7000
		}
		h.Number(x)
		want.take([][]float64{{0, 0, float64(x)}})
	}
	frames := 0
	for ; got.count < numbers; frames++ {
		got.take(p.next().Values)
	}
	if *got != *want || frames >= numbers/2 {
		t.Errorf("in %d frames %+v, want %+v", frames, *got, *want)
	}
}

// retention passes a client by: a gap says from where to where, and the stream goes on behind it.
func retention(t *testing.T, f Factory) {
	t.Helper()
	log, err := memlog.New(memlog.Config{MaxEvents: 64})
	if err != nil {
		t.Fatal(err)
	}
	h := Start(t, Config{Log: log}, f.Service)
	from := h.Number(0)
	for n := range 300 {
		h.Number(n)
	}
	p := h.dial(f)
	if s := p.subscribe(fmt.Sprintf(`{"filters":["#"],"from":%q}`, from)); !s.Recovered || s.Position != from.String() {
		t.Errorf("subscribed: %+v", s)
	}
	m := p.next()
	if m.Gap == nil || m.Gap.From != from.String() || m.Gap.Reason != wire.ReasonRetention || m.Gap.Events == 0 {
		t.Fatalf("want a gap: %+v", m)
	}
	l := &ledger{t: t, who: "behind the gap", next: int(m.Gap.Events)}
	for l.next < 300 {
		if !l.take(p.next()) {
			return
		}
	}
}

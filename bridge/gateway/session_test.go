package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A valve is a transport that takes messages only while it is open.
type valve struct {
	gate    chan struct{} // closed: messages pass
	hurried chan struct{}
	once    sync.Once

	mu       sync.Mutex
	messages []*wire.Message
	code     wire.CloseCode
	closed   bool
}

func newValve() *valve { return &valve{gate: make(chan struct{}), hurried: make(chan struct{})} }

func (v *valve) Write(messages []*wire.Message) error {
	select {
	case <-v.gate:
	case <-v.hurried:
		select {
		case <-v.gate:
		default:
			return gateway.ErrSlow
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = append(v.messages, messages...)
	return nil
}

func (v *valve) Hurry() { v.once.Do(func() { close(v.hurried) }) }

func (v *valve) Close(code wire.CloseCode) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.code, v.closed = code, true
}

func (v *valve) taken() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.messages)
}

// A sink stores nothing and says at once that it did.
type sink struct{}

func (sink) Ingest(_ context.Context, _ event.Event, done func(event.Position, error)) error {
	done(event.Position{Epoch: 1, Offset: 1}, nil)
	return nil
}

// A hole never says whether it stored a message.
type hole struct{}

func (hole) Ingest(context.Context, event.Event, func(event.Position, error)) error { return nil }

func open(t *testing.T, p gateway.Publisher, v *valve) (*gateway.Gateway, *gateway.Session) {
	t.Helper()
	g := gateway.New(gateway.Config{Publisher: p, Rooms: room.New(room.Config{}, event.Position{Epoch: 1})})
	s, err := g.Open(v, gateway.Client{Transport: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return g, s
}

// TestRepliesThatNobodyTakesAreBounded sends command after command without taking a reply: the reading side must wait.
func TestRepliesThatNobodyTakesAreBounded(t *testing.T) {
	for _, command := range []string{`{"id":1,"ping":{}}`, `{"id":1,"publish":{"topic":"a","payload":1}}`} {
		v := newValve()
		_, s := open(t, sink{}, v)
		const commands = 2000
		handled := make(chan int, commands)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range commands {
				s.Handle([]byte(command))
				handled <- i
			}
		})
		for stuck := false; !stuck; {
			before := len(handled)
			time.Sleep(20 * time.Millisecond)
			stuck = before > 0 && len(handled) == before
		}
		if n := len(handled); n > 600 {
			t.Errorf("%s: %d commands were run although no reply was taken", command, n)
		}
		close(v.gate)
		wg.Wait()
		for end := time.Now().Add(10 * time.Second); v.taken() < commands; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d replies of %d", command, v.taken(), commands)
			}
		}
		s.End()
		if n := v.taken(); n != commands {
			t.Errorf("%s: %d replies to %d commands", command, n, commands)
		}
	}
}

func TestPublishesOnTheirWayAreBounded(t *testing.T) {
	v := newValve()
	close(v.gate)
	_, s := open(t, hole{}, v)
	for i := range 300 {
		s.Handle(fmt.Appendf(nil, `{"id":%d,"publish":{"topic":"a","payload":1}}`, i))
	}
	s.Close(wire.CloseShutdown)
	s.End()
	first := v.messages[0].Bytes()
	if v.taken() != 300-256 || !bytes.Contains(first, []byte(`"code":"too_many"`)) || !bytes.Contains(first, []byte(`"retry":true`)) {
		t.Errorf("%d replies, first %s", v.taken(), v.messages[0].Bytes())
	}
	if v.code != wire.CloseShutdown {
		t.Errorf("close code %d", v.code)
	}
}

func TestWaitingRepliesGoBeforeTheFarewell(t *testing.T) {
	v := newValve()
	close(v.gate)
	_, s := open(t, sink{}, v)
	for range 20 {
		s.Handle([]byte("nonsense"))
	}
	s.Handle([]byte(`{"id":1,"ping":{}}`)) // too late
	s.End()
	if v.taken() != 20 || v.code != wire.CloseBadCommands || !v.closed {
		t.Errorf("%d replies, close code %d", v.taken(), v.code)
	}
}

func TestStopEndsSessionsThatTakeNothing(t *testing.T) {
	v := newValve()
	g, s := open(t, sink{}, v)
	s.Handle([]byte(`{"id":1,"ping":{}}`))
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v.code != wire.CloseShutdown {
		t.Errorf("close code %d", v.code)
	}
	if _, err := g.Open(newValve(), gateway.Client{Transport: "test"}); !errors.Is(err, gateway.ErrStopping) {
		t.Errorf("Open after Stop: %v", err)
	}
	s.End()
	if n := g.Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

package gatewaytest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// bulk is a number with so much beside it that a client's buffers are soon full.
func bulk(n int) []byte {
	return fmt.Appendf(nil, `{"n":%d,"x":%q}`, n, bytes.Repeat([]byte("x"), 32<<10))
}

// slow has a client that does not read for a while: another one has everything at once, and the slow one when it reads again.
func slow(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{Rooms: room.Config{RingBytes: 256 << 10}}, f.Service)
	lazy, quick := h.dial(f), h.dial(f)
	lazy.subscribe(`{"filters":["#"],"rate":1000}`)
	quick.subscribe(`{"filters":["#"],"rate":1000}`)
	const events = 256
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for n := range events {
			h.Publish(telemetry, bulk(n))
		}
	})
	all := func(p *peer, who string) {
		t.Helper()
		for n := 0; n < events; {
			m := p.next()
			if m.Gap != nil {
				t.Fatalf("%s: %+v", who, m.Gap)
			}
			for _, e := range m.Events {
				if !bytes.HasPrefix(e.Payload, fmt.Appendf(nil, `{"n":%d,`, n)) {
					t.Fatalf("%s: event %d is %.20s", who, n, e.Payload)
				}
				n++
			}
		}
	}
	all(quick, "the quick one")
	wg.Wait()
	all(lazy, "the slow one")
	if h.Gateway.Sessions() != 2 {
		t.Errorf("%d sessions", h.Gateway.Sessions())
	}
}

// neverReads has a client that is told why it is closed, if it can be told, and does no harm to others.
func neverReads(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{Limits: Limits{Write: time.Second, Silence: 2 * time.Second}}, f.Service)
	deaf, other := h.dial(f), h.dial(f)
	deaf.subscribe(`{"filters":["#"],"rate":1000}`)
	other.subscribe(`{"filters":["#"],"rate":1000}`)
	const events = 256
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for n := range events {
			h.Publish(telemetry, bulk(n))
		}
	})
	for n := 0; n < events; {
		n += len(other.next().Events)
	}
	wg.Wait()
	why := wire.CloseSlow
	if f.Polls {
		why = wire.CloseSilent
	}
	for end := time.Now().Add(3 * patience); h.Closed(why.Info().Name) == 0; { // the other one stays, as long as it does something
		if time.Now().After(end) {
			t.Fatalf("who reads nothing was not closed as %s within %v", why.Info().Name, 3*patience)
		}
		if err := other.Send(`{"id":99,"ping":{}}`); err != nil && !f.Single {
			t.Fatal(err)
		}
		if f.Single {
			h.Publish("still", nil)
		}
		if _, err := other.Receive(); err != nil {
			t.Fatalf("the other one: %v", err)
		}
	}
	h.Eventually("the session is gone", func() bool { return h.Gateway.Sessions() == 1 })
}

// viewers tells who watches the same.
func viewers(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	watcher := h.dial(f)
	watcher.subscribe(`{"filters":["v"],"viewers":true}`)
	var name string
	if m := watcher.next(); m.Viewers == nil || m.Viewers.Count != 1 || len(m.Viewers.Present) != 1 {
		t.Fatalf("present: %+v", m.Viewers)
	}
	guest := h.dial(f)
	guest.subscribe(`{"filters":["v"],"delivery":"latest"}`)
	m := watcher.next()
	if m.Viewers == nil || m.Viewers.Count != 2 || len(m.Viewers.Joined) != 1 {
		t.Fatalf("joined: %+v", m.Viewers)
	}
	name, _ = m.Viewers.Joined[0][0].(string)
	guest.Cut()
	if f.Polls {
		return // nobody sees that it has gone
	}
	if m := watcher.next(); m.Viewers == nil || m.Viewers.Count != 1 || len(m.Viewers.Left) != 1 || m.Viewers.Left[0] != name {
		t.Errorf("left: %+v", m.Viewers)
	}
}

// overloaded is who comes when there are as many as may be; it may come back.
func overloaded(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{Gateway: gateway.Config{MaxSessions: 1}}, f.Service)
	first := h.dial(f)
	first.subscribe(`{"filters":["#"]}`)
	err := func() error {
		second, err := f.Dial(h)
		if err != nil {
			return err
		}
		defer second.Cut()
		if err := second.Send(`{"id":1,"subscribe":{"filters":["#"]}}`); err != nil && errors.As(err, new(*ClosedError)) {
			return err
		}
		_, err = second.Receive()
		return err
	}()
	if closed := (*ClosedError)(nil); !errors.As(err, &closed) || closed.Code != wire.CloseOverloaded {
		t.Errorf("the second of one: %v", err)
	}
	if n := h.Counted("pulso_gateway_sessions_refused_total", "sessions"); n != 1 {
		t.Errorf("%d refused", n)
	}
	if f.Polls {
		return
	}
	first.Cut()
	h.Eventually("the first has gone", func() bool { return h.Gateway.Sessions() == 0 })
	h.dial(f).subscribe(`{"filters":["#"]}`)
}

// shutdown ends all with a code that means come back.
func shutdown(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	peers := []*peer{h.dial(f), h.dial(f)}
	for _, p := range peers {
		p.subscribe(`{"filters":["#"]}`)
	}
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			if code := p.farewell(); code != wire.CloseShutdown {
				t.Errorf("close code %d", code)
			}
		})
	}
	if err := h.Gateway.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	h.Eventually("no session is left", func() bool { return h.Gateway.Sessions() == 0 })
}

package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// both runs a test in both versions of the protocol, at once.
func both(t *testing.T, test func(t *testing.T, f *fake, r Remote)) {
	for _, protocol := range []string{"5", "3.1.1"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			test(t, f, Remote{URL: f.url, Protocol: protocol})
		})
	}
}

// Nothing is acknowledged before it is stored, and then all is, in the order of arrival; what was not stored is never, and the
// broker is asked for it again.
func TestAcknowledgedWhenStored(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		s := newSink(t)
		s.hold = true
		run(t, s, t.TempDir(), r)
		p := f.welcome(false)
		for i := 1; i <= 3; i++ {
			p.publish(0x32, "a", fmt.Sprint(i), 10*i)
		}
		p.silent()
		s.release()
		if ids := p.acks(3); !slices.Equal(ids, []int{10, 20, 30}) {
			t.Errorf("acknowledged %v", ids)
		}
		s.mu.Lock()
		s.fail = errors.New("the log has failed")
		s.mu.Unlock()
		p.publish(0x32, "a", "4", 40)
		p.gone()
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		p = f.welcome(true)
		p.publish(0x3a, "a", "4", 40)
		p.acks(1)
		equal(t, "stored", s.payloads(), []string{"1", "2", "3", "4"})
	})
}

// A stop waits for what came, acknowledges it, and says goodbye.
func TestStop(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		s := newSink(t)
		s.hold = true
		running := run(t, s, t.TempDir(), r)
		p := f.welcome(false)
		p.publish(0x32, "a", "1", 7)
		eventually(t, "it came", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.held) == 1 })
		stopped := make(chan struct{})
		go func() { running.stop(); close(stopped) }()
		time.Sleep(50 * time.Millisecond) // the stop is under way; if it were not, the test would only prove less
		s.release()
		p.acks(1)
		p.expect(0xe0)
		<-stopped
	})
}

// A broker that refuses MQTT 5, in whichever way, is spoken to in 3.1.1.
func TestVersions(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]struct {
		answer []byte
		times  int
	}{
		"reason 0x84":  {[]byte{0x20, 3, 0, 0x84, 0}, 1},
		"return code":  {[]byte{0x20, 2, 0, 1}, 1},
		"it hangs up":  {nil, silentTries},
		"short answer": {[]byte{0x20, 2, 0, 0x84}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			running := run(t, newSink(t), t.TempDir(), Remote{URL: f.url})
			for range refuse.times {
				p := f.accept()
				if p.version != 5 {
					t.Fatalf("version %d comes first", p.version)
				}
				p.write(refuse.answer)
				_ = p.c.Close()
			}
			if p := f.welcome(false); p.version != 4 || p.clean {
				t.Errorf("version %d, clean %v", p.version, p.clean)
			}
			eventually(t, "it is connected", func() bool { return running.States()[0].Connected })
		})
	}
}

// The client id and the subscriptions outlive the process: nothing is subscribed to again, and what is configured otherwise is.
func TestSessionIsKept(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		s, dir := newSink(t), t.TempDir()
		r.Filters = []string{"a/#", "b"}
		running := run(t, s, dir, r)
		first := f.accept()
		first.connack(false)
		filters, options := first.subscribe()
		equal(t, "subscribed", filters, r.Filters)
		if r.Protocol == "5" && options[0] != 0x1d { // QoS 1, no local, retain as published, retained only if new
			t.Errorf("options %x", options[0])
		}
		first.suback(filters, nil)
		eventually(t, "it is connected", func() bool { return running.States()[0].Connected })
		running.stop()

		running = run(t, s, dir, r)
		p := f.accept()
		if p.client != first.client || len(p.client) > 23 {
			t.Errorf("client id %q, then %q", first.client, p.client)
		}
		p.connack(true)
		if p.version == 5 { // where it can be said that retained messages are not wanted again
			filters, _ = p.subscribe()
			equal(t, "subscribed again", filters, r.Filters)
			p.suback(filters, nil)
		}
		eventually(t, "it is connected again", func() bool { return running.States()[0].Connected })
		p.silent()
		if n := running.count("unknown_outages_total"); n != 1 {
			t.Errorf("%v outages: it was there before", n)
		}
		if l := <-running.losses; l.Forgotten {
			t.Errorf("%+v", l)
		}
		running.stop()

		r.Filters = []string{"b", "c"}
		run(t, s, dir, r)
		p = f.accept()
		p.connack(true)
		filters, _ = p.subscribe()
		equal(t, "subscribed anew", filters, map[byte][]string{4: {"c"}, 5: {"b", "c"}}[p.version])
		if body := p.expect(0xa2); !strings.Contains(string(body), "a/#") || strings.Contains(string(body), "b") {
			t.Errorf("UNSUBSCRIBE %q", body)
		}
	})
}

// A broker that has forgotten the session is subscribed to again, and it is said that what it lost is unknown; retained
// messages that it brings again are no news.
func TestSessionIsForgotten(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		s := newSink(t)
		running := run(t, s, t.TempDir(), r)
		p := f.welcome(false)
		p.publish(0x33, "state/a", "on", 1)
		p.publish(0x33, "state/b", "on", 2)
		p.acks(2)
		_ = p.c.Close()
		p = f.welcome(false)
		p.publish(0x33, "state/a", "on", 1)  // as it was
		p.publish(0x33, "state/b", "off", 2) // changed meanwhile
		p.publish(0x32, "state/a", "on", 3)  // said by the device
		p.acks(3)
		equal(t, "stored", s.payloads(), []string{"on", "on", "off", "on"})
		if l := <-running.losses; !l.Forgotten || l.Source == "" {
			t.Errorf("%+v", l)
		}
		for name, want := range map[string]float64{
			"sessions_lost_total": 1, "unknown_outages_total": 1, "retained_repeated_total": 1, "connects_total": 2, "connected": 1,
		} {
			if got := running.count(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if n := running.count("unknown_seconds_total"); n <= 0 {
			t.Errorf("%v seconds away", n)
		}
	})
}

// What is too large, or on a topic that is none, is left out and acknowledged: else it would come for ever.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		r.Prefix = "p/"
		s := newSink(t)
		running := run(t, s, t.TempDir(), r)
		p := f.welcome(false)
		p.publish(0x32, "a", strings.Repeat("x", 5000), 1)
		p.publish(0x30, "a", strings.Repeat("x", 100_000), 0)
		p.publish(0x32, strings.Repeat("/", 200), "x", 2)
		p.publish(0x32, "\xff", "x", 3)
		p.publish(0x3a, "a", "good", 4)
		if ids := p.acks(4); !slices.Equal(ids, []int{1, 2, 3, 4}) {
			t.Errorf("acknowledged %v", ids)
		}
		equal(t, "stored", s.payloads(), []string{"good"})
		if topic := s.events[0].Topic; topic != "p/a" {
			t.Errorf("topic %q", topic)
		}
		if d, n := running.count("dropped_total"), running.count("redelivered_total"); d != 4 || n != 1 {
			t.Errorf("%v dropped, %v redelivered", d, n)
		}
	})
}

// Whatever a broker sends that it must not ends the connection, and nothing else.
func TestBadBrokers(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(p *peer){
		"a CONNECT":                 func(p *peer) { p.packet(0x10, nil) },
		"type 0":                    func(p *peer) { p.packet(0x00, []byte{1}) },
		"a length without end":      func(p *peer) { p.write([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0xff}) },
		"an answer that is huge":    func(p *peer) { p.write([]byte{0x90, 0xff, 0xff, 0xff, 0x7f}) },
		"QoS 2":                     func(p *peer) { p.publish(0x34, "a", "x", 1) },
		"QoS 3":                     func(p *peer) { p.publish(0x36, "a", "x", 1) },
		"identifier 0":              func(p *peer) { p.packet(0x32, []byte{0, 1, 'a', 0, 0, 0}) },
		"no identifier":             func(p *peer) { p.packet(0x32, []byte{0, 1, 'a'}) },
		"a topic beyond the packet": func(p *peer) { p.packet(0x30, []byte{0xff, 0xff, 'a'}) },
		"a SUBACK without a code":   func(p *peer) { p.packet(0x90, []byte{0, 1}) },
		"a SUBACK of many codes":    func(p *peer) { p.subackCodes(1, 1, 1) },
		"a PUBACK of nothing":       func(p *peer) { p.packet(0x40, nil) },
		"DISCONNECT":                func(p *peer) { p.packet(0xe0, []byte{0x8b}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, f *fake, r Remote) {
				running := run(t, newSink(t), t.TempDir(), r)
				p := f.welcome(false)
				bad(p)
				p.gone()
				f.welcome(true)
				eventually(t, "it is connected again", func() bool { return running.States()[0].Connected })
			})
		})
	}
}

// A broker that says nothing for one and a half keep-alives is gone.
func TestSilence(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	running := run(t, newSink(t), t.TempDir(), Remote{URL: f.url, KeepAlive: time.Second})
	p := f.welcome(false)
	eventually(t, "it is connected", func() bool { return running.States()[0].Connected })
	if first, _ := p.read(); first != 0xc0 {
		t.Errorf("% x came, want a ping", first)
	}
	p.gone()
	p = f.welcome(true)
	for range 2 { // it lives on while its pings are answered
		if first, _ := p.read(); first != 0xc0 {
			t.Errorf("% x came, want a ping", first)
		}
		p.write([]byte{0xd0, 0})
	}
}

// Shared subscriptions are asked for, and where the broker has none, plain ones, also the next time.
func TestShare(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := Remote{URL: f.url, Share: "hubs", Filters: []string{"a", "b/#"}}
	running := run(t, newSink(t), t.TempDir(), r)
	p := f.accept()
	p.connack(false)
	filters, options := p.subscribe()
	equal(t, "asked for", filters, []string{"$share/hubs/a", "$share/hubs/b/#"})
	if options[0]&4 != 0 {
		t.Error("no local in a shared subscription is a protocol error")
	}
	p.subackCodes(0x9e, 0x9e)
	filters, _ = p.subscribe()
	equal(t, "asked for then", filters, []string{"a", "b/#"})
	p.suback(filters, nil)
	eventually(t, "it is connected", func() bool { return running.States()[0].Connected })
	_ = p.c.Close()
	p = f.accept()
	p.connack(true)
	filters, _ = p.subscribe()
	equal(t, "asked for the next time", filters, []string{"a", "b/#"})
	_ = p.c.Close()

	// CONNACK may say so, too: shared subscription available 0.
	p = f.accept()
	p.write([]byte{0x20, 5, 0, 0, 2, 0x2a, 0})
	filters, _ = p.subscribe()
	equal(t, "asked for at last", filters, []string{"a", "b/#"})
}

// A filter that is refused is told of, and the others stand.
func TestRefusedFilter(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		r.Filters = []string{"a", "secret/#"}
		running := run(t, newSink(t), t.TempDir(), r)
		p := f.accept()
		p.connack(false)
		p.subscribe()
		p.subackCodes(1, 0x80)
		eventually(t, "it is told", func() bool {
			s := running.States()[0]
			return s.Connected && strings.Contains(s.Problem, `"secret/#"`)
		})
		_ = p.c.Close()
		p = f.accept()
		p.connack(true)
		filters, _ := p.subscribe()
		equal(t, "asked for again", filters, map[byte][]string{4: {"secret/#"}, 5: {"a", "secret/#"}}[p.version])
	})
}

// While the log has no room nothing more is read, so TCP slows the broker; the connection lives on, and nothing is lost.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := newSink(t)
	s.full = make(chan struct{})
	running := run(t, s, t.TempDir(), Remote{URL: f.url, KeepAlive: time.Second})
	p := f.welcome(false)
	eventually(t, "it is connected", func() bool { return running.States()[0].Connected })
	payload := strings.Repeat("x", 4000)
	sent, rest := 0, []byte(nil)
	for blocked := false; !blocked; {
		_ = p.c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		b, err := mqtt5{}.publish(&outgoing{topic: "a", payload: []byte(payload), qos: 0})
		if err != nil {
			t.Fatal(err)
		}
		n, err := p.c.Write(b)
		blocked, rest = err != nil, b[n:]
		if sent++; sent > 100_000 {
			t.Fatal("400 MB went somewhere")
		}
	}
	_ = p.c.SetWriteDeadline(time.Time{})
	for range 3 { // two seconds: longer than the silence that would end it
		if first, _ := p.read(); first != 0xc0 {
			t.Errorf("% x came, want a ping", first)
		}
	}
	close(s.full)
	p.write(rest)
	p.publish(0x32, "a", "last", 1)
	p.acks(1)
	if got := s.payloads(); len(got) != sent+1 || got[sent] != "last" {
		t.Errorf("%d of %d are stored", len(got), sent+1)
	}
	if n := running.count("connects_total"); n != 1 {
		t.Errorf("%v connections", n)
	}
}

// Two sources may not have one name, and a URL with a password is not repeated.
func TestNew(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	for _, remotes := range [][]Remote{
		{{URL: "tcp://a"}, {URL: "tcp://a", Prefix: "x/"}}, {{URL: "tcp://u:canary@a"}}, make([]Remote, MaxRemotes+1),
	} {
		if _, err := New(Config{Sink: s, Log: s.log, Remotes: remotes}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d remotes: %v", len(remotes), err)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("neither sink nor log")
	}
}

// A hub that keeps nothing leaves nothing with the broker either.
func TestTransient(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		running := run(t, newSink(t), "", r)
		p := f.welcome(false)
		if p.clean != (p.version == 4) {
			t.Errorf("clean session %v", p.clean)
		}
		eventually(t, "it is connected", func() bool { return running.States()[0].Connected })
		running.stop()
		if body := p.expect(0xe0); p.version == 5 && string(body) != "\x00\x05\x11\x00\x00\x00\x00" {
			t.Errorf("DISCONNECT % x", body)
		}
	})
}

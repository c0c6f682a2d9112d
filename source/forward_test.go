package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pulso/bridge/event"
)

// What a screen publishes goes to the broker at its QoS; what came from brokers and devices does not.
func TestForward(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		r.Prefix = "p/"
		s := newSink(t)
		running := run(t, s, t.TempDir(), r)
		p := f.welcome(false)
		p.publish(0x30, "from/broker", "x", 0)
		s.screen(t, "elsewhere", "not for it", 1)
		s.screen(t, "p/$SYS/x", "nor this", 1)
		s.screen(t, "p/cmd", "0", 0)
		s.screen(t, "p/cmd", "1", 1)
		s.screen(t, "p/cmd", "2", 2)
		for qos, want := range []byte{0, 1, 1} {
			m := p.message()
			if m.topic != "cmd" || string(m.payload) != fmt.Sprint(qos) || m.qos != want || m.dup {
				t.Errorf("%+v", m)
			}
			if m.qos > 0 {
				p.puback(m.id)
			}
		}
		eventually(t, "all are counted", func() bool { return running.count("forwarded_total") == 3 })
		p.silent()
	})
}

// What the broker has not acknowledged is sent again: after a cut with its identifier, after a restart from the saved
// cursor. What it has acknowledged is not.
func TestForwardAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fake, r Remote) {
		s, dir := newSink(t), t.TempDir()
		running := run(t, s, dir, r)
		p := f.welcome(false)
		for i := range 4 {
			s.screen(t, "cmd", fmt.Sprint(i), 1)
		}
		var sent []incoming
		for range 4 {
			sent = append(sent, p.message())
		}
		p.puback(sent[0].id)
		p.puback(sent[2].id)
		eventually(t, "two are acknowledged", func() bool { return running.count("forwarded_total") == 2 })
		_ = p.c.Close()
		p = f.welcome(true)
		for _, i := range []int{1, 3} {
			if m := p.message(); m.id != sent[i].id || !m.dup || string(m.payload) != fmt.Sprint(i) {
				t.Errorf("%+v, want %+v again", m, sent[i])
			}
		}
		p.puback(sent[1].id)
		eventually(t, "three are acknowledged", func() bool { return running.count("forwarded_total") == 3 })
		running.stop()
		s.screen(t, "cmd", "4", 1) // while no source runs
		running = run(t, s, dir, r)
		p = f.welcome(true)
		for _, want := range []string{"3", "4"} {
			m := p.message()
			if string(m.payload) != want {
				t.Errorf("%q, want %q", m.payload, want)
			}
			p.puback(m.id)
		}
		eventually(t, "both are acknowledged", func() bool { return running.count("forwarded_total") == 2 })
		p.silent()
	})
}

// More than fits into memory is read from the log, in order, and nothing is left out.
func TestForwardMany(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := newSink(t)
	running := run(t, s, t.TempDir(), Remote{URL: f.url})
	p := f.welcome(false)
	const first, many = maxWaiting + 500, maxWaiting + 800
	for i := range first {
		s.screen(t, "cmd", fmt.Sprint(i), 1)
	}
	for i := range many {
		if i == maxWaiting/2 { // there is room in memory again, but what comes now is not what is next
			for n := first; n < many; n++ {
				s.screen(t, "cmd", fmt.Sprint(n), 1)
			}
		}
		m := p.message()
		if string(m.payload) != fmt.Sprint(i) {
			t.Fatalf("%q instead of %d", m.payload, i)
		}
		p.puback(m.id)
	}
	s.screen(t, "cmd", "live again", 1)
	if m := p.message(); string(m.payload) != "live again" {
		t.Errorf("%q", m.payload)
	}
	if w, _ := running.remotes[0].outbox.state(); w > maxUnanswered {
		t.Errorf("%d wait", w)
	}
}

// A message that the broker refuses, or that is too large or too old for it, is counted, and the next ones go on.
func TestForwardRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := newSink(t)
	running := run(t, s, t.TempDir(), Remote{URL: f.url})
	p := f.accept()
	p.write([]byte{0x20, 12, 0, 0, 9, 0x27, 0, 0, 0, 100, 0x25, 0, 0x24, 1}) // maximum packet size 100, no retained messages, QoS 1
	p.suback(p.subscribe())
	s.screen(t, "cmd", strings.Repeat("x", 200), 1)
	old := event.Event{Topic: "cmd", Source: event.SourceGateway, Time: time.Now().Add(-2 * time.Minute).UnixNano()}
	expired := old
	expired.QoS, expired.Properties = 1, &event.Properties{HasExpiry: true, Expiry: 60}
	lasting := old
	lasting.QoS, lasting.Retain, lasting.Properties = 1, true, &event.Properties{HasExpiry: true, Expiry: 180, ContentType: "text/plain"}
	for _, e := range []event.Event{old, expired, lasting} {
		if err := s.Ingest(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
	}
	m := p.message()
	if m.retain || m.properties == nil || m.properties.Expiry > 60 || m.properties.Expiry < 50 || m.properties.ContentType != "text/plain" {
		t.Errorf("%+v with %+v", m, m.properties)
	}
	p.packet(0x40, []byte{byte(m.id >> 8), byte(m.id), 0x87})
	s.screen(t, "cmd", "good", 1)
	m = p.message()
	p.puback(m.id)
	eventually(t, "all is counted", func() bool {
		return running.count("forwarded_total") == 1 && running.count("forward_dropped_total") == 4
	})
}

// A hub's own message that comes back is no new one; the same said by a device afterwards is.
func TestEcho(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := newSink(t)
	running := run(t, s, t.TempDir(), Remote{URL: f.url, Protocol: "3.1.1", Filters: []string{"cmd/#"}})
	p := f.welcome(false)
	s.screen(t, "cmd/a", "on", 1)
	s.screen(t, "other", "on", 1) // not subscribed to: none comes back
	for range 2 {
		p.puback(p.message().id)
	}
	p.publish(0x32, "cmd/a", "on", 1)
	p.publish(0x32, "cmd/a", "on", 2)
	p.publish(0x32, "cmd/a", "off", 3)
	p.acks(3)
	equal(t, "stored", s.payloads(), []string{"on", "off"})
	if n := running.count("echoes_total"); n != 1 {
		t.Errorf("%v echoes", n)
	}
}

// In a shared subscription of MQTT 5 a user property tells a hub its own messages.
func TestEchoShared(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := newSink(t)
	running := run(t, s, t.TempDir(), Remote{URL: f.url, Share: "g"})
	p := f.welcome(false)
	s.screen(t, "a", "on", 0)
	m := p.message()
	if m.properties == nil || !slices.Contains(m.properties.User, event.UserProperty{Name: originProperty, Value: p.client}) {
		t.Fatalf("%+v", m.properties)
	}
	b, err := mqtt5{}.publish(&outgoing{topic: m.topic, payload: m.payload, properties: m.properties})
	if err != nil {
		t.Fatal(err)
	}
	p.write(b)
	p.publish(0x32, "a", "on", 1)
	p.acks(1)
	equal(t, "stored", s.payloads(), []string{"on"})
	if n := running.count("echoes_total"); n != 1 {
		t.Errorf("%v echoes", n)
	}
}

// A broker's receive maximum is kept, also for what is sent again.
func TestForwardWindow(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := newSink(t)
	run(t, s, t.TempDir(), Remote{URL: f.url})
	p := f.welcome(false)
	for i := range 5 {
		s.screen(t, "cmd", fmt.Sprint(i), 1)
	}
	for range 5 {
		p.message()
	}
	_ = p.c.Close()
	p = f.accept()
	p.write([]byte{0x20, 6, 1, 0, 3, 0x21, 0, 2}) // receive maximum 2
	p.suback(p.subscribe())
	for i := range 5 {
		m := p.message()
		if string(m.payload) != fmt.Sprint(i) || !m.dup {
			t.Errorf("%+v", m)
		}
		if i > 0 {
			if i == 1 {
				p.silent()
			}
			p.puback(m.id - 1)
		}
	}
}

// A message on which a broker hangs up each time is given up at last, and what is behind it goes on.
func TestForwardHangUp(t *testing.T) {
	t.Parallel()
	l := &link{}
	o := newOutbox(event.Position{}, newSink(t).log)
	for i := range 2 {
		o.sent = append(o.sent, &sending{id: uint16(10 + i)})
	}
	now := time.Now()
	try := func(later time.Duration) *sending {
		l = &link{}
		if s, again := o.take(l, 1, now); !again || s != o.sent[0] {
			t.Fatalf("%+v is sent", s)
		}
		return o.ended(l, now.Add(later))
	}
	for range maxHangUps - 1 {
		if bad := try(time.Second); bad != nil {
			t.Fatalf("given up after %d", bad.hangUps)
		}
	}
	if bad := try(time.Minute); bad != nil {
		t.Fatal("given up, although the connection lasted")
	}
	for range maxHangUps - 1 {
		_ = try(time.Second)
	}
	if bad := try(time.Second); bad == nil || bad.id != 10 || !o.answered(bad.id) {
		t.Fatalf("%+v is given up", bad)
	}
	if s, _ := o.take(l, 1, now); s == nil || s.id != 11 {
		t.Errorf("%+v comes next", s)
	}
}

// The longest prefix decides.
func TestWants(t *testing.T) {
	t.Parallel()
	o := outbox{prefix: "a/", rivals: []string{"a/b/"}}
	for topic, want := range map[string]bool{"a/x": true, "a/b": true, "a/b/c": false, "a/": false, "b": false, "a/$SYS": false} {
		if o.wants(topic) != want {
			t.Errorf("%q: %v", topic, !want)
		}
	}
}

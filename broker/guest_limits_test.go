package broker

import (
	"strings"
	"testing"
	"time"

	"pulso/access/meter"
	"pulso/broker/packet"
)

// limited are guests whose accounts have limits.
func limited(l meter.Limits) *guests {
	g := newGuests()
	g.meters, g.limits = meter.NewTable(nil, nil), l
	return g
}

// Beyond an account's limits the client is told so, in the words of its version; other accounts are not concerned, and what ends makes
// room again.
func TestAccountLimits(t *testing.T) {
	g := limited(meter.Limits{meter.Connections: 2, meter.Subscriptions: 2})
	r := newRig(t, g.configure)
	named := func(user, id string, version byte) options {
		o := as(user)
		o.id, o.version = id, version
		return o
	}
	one := r.connect(named("root", "one", 5))
	two := r.connect(named("root", "two", 4))
	if code := r.dial().connect(named("root", "three", 5)); code != codeQuota {
		t.Errorf("MQTT 5: CONNACK %#x", code)
	}
	if code := r.dial().connect(named("root", "three", 4)); code != 3 {
		t.Errorf("MQTT 3.1.1: CONNACK %#x", code)
	}
	if refusal := r.refusal(reasonLimit); !strings.Contains(refusal.Detail, "root") {
		t.Errorf("%+v", refusal)
	}
	r.connect(named("anna", "anna", 5))
	for _, filter := range []string{"a", "b"} {
		if code := one.subscribe(filter, 0); code != 0 {
			t.Errorf("%s: SUBACK %#x", filter, code)
		}
	}
	if code := two.subscribe("c", 0); code != codeUnspecified {
		t.Errorf("MQTT 3.1.1: SUBACK %#x", code)
	}
	if code := one.subscribe("d", 0); code != codeQuota {
		t.Errorf("MQTT 5: SUBACK %#x", code)
	}
	if code := one.subscribe("a", 1); code != 1 { // the same again
		t.Errorf("SUBACK %#x", code)
	}
	again := r.connect(named("root", "one", 5)) // in its own place, with a new session
	if code := again.subscribe("e", 0); code != 0 {
		t.Errorf("SUBACK %#x", code)
	}
	_ = again.Close()
	_ = two.Close()
	eventually(t, "the meter of who is gone", func() bool { return g.meters.Len() == 1 })
}

// Filters of a session that waits go on counting; after a restart they do from its next connection on, and stay however many they are.
func TestWaitingSessionsCount(t *testing.T) {
	g := limited(meter.Limits{meter.Subscriptions: 1})
	r := newLastingRig(t, g.configure)
	o := lasting("root")
	o.user, o.password = "root", "secret"
	c := r.connect(o)
	if code := c.subscribe("a", 1); code != 1 {
		t.Fatalf("SUBACK %#x", code)
	}
	_ = c.Close()
	other := as("root")
	other.id = "other"
	if code := r.connect(other).subscribe("b", 0); code != codeQuota {
		t.Errorf("beside one that waits: SUBACK %#x", code)
	}
	r = r.restart()
	c = r.connect(o)
	if !c.present {
		t.Fatal("the session is gone")
	}
	if code := c.subscribe("b", 0); code != codeQuota {
		t.Errorf("after a restart: SUBACK %#x", code)
	}
	if code := c.subscribe("a", 0); code != 0 {
		t.Errorf("the one it has: SUBACK %#x", code)
	}
}

// Who is made to wait for longer than its keep-alive has not been silent, and loses nothing.
func TestSlowedClientsStay(t *testing.T) {
	g := limited(meter.Limits{meter.Bytes: 20})
	r := newRig(t, g.configure)
	o := as("root")
	o.keepAlive = 1
	c := r.connect(o)
	began := time.Now()
	c.publish("a", strings.Repeat("x", 60), 1, 1)
	c.publish("a", "y", 1, 2)
	c.send([]byte{byte(packet.Pingreq) << 4, 0})
	c.wantAck(byte(packet.Puback)<<4, 1)
	c.wantAck(byte(packet.Puback)<<4, 2)
	c.want(byte(packet.Pingresp) << 4)
	if took := time.Since(began); took < 1800*time.Millisecond {
		t.Errorf("60 bytes at 20 a second took %v", took)
	}
}

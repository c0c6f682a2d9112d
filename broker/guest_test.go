package broker

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/broker/packet"
)

// guests are accounts with rights that change: an account is cut off with each change of its own.
type guests struct {
	mu     sync.Mutex
	rights map[string]guestRights
	here   map[*testGuest]func()
	meters *meter.Table // nil: nothing is bounded
	limits meter.Limits
}

// guestRights are filters.
type guestRights struct{ publish, hear []string }

type testGuest struct {
	guestRights

	all  *guests
	name string
}

func (g *testGuest) Name() string                 { return g.name }
func (g *testGuest) MayPublish(topic string) bool { return event.MatchAny(g.publish, topic) }
func (g *testGuest) MayHear(topic string) bool    { return event.MatchAny(g.hear, topic) }
func (g *testGuest) MaySubscribe(filter string, whole bool) bool {
	return slices.Contains(g.hear, filter) || !whole && (filter == "#" && len(g.hear) > 0 || event.MatchAny(g.hear, filter))
}

func (g *testGuest) Meter() *meter.Chain {
	if g.all.meters == nil {
		return nil
	}
	return g.all.meters.Open(meter.Key{Name: g.name, Limits: func() meter.Limits { return g.all.limits }})
}

func (g *testGuest) While(cut func()) func() {
	g.all.mu.Lock()
	defer g.all.mu.Unlock()
	g.all.here[g] = cut
	return func() {
		g.all.mu.Lock()
		defer g.all.mu.Unlock()
		delete(g.all.here, g)
	}
}

func (g *guests) authenticate(_ context.Context, c Credentials) (Guest, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rights, known := g.rights[c.User]
	switch {
	case c.User == "busy":
		return nil, ErrBusy
	case !known || string(c.Password) != "secret":
		return nil, ErrDenied
	}
	return &testGuest{guestRights: rights, all: g, name: c.User}, nil
}

func (g *guests) mayPublish(account, _, topic string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return event.MatchAny(g.rights[account].publish, topic)
}

// change gives an account other rights, and cuts it off.
func (g *guests) change(account string, rights guestRights) {
	g.mu.Lock()
	g.rights[account] = rights
	here := maps.Clone(g.here)
	g.mu.Unlock()
	for guest, cut := range here {
		if guest.name == account {
			cut()
		}
	}
}

func (g *guests) configure(c *Config) { c.Authenticate, c.MayPublish = g.authenticate, g.mayPublish }

// accept makes an Authenticate of a function that knows passwords: who is let in may do everything.
func accept(good func(user string, password []byte) bool) func(context.Context, Credentials) (Guest, error) {
	all := &guests{here: map[*testGuest]func(){}}
	return func(_ context.Context, c Credentials) (Guest, error) {
		if !good(c.User, c.Password) {
			return nil, ErrDenied
		}
		return &testGuest{guestRights: guestRights{[]string{"#"}, []string{"#"}}, all: all, name: c.User}, nil
	}
}

func newGuests() *guests {
	return &guests{here: map[*testGuest]func(){}, rights: map[string]guestRights{
		"anna": {publish: []string{"anna/#"}, hear: []string{"anna/#", "both"}},
		"ben":  {publish: []string{"ben/#", "both"}, hear: []string{"ben/#", "both"}},
		"root": {publish: []string{"#"}, hear: []string{"#"}},
	}}
}

func as(user string) options {
	return options{version: 5, id: user, user: user, password: "secret"}
}

func TestGuestsAreAsked(t *testing.T) {
	r := newRig(t, newGuests().configure)
	for user, want := range map[string]byte{"anna": 0, "nobody": codeCredentials, "": codeCredentials, "busy": codeBusy} {
		o := as(user)
		o.id = "c" + user
		if code := r.dial().connect(o); code != want {
			t.Errorf("%q: CONNACK %#x, want %#x", user, code, want)
		}
	}
}

func TestGuestsPublishWhereTheyMay(t *testing.T) {
	r := newRig(t, newGuests().configure)
	anna := r.connect(as("anna"))
	for topic, want := range map[string]byte{"anna/x": 0, "ben/x": codeNotAuthorized, "anna2": codeNotAuthorized, "anna/y": 0} {
		for _, qos := range []byte{1, 2} {
			anna.publish(topic, "x", qos, 5)
			kind := packet.Puback
			if qos == 2 {
				kind = packet.Pubrec
			}
			code := byte(0)
			if body := anna.want(byte(kind) << 4); len(body) > 2 {
				code = body[2]
			}
			if code != want && (code != codeNoSubscription-1 || want != 0) { // 0x10: nobody hears it
				t.Errorf("%s, QoS %d: reason %#x, want %#x", topic, qos, code, want)
			}
			if qos == 2 && want == 0 {
				anna.send([]byte{0x62, 2, 0, 5})
				anna.want(0x70)
			}
		}
		anna.publish(topic, "x", 0, 0)
	}
	// A topic that others have used is judged, too, and so is an alias.
	r.connect(as("ben")).publish("ben/x", "x", 1, 1)
	eventually(t, "ben's message", func() bool { return len(r.sink.topic("ben/x")) == 1 })
	anna.publish("ben/x", "x", 0, 0)
	alias := append(appendString(nil, "ben/x"), 3, 0x23, 0, 1, 'x')
	anna.send(rawPacketOf(0x30, alias))
	anna.send(rawPacketOf(0x30, append(appendString(nil, ""), 3, 0x23, 0, 1, 'x')))
	anna.ping()
	old := as("ben")
	old.version, old.id = 4, "old"
	c := r.connect(old)
	c.publish("anna/x", "x", 1, 1) // MQTT 3 has no word for it
	c.wantEnd()
	r.stored()
	for topic, want := range map[string]int{"anna/x": 3, "anna/y": 3, "ben/x": 1, "anna2": 0} {
		if n := len(r.sink.topic(topic)); n != want {
			t.Errorf("%s: %d messages, want %d", topic, n, want)
		}
	}
}

func TestGuestsHearWhatTheyMay(t *testing.T) {
	r := newRig(t, newGuests().configure)
	root := r.connect(as("root"))
	for _, retained := range []string{"anna/r", "ben/r"} {
		root.send(packet.AppendPublish(nil, 5, &packet.Message{
			Event: &event.Event{Topic: retained, Payload: []byte("r")}, QoS: 1, ID: 9, Retain: true,
		}))
		root.want(0x40)
	}
	for _, qos := range []byte{0, 1, 2} {
		anna := r.connect(as("anna"))
		if code := anna.subscribe("ben/#", qos); code != codeNotAuthorized {
			t.Fatalf("ben/#: SUBACK %#x", code)
		}
		if code := anna.subscribe("$share/g/#", qos); code != codeNotAuthorized {
			t.Fatalf("a share of #: SUBACK %#x", code)
		}
		if code := anna.subscribe("$share/g/ben/#", qos); code != codeNotAuthorized {
			t.Fatalf("a share of ben/#: SUBACK %#x", code)
		}
		anna.send(rawPacketOf(0x82, append(appendString([]byte{0, 7, 0}, "#"), qos)))
		for i, topic := range []string{"ben/x", "both", "ben/y", "anna/x"} {
			if i == 1 { // the SUBACK, and what is retained
				heard := 0
				for range 2 {
					if first, body := anna.read(); first>>4 == byte(packet.Publish) {
						if m := anna.parse(first, body); m.topic != "anna/r" {
							t.Fatalf("QoS %d: heard %s", qos, m.topic)
						} else if m.qos() > 0 {
							anna.ack(packet.Puback, m.id)
						}
						heard++
					}
				}
				if heard != 1 {
					t.Fatalf("QoS %d: %d retained messages", qos, heard)
				}
			}
			root.publish(topic, "x", 1, uint16(10+i))
			root.want(0x40)
		}
		for _, want := range []string{"both", "anna/x"} {
			if m := anna.message(); m.topic != want {
				t.Fatalf("QoS %d: heard %s, not %s", qos, m.topic, want)
			}
		}
		_ = anna.Close()
		r.ended("anna")
	}
}

func TestGuestsWills(t *testing.T) {
	g := newGuests()
	r := newRig(t, g.configure)
	o := as("anna")
	o.will = "ben/gone"
	if code := r.dial().connect(o); code != codeNotAuthorized {
		t.Fatalf("a will for another's topic: CONNACK %#x", code)
	}
	o.will = "anna/gone"
	_ = r.connect(o).Close()
	eventually(t, "anna's will", func() bool { return len(r.sink.topic("anna/gone")) == 1 })

	late := lasting("late") // its right ends while the delay runs
	late.user, late.password, late.will, late.willProps = "anna", "secret", "anna/late", []byte{0x18, 0, 0, 0, 1}
	_ = r.connect(late).Close()
	r.ended("late")
	g.change("anna", guestRights{})
	eventually(t, "the end of the delayed will", func() bool {
		r.broker.wills.mu.Lock()
		defer r.broker.wills.mu.Unlock()
		return len(r.broker.wills.pending) == 0
	})
	if n := len(r.sink.topic("anna/late")); n > 0 {
		t.Error("a will was published without a right to it")
	}
}

func TestGuestsAreCutOff(t *testing.T) {
	g := newGuests()
	r := newRig(t, g.configure)
	o := lasting("c")
	o.user, o.password, o.will = "anna", "secret", "anna/gone"
	anna := r.connect(o)
	for _, filter := range []string{"anna/#", "both"} {
		if code := anna.subscribe(filter, 1); code != 1 {
			t.Fatalf("SUBACK %#x", code)
		}
	}
	ben := r.connect(as("ben"))
	g.change("anna", guestRights{hear: []string{"both"}})
	anna.wantReason(codeNotAuthorized)
	r.ended("c")
	ben.publish("both", "1", 1, 1)
	ben.want(0x40)
	root := r.connect(as("root"))
	root.publish("anna/x", "x", 1, 1)
	root.want(0x40)
	root.publish("both", "2", 1, 2)
	root.want(0x40)
	if n := len(r.sink.topic("anna/gone")); n > 0 {
		t.Error("who was cut off left a will")
	}
	o.will = "" // comes back to less than it had: the session is its own, but what it may not hear is gone
	anna = r.connect(o)
	if !anna.present {
		t.Fatal("the session is gone")
	}
	for i := 1; i <= 2; i++ {
		if m := anna.message(); m.topic != "both" || m.payload != strconv.Itoa(i) {
			t.Fatalf("heard %+v", m)
		}
	}
	anna.ping()
	if _, kept := r.session("c").filters["anna/#"]; kept {
		t.Error("a subscription without a right to it is still there")
	}
}

// Sessions from before there were accounts belong to the first who comes, and then to nobody else.
func TestSessionsFromBeforeTheAccounts(t *testing.T) {
	r := newLastingRig(t, nil)
	r.connect(lasting("c")).subscribe("both", 1)
	r.stored()
	r.change = newGuests().configure
	r = r.restart()
	o := lasting("c")
	o.user, o.password = "anna", "secret"
	if !r.connect(o).present {
		t.Fatal("the session is gone")
	}
	o.user = "ben"
	if code := r.dial().connect(o); code != codeClientID {
		t.Fatalf("CONNACK %#x for another account", code)
	}
}

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReplies(t *testing.T) {
	for _, c := range []struct {
		topic, payload, answer, said string
		want                         bool
	}{
		{"cmnd/x/POWER", "ON", "stat/x/POWER", "ON", true},
		{"cmnd/x/POWER", "ON", "stat/x/RESULT", `{"POWER1":"ON"}`, true},
		{"home/x/cmnd/Dimmer", "5", "home/x/stat/RESULT", `{"POWER":"ON"}`, false},
		{"zigbee2mqtt/x/set", `{"state":"ON","brightness":3}`, "zigbee2mqtt/x", `{"state":"on"}`, true},
		{"zigbee2mqtt/x/set", `{"state":"ON"}`, "zigbee2mqtt/x", `{"state":"OFF"}`, false},
		{"zigbee2mqtt/x/set", `{"state":"TOGGLE"}`, "zigbee2mqtt/x", `{"state":"OFF"}`, true},
		{"shelly/rpc", `{"id":7,"src":"hub","method":"m"}`, "hub/rpc", `{"id":7}`, true},
		{"shelly/rpc", `{"id":7,"src":"hub","method":"m"}`, "hub/rpc", `{"id":8}`, false},
		{"shellies/x/relay/0/command", "on", "shellies/x/relay/0", "on", true},
		{"esp/switch/a/command", "ON", "esp/switch/a/state", "ON", true},
		{"homie/d/n/p/set", "5", "homie/d/n/p", "5", true},
		{"openevse/rapi/in/$GC", "", "openevse/rapi/out", "$OK", true},
		{"wled/a/api", "T=1", "wled/a/v", "<x/>", true},
		{"a/cmd", "1", "a/status", "1", true},
	} {
		list := replies(c.topic, []byte(c.payload))
		at := slices.IndexFunc(list, func(r reply) bool { return r.topic == c.answer })
		if at < 0 {
			t.Errorf("%s: no answer on %s: %v", c.topic, c.answer, Replies(c.topic, []byte(c.payload)))
			continue
		}
		if got := list[at].match == nil || list[at].match([]byte(c.said)); got != c.want {
			t.Errorf("%s %s: %s %s answers: %t", c.topic, c.payload, c.answer, c.said, got)
		}
	}
	if got := Replies("set", nil); len(got) != 0 {
		t.Errorf("a topic of one level: %v", got)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"device":"d","topic":"a/set","payload":{"on":true},"qos":1,"retain":true,"timeout":1000,"expect":{"topic":"a","field":"b"}}`))
	f.Add([]byte(`{"device":"d","topic":"cmnd/a/POWER","payload_base64":"AA==","from":"\u202eAna"}`))
	f.Add([]byte(`{"device":"d","topic":"x/rpc","payload_text":"{\"src\":\"y\",\"id\":1}"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, bad := ParseRequest(data)
		if bad != nil {
			return
		}
		if event.CheckTopic(r.Topic) != nil || r.Topic[0] == '$' || len(r.Payload) > MaxPayload || len(r.From) > maxFrom ||
			r.Timeout < MinTimeout || r.Timeout > MaxTimeout {
			t.Errorf("%s gives %+v", data, r)
		}
		p := newPending(r)
		for _, reply := range p.replies {
			if reply.match != nil {
				reply.match(r.Payload)
			}
		}
	})
}

// A log that takes everything at once, and gives it to a view and to the sender as the bridge does.
type memory struct {
	view   *View
	sender *Sender
	next   uint64
	queue  []event.Event
}

func (m *memory) Ingest(_ context.Context, e event.Event, done func(event.Position, error)) error {
	e.Position = event.Position{Epoch: 1, Offset: m.next}
	m.next++
	if done != nil {
		done(e.Next(), nil)
	}
	m.view.Apply([]event.Decoded{{Event: e}})
	m.queue = append(m.queue, e)
	return nil
}

func newMemory(t *testing.T) *memory {
	t.Helper()
	m := &memory{view: NewView()}
	var err error
	if m.sender, err = New(Config{Publisher: m, View: m.view}); err != nil {
		t.Fatal(err)
	}
	return m
}

// The bounds of what may be under way hold, and what times out makes room.
func TestPendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t)
		r := &Request{Device: "d", Topic: "d/set", Timeout: MinTimeout}
		if _, bad := m.sender.Send(t.Context(), r); bad == nil || bad.Code != wire.CodeUnavailable {
			t.Errorf("before Run: %v", bad)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.sender.Run(ctx) }()
		synctest.Wait()
		for range MaxDevicePending {
			if _, bad := m.sender.Send(t.Context(), r); bad != nil {
				t.Fatal(bad)
			}
		}
		if _, bad := m.sender.Send(t.Context(), r); bad == nil || bad.Code != wire.CodeTooMany {
			t.Errorf("beyond a device's bound: %v", bad)
		}
		for i := range MaxPending - MaxDevicePending {
			other := *r
			other.Device = fmt.Sprint(i)
			if _, bad := m.sender.Send(t.Context(), &other); bad != nil {
				t.Fatal(bad)
			}
		}
		if _, bad := m.sender.Send(t.Context(), &Request{Device: "x", Topic: "x", Timeout: MinTimeout}); bad == nil || bad.Code != wire.CodeTooMany {
			t.Errorf("beyond the bound: %v", bad)
		}
		time.Sleep(MinTimeout)
		synctest.Wait()
		if open, known := m.sender.open.Load(), len(m.sender.topics)+len(m.sender.devices)+len(m.sender.offsets); open != 0 || known != 0 {
			t.Errorf("%d are under way after their time, %d entries are kept", open, known)
		}
		if list, _ := m.view.Commands(nil, "d", "", 0, 1); len(list) != 1 || list[0].State != TimedOut || list[0].EndedAt-list[0].SentAt != 1000 {
			t.Errorf("the newest is %+v", list)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The view keeps the newest, pages through them, and is the same after it was saved.
func TestView(t *testing.T) {
	v := NewView()
	for i := range MaxKept + 10 {
		payload, err := json.Marshal(Record{ID: fmt.Sprint(i), State: Sent, At: int64(i), Device: "d"})
		if err != nil {
			t.Fatal(err)
		}
		v.Apply([]event.Decoded{{Event: event.Event{Kind: event.KindCommand, Payload: payload}}})
	}
	v.Apply([]event.Decoded{{Event: event.Event{Kind: event.KindCommand, Payload: []byte("{")}}})
	v.Apply([]event.Decoded{{Event: event.Event{Kind: event.KindCommand, Payload: []byte(`{"id":"1009","state":"failed","at":2000,"reason":"r"}`)}}})
	v.Apply([]event.Decoded{{Event: event.Event{Kind: event.KindCommand, Payload: []byte(`{"id":"1009","state":"acknowledged","at":2001}`)}}})
	var saved bytes.Buffer
	if err := v.Save(&saved); err != nil {
		t.Fatal(err)
	}
	again := NewView()
	if err := again.Restore(&saved); err != nil {
		t.Fatal(err)
	}
	all, _ := again.Commands(nil, "", "", 0, 2*MaxKept)
	if len(all) != MaxKept || all[0].ID != "1009" || all[0].State != Failed || all[0].Reason != "r" || all[0].EndedAt != 2000 {
		t.Errorf("%d are kept, the newest is %+v", len(all), all[0])
	}
	if page, found := again.Commands(nil, "d", "1009", 0, 1); !found || len(page) != 1 || page[0].ID != "1008" {
		t.Errorf("before the newest: %v", page)
	}
	if then, found := again.Commands(nil, "d", "", all[4].SentAt, 1); !found || len(then) != 1 || then[0].SentAt > all[4].SentAt {
		t.Errorf("until %d: %v", all[4].SentAt, then)
	}
	if none, found := again.Commands(nil, "d", "", 1, 1); !found || len(none) != 0 && none[0].SentAt > 1 {
		t.Errorf("before any: %v", none)
	}
	if _, found := again.Commands(nil, "", "9", 0, 1); found {
		t.Error("one that is too old was found")
	}
	if err := again.Restore(bytes.NewReader([]byte("nonsense"))); err == nil {
		t.Error("nonsense was restored")
	}
}

type below string

func (b below) Key() string            { return string(b) }
func (b below) Sees(topic string) bool { return strings.HasPrefix(topic, string(b)) }

// TestCommandsOfAScope: those to the topics that it sees, without what was said on others.
func TestCommandsOfAScope(t *testing.T) {
	v := NewView()
	for _, r := range []Record{
		{ID: "1", State: Sent, Topic: "a/set", Expected: []string{"a/state", "b/state"}},
		{ID: "1", State: Acknowledged, Response: []byte("secret"), Answered: "b/state"},
		{ID: "2", State: Sent, Topic: "b/set"},
		{ID: "3", State: Sent, Topic: "a/set"},
		{ID: "3", State: Acknowledged, Response: []byte("on"), Answered: event.ResponseTopic},
	} {
		payload, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		v.Apply([]event.Decoded{{Event: event.Event{Kind: event.KindCommand, Payload: payload}}})
	}
	list, _ := v.Commands(below("a/"), "", "", 0, 10)
	if len(list) != 2 || list[0].ID != "3" || string(list[0].Response) != "on" || list[0].Answered != event.ResponseTopic {
		t.Fatalf("%+v", list)
	}
	if c := list[1]; c.State != Acknowledged || c.Response != nil || c.Answered != "" || !slices.Equal(c.Expected, []string{"a/state"}) {
		t.Errorf("one that was answered on a hidden topic: %+v", c)
	}
	if _, found := v.Commands(below("a/"), "", "2", 0, 10); found {
		t.Error("a hidden command is a place in the list")
	}
	if all, _ := v.Commands(nil, "", "", 0, 10); len(all) != 3 || len(all[2].Expected) != 2 || string(all[2].Response) != "secret" {
		t.Errorf("all: %+v", all)
	}
}

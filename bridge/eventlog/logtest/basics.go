package logtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

func testAppend(t *testing.T, e Engine) {
	l := open(t, e.New)
	from, to := l.Bounds()
	if from != to || from.IsZero() {
		t.Fatalf("bounds of an empty log: %s and %s", from, to)
	}
	appendTo(t, l, nil, true)
	a := []event.Event{message("a", 0), message("b", 1)}
	b := []event.Event{message("a", 2)}
	appendTo(t, l, a, true)
	appendTo(t, l, b, false)
	all := slices.Concat(a, b)
	for i := range all {
		want := event.Position{Epoch: from.Epoch, Offset: from.Offset + uint64(i)}
		if all[i].Position != want {
			t.Fatalf("position of event %d: %s instead of %s", i, all[i].Position, want)
		}
	}
	if f, n := l.Bounds(); f != from || n != b[0].Next() {
		t.Fatalf("bounds: %s and %s instead of %s and %s", f, n, from, b[0].Next())
	}
	same(t, "read", readAll(t, l, from, 10), all)
}

func testFields(t *testing.T, e Engine) {
	l := open(t, e.New)
	batch := []event.Event{
		{Time: 1, Topic: "t", Payload: []byte{}},
		{Time: -5, Topic: strings.Repeat("l/", 100) + "ü", Client: strings.Repeat("c", event.MaxTopicBytes), Retain: true, QoS: 2},
		{Kind: event.KindWill, Topic: "w", Payload: []byte{0, 0xff}, Source: event.SourceGateway, QoS: 1},
		{Kind: event.KindConnected, Client: "c", Source: event.SourceHub},
		{Kind: event.KindDisconnected, Client: "c", Payload: []byte(event.DisconnectedTakenOver)},
		{Topic: strings.Repeat("x", event.MaxTopicBytes), Properties: &event.Properties{}},
		{Topic: "p", Payload: bytes.Repeat([]byte("long "), 20_000), Properties: &event.Properties{
			HasContentType: true, ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte{1, 0}, Expiry: 7, HasExpiry: true, UTF8: true,
			User: []event.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: ""}, {Name: "", Value: "2"}},
		}},
		{Topic: "p", Properties: &event.Properties{HasExpiry: true, CorrelationData: []byte{}}, QoS: 2, PacketID: 1},
		{Topic: "q", Payload: []byte("x"), QoS: 2, PacketID: 65535},
	}
	appendTo(t, l, batch, true)
	same(t, "read", readAll(t, l, first(l), 100), batch)
	for i := range batch {
		one, err := l.Read(batch[i].Position, 1)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		same(t, fmt.Sprintf("read event %d", i), one, batch[i:i+1])
	}
	last, err := l.Last("p", event.Position{}, 5)
	if err != nil {
		t.Fatalf("last: %v", err)
	}
	same(t, "last", last, batch[6:8])
}

// testBuffers writes over what the caller may use again.
func testBuffers(t *testing.T, e Engine) {
	l := open(t, e.New)
	batch := []event.Event{message("a", 1), message("a", 2)}
	want := slices.Clone(batch)
	appendTo(t, l, batch, false)
	for i := range batch {
		want[i].Position = batch[i].Position
		batch[i] = event.Event{}
	}
	got := readAll(t, l, first(l), 10)
	same(t, "read after the slice was used again", got, want)
	appendTo(t, l, []event.Event{message("b", 3)}, false)
	readAll(t, l, first(l), 10)
	same(t, "events of an earlier read", got, want)
}

func testRead(t *testing.T, e Engine) {
	l := open(t, e.New)
	all := fill(t, l, 500)
	for _, limit := range []int{1, 2, 7, 100, 10_000} {
		same(t, fmt.Sprintf("limit %d", limit), readAll(t, l, first(l), limit), all)
	}
	for i := range all {
		got, err := l.Read(all[i].Position, 3)
		if err != nil {
			t.Fatalf("read from %d: %v", i, err)
		}
		same(t, fmt.Sprintf("read from %d", i), got, all[i:min(i+3, len(all))])
	}
	if got, err := l.Read(first(l), 0); err != nil || len(got) != 0 {
		t.Fatalf("limit 0: %d events, %v", len(got), err)
	}
	if got, err := l.Read(next(l), 10); err != nil || len(got) != 0 {
		t.Fatalf("read at the end: %d events, %v", len(got), err)
	}
}

func testReadIsBounded(t *testing.T, e Engine) {
	l := open(t, e.New)
	const n, size = 40, 100_000
	for i := range n {
		m := message("big", i)
		m.Payload = bytes.Repeat([]byte{byte(i)}, size)
		appendTo(t, l, []event.Event{m}, false)
	}
	for what, read := range map[string]func() ([]event.Event, error){
		"read": func() ([]event.Event, error) { return l.Read(first(l), n) },
		"last": func() ([]event.Event, error) { return l.Last("big", event.Position{}, n) },
	} {
		got, err := read()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(got) < eventlog.ReadBytes/size || len(got) > eventlog.ReadBytes/size+1 {
			t.Errorf("%s: %d events of %d bytes", what, len(got), size)
		}
	}
	big := message("big", n)
	big.Payload = bytes.Repeat([]byte{1}, eventlog.ReadBytes)
	appendTo(t, l, []event.Event{big, message("small", n+1)}, false)
	got, err := l.Read(event.Position{Epoch: next(l).Epoch, Offset: next(l).Offset - 2}, 2)
	if err != nil || len(got) != 1 || len(got[0].Payload) != eventlog.ReadBytes {
		t.Errorf("read of 1 MiB: %d events, %v", len(got), err)
	}
}

func testLast(t *testing.T, e Engine) {
	l := open(t, e.New)
	all := fill(t, l, 500)
	of := func(topic string, before uint64, limit int) []event.Event {
		var found []event.Event
		for _, e := range all {
			if e.Topic == topic && e.Position.Offset < before {
				found = append(found, e)
			}
		}
		return found[max(0, len(found)-limit):]
	}
	for _, limit := range []int{0, 1, 5, 50, 1000} {
		got, err := l.Last("t3", event.Position{}, limit)
		if err != nil {
			t.Fatalf("last: %v", err)
		}
		same(t, fmt.Sprintf("limit %d", limit), got, of("t3", next(l).Offset, limit))
	}
	for i := range all {
		got, err := l.Last("t3", all[i].Position, 4)
		if err != nil {
			t.Fatalf("last: %v", err)
		}
		same(t, fmt.Sprintf("before %d", i), got, of("t3", all[i].Position.Offset, 4))
	}
	if got, err := l.Last("t3", next(l), 1); err != nil || len(got) != 1 {
		t.Errorf("before the end: %d events, %v", len(got), err)
	}
	if got, err := l.Last("t", event.Position{}, 10); err != nil || len(got) != 0 {
		t.Errorf("a topic without events: %d events, %v", len(got), err)
	}
	if _, err := l.Last("t3", event.Position{Epoch: next(l).Epoch + 1}, 1); !errors.Is(err, eventlog.ErrEpoch) {
		t.Errorf("before a position of another log: %v", err)
	}
}

func testLastOfManyTopics(t *testing.T, e Engine) {
	l := open(t, e.New)
	const topics, rounds = 2000, 3
	var all []event.Event
	for round := range rounds {
		batch := make([]event.Event, 0, topics)
		for i := range topics {
			batch = append(batch, message(fmt.Sprintf("fleet/%d/telemetry", i), round))
		}
		for part := range slices.Chunk(batch, 1000) {
			appendTo(t, l, part, false)
		}
		all = append(all, batch...)
	}
	for i := range topics {
		got, err := l.Last(all[i].Topic, event.Position{}, 2)
		if err != nil {
			t.Fatalf("last: %v", err)
		}
		same(t, all[i].Topic, got, []event.Event{all[topics+i], all[2*topics+i]})
	}
}

func testTooLarge(t *testing.T, e Engine) {
	l := open(t, e.New)
	appendTo(t, l, []event.Event{message("a", 0)}, true)
	before := next(l)
	huge := message("a", 1)
	huge.Payload = make([]byte, e.MaxEventBytes+1)
	err := l.Append([]event.Event{message("a", 2), huge}, true)
	wantError(t, "append", err, eventlog.ErrTooLarge)
	if errors.Is(err, eventlog.ErrFailed) {
		t.Fatalf("append: %v", err)
	}
	if got := next(l); got != before {
		t.Fatalf("the log grew to %s", got)
	}
	appendTo(t, l, []event.Event{message("a", 3)}, true)
	if got := readAll(t, l, first(l), 10); len(got) != 2 {
		t.Fatalf("%d events", len(got))
	}
	if got, err := l.Last("a", event.Position{}, 10); err != nil || len(got) != 2 {
		t.Fatalf("last: %d events, %v", len(got), err)
	}
}

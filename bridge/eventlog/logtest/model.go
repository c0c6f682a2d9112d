package logtest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// A model is the log as a slice.
type model struct {
	engine Engine
	t      *testing.T
	log    eventlog.Log
	start  event.Position
	all    []event.Event
}

// testModel does random things to a log and to a slice, and compares.
func testModel(t *testing.T, e Engine) {
	rapid.Check(t, func(r *rapid.T) {
		m := &model{engine: e, t: t, log: e.New(t)}
		defer func() {
			if err := m.log.Close(); err != nil {
				r.Fatalf("close: %v", err)
			}
		}()
		m.start = first(m.log)
		r.Repeat(map[string]func(*rapid.T){
			"append": m.append,
			"read":   m.read,
			"last":   m.last,
			"scan":   m.scan,
			"reopen": m.reopen,
			"":       m.bounds,
		})
	})
}

var (
	topics = rapid.SampledFrom([]string{"", "a", "b", "a/b", "ü"})
	sizes  = rapid.OneOf(rapid.IntRange(0, 30), rapid.IntRange(4000, 9000))
)

func (m *model) append(r *rapid.T) {
	batch := make([]event.Event, rapid.IntRange(0, 20).Draw(r, "events"))
	for i := range batch {
		batch[i] = event.Event{
			Time: time.Now().UnixNano(), Topic: topics.Draw(r, "topic"),
			Payload:  bytes.Repeat([]byte{byte(len(m.all) + i)}, sizes.Draw(r, "size")),
			PacketID: rapid.Uint16().Draw(r, "packet id"),
			Client:   rapid.StringN(0, 5, 20).Draw(r, "client"), QoS: rapid.Uint8Range(0, 2).Draw(r, "qos"),
		}
		if rapid.Bool().Draw(r, "properties") {
			batch[i].Properties = &event.Properties{HasContentType: true, ContentType: rapid.String().Draw(r, "content type")}
		}
	}
	if err := m.log.Append(batch, rapid.Bool().Draw(r, "durable")); err != nil {
		r.Fatalf("append: %v", err)
	}
	m.all = append(m.all, batch...)
}

// place draws a position from the start to just beyond the end.
func (m *model) place(r *rapid.T) (p event.Position, index int) {
	index = rapid.IntRange(0, len(m.all)+1).Draw(r, "place")
	return event.Position{Epoch: m.start.Epoch, Offset: m.start.Offset + uint64(index)}, index
}

func (m *model) read(r *rapid.T) {
	from, index := m.place(r)
	limit := rapid.IntRange(0, 50).Draw(r, "limit")
	got, err := m.log.Read(from, limit)
	if index > len(m.all) {
		if !errors.Is(err, eventlog.ErrEpoch) {
			r.Fatalf("read beyond the end: %v", err)
		}
		return
	}
	if err != nil {
		r.Fatalf("read: %v", err)
	}
	same(r, "read", got, m.all[index:min(len(m.all), index+limit)])
}

func (m *model) last(r *rapid.T) {
	before, index := m.place(r)
	if index > len(m.all) {
		before, index = event.Position{}, len(m.all)
	}
	topic, limit := topics.Draw(r, "topic"), rapid.IntRange(1, 20).Draw(r, "limit")
	if topic == "" {
		return // events without a topic are in no index
	}
	var want []event.Event
	for i := index - 1; i >= 0 && len(want) < limit; i-- {
		if m.all[i].Topic == topic {
			want = append([]event.Event{m.all[i]}, want...)
		}
	}
	got, err := m.log.Last(topic, before, limit)
	if err != nil {
		r.Fatalf("last: %v", err)
	}
	same(r, "last", got, want)
}

func (m *model) reopen(r *rapid.T) {
	if m.engine.Reopen == nil || rapid.IntRange(0, 4).Draw(r, "one in five") > 0 {
		r.Skip("not durable, or not now")
	}
	if err := m.log.Close(); err != nil {
		r.Fatalf("close: %v", err)
	}
	m.log = m.engine.Reopen(m.t, m.log)
}

func (m *model) bounds(r *rapid.T) {
	from, to := m.log.Bounds()
	if from != m.start || to.Offset != m.start.Offset+uint64(len(m.all)) || to.Epoch != m.start.Epoch {
		r.Fatalf("bounds: %s and %s, with %d events", from, to, len(m.all))
	}
}

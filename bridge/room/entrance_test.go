package room_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// TestEntrancesAreShared lets members come one after the other while values flow: those of one second begin with the same
// bytes, in each encoding, and all have the whole stream from there.
func TestEntrancesAreShared(t *testing.T) {
	inBubble(t, room.Config{}, func(t *testing.T, w *world) {
		s := spec(wire.FormValues, wire.DeliveryEvery, "#")
		s.Rate = 1000
		w.publish("a/d/t=1", "b/d/t=2")
		begin := func(e wire.Encoding) (*member, *wire.Message) {
			m := &member{world: w, spec: s, wake: make(chan struct{}, 1)}
			sub, err := w.reg.Join(s, room.Options{Encoding: e}, m)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := sub.Begin(nil, 1)
			if err != nil || len(raw) != 2 {
				t.Fatalf("%d messages, %v", len(raw), err)
			}
			m.sub = sub
			return m, raw[1]
		}
		first, snapshot := begin(wire.JSON)
		w.publish("a/d/t=3")
		second, again := begin(wire.JSON)
		binary, other := begin(wire.Proto)
		if snapshot != again || snapshot == other {
			t.Error("a snapshot for each")
		}
		w.publish("c/d/t=4")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if third, fresh := begin(wire.JSON); fresh == snapshot || !slices.Equal(values(parse(t, []*wire.Message{fresh})[0]), []int{2, 3, 4}) {
			t.Errorf("a second later: %s", fresh.Bytes())
		} else if got := third.next(); len(got) > 0 {
			t.Errorf("then: %+v", got)
		}
		for name, m := range map[string]*member{"first": first, "second": second} {
			if got := numbers(m.next()); !slices.Equal(got, []int{3, 4}) {
				t.Errorf("%s: %v after the snapshot", name, got)
			}
		}
		if got := numbers(binary.next()); !slices.Equal(got, []int{4}) || !slices.Equal(values(parse(t, []*wire.Message{other})[0]), []int{2, 3}) {
			t.Errorf("binary: %v after %x", got, other.Bytes())
		}
	})
}

// values are the numbers of a snapshot, sorted.
func values(m message) []int {
	got := numbers([]message{*m.Snapshot})
	slices.Sort(got)
	return got
}

// TestResumeWithTheRing resumes where the room still has the frames: the log is hardly asked.
func TestResumeWithTheRing(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	s := spec(wire.FormEvents, wire.DeliveryEvery, "#")
	s.Rate = 1000
	stays, _ := w.join(s, room.Options{})
	for i := range 20 {
		w.publish("a=" + string(rune('0'+i%10)))
		stays.flush()
	}
	frames := stays.next()
	for i, f := range frames {
		back, _ := w.join(s, room.Options{From: position(t, f.Position)})
		raw, _, err := back.sub.Next(nil, 1<<20)
		if err != nil || len(raw) != len(frames)-i-1 {
			t.Fatalf("after frame %d: %d messages, %v", i, len(raw), err)
		}
		back.leave()
	}
	// Between two frames, the rest of the one is read.
	w.publish("a=1", "a=2", "a=3")
	stays.flush()
	inside := stays.next()[0]
	at := position(t, inside.Position)
	back, _ := w.join(s, room.Options{From: event.Position{Epoch: at.Epoch, Offset: at.Offset - 2}})
	if got := numbers(back.next()); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("from inside of a frame: %v", got)
	}
}

package room_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// inBubble runs test in a synctest bubble with a world whose registry runs.
func inBubble(t *testing.T, cfg room.Config, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memlog.Config{}, cfg)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.reg.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		defer wg.Wait()
		defer stop()
		test(t, w)
	})
}

func TestLoneEventLeavesAtOnceAndManyAtTheRate(t *testing.T) {
	inBubble(t, room.Config{}, func(t *testing.T, w *world) {
		s := spec(wire.FormEvents, wire.DeliveryEvery, "#")
		s.Rate = 10
		m, _ := w.join(s, room.Options{})
		time.Sleep(time.Second)
		w.publish("a=1")
		if got := numbers(m.next()); !slices.Equal(got, []int{1}) {
			t.Fatalf("at once: %v", got)
		}
		var frames []message
		for i := range 1000 { // one a millisecond for a second
			w.publish(fmt.Sprintf("a=%d", i))
			time.Sleep(time.Millisecond)
			synctest.Wait()
			frames = append(frames, m.next()...)
		}
		if n := len(frames); n < 9 || n > 10 {
			t.Errorf("%d frames in a second at a rate of 10", n)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		frames = append(frames, m.next()...)
		if got := len(numbers(frames)); got != 1000 {
			t.Errorf("%d of 1000 events", got)
		}
	})
}

func TestLatestKeepsExtremesAndCounts(t *testing.T) {
	inBubble(t, room.Config{}, func(t *testing.T, w *world) {
		values, snapshot := w.join(spec(wire.FormValues, wire.DeliveryLatest, "#"), room.Options{})
		if len(snapshot) != 2 || snapshot[1].Snapshot == nil {
			t.Fatalf("want subscribed and a snapshot, got %+v", snapshot)
		}
		events, _ := w.join(spec(wire.FormEvents, wire.DeliveryLatest, "#"), room.Options{})
		w.publish("a/d/t=0", "b/d/t=0") // leaves at once, and the next ones wait
		values.next()
		events.next()
		w.publish("a/d/t=5", "a/d/t=-7", "b/d/t=1")
		w.publish("a/d/t=40", "a/d/t=3")
		if got := values.next(); len(got) > 0 {
			t.Fatalf("before the time: %+v", got)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		got := values.next()
		if len(got) != 1 || len(got[0].Values) != 2 {
			t.Fatalf("want one frame of two rows, got %+v", got)
		}
		if row := got[0].Values[0]; !slices.Equal(row[2:], []float64{3, -7, 40, 4}) {
			t.Errorf("last, min, max, count are %v", row[2:])
		}
		if row := got[0].Values[1]; len(row) != 3 || row[2] != 1 {
			t.Errorf("one value is %v", row)
		}
		if got := events.next(); len(got) != 1 || len(got[0].Events) != 2 || got[0].Events[0].Count != 4 || got[0].Events[0].Payload != 3 {
			t.Errorf("events: %+v", got)
		}
	})
}

func TestLatestFallenOutGetsOneFrameOfWhatChanged(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{RingBytes: 200})
	s := spec(wire.FormValues, wire.DeliveryLatest, "#")
	s.Rate = 1000
	m, _ := w.join(s, room.Options{})
	for i := range 300 {
		w.publish(fmt.Sprintf("a/d/t=%d", i), fmt.Sprintf("b/d/t=%d", -i))
		time.Sleep(time.Millisecond)
	}
	m.flush()
	got := m.next()
	if len(got) != 1 || len(got[0].Values) != 2 {
		t.Fatalf("want one frame of two rows, got %+v", got)
	}
	if row := got[0].Values[0]; !slices.Equal(row[2:], []float64{299, 0, 299, 300}) {
		t.Errorf("a: %v", row)
	}
	if len(got[0].Series) != 2 {
		t.Errorf("the frame announces %v", got[0].Series)
	}
}

func TestLatestFarBehindGetsTheState(t *testing.T) {
	for _, form := range []wire.Form{wire.FormValues, wire.FormEvents} {
		w := newWorld(t, memlog.Config{}, room.Config{})
		_, from := w.Bounds()
		batch := make([]string, 1001)
		for i := range batch {
			batch[i] = fmt.Sprintf("a/d/t=%d", i)
		}
		for range 100 {
			w.publish(batch...)
		}
		m, hello := w.join(spec(form, wire.DeliveryLatest, "#"), room.Options{From: from})
		if !hello[0].Subscribed.Recovered {
			t.Fatalf("%v: %+v", form, hello)
		}
		got := m.next()
		if len(got) != 2 || got[0].Gap == nil || got[0].Gap.Reason != "behind" || got[0].Gap.Events != 100_100 || got[1].Snapshot == nil {
			t.Fatalf("%v: want a gap and a snapshot, got %+v", form, got)
		}
		if state := numbers([]message{*got[1].Snapshot}); !slices.Equal(state, []int{1000}) {
			t.Errorf("%v: state %v", form, state)
		}
		w.publish("a/d/t=7")
		m.flush()
		if next := numbers(m.next()); !slices.Equal(next, []int{7}) {
			t.Errorf("%v: then %v", form, next)
		}
	}
}

// flush makes the room's pending frame: the first who takes another encoding must not get what was before.
func (m *member) flush() {
	m.world.t.Helper()
	m.world.flushing.Lock()
	defer m.world.flushing.Unlock()
	sub, err := m.world.reg.Join(m.spec, room.Options{Encoding: wire.Proto}, m)
	if err != nil {
		m.world.t.Fatal(err)
	}
	m.world.reg.Leave(sub)
}

func TestGapSaysWhatRetentionDropped(t *testing.T) {
	w := newWorld(t, memlog.Config{MaxEvents: 10}, room.Config{})
	_, from := w.Bounds()
	for i := range 25 {
		w.publish(fmt.Sprintf("a=%d", i))
	}
	m, hello := w.join(spec(wire.FormEvents, wire.DeliveryEvery, "#"), room.Options{From: from})
	if !hello[0].Subscribed.Recovered {
		t.Fatalf("%+v", hello[0].Subscribed)
	}
	got := m.next()
	first, _ := w.Bounds()
	if g := got[0].Gap; g == nil || g.From != from.String() || g.To != first.String() || g.Events != 15 || g.Reason != "retention" {
		t.Fatalf("want a gap of 15 events first, got %+v", got[0])
	}
	if n := numbers(got[1:]); len(n) != 10 || n[0] != 15 || n[9] != 24 {
		t.Errorf("after the gap: %v", n)
	}
}

func TestForeignPositionStartsAfresh(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	w.publish("a=1")
	_, next := w.Bounds()
	for _, from := range []event.Position{{Epoch: next.Epoch + 1, Offset: 0}, {Epoch: next.Epoch, Offset: next.Offset + 1}} {
		_, hello := w.join(spec(wire.FormEvents, wire.DeliveryLatest, "#"), room.Options{From: from})
		if s := hello[0].Subscribed; s.Recovered || s.Reason != wire.ReasonInsufficientState || s.Position != next.String() {
			t.Errorf("from %v: %+v", from, s)
		}
		if hello[1].Snapshot == nil || len(hello[1].Snapshot.Events) != 1 {
			t.Errorf("from %v: no snapshot: %+v", from, hello[1:])
		}
	}
}

func TestFromStartAndHistory(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	w.publish("a/d/t=1", "b/d/t=2", "a/d/t=3", "a/e/t=4", "a/d/t=5")
	m, hello := w.join(spec(wire.FormEvents, wire.DeliveryEvery, "#"), room.Options{FromStart: true})
	if got := numbers(m.next()); len(hello) != 1 || !slices.Equal(got, []int{1, 2, 3, 4, 5}) {
		t.Errorf("from the start: %v after %+v", got, hello)
	}
	_, hello = w.join(spec(wire.FormEvents, wire.DeliveryEvery, "a/#"), room.Options{History: 2})
	if got := numbers([]message{*hello[1].Snapshot}); !slices.Equal(got, []int{3, 4, 5}) {
		t.Errorf("history: %v", got)
	}
	_, hello = w.join(room.Spec{Filters: []string{"#"}, Devices: []string{"d"}, Form: wire.FormValues, Delivery: wire.DeliveryEvery}, room.Options{History: 2})
	if got := numbers([]message{*hello[1].Snapshot}); !slices.Equal(got, []int{2, 3, 5}) {
		t.Errorf("history of values of one device: %v", got)
	}
	if s := hello[1].Snapshot.Series; len(s) != 2 {
		t.Errorf("series: %v", s)
	}
	_, hello = w.join(spec(wire.FormValues, wire.DeliveryEvery, "a/+/t"), room.Options{})
	if got := numbers([]message{*hello[1].Snapshot}); !slices.Equal(slices.Sorted(slices.Values(got)), []int{4, 5}) {
		t.Errorf("current values: %v", got)
	}
}

// TestResumeAheadOfTheRooms resumes from a position that the log has and the rooms have not been offered yet: a reply
// to a publish may name such a one.
func TestResumeAheadOfTheRooms(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	s := spec(wire.FormEvents, wire.DeliveryEvery, "#")
	s.Rate = 1000
	early := w.append("a=1", "a=2")
	late := w.append("a=3", "a=4")
	m, hello := w.join(s, room.Options{From: late[0].Next()})
	if !hello[0].Subscribed.Recovered {
		t.Fatal("not recovered")
	}
	w.reg.Offer(w.decode(early))
	if got := numbers(m.next()); got != nil {
		t.Errorf("got %v from before the position", got)
	}
	w.reg.Offer(w.decode(late))
	m.flush()
	if got := numbers(m.next()); !slices.Equal(got, []int{4}) {
		t.Errorf("got %v, want what is after the position", got)
	}
	w.publish("a=5")
	m.flush()
	if got := numbers(m.next()); !slices.Equal(got, []int{5}) {
		t.Errorf("then %v", got)
	}
}

func TestQuietRoomsTellThePosition(t *testing.T) {
	inBubble(t, room.Config{}, func(t *testing.T, w *world) {
		m, _ := w.join(spec(wire.FormEvents, wire.DeliveryEvery, "a"), room.Options{})
		w.publish("b=1")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		_, next := w.Bounds()
		got := m.next()
		if len(got) != 1 || got[0].Position != next.String() || got[0].Events != nil {
			t.Fatalf("want the position alone, got %+v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := m.next(); len(got) > 0 {
			t.Errorf("and again without reason: %+v", got)
		}
	})
}

// TestRoomsThatComeAfterTheirTopic has rooms come and go around topics that are known already, by their very names and by wildcards.
func TestRoomsThatComeAfterTheirTopic(t *testing.T) {
	for _, filter := range []string{"a/b", "a/+", "#"} {
		for _, delivery := range []wire.Delivery{wire.DeliveryEvery, wire.DeliveryLatest} {
			inBubble(t, room.Config{}, func(t *testing.T, w *world) {
				w.publish("a/b=0", "a/c=0")
				for i := 1; i < 4; i++ {
					m, _ := w.join(spec(wire.FormEvents, delivery, filter), room.Options{})
					other, _ := w.join(spec(wire.FormEvents, delivery, "a/b", "x"), room.Options{})
					w.publish(fmt.Sprintf("a/b=%d", i))
					for name, m := range map[string]*member{filter: m, "another room": other} {
						if got := numbers(m.next()); !slices.Equal(got, []int{i}) {
							t.Errorf("%s, %s %v, round %d: got %v", name, filter, delivery, i, got)
						}
					}
					m.leave()
					other.leave()
					w.publish("a/b=0")
				}
			})
		}
	}
}

func TestRoomsAreSharedAndEndWithTheirLastMember(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{MaxRooms: 2})
	s := spec(wire.FormEvents, wire.DeliveryEvery, "a/#", "b")
	m1, _ := w.join(s, room.Options{})
	m2, _ := w.join(s, room.Options{})
	if m1.sub.Room() != m2.sub.Room() {
		t.Error("the same spec, two rooms")
	}
	// What separates the strings of a spec can stand in one of them.
	tricky := s
	tricky.Filters = []string{"a/#\x01b"}
	m3, _ := w.join(tricky, room.Options{})
	if m3.sub.Room() == m1.sub.Room() {
		t.Error("two specs, one room")
	}
	if _, err := w.reg.Join(spec(wire.FormEvents, wire.DeliveryEvery, "c"), room.Options{}, m1); !errors.Is(err, room.ErrTooManyRooms) {
		t.Errorf("a third room: %v", err)
	}
	if _, err := w.reg.Join(spec(wire.FormHub, wire.DeliveryLatest, "#"), room.Options{}, m1); err == nil {
		t.Error("joined a form that is not served")
	}
	for i, m := range []*member{m1, m2, m3} {
		if n, _, _ := w.reg.Stats(); n != 2 && i < 2 {
			t.Errorf("%d rooms after %d left", n, i)
		}
		m.leave()
	}
	if n, _, _ := w.reg.Stats(); n != 0 {
		t.Errorf("%d rooms without members", n)
	}
	w.publish("a/x=1", "b=2")
}

func TestSeriesIsAnnouncedAgainWhenItsUnitBecomesKnown(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	s := spec(wire.FormValues, wire.DeliveryEvery, "#")
	s.Rate = 1000
	m, _ := w.join(s, room.Options{})
	batch := w.publish("a/d/t=1")
	m.flush()
	renewed := *batch[0].Metrics[0].Series
	renewed.Unit = "K"
	w.mu.Lock()
	w.series["a/d/t"] = &renewed
	w.mu.Unlock()
	w.publish("a/d/t=2")
	w.publish("a/d/t=3")
	m.flush()
	var units []any
	for _, f := range m.next() {
		for _, row := range f.Series {
			units = append(units, row[3])
		}
	}
	if !slices.Equal(units, []any{"°C", "K"}) {
		t.Errorf("units announced: %v", units)
	}
}

func TestErrorsOfTheLogReachTheMember(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{RingBytes: 1})
	m, _ := w.join(spec(wire.FormEvents, wire.DeliveryEvery, "#"), room.Options{})
	for range 3 {
		w.publish("a=1")
		m.flush()
	}
	broken := errors.New("the disk is gone")
	w.mu.Lock()
	w.fail = broken
	w.mu.Unlock()
	if _, _, err := m.sub.Next(nil, 1<<20); !errors.Is(err, broken) {
		t.Errorf("Next: %v", err)
	}
	_, from := w.Bounds()
	sub, err := w.reg.Join(m.spec, room.Options{From: from}, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Begin(nil, 1); !errors.Is(err, broken) {
		t.Errorf("Begin: %v", err)
	}
}

// TestCatchUpFramesAreBounded resumes a `latest` member whose missed topics are many and large.
func TestCatchUpFramesAreBounded(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	_, from := w.Bounds()
	for i := range 200 {
		w.publish(fmt.Sprintf("t%d=1%s", i, strings.Repeat("0", 20<<10)))
	}
	m, _ := w.join(spec(wire.FormEvents, wire.DeliveryLatest, "#"), room.Options{From: from})
	frames := 0
	for more := true; more; frames++ {
		raw, again, err := m.sub.Next(nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range raw {
			if len(f.Bytes()) > 2<<20 {
				t.Errorf("a frame of %d bytes", len(f.Bytes()))
			}
		}
		more = again
	}
	if frames < 3 {
		t.Errorf("%d frames", frames)
	}
}

// A counterView is a view of one number.
type counterView struct {
	mu sync.Mutex
	n  uint64
}

func (v *counterView) set(n uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.n = n
}

func (v *counterView) Version() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.n
}

// Since is a topic, whose number is since and whose name is the view's number.
func (v *counterView) Since(_ []string, _ event.Scope, since uint64) (*pulsov1.Frame, uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if since == v.n {
		return nil, v.n
	}
	return &pulsov1.Frame{Topics: []*pulsov1.Topic{{Topic: uint32(since), Name: strconv.FormatUint(v.n, 10)}}}, v.n
}

func TestViewRooms(t *testing.T) {
	view := &counterView{n: 5}
	inBubble(t, room.Config{RingBytes: 1, Sources: map[wire.Form]room.Source{wire.FormHub: view}}, func(t *testing.T, w *world) {
		m, hello := w.join(spec(wire.FormHub, wire.DeliveryLatest, "#"), room.Options{From: event.Position{Epoch: 1, Offset: 1}})
		if len(hello) != 2 || string(hello[1].Snapshot.Topics) != `[[0,"5",""]]` || hello[0].Subscribed.Recovered {
			t.Fatalf("snapshot: %+v", hello)
		}
		tick := func(n uint64) {
			view.set(n)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		tick(6)
		if got := m.next(); len(got) != 1 || string(got[0].Topics) != `[[5,"6",""]]` {
			t.Errorf("delta: %+v", got)
		}
		tick(6)
		if got := m.next(); len(got) > 0 {
			t.Errorf("nothing changed: %+v", got)
		}
		tick(7)
		tick(8)
		tick(9)
		if got := m.next(); len(got) != 1 || string(got[0].Topics) != `[[6,"9",""]]` {
			t.Errorf("fallen out of the ring: %+v", got)
		}
		late, hello := w.join(m.spec, room.Options{})
		if string(hello[1].Snapshot.Topics) != `[[0,"9",""]]` {
			t.Errorf("late snapshot: %+v", hello)
		}
		tick(10)
		if got := late.next(); len(got) != 1 || string(got[0].Topics) != `[[9,"10",""]]` {
			t.Errorf("late delta: %+v", got)
		}
	})
}

// TestOneBatchOfManyFrames resumes between the frames that a large batch was cut into.
func TestOneBatchOfManyFrames(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	m, _ := w.join(spec(wire.FormEvents, wire.DeliveryEvery, "#"), room.Options{})
	batch := make([]string, 40)
	for i := range batch {
		batch[i] = fmt.Sprintf("a=%s%d", strings.Repeat(" ", 20<<10), i)
	}
	w.publish(batch...)
	m.flush()
	frames := m.next()
	if len(frames) < 3 {
		t.Fatalf("%d frames", len(frames))
	}
	for cut := range frames {
		again, _ := w.join(m.spec, room.Options{From: position(t, frames[cut].Position)})
		got := append(numbers(frames[:cut+1]), numbers(again.next())...)
		if len(got) != len(batch) || !slices.IsSorted(got) || slices.Compact(got)[len(got)-1] != len(batch)-1 {
			t.Errorf("cut after %d frames: %v", cut+1, got)
		}
	}
}

// TestBurstsCauseNoDebt floods a room with frames that their size forces: when the flood is over, the rest comes within one
// interval.
func TestBurstsCauseNoDebt(t *testing.T) {
	inBubble(t, room.Config{}, func(t *testing.T, w *world) {
		m, _ := w.join(spec(wire.FormEvents, wire.DeliveryEvery, "#"), room.Options{})
		batch := make([]string, 40)
		for i := range batch {
			batch[i] = fmt.Sprintf("a=%s%d", strings.Repeat(" ", 10<<10), i)
		}
		for range 30 {
			w.publish(batch...)
		}
		w.publish("a=41")
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if got := numbers(m.next()); len(got) != 1201 || got[1200] != 41 {
			t.Errorf("%d of 1201 events have come", len(got))
		}
	})
}

package view_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a view that notes the payloads in the order in which they came.
type recorder struct {
	mu      sync.Mutex
	seen    []string
	ticks   int
	entered chan struct{} // gets a token per Apply, if set
	hold    chan struct{} // Apply waits for a token, if set
}

func (*recorder) Name() string { return "recorder" }

func (r *recorder) Apply(batch []event.Decoded) {
	if r.hold != nil {
		r.entered <- struct{}{}
		<-r.hold
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range batch {
		r.seen = append(r.seen, string(e.Payload))
	}
}

func (r *recorder) Tick(time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticks++
}

func (r *recorder) Save(w io.Writer) error { return json.NewEncoder(w).Encode(r.all()) }

func (r *recorder) Restore(src io.Reader) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
	err := json.NewDecoder(src).Decode(&r.seen)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func decodeAll(events []event.Event) []event.Decoded {
	out := make([]event.Decoded, len(events))
	for i := range events {
		out[i].Event = events[i]
	}
	return out
}

func newLog(t *testing.T, maxEvents int) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{MaxEvents: maxEvents})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

// write appends events with payloads from to from+n-1 and returns them decoded.
func write(t *testing.T, log eventlog.Log, from, n int) []event.Decoded {
	t.Helper()
	batch := make([]event.Event, n)
	for i := range batch {
		batch[i] = event.Event{Topic: "t", Payload: fmt.Append(nil, from+i), Time: 1}
	}
	if err := log.Append(batch, false); err != nil {
		t.Fatal(err)
	}
	return decodeAll(batch)
}

func upTo(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func newRunner(t *testing.T, v view.View, log eventlog.Log, dir string) *view.Runner {
	t.Helper()
	r, err := view.New(view.Config{View: v, Log: log, Decode: decodeAll, Dir: dir, Queue: 2, ReadLimit: 3})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run starts a Runner; the returned function stops it and checks that it ended well.
func run(t *testing.T, r *view.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRunnerFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, v := newLog(t, 1000), &recorder{}
		write(t, log, 0, 10)
		r := newRunner(t, v, log, "")
		stop := run(t, r)
		<-r.CaughtUp()
		first, second, third := write(t, log, 10, 5), write(t, log, 15, 5), write(t, log, 20, 5)
		r.Offer(first)
		r.Offer(first) // again: nothing new in it
		synctest.Wait()
		r.Offer(third) // a hole before it
		synctest.Wait()
		r.Offer(second) // late
		synctest.Wait()
		if got := v.all(); !slices.Equal(got, upTo(0, 25)) {
			t.Errorf("saw %v", got)
		}
		if _, next := log.Bounds(); r.Position() != next {
			t.Errorf("at %s, not %s", r.Position(), next)
		}
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if v.ticks < 3 {
			t.Errorf("%d ticks", v.ticks)
		}
		stop()
	})
}

// TestRunnerFallsBehind holds the view up while more is offered than can wait.
func TestRunnerFallsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t, 1000)
		v := &recorder{entered: make(chan struct{}, 100), hold: make(chan struct{})}
		r := newRunner(t, v, log, "")
		stop := run(t, r)
		<-r.CaughtUp()
		for i := range 10 {
			r.Offer(write(t, log, i, 1))
		}
		<-v.entered
		close(v.hold)
		synctest.Wait()
		if got := v.all(); !slices.Equal(got, upTo(0, 10)) {
			t.Errorf("saw %v", got)
		}
		stop()
	})
}

func TestRunnerGoesOnWhereItStopped(t *testing.T) {
	dir, log := t.TempDir(), newLog(t, 1000)
	write(t, log, 0, 7)
	r := newRunner(t, &recorder{}, log, dir)
	stop := run(t, r)
	<-r.CaughtUp()
	stop()
	write(t, log, 7, 5)
	v := &recorder{}
	r = newRunner(t, v, log, dir)
	stop = run(t, r)
	<-r.CaughtUp()
	if got := v.all(); !slices.Equal(got, upTo(0, 12)) {
		t.Errorf("saw %v", got)
	}
	stop()
}

func TestRunnerSavesNowAndThen(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t, 1000)
		r := newRunner(t, &recorder{}, log, dir)
		stop := run(t, r)
		<-r.CaughtUp()
		r.Offer(write(t, log, 0, 3))
		time.Sleep(9500 * time.Millisecond)
		synctest.Wait()
		if _, err := os.Stat(filepath.Join(dir, "recorder.snapshot")); err == nil {
			t.Error("saved too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := os.Stat(filepath.Join(dir, "recorder.snapshot")); err != nil {
			t.Error(err)
		}
		stop()
	})
}

func TestRunnerIsPassedByRetention(t *testing.T) {
	dir, log := t.TempDir(), newLog(t, 5)
	write(t, log, 0, 3)
	r := newRunner(t, &recorder{}, log, dir)
	stop := run(t, r)
	<-r.CaughtUp()
	stop()
	write(t, log, 3, 20)
	v := &recorder{}
	r = newRunner(t, v, log, dir)
	stop = run(t, r)
	<-r.CaughtUp()
	stop()
	first, next := log.Bounds()
	want := append(upTo(0, 3), upTo(int(first.Offset), int(next.Offset))...)
	if got := v.all(); !slices.Equal(got, want) {
		t.Errorf("saw %v, want %v", got, want)
	}
}

func TestRunnerRebuilds(t *testing.T) {
	snapshot := func(t *testing.T, dir string) string {
		log := newLog(t, 100)
		write(t, log, 100, 5)
		r := newRunner(t, &recorder{}, log, dir)
		stop := run(t, r)
		<-r.CaughtUp()
		stop()
		return filepath.Join(dir, "recorder.snapshot")
	}
	damage := map[string]func(t *testing.T, file string){
		"other log": func(*testing.T, string) {},
		"bit": func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"short": func(t *testing.T, file string) {
			if err := os.Truncate(file, 30); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, file string) {
			if err := os.Truncate(file, 0); err != nil {
				t.Fatal(err)
			}
		},
		"other file": func(t *testing.T, file string) {
			if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			harm(t, snapshot(t, dir))
			log, v := newLog(t, 100), &recorder{}
			write(t, log, 0, 9)
			r := newRunner(t, v, log, dir)
			stop := run(t, r)
			<-r.CaughtUp()
			stop()
			if got := v.all(); !slices.Equal(got, upTo(0, 9)) {
				t.Errorf("saw %v", got)
			}
		})
	}
}

func TestRunnerEndsWithTheLog(t *testing.T) {
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, &recorder{}, log, "")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestMeter(t *testing.T) {
	var m view.Meter
	for second := range int64(30) {
		m.Add(1000 + second)
		m.Add(1000 + second)
	}
	tests := []struct {
		now, first int64
		want       float64
	}{{1030, 1000, 2}, {1035, 1000, 1}, {1039, 1000, 0.2}, {1040, 1000, 0}, {1025, 1000, 2}, {5000, 1000, 0}}
	for _, test := range tests {
		if got := m.Rate(test.now, test.first); got != test.want {
			t.Errorf("at %d: %v, want %v", test.now, got, test.want)
		}
	}
	m.Add(1) // long ago: not counted
	if got := m.Rate(1030, 1000); got != 2 {
		t.Errorf("after an old one: %v", got)
	}
}

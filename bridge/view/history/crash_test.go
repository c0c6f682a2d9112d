package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/internal/replace"
)

// victimEnv names the folder of a history that this test binary, run again as a child, writes to until it is killed.
const victimEnv = "PULSO_HISTORY_VICTIM"

// stream is the log of the test: the same events whoever reads them, and whenever. Its devices share milliseconds, buffer
// and send late, and learn their units and kinds on the way.
type stream struct {
	feed   *feed
	random *rand.Rand
	now    int64
	late   map[int64]bool
}

const streamDevices = 20

func newStream() *stream {
	return &stream{feed: newFeed(), random: rand.New(rand.NewPCG(1, 2)), late: make(map[int64]bool)}
}

// before returns a time in nanoseconds that no other event has, at least so much and at most twice as much before now.
func (s *stream) before(span time.Duration) int64 {
	for {
		at := s.now - span.Milliseconds() - s.random.Int64N(span.Milliseconds())
		if at += 3 - at&3; !s.late[at] {
			s.late[at] = true
			return start + at*int64(time.Millisecond)
		}
	}
}

// next returns the next batch.
func (s *stream) next() []event.Decoded {
	batch := make([]event.Decoded, 50)
	for i := range batch {
		s.now += 4 * s.random.Int64N(10)
		device := s.random.IntN(streamDevices)
		unit := ""
		if s.now > 10_000 {
			unit = "W"
		}
		id := fmt.Sprint("device", device)
		value := float64(s.feed.offset)
		d := s.feed.event(s.now, s.feed.metric(id, id, "x", unit, value), s.feed.metric(id, id, "y", "", value))
		switch s.random.IntN(20) {
		case 0:
			d.DeviceTime = s.before(10 * time.Minute)
		case 1:
			d.DeviceTime = s.before(2 * time.Hour) // so late that the storage takes nothing of that time in order
		case 2:
			d.DeviceKind = fmt.Sprint("kind", s.now/60_000)
		}
		batch[i] = d
	}
	return batch
}

// victim applies the stream, from where the snapshot says, until it is killed.
func victim(dir string) error {
	v, err := New(Config{Dir: filepath.Join(dir, "tsdb")})
	if err != nil {
		return err
	}
	s, err := resume(v, dir)
	if err != nil {
		return err
	}
	// The victim's parent knows by this file how far it, or one before it, has come at least.
	applied, err := os.OpenFile(filepath.Join(dir, "applied"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var before [8]byte
	if _, err := applied.ReadAt(before[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	furthest := binary.BigEndian.Uint64(before[:])
	ticker := time.NewTicker(20 * time.Millisecond)
	for n := 0; ; n++ {
		v.Apply(s.next())
		furthest = max(furthest, s.feed.offset)
		if _, err := applied.WriteAt(binary.BigEndian.AppendUint64(nil, furthest), 0); err != nil {
			return err
		}
		if n == 10 {
			v.Tick(time.Now())
		}
		select {
		case <-ticker.C:
			if n%3 == 0 {
				if err := snapshot(v, dir, s.feed.offset); err != nil {
					return err
				}
			}
		default:
		}
	}
}

func snapshot(v *View, dir string, offset uint64) error {
	var b bytes.Buffer
	b.Write(binary.BigEndian.AppendUint64(nil, offset))
	if err := v.Save(&b); err != nil {
		return err
	}
	return replace.File(filepath.Join(dir, "snapshot"), b.Bytes())
}

// resume restores the snapshot and returns the stream from there on.
func resume(v *View, dir string) (*stream, error) {
	s := newStream()
	data, err := os.ReadFile(filepath.Join(dir, "snapshot"))
	if errors.Is(err, os.ErrNotExist) {
		return s, v.Restore(bytes.NewReader(nil))
	}
	if err != nil {
		return nil, err
	}
	for offset := binary.BigEndian.Uint64(data); s.feed.offset < offset; {
		s.next()
	}
	// A hub that has started anew knows no units from before.
	for _, x := range s.feed.series {
		renewed := *x
		renewed.Unit = ""
		*x = renewed
	}
	return s, v.Restore(bytes.NewReader(data[8:]))
}

// TestKilled kills a process that writes as fast as it can, ten times at random moments, and then counts.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills ten processes")
	}
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range 10 {
		var errs bytes.Buffer
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env, child.Stderr = append(os.Environ(), victimEnv+"="+dir), &errs
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		wait := time.NewTimer(time.Duration(100+random.IntN(400)) * time.Millisecond)
		select {
		case err := <-ended:
			t.Fatalf("round %d: the victim ended by itself: %v %s", round, err, errs.String())
		case <-wait.C:
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Fatal("the victim ended well")
		}
	}
	v, err := New(Config{Dir: filepath.Join(dir, "tsdb")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := resume(v, dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "applied"))
	if err != nil {
		t.Fatal(err)
	}
	resumedAt, applied := s.feed.offset, binary.BigEndian.Uint64(data)
	// It may have applied one more batch than it could say.
	for s.feed.offset < applied+50 {
		v.Apply(s.next())
	}
	// The same without any accident.
	want := newView(t, Config{})
	for calm := newStream(); calm.feed.offset < s.feed.offset; {
		want.Apply(calm.next())
	}
	compare(t, v, want)
	t.Logf("%d events, resumed at %d", s.feed.offset, resumedAt)
}

// compare holds two histories to the same samples, by Walk and by PromQL.
func compare(t *testing.T, got, want *View) {
	t.Helper()
	for i := range streamDevices {
		id := fmt.Sprint("device", i)
		a, b := walk(t, got, id), walk(t, want, id)
		if !slices.Equal(a, b) {
			t.Errorf("%s: %d samples, not %d", id, len(a), len(b))
		}
		end := time.UnixMilli(a[len(a)-1].time).Add(time.Hour)
		for _, form := range []string{
			`sum(count_over_time({device=%q}[1d]))`, `sum(sum_over_time({device=%q}[1d]))`,
			`min(min_over_time({device=%q}[1d]))`, `max(max_over_time({device=%q}[1d]))`,
		} {
			expression := fmt.Sprintf(form, id)
			if g, w := query(t, got, expression, end), query(t, want, expression, end); g != w {
				t.Errorf("%s: %v, not %v", expression, g, w)
			}
		}
	}
}

// A walked sample is one of a Walk.
type walked struct {
	field string
	time  int64
	value float64
}

func walk(t *testing.T, v *View, device string) (out []walked) {
	t.Helper()
	err := v.Walk(t.Context(), Selection{Device: device}, func(p Point) error {
		out = append(out, walked{p.Series.Field, p.Time, p.Value})
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%s: %d samples, %v", device, len(out), err)
	}
	return out
}

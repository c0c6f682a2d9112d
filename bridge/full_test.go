package bridge_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulso/bridge"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/disklog"
	"pulso/bridge/eventlog/memlog"
)

// TestNoRoomHoldsSendersBack lets the log have no room for a minute: senders wait, nothing is refused or acknowledged, and
// then everything is stored, in order.
func TestNoRoomHoldsSendersBack(t *testing.T) {
	for _, qos := range []uint8{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			metrics := prometheus.NewRegistry()
			p := newBridge(t, bridge.Config{MaxQueued: 50, MaxBatch: 8, Metrics: metrics}, memlog.Config{})
			full := fmt.Errorf("%w: no space left on device", eventlog.ErrFull)
			p.log.fail.Store(&full)
			stop := p.start(t)
			const messages = 300
			var sent, done atomic.Int32
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := range messages {
					m := message("a", fmt.Sprint(i))
					m.QoS = qos
					err := p.Ingest(t.Context(), m, func(_ event.Position, err error) {
						if err != nil {
							t.Errorf("message %d: %v", i, err)
						}
						done.Add(1)
					})
					if err != nil {
						t.Errorf("ingest: %v", err)
					}
					sent.Add(1)
				}
			})
			synctest.Wait()
			if err := p.Err(); !errors.Is(err, eventlog.ErrFull) {
				t.Errorf("the bridge says: %v", err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := sent.Load(); n > 50+8 || done.Load() != 0 || len(p.follower.all()) != 0 {
				t.Errorf("%d taken in, %d acknowledged, %d handed on", n, done.Load(), len(p.follower.all()))
			}
			if n := p.log.appends.Load(); n < 60 || n > 70 {
				t.Errorf("%d attempts in a minute", n)
			}
			stalled(t, metrics, 1)
			p.log.fail.Store(nil)
			time.Sleep(time.Second)
			wg.Wait()
			if err := p.Err(); err != nil {
				t.Errorf("with room the bridge says: %v", err)
			}
			stalled(t, metrics, 0)
			stop()
			got := p.follower.all()
			if len(got) != messages || done.Load() != messages {
				t.Fatalf("%d handed on, %d acknowledged", len(got), done.Load())
			}
			for i := range got {
				if string(got[i].Payload) != fmt.Sprint(i) {
					t.Fatalf("event %d is %s", i, got[i].Payload)
				}
			}
			said := p.logged.String()
			if strings.Count(said, "\n") != 2 || !strings.Contains(said, "no room to store") || !strings.Contains(said, "stored again") ||
				!strings.Contains(said, "waited=1m") {
				t.Errorf("said: %s", said)
			}
		})
	}
}

func stalled(t *testing.T, r *prometheus.Registry, want int) {
	t.Helper()
	text := fmt.Sprintf("# HELP pulso_bridge_stalled 1 while nothing can be stored, because there is no room, after a failure, or because the log is stuck.\n"+
		"# TYPE pulso_bridge_stalled gauge\npulso_bridge_stalled %d\n", want)
	if err := testutil.GatherAndCompare(r, strings.NewReader(text), "pulso_bridge_stalled"); err != nil {
		t.Error(err)
	}
}

// TestEndWithoutRoom ends the bridge while messages wait for room: each is refused.
func TestEndWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBridge(t, bridge.Config{MaxBatch: 2}, memlog.Config{})
		full := fmt.Errorf("disk: %w", eventlog.ErrFull)
		p.log.fail.Store(&full)
		var refused atomic.Int32
		for range 7 {
			err := p.Ingest(t.Context(), message("a", "1"), func(_ event.Position, err error) {
				if !errors.Is(err, eventlog.ErrFull) {
					t.Errorf("done with %v", err)
				}
				refused.Add(1)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		stop := p.start(t)
		time.Sleep(10 * time.Second)
		if n := refused.Load(); n != 0 {
			t.Errorf("%d refused before the end", n)
		}
		began := time.Now()
		stop()
		if n := refused.Load(); n != 7 || time.Since(began) > 0 || len(p.follower.all()) != 0 {
			t.Errorf("%d refused after %s", n, time.Since(began))
		}
	})
}

func TestFailureAndDelayAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBridge(t, bridge.Config{}, memlog.Config{})
		stop := p.start(t)
		broken := fmt.Errorf("write: %w", eventlog.ErrFailed)
		p.log.fail.Store(&broken)
		_ = p.Ingest(t.Context(), message("a", "1"), nil)
		synctest.Wait()
		if err := p.Err(); !errors.Is(err, eventlog.ErrFailed) {
			t.Errorf("after a failure: %v", err)
		}
		if said := p.logged.String(); !strings.Contains(said, "restart the hub") {
			t.Errorf("said: %s", said)
		}
		stop()

		p = newBridge(t, bridge.Config{}, memlog.Config{})
		p.log.gate = make(chan struct{})
		stop = p.start(t)
		_ = p.Ingest(t.Context(), message("a", "1"), nil)
		time.Sleep(2 * time.Second)
		if err := p.Err(); err != nil {
			t.Errorf("after two seconds: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), "for 4s") {
			t.Errorf("after four seconds: %v", err)
		}
		close(p.log.gate)
		synctest.Wait()
		if err := p.Err(); err != nil {
			t.Errorf("in the end: %v", err)
		}
		stop()
	})
}

// TestRealFullDisk fills a real, small disk through the bridge, sees that senders wait, makes room, and compares what was
// acknowledged with what the log holds when it is opened again.
func TestRealFullDisk(t *testing.T) {
	for _, qos := range []uint8{0, 1} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			mount := smallDisk(t, 4<<20)
			ballast := filepath.Join(mount, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			open := func() *disklog.Log {
				l, err := disklog.Open(disklog.Config{Dir: filepath.Join(mount, "log"), SegmentBytes: 256 << 10, RetainBytes: -1})
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			l := open()
			p := newBridge(t, bridge.Config{MaxQueued: 100}, memlog.Config{})
			p.log.Log = l
			stop := p.start(t)
			const messages = 5000
			var acknowledged atomic.Int32
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := range messages {
					m := message("devices/d/t", strings.Repeat("x", 500)+fmt.Sprint(i))
					m.QoS = qos
					if err := p.Ingest(t.Context(), m, func(_ event.Position, err error) {
						if err != nil {
							t.Errorf("message %d: %v", i, err)
						}
						acknowledged.Add(1)
					}); err != nil {
						t.Errorf("ingest: %v", err)
						return
					}
				}
			})
			until(t, "a full disk", func() bool { return errors.Is(p.Err(), eventlog.ErrFull) && errors.Is(l.Err(), eventlog.ErrFull) })
			held := acknowledged.Load()
			if _, next := l.Bounds(); next.Offset != uint64(held) || held == 0 || held == messages {
				t.Errorf("%d acknowledged, %d in the log", held, next.Offset)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			until(t, "going on to the end", func() bool { return acknowledged.Load() == messages })
			stop()
			wg.Wait()
			if err := errors.Join(p.Err(), l.Err(), l.Close()); err != nil {
				t.Fatal(err)
			}
			l = open()
			defer l.Close()
			first, next := l.Bounds()
			if next.Offset != messages || acknowledged.Load() != messages || l.Recovery().Cut != 0 {
				t.Fatalf("%d acknowledged, %d in the log, %+v", acknowledged.Load(), next.Offset, l.Recovery())
			}
			for at := first; at != next; {
				events, err := l.Read(at, 1000)
				if err != nil {
					t.Fatal(err)
				}
				for i := range events {
					if want := fmt.Sprint(at.Offset); !strings.HasSuffix(string(events[i].Payload), "x"+want) {
						t.Fatalf("at %s: %s", at, events[i].Payload)
					}
					at = events[i].Next()
				}
			}
		})
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// smallDisk mounts a file system in memory of a size in bytes. The test is skipped where that is not permitted, but not
// in continuous integration.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := mountMemory(dir, size); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no small disk can be mounted: %v", err)
		}
		t.Skipf("no small disk can be mounted, which needs root on Linux: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

package crash

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"pulso/test/crash/internal/load"
	"pulso/test/internal/hub"
)

// mountSmall mounts a file system of 48 MiB, which only root may.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		hub.Missing(t, "a small file system cannot be mounted: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A ballast is a file that takes all the room there is, also what becomes free.
type ballast struct {
	path    string
	stop    chan struct{}
	filling sync.WaitGroup
}

func fill(t *testing.T, dir string) *ballast {
	t.Helper()
	b := &ballast{path: filepath.Join(dir, "ballast"), stop: make(chan struct{})}
	f, err := os.Create(b.path)
	if err != nil {
		t.Fatal(err)
	}
	b.filling.Go(func() {
		defer f.Close()
		for size := 1 << 20; ; {
			select {
			case <-b.stop:
				return
			default:
			}
			_, err := f.Write(make([]byte, size))
			switch {
			case err == nil:
			case !errors.Is(err, syscall.ENOSPC):
				t.Error(err)
				return
			case size > 4<<10:
				size /= 2
			default:
				time.Sleep(time.Millisecond) // until something becomes free
			}
		}
	})
	return b
}

// free gives the room back.
func (b *ballast) free(t *testing.T) {
	t.Helper()
	close(b.stop)
	b.filling.Wait()
	if err := os.Remove(b.path); err != nil {
		t.Error(err)
	}
}

// TestDiskFull fills the disk under load: acknowledgements stop and /readyz is red within a second, and both recover by
// themselves when there is room. It does so twice, kills the hub after the first time and in the second, and loses nothing.
func TestDiskFull(t *testing.T) {
	dir := mountSmall(t)
	rng := random(t)
	h := hub.Start(t, hub.Flags("--data", dir, "--log-segment-bytes", "4MiB"))
	l := load.New(rng)
	l.Subscribers(h.MQTT, 1, 1)
	l.Subscribers(h.MQTT, 2, 1)
	l.Publishers(h.MQTT, 1, 4)
	l.Publishers(h.MQTT, 2, 2)
	l.Run(t)
	reach(t, "messages acknowledged before", 500, l.Acknowledged)

	b := fill(t, dir)
	l.Books.Event("", "has no room")
	watchFull(t, h, l.Acknowledged)
	b.free(t)
	began := time.Now()
	l.Books.Event("", "has room")
	reach(t, "messages acknowledged with room again", l.Acknowledged()+500, l.Acknowledged)
	hub.Eventually(t, 10*time.Second, "readyz is green again", h.Ready)
	t.Logf("goes on %v after there was room", time.Since(began).Round(time.Millisecond))
	restart(h, l.Books)
	reach(t, "messages acknowledged after the restart", l.Acknowledged()+500, l.Acknowledged)

	b = fill(t, dir)
	watchFull(t, h, l.Acknowledged)
	l.Books.Event("", "is killed")
	h.Kill()
	b.free(t)
	h.Again()
	l.Books.Event("", "is ready")
	reach(t, "messages acknowledged after the second restart", l.Acknowledged()+500, l.Acknowledged)
	l.Finish(t)
	load.Verdict(t, l.Books)
}

// watchFull waits until nothing has been acknowledged for a second, and checks that readyz was red within a second of the last
// acknowledgement, that it stays so, and that the hub lives.
func watchFull(t *testing.T, h *hub.Hub, acknowledged func() int) {
	t.Helper()
	var last, red time.Time
	for count, deadline := -1, time.Now().Add(30*time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := h.Alive(); err != nil {
			t.Fatalf("with a full disk: %v", err)
		}
		now := time.Now()
		if n := acknowledged(); n != count {
			count, last = n, now
		}
		switch ready := h.Ready(); {
		case ready == nil:
			red = time.Time{}
		case red.IsZero():
			red = now
		}
		if now.Sub(last) > time.Second {
			if red.IsZero() || red.Sub(last) > time.Second {
				t.Errorf("nothing has been acknowledged for a second, and readyz is not red yet")
			}
			break
		}
		if now.After(deadline) {
			t.Fatal("the hub still acknowledges 30 s after the disk was filled")
		}
	}
	t.Logf("readyz was red %v after the last acknowledgement", red.Sub(last).Round(time.Millisecond))
	before := acknowledged()
	time.Sleep(2 * time.Second) // of a full disk
	if n := acknowledged(); n != before {
		t.Errorf("%d messages were acknowledged with a full disk", n-before)
	}
	if err := h.Ready(); err == nil {
		t.Error("readyz is green with a full disk")
	}
}

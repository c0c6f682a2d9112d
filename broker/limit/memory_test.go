package limit

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestLevels(t *testing.T) {
	level := Normal
	for i, step := range []struct {
		part float64
		want Level
	}{
		{0.5, Normal},
		{0.849, Normal},
		{0.85, Tight},
		{0.81, Tight},
		{0.79, Normal},
		{0.84, Normal},
		{0.9, Tight},
		{0.949, Tight},
		{0.95, Critical},
		{0.91, Critical},
		{0.89, Tight},
		{1.5, Critical},
		{0.1, Normal},
		{0.96, Critical},
		{0.82, Tight},
	} {
		if level = levelOf(level, step.part); level != step.want {
			t.Fatalf("step %d, %v: %v, want %v", i, step.part, level, step.want)
		}
	}
}

// The guard says each change once, refuses new work before it slows old work, and takes it all back.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in, collected atomic.Int64
		var log strings.Builder
		m, err := NewMemory(MemoryConfig{
			Limit: 1000, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			used:    func() usage { return usage{bytes: in.Load()} },
			collect: func() { collected.Add(1) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		all := []Work{NewConnection, NewSession, NewSubscription, NewRetained, NewStream}
		check := func(bytes int64, level Level, refused int, delay time.Duration) {
			t.Helper()
			in.Store(bytes)
			time.Sleep(time.Second)
			synctest.Wait()
			n := 0
			for _, w := range all {
				if !m.Allow(w) {
					n++
				}
			}
			if m.Level() != level || n != refused || m.Delay() != delay || m.Used() != bytes {
				t.Errorf("%d bytes: %v, %d refused, delay %v", bytes, m.Level(), n, m.Delay())
			}
		}
		check(500, Normal, 0, 0)
		check(860, Tight, 4, 0)
		if !m.Allow(NewConnection) {
			t.Error("a device of a known session cannot come back")
		}
		check(960, Critical, 5, slowBy)
		check(870, Tight, 4, 0)
		time.Sleep(time.Minute)
		if n := collected.Load(); n < 5 || n > 7 {
			t.Errorf("%d collections in a minute", n)
		}
		check(700, Normal, 0, 0)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, line := range []string{"level=tight was=normal", "level=critical was=tight", "level=tight was=critical", "level=normal was=tight"} {
			if strings.Count(log.String(), line) != 1 {
				t.Errorf("%q is not in the log once:\n%s", line, &log)
			}
		}
		if n := testutil.ToFloat64(m.metrics.refused[NewSession]); n != 3 {
			t.Errorf("%v sessions were counted as refused", n)
		}
	})
}

func TestNilMemoryAllowsAll(t *testing.T) {
	var m *Memory
	if m.Level() != Normal || !m.Allow(NewConnection) || m.Delay() != 0 {
		t.Error("no guard refuses")
	}
}

// What is held counts, what is garbage does not.
func TestMeter(t *testing.T) {
	m := newMeter()
	if n := m.anonymous(); runtime.GOOS == "linux" && n < 1<<20 {
		t.Errorf("%d bytes are anonymous", n)
	}
	// What the system says is more under the race detector.
	m.close()
	m.statm = nil
	runtime.GC()
	before := m.read()
	held := make([][]byte, 64)
	for i := range held {
		held[i] = bytes.Repeat([]byte{1}, 1<<20) // pages that nobody has touched take nothing
	}
	runtime.GC()
	during := m.read()
	if grew := during.bytes - before.bytes; grew < 50<<20 || grew > 100<<20 {
		t.Errorf("64 MiB that are held count as %d", grew)
	}
	if during.cycles <= before.cycles {
		t.Error("no collection was counted")
	}
	runtime.KeepAlive(held)
	runtime.GC()
	if after := m.read(); after.bytes-before.bytes > 40<<20 {
		t.Errorf("64 MiB that are gone count as %d", after.bytes-before.bytes)
	}
}

func TestFindMemory(t *testing.T) {
	if n, source := FindMemory(); n <= 0 || source == "" {
		t.Errorf("%d from %q", n, source)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if n := machineMemory(write("meminfo", "MemFree: 1 kB\nMemTotal:       2048 kB\n")); n != 2<<20 {
		t.Errorf("the machine has %d", n)
	}
	if n := machineMemory(write("nonsense", "MemTotal: much\n")); n != 0 {
		t.Errorf("nonsense is %d", n)
	}
	write("v2/memory.max", "max\n")
	write("v2/a/memory.max", "4096\n")
	write("v2/a/b/memory.max", "8192\n")
	write("v1/memory/memory.limit_in_bytes", "9223372036854771712\n")
	write("v1/memory/docker/x/memory.limit_in_bytes", "12345\n")
	for _, c := range []struct {
		self, root string
		want       int64
	}{
		{"0::/a/b\n", "v2", 4096},
		{"0::/\n", "v2", 0},
		{"0::/../../a\n", "v2", 4096},
		{"5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n", "v1", 12345},
		{"4:memory:/elsewhere\n", "v1", 0},
		{"", "v2", 0},
		{"nonsense\n::\n", "v2", 0},
	} {
		if n := cgroupMemory(write("self", c.self), filepath.Join(dir, c.root)); n != c.want {
			t.Errorf("%q: %d, want %d", c.self, n, c.want)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	m, err := NewMemory(MemoryConfig{Limit: 1, used: func() usage { return usage{} }})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !m.Allow(NewSession) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkMeter(b *testing.B) {
	m := newMeter()
	defer m.close()
	for b.Loop() {
		m.read()
	}
}

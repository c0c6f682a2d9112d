package limit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime/metrics"
	"strconv"
)

// A usage is what the process takes.
type usage struct {
	bytes  int64
	cycles uint64 // garbage collections so far
	spare  int64  // free or garbage: bytes that the system could have back
	made   int64  // bytes ever allocated
}

// A meter reads what the process takes: what Go holds, or what the system says if that is more, since SQLite holds memory
// that Go knows nothing of. What is free does not count, nor what was allocated since the last garbage collection, as it
// may be garbage: where memory is short, Go's own soft limit makes that little.
type meter struct {
	samples []metrics.Sample
	statm   *os.File // Linux only, else nil; open all the time, since files may be what the process has run out of
	page    int64
	buf     [128]byte
}

// The samples, in this order.
const (
	totalBytes = iota
	releasedBytes
	freeBytes
	objectBytes
	liveBytes
	gcCycles
	allocatedBytes
)

func newMeter() *meter {
	m := &meter{page: int64(os.Getpagesize())}
	for _, name := range []string{
		"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes", "/gc/cycles/total:gc-cycles",
		"/gc/heap/allocs:bytes",
	} {
		m.samples = append(m.samples, metrics.Sample{Name: name})
	}
	if f, err := os.Open("/proc/self/statm"); err == nil {
		m.statm = f
	}
	return m
}

func (m *meter) close() {
	if m.statm != nil {
		_ = m.statm.Close() // it was only read from
	}
}

func (m *meter) read() usage {
	metrics.Read(m.samples)
	value := func(i int) int64 {
		if m.samples[i].Value.Kind() != metrics.KindUint64 {
			return 0 // a Go version that does not have it
		}
		return int64(m.samples[i].Value.Uint64())
	}
	held := value(totalBytes) - value(releasedBytes)
	fresh := max(0, value(objectBytes)-value(liveBytes))
	spare := value(freeBytes) + fresh
	return usage{
		bytes: max(0, max(held, m.anonymous())-spare), cycles: uint64(value(gcCycles)), spare: spare, made: value(allocatedBytes),
	}
}

// anonymous is the resident memory of the process that is no file's, 0 where that is not known (proc(5): the second and
// third field of statm are the resident pages and those of them that are of files or shared).
func (m *meter) anonymous() int64 {
	if m.statm == nil {
		return 0
	}
	n, err := m.statm.ReadAt(m.buf[:], 0)
	if n == 0 || err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	fields := bytes.Fields(m.buf[:n])
	if len(fields) < 3 {
		return 0
	}
	resident, err1 := strconv.ParseInt(string(fields[1]), 10, 64)
	shared, err2 := strconv.ParseInt(string(fields[2]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return (resident - shared) * m.page
}

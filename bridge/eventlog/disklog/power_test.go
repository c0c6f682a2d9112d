package disklog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// A powerDisk is a disk that the power is cut from: of what has not been synced, any sectors are on it afterwards, those
// of later writes while those of earlier ones are not. It also has no room at times, and fails at times.
type powerDisk struct {
	mu    sync.Mutex
	rand  *rand.Rand
	files map[string]*powerFile
	off   map[string]bool // after the cut: the segments there were
	left  int             // operations until the cut
	full  bool
	fail  bool // the next sync
}

// A powerFile is what is on the disk of a segment for certain, and what has been done to it since.
type powerFile struct {
	synced []byte
	since  []change
}

// A change is a write, or a cut to the size at.
type change struct {
	at   int64
	data []byte
}

var errOff = errors.New("no power")

// step counts an operation and reports whether there still is power; mu is held.
func (d *powerDisk) step(dir string) bool {
	if d.left--; d.left == 0 {
		d.off = make(map[string]bool)
		found, _ := filepath.Glob(filepath.Join(dir, "*"+segmentExt))
		for _, path := range found {
			d.off[path] = true
		}
	}
	return d.off == nil
}

type powerHandle struct {
	*diskFile

	disk *powerDisk
	path string
}

func (d *powerDisk) openFile(path string, flag int) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if flag&os.O_CREATE != 0 {
		if !d.step(filepath.Dir(path)) {
			return nil, errOff
		}
		if d.full && d.rand.IntN(2) == 0 {
			return nil, syscall.ENOSPC
		}
		d.files[path] = &powerFile{}
	}
	f, err := openFile(path, flag)
	if err != nil {
		return nil, err
	}
	if d.files[path] == nil {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("power disk: %w", err)
		}
		d.files[path] = &powerFile{synced: data}
	}
	return &powerHandle{f, d, path}, nil
}

func (h *powerHandle) do(op func(f *powerFile) error) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if !h.disk.step(filepath.Dir(h.path)) {
		return errOff
	}
	return op(h.disk.files[h.path])
}

func (h *powerHandle) WriteAt(b []byte, at int64) (n int, err error) {
	err = h.do(func(f *powerFile) error {
		part := b
		if h.disk.full {
			part = b[:h.disk.rand.IntN(len(b))]
		}
		f.since = append(f.since, change{at, bytes.Clone(part)})
		n, err = h.diskFile.WriteAt(part, at)
		if h.disk.full {
			return syscall.ENOSPC
		}
		return err
	})
	return n, err
}

func (h *powerHandle) Truncate(size int64) error {
	return h.do(func(f *powerFile) error {
		f.since = append(f.since, change{at: size})
		return h.diskFile.Truncate(size)
	})
}

func (h *powerHandle) Sync() error {
	return h.do(func(f *powerFile) error {
		if h.disk.fail {
			h.disk.fail = false
			return syscall.EIO
		}
		var err error
		if f.synced, err = os.ReadFile(h.path); err == nil {
			f.since = nil
		}
		return err
	})
}

// cut leaves in the folder what is on the disk after the cut.
func (d *powerDisk) cut(t *testing.T, dir string, identity []byte) {
	t.Helper()
	const sector = 512
	for path, f := range d.files {
		if !d.off[path] {
			continue
		}
		data := bytes.Clone(f.synced)
		put := func(at int64, b []byte) {
			if end := int(at) + len(b); end > len(data) {
				data = append(data, make([]byte, end-len(data))...)
			}
			copy(data[at:], b)
		}
		most := d.rand.IntN(4)
		for _, c := range f.since {
			if c.data == nil {
				if d.rand.IntN(2) == 0 {
					data = data[:min(len(data), int(c.at))]
				}
				continue
			}
			for from := 0; from < len(c.data); {
				to := min(len(c.data), from+sector-int(c.at+int64(from))%sector)
				if d.rand.IntN(4) < most {
					put(c.at+int64(from), c.data[from:to])
				}
				from = to
			}
		}
		writeFile(t, path, data)
	}
	for _, ext := range []string{offsetsExt, topicsExt} { // never synced
		found, err := filepath.Glob(filepath.Join(dir, "*"+ext))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			data := readFile(t, path)
			switch d.rand.IntN(4) {
			case 0:
				writeFile(t, path, data[:d.rand.IntN(len(data))])
			case 1:
				clear(data[d.rand.IntN(len(data)):])
				writeFile(t, path, data)
			case 2:
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	writeFile(t, filepath.Join(dir, identityName), bytes.Replace(identity, []byte(bootID()), []byte("another"), 1))
}

// A powerLife is one schedule: lives of a log that end by a close or a cut.
type powerLife struct {
	t       *testing.T
	rand    *rand.Rand
	dir     string
	events  []event.Event // that were taken
	durable int           // of them
	doubt   []event.Event // the batch that the cut, or a failure, has interrupted
	full    int
	cuts    int
}

// TestPowerCuts runs random schedules of durable and other batches, of no room, failed syncs, ends and cuts of power: after
// each, what was durable is there, offsets have no holes, and what was refused is not there.
func TestPowerCuts(t *testing.T) {
	full, cuts, events := 0, 0, 0
	for seed := range uint64(60) {
		p := &powerLife{t: t, rand: rand.New(rand.NewPCG(seed, 1)), dir: filepath.Join(quickDir(t), "log")}
		for range 6 {
			p.live()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		full, cuts, events = full+p.full, cuts+p.cuts, events+len(p.events)
	}
	t.Logf("%d events, %d cuts of power, %d times no room", events, cuts, full)
	if full < 200 || cuts < 60 {
		t.Errorf("%d times no room, %d cuts", full, cuts)
	}
}

// live opens the log, checks it, appends, and closes it or has the power cut.
func (p *powerLife) live() {
	t := p.t
	disk := &powerDisk{rand: p.rand, files: make(map[string]*powerFile)}
	l, err := Open(Config{
		Dir: p.dir, open: disk.openFile, SegmentBytes: 4 << 10, RetainBytes: -1, SyncInterval: time.Millisecond << p.rand.IntN(12), walkFirst: 1,
	})
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	p.check(l)
	identity := readFile(t, filepath.Join(p.dir, identityName))
	disk.mu.Lock()
	disk.left = 1 + p.rand.IntN(150) // -1: never
	disk.mu.Unlock()
	if p.rand.IntN(4) == 0 {
		disk.left = -1
	}
	p.append(l, disk)
	err = l.Close()
	disk.mu.Lock()
	defer disk.mu.Unlock()
	if disk.off != nil {
		p.cuts++
		disk.cut(t, p.dir, identity)
		return
	}
	if err != nil {
		t.Errorf("close: %v", err)
	}
	if p.doubt == nil {
		p.durable = len(p.events)
	}
}

// append appends until the power is cut, the log fails, or for long enough.
func (p *powerLife) append(l *Log, disk *powerDisk) {
	for range 1 + p.rand.IntN(60) {
		batch := make([]event.Event, 1+p.rand.IntN(30))
		for i := range batch {
			batch[i] = crashEvent(uint64(len(p.events) + i))
			batch[i].Client = fmt.Sprint(p.rand.Uint32()) // tells it from another at its offset
		}
		disk.mu.Lock()
		disk.full, disk.fail = p.rand.IntN(5) == 0, p.rand.IntN(60) == 0
		disk.mu.Unlock()
		durable := p.rand.IntN(2) == 0
		err := l.Append(batch, durable)
		switch {
		case err == nil:
			p.events = append(p.events, batch...)
			if durable {
				p.durable = len(p.events)
			}
		case errors.Is(err, eventlog.ErrFull) && !errors.Is(err, eventlog.ErrFailed):
			p.full++
		case errors.Is(err, eventlog.ErrFailed):
			p.doubt = batch
			return
		default:
			p.t.Errorf("append: %v", err)
		}
	}
	disk.mu.Lock()
	defer disk.mu.Unlock()
	if disk.off == nil && p.rand.IntN(2) == 0 {
		disk.left = 1
		disk.step(p.dir)
	}
}

// check compares the log that has been opened with what was appended.
func (p *powerLife) check(l *Log) {
	t := p.t
	first, next := l.Bounds()
	all := slices.Concat(p.events, p.doubt)
	n := int(next.Offset)
	if first.Offset != 0 || n < p.durable || n > len(all) {
		t.Errorf("the log has %s to %s: %d events were durable, %d taken, %d in doubt, %+v", first, next, p.durable, len(p.events), len(p.doubt), l.Recovery())
		return
	}
	at := event.Position{Epoch: l.identity.Epochs[0].Epoch}
	for at.Offset < next.Offset {
		found, to, err := l.Scan(at, func(string) bool { return true }, 40)
		read, readErr := l.Read(at, 40)
		if err != nil || readErr != nil || len(read) == 0 {
			t.Errorf("at %s: %v, %v, %d events", at, err, readErr, len(read))
			return
		}
		for i, e := range read {
			want := all[at.Offset+uint64(i)]
			if e.Position.Offset != at.Offset+uint64(i) || e.Client != want.Client || !bytes.Equal(e.Payload, want.Payload) {
				t.Errorf("at %s: %+v instead of %+v", at, e, want)
				return
			}
			if i < len(found) && found[i].Client != e.Client {
				t.Errorf("Scan at %s gives %+v", at, found[i])
			}
		}
		at = to
		if len(found) == 0 && to.Offset < next.Offset {
			continue
		}
		at = event.Position{Epoch: to.Epoch, Offset: min(to.Offset, read[len(read)-1].Position.Offset+1)}
	}
	p.events, p.durable, p.doubt = all[:n:n], n, nil
}

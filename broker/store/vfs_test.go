package store

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"unsafe" //nolint:depguard // SQLite's file systems are C structures.

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The faulty file system lies over SQLite's own and finds by a file's folder the disk that says what goes wrong.
const faultyVFS = "faulty"

// Extended result codes (sqlite.org/rescode.html).
const (
	ioWrite    = 778
	ioFsync    = 1034
	ioTruncate = 1546
)

// A disk is one test's folder. The zero disk works.
type disk struct {
	mu sync.Mutex
	// fault decides what becomes of a call of file ("db" or "wal"): 0, or the result code that it returns instead of doing
	// it. Of a failing write, keep bytes are written all the same.
	fault func(call, file string) (code, keep int)
	// ops is what happened so far, if record.
	record bool
	ops    []op
}

// An op is one change of a file, or a sync of it.
type op struct {
	call, file string
	data       []byte
	at         int64
}

var disks = struct {
	sync.Mutex

	byDir  map[string]*disk
	files  map[uintptr]*openFile
	once   sync.Once
	base   *sqlite3.Tsqlite3_vfs
	baseAt uintptr
	shims  map[uintptr]uintptr // methods of a file, by those of the file system below
}{byDir: map[string]*disk{}, files: map[uintptr]*openFile{}, shims: map[uintptr]uintptr{}}

type openFile struct {
	disk  *disk
	name  string
	inner *sqlite3.Tsqlite3_io_methods
}

type (
	openFunc  = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	closeFunc = func(tls *libc.TLS, file uintptr) int32
	writeFunc = func(tls *libc.TLS, file, data uintptr, n int32, at int64) int32
	sizeFunc  = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc  = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// at is what lies at an address outside of Go's memory.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// function is a C function pointer as a Go function, and the place of one.
func function[F any](pointer *uintptr) *F { return (*F)(unsafe.Pointer(pointer)) }

// newDisk returns the faulty disk behind a folder.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	disks.once.Do(func() {
		tls := libc.NewTLS()
		sqlite3.Xsqlite3_initialize(tls)
		disks.baseAt = sqlite3.Xsqlite3_vfs_find(tls, 0)
		disks.base = at[sqlite3.Tsqlite3_vfs](disks.baseAt)
		shim := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*disks.base)))
		name, err := libc.CString(faultyVFS)
		if err != nil {
			t.Fatal(err)
		}
		vfs := at[sqlite3.Tsqlite3_vfs](shim)
		*vfs = *disks.base
		vfs.FzName = name
		*function[openFunc](&vfs.FxOpen) = vfsOpen
		if code := sqlite3.Xsqlite3_vfs_register(tls, shim, 0); code != 0 {
			t.Fatalf("register: %d", code)
		}
	})
	d := &disk{}
	disks.Lock()
	defer disks.Unlock()
	disks.byDir[dir] = d
	return d
}

func (d *disk) set(change func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// happened is how many ops there have been.
func (d *disk) happened() (n int) {
	d.set(func(d *disk) { n = len(d.ops) })
	return n
}

func (d *disk) decide(call, file string, o op) (code, keep int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != nil {
		code, keep = d.fault(call, file)
	}
	if d.record && code == 0 {
		o.call, o.file = call, file
		d.ops = append(d.ops, o)
	}
	return code, keep
}

func vfsOpen(tls *libc.TLS, _, name, file uintptr, flags int32, out uintptr) int32 {
	code := (*function[openFunc](&disks.base.FxOpen))(tls, disks.baseAt, name, file, flags, out)
	if code != 0 || name == 0 {
		return code
	}
	path := libc.GoString(name)
	disks.Lock()
	defer disks.Unlock()
	d := disks.byDir[filepath.Dir(path)]
	if d == nil {
		return code
	}
	f := at[sqlite3.Tsqlite3_file](file)
	inner := at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
	shim, ok := disks.shims[f.FpMethods]
	if !ok {
		shim = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*inner)))
		m := at[sqlite3.Tsqlite3_io_methods](shim)
		*m = *inner
		*function[closeFunc](&m.FxClose) = vfsClose
		*function[writeFunc](&m.FxWrite) = vfsWrite
		*function[sizeFunc](&m.FxTruncate) = vfsTruncate
		*function[syncFunc](&m.FxSync) = vfsSync
		disks.shims[f.FpMethods] = shim
	}
	f.FpMethods = shim
	kind := "db"
	if flags&sqlite3.SQLITE_OPEN_WAL != 0 {
		kind = "wal"
	}
	disks.files[file] = &openFile{d, kind, inner}
	return code
}

func fileAt(file uintptr) *openFile {
	disks.Lock()
	defer disks.Unlock()
	return disks.files[file]
}

func vfsClose(tls *libc.TLS, file uintptr) int32 {
	f := fileAt(file)
	disks.Lock()
	delete(disks.files, file)
	disks.Unlock()
	return (*function[closeFunc](&f.inner.FxClose))(tls, file)
}

func vfsWrite(tls *libc.TLS, file, data uintptr, n int32, where int64) int32 {
	f := fileAt(file)
	code, keep := f.disk.decide("write", f.name, op{data: slices.Clone(unsafe.Slice(at[byte](data), n)), at: where})
	write := *function[writeFunc](&f.inner.FxWrite)
	if code == 0 {
		return write(tls, file, data, n, where)
	}
	if keep > 0 {
		write(tls, file, data, min(n, int32(keep)), where)
	}
	return int32(code)
}

func vfsTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := fileAt(file)
	if code, _ := f.disk.decide("truncate", f.name, op{at: size}); code != 0 {
		return int32(code)
	}
	return (*function[sizeFunc](&f.inner.FxTruncate))(tls, file, size)
}

func vfsSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := fileAt(file)
	if code, _ := f.disk.decide("sync", f.name, op{}); code != 0 {
		return int32(code)
	}
	return (*function[syncFunc](&f.inner.FxSync))(tls, file, flags)
}

// image is what a disk may hold after loss of power: of each file all that was synced, and of what came after what keep
// says, byte ranges of 512 being written or not.
func image(base map[string][]byte, ops []op, keep func() bool) map[string][]byte {
	synced := map[string]int{}
	for i, o := range ops {
		if o.call == "sync" {
			synced[o.file] = i
		}
	}
	files := map[string][]byte{}
	for name, b := range base {
		files[name] = slices.Clone(b)
	}
	resize := func(name string, size int64) {
		b := files[name]
		files[name] = append(b[:min(size, int64(len(b)))], make([]byte, max(0, size-int64(len(b))))...)
	}
	for i, o := range ops {
		sure := i < synced[o.file]
		switch {
		case o.call == "truncate" && (sure || keep()):
			resize(o.file, o.at)
		case o.call == "write":
			for from := 0; from < len(o.data); {
				// Sectors are counted from the file's beginning.
				to := min(len(o.data), from+int(512-(o.at+int64(from))%512))
				if sure || keep() {
					where := o.at + int64(from)
					resize(o.file, max(int64(len(files[o.file])), where+int64(to-from)))
					copy(files[o.file][where:], o.data[from:to])
				}
				from = to
			}
		}
	}
	return files
}

// readFiles returns a database's files as image has them.
func readFiles(t *testing.T, path string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for kind, path := range map[string]string{"db": path, "wal": walPath(path)} {
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		files[kind] = b
	}
	return files
}

// writeFiles makes a database of an image.
func writeFiles(t *testing.T, files map[string][]byte) (path string) {
	t.Helper()
	path = newPath(t)
	for kind, path := range map[string]string{"db": path, "wal": walPath(path)} {
		if err := os.WriteFile(path, files[kind], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

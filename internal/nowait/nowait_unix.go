//go:build unix

package nowait

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// Writer returns what lets Write write to a socket without waiting, nil if it has no such thing.
func Writer(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// An attempt is one write that does not wait. It is reused, because a closure a write would be one allocation a write.
type attempt struct {
	p    []byte
	n    int
	err  error
	once func(fd uintptr) bool
}

var attempts = sync.Pool{New: func() any {
	a := &attempt{}
	a.once = a.write
	return a
}}

func (a *attempt) write(fd uintptr) bool {
	for {
		a.n, a.err = syscall.Write(int(fd), a.p)
		if !errors.Is(a.err, syscall.EINTR) {
			return true
		}
	}
}

// Write writes as much of p as the socket takes at once. Any number of goroutines may call it, one at a time for one socket.
func Write(raw syscall.RawConn, p []byte) (n int, err error) {
	a, ok := attempts.Get().(*attempt)
	if !ok {
		return 0, nil
	}
	a.p, a.n, a.err = p, 0, nil
	err = raw.Write(a.once)
	if err == nil && a.err != nil && !errors.Is(a.err, syscall.EAGAIN) {
		err = a.err
	}
	n = max(a.n, 0)
	a.p = nil
	attempts.Put(a)
	return n, err
}

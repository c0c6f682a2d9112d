// Package examples tests the clients in examples/ against the whole binary, as a reader would run them.
package examples

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"pulso/test/internal/hub"
)

func TestMain(m *testing.M) {
	os.Exit(hub.Main(m))
}

// A relay stands between a client and the hub, and cuts their connections when it is told to.
type relay struct {
	target string
	addr   string

	mu    sync.Mutex
	conns []net.Conn
	off   bool
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{target: target, addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.set(true)
		wg.Wait()
	})
	return r
}

func (r *relay) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	if r.off {
		r.mu.Unlock()
		return
	}
	r.conns = append(r.conns, client, server)
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
	client.Close()
	<-done
}

// set cuts all connections, and while off is true lets no new ones through.
func (r *relay) set(off bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.off = off
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

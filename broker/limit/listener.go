package limit

import (
	"net"
	"sync"
	"time"
)

// A listener admits connections at a door.
type listener struct {
	net.Listener

	door   *Addresses
	once   sync.Once
	closed chan struct{}
	wait   time.Duration // of Accept, which has one caller
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	for {
		if !l.pause() {
			return nil, net.ErrClosed
		}
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		release, wait, refused := l.door.AdmitConn(nc.RemoteAddr().String())
		if refused == "" {
			l.wait = wait
			return wrap(nc, release), nil
		}
		_ = nc.Close() // it was never used
	}
}

// pause waits as long as the door said; false: the listener was closed meanwhile.
func (l *listener) pause() bool {
	if l.wait <= 0 {
		return true
	}
	t := time.NewTimer(l.wait)
	defer t.Stop()
	l.wait = 0
	select {
	case <-t.C:
		return true
	case <-l.closed:
		return false
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// wrap has the door told when a connection is closed. A TCP connection stays all that it is: who writes many buffers at
// once, or asks for the socket, finds that it can.
func wrap(nc net.Conn, release func()) net.Conn {
	if tcp, ok := nc.(*net.TCPConn); ok {
		return &tcpConn{TCPConn: tcp, release: release}
	}
	return &conn{Conn: nc, release: release}
}

// A tcpConn tells the door when it is closed.
type tcpConn struct {
	*net.TCPConn

	release func()
}

// Close implements [net.Conn].
func (c *tcpConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

// A conn is a tcpConn of any other kind.
type conn struct {
	net.Conn

	release func()
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A tlsListener makes TLS of what it accepts. It waits for no handshake: that is the reader's, see [link.handshake].
type tlsListener struct {
	net.Listener

	config  *tls.Config
	timeout time.Duration // of a write
}

// Accept implements [net.Listener].
func (l *tlsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&timedConn{Conn: nc, timeout: l.timeout}, l.config), nil
}

// A timedConn is a socket below TLS, which writes of itself, too: a peer that asks for new keys (RFC 8446, 4.6.3) and does not read
// would hold the reader up for good. So every write has a deadline, and after one that has missed it there is no other: TLS cannot
// take up again what was cut off.
type timedConn struct {
	net.Conn

	timeout time.Duration

	mu       sync.Mutex
	deadline time.Time // as it was asked for; zero: the timeout
	failed   error
}

// SetWriteDeadline implements [net.Conn].
func (c *timedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if t.IsZero() { // a write under way keeps the one that it has
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements [net.Conn].
func (c *timedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Write implements [net.Conn].
func (c *timedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	err := c.failed
	if err == nil && c.deadline.IsZero() {
		err = c.Conn.SetWriteDeadline(time.Now().Add(c.timeout))
	}
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.mu.Lock()
		c.failed = err
		c.mu.Unlock()
	}
	return n, err
}

// handshake does that of TLS, where there is one, within the time for the CONNECT.
func (l *link) handshake() error {
	t, ok := l.conn.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithDeadline(l.ctx, l.conn.deadline)
	defer cancel()
	err := t.HandshakeContext(ctx)
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && l.ctx.Err() == nil:
		return os.ErrDeadlineExceeded
	case errors.Is(err, io.EOF), errors.As(err, &op) && (op.Op == "read" || op.Op == "write"), l.ctx.Err() != nil:
		return err // it went without a word, or is being ended
	}
	detail := err.Error() // it may repeat what the client says
	l.refusal = &Refusal{Reason: reasonTLS, Detail: detail[:min(len(detail), 200)]}
	return errRefused
}

// certificate is the name on the certificate that a connection was verified with: the common name, else the first URI, else the first
// DNS name; empty: none.
func certificate(nc net.Conn) string {
	t, ok := nc.(*tls.Conn)
	if !ok {
		return ""
	}
	chains := t.ConnectionState().VerifiedChains
	if len(chains) == 0 {
		return ""
	}
	switch leaf := chains[0][0]; {
	case leaf.Subject.CommonName != "":
		return leaf.Subject.CommonName
	case len(leaf.URIs) > 0:
		return leaf.URIs[0].String()
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	}
	return ""
}

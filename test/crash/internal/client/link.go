package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"pulso/test/internal/mqtt"
)

// patience is how long a client waits for a hub that says nothing: for a CONNACK, or for room to write.
const patience = 30 * time.Second

// A link is one connection. One goroutine reads, any number write.
type link struct {
	*mqtt.Conn

	receiveMaximum int // of the hub
	mu             sync.Mutex
	w              *bufio.Writer
}

// open connects once.
func open(ctx context.Context, addr string, connect *mqtt.Connect) (*link, error) {
	conn, err := mqtt.Dial(addr, "")
	if err != nil {
		return nil, err
	}
	unwatch := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer unwatch()
	l := &link{Conn: conn, receiveMaximum: 65535, w: bufio.NewWriter(conn)}
	if err := l.handshake(connect); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *link) handshake(connect *mqtt.Connect) error {
	l.Version = connect.Version
	if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := l.Write(connect.Bytes()); err != nil {
		return err
	}
	first, body, err := l.Next()
	switch {
	case err != nil:
		return fmt.Errorf("wait for CONNACK: %w", err)
	case first != mqtt.CONNACK || len(body) < 2:
		return fmt.Errorf("%w: % x for a CONNACK", mqtt.ErrMalformed, first)
	case body[1] != 0:
		return fmt.Errorf("%w with code 0x%02x", mqtt.ErrRefused, body[1])
	}
	l.Present = body[0]&1 != 0
	if l.Version == mqtt.V5 {
		if l.receiveMaximum, err = receiveMaximum(body[2:]); err != nil {
			return err
		}
	}
	return l.SetDeadline(time.Time{})
}

// send queues packets; they leave with the next flush.
func (l *link) send(packet []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w.Available() < len(packet) {
		_ = l.SetWriteDeadline(time.Now().Add(patience))
	}
	_, err := l.w.Write(packet)
	return err
}

func (l *link) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.SetWriteDeadline(time.Now().Add(patience))
	return l.w.Flush()
}

// reset ends the connection as the death of a process with unread input does: with a TCP reset.
func (l *link) reset() {
	if tcp, ok := l.Conn.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	l.Close()
}

// Sizes of the properties of a CONNACK (MQTT 5, 3.2.2.3) that are not strings.
var sizes = map[byte]int{0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2a: 1}

// receiveMaximum finds the hub's receive maximum in the properties of a CONNACK.
func receiveMaximum(b []byte) (int, error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || int(length) != len(b)-n {
		return 0, fmt.Errorf("%w: properties of CONNACK", mqtt.ErrMalformed)
	}
	found := 65535
	for b = b[n:]; len(b) > 0; {
		size, fixed := sizes[b[0]]
		if !fixed {
			strings := 1
			if b[0] == 0x26 { // a user property is a pair
				strings = 2
			}
			for range strings {
				if len(b) < 1+size+2 {
					return 0, fmt.Errorf("%w: property 0x%02x of CONNACK", mqtt.ErrMalformed, b[0])
				}
				size += 2 + int(binary.BigEndian.Uint16(b[1+size:]))
			}
		}
		if len(b) < 1+size {
			return 0, fmt.Errorf("%w: property 0x%02x of CONNACK", mqtt.ErrMalformed, b[0])
		}
		if b[0] == 0x21 {
			found = int(binary.BigEndian.Uint16(b[1:]))
		}
		b = b[1+size:]
	}
	return found, nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

package mqtt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Errors of what a server sent.
var (
	ErrRefused   = errors.New("connection refused")
	ErrMalformed = errors.New("malformed packet")
)

// A Conn is a connection to a server. One goroutine may read while another writes.
type Conn struct {
	net.Conn

	Version byte
	Present bool // the server had the session
	r       *bufio.Reader
}

// Dial connects from the local address from (an IP address; "" is any) and says nothing.
func Dial(addr, from string) (*Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: nc, r: bufio.NewReader(nc)}, nil
}

// Open connects and waits for the CONNACK. A refusal is ErrRefused.
func Open(addr, from string, c *Connect) (*Conn, error) {
	conn, err := Dial(addr, from)
	if err != nil {
		return nil, err
	}
	if err := conn.Handshake(c); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Handshake sends CONNECT and reads CONNACK, within 10 seconds.
func (c *Conn) Handshake(connect *Connect) error {
	c.Version = connect.Version
	if c.Version == 0 {
		c.Version = V311
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	defer func() { _ = c.SetDeadline(time.Time{}) }()
	if _, err := c.Write(connect.Bytes()); err != nil {
		return err
	}
	first, body, err := c.Next()
	switch {
	case err != nil:
		return fmt.Errorf("wait for CONNACK: %w", err)
	case first != CONNACK || len(body) < 2:
		return fmt.Errorf("%w: % x for a CONNACK", ErrMalformed, first)
	case body[1] != 0:
		return fmt.Errorf("%w with code 0x%02x", ErrRefused, body[1])
	}
	c.Present = body[0]&1 != 0
	return nil
}

// Next reads a packet: its first byte and what follows its length.
func (c *Conn) Next() (first byte, body []byte, err error) {
	if first, err = c.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.r)
	if err != nil {
		return 0, nil, err
	}
	if n > 256<<20 {
		return 0, nil, fmt.Errorf("%w: %d bytes long", ErrMalformed, n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.r, body)
	return first, body, err
}

// Expect reads packets until one is of the type, within the time; it drops the others.
func (c *Conn) Expect(packet byte, within time.Duration) ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	for {
		first, body, err := c.Next()
		if err != nil {
			return nil, fmt.Errorf("wait for packet type %d: %w", packet>>4, err)
		}
		if first&0xf0 == packet&0xf0 {
			return body, nil
		}
	}
}

// Subscribe subscribes and waits up to 10 seconds for the SUBACK. A code of 0x80 or more for any filter is ErrRefused. To be
// called before anybody else reads.
func (c *Conn) Subscribe(qos byte, filters ...string) error {
	if _, err := c.Write(Subscribe(c.Version, 1, qos, filters...)); err != nil {
		return err
	}
	body, err := c.Expect(SUBACK, 10*time.Second)
	if err != nil {
		return err
	}
	if len(body) < 2+len(filters) {
		return fmt.Errorf("%w: SUBACK of %d bytes", ErrMalformed, len(body))
	}
	for i, code := range body[len(body)-len(filters):] {
		if code >= 0x80 {
			return fmt.Errorf("%w: filter %q: code 0x%02x", ErrRefused, filters[i], code)
		}
	}
	return nil
}

// ParsePublish takes a PUBLISH apart; the payload is a part of body.
func (c *Conn) ParsePublish(first byte, body []byte) (*Publish, error) {
	p := &Publish{QoS: first >> 1 & 3, Retain: first&1 != 0, Dup: first&8 != 0}
	if len(body) < 2 {
		return nil, ErrMalformed
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if n > len(body) {
		return nil, ErrMalformed
	}
	p.Topic, body = string(body[:n]), body[n:]
	if p.QoS > 0 {
		if len(body) < 2 {
			return nil, ErrMalformed
		}
		p.ID, body = int(binary.BigEndian.Uint16(body)), body[2:]
	}
	if c.Version == V5 {
		length, size := binary.Uvarint(body)
		if size <= 0 || int(length) > len(body)-size {
			return nil, ErrMalformed
		}
		body = body[size+int(length):]
	}
	p.Payload = body
	return p, nil
}

// Shrink gives the reading buffer back, for a connection of many that is not to be read. What has arrived in it is lost.
func (c *Conn) Shrink() { c.r = bufio.NewReaderSize(c.Conn, 16) }

// Buffered is how many bytes have arrived and not been read.
func (c *Conn) Buffered() int { return c.r.Buffered() }

package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// Patience is how long a client waits for an answer, and for the connection to be closed, before its test fails.
const Patience = 10 * time.Second

// A Client is a connection to a server.
type Client struct {
	Version byte      // of the packets, set by Connect
	ID      string    // the client id, set by Connect to the one that the server assigned if it did
	Connack *Received // the answer to Connect

	t       testing.TB
	conn    net.Conn
	r       *bufio.Reader
	next    uint16            // the packet id used last
	aside   []*Received       // read while something else was awaited
	fence   string            // the topic of Drain, once subscribed
	aliases map[uint32]string // topic aliases that the server has set
}

// Dial connects to a server over TCP and says nothing. The connection is closed at the test's end.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(t, conn)
}

// NewClient is a client on a connection that exists. The connection is closed at the test's end.
func NewClient(t testing.TB, conn net.Conn) *Client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	return &Client{Version: V5, t: t, conn: conn, r: bufio.NewReader(conn), aliases: map[uint32]string{}}
}

// Conn is the connection beneath.
func (c *Client) Conn() net.Conn { return c.conn }

// Close cuts the connection without a DISCONNECT. What was sent last may be lost; see Settle.
func (c *Client) Close() { _ = c.conn.Close() }

// SendRaw sends bytes as they are, all in one write. That the server has closed the connection meanwhile is not an error: the
// next Expect sees it.
func (c *Client) SendRaw(b ...byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(Patience))
	if _, err := c.conn.Write(b); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the server took nothing for %v", Patience)
	}
}

// Send sends packets, all in one write.
func (c *Client) Send(packets ...Sender) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		b = append(b, p.Bytes(c.Version)...)
	}
	c.SendRaw(b...)
}

// Read reads the next packet, for at most the time given. An error is the end of the connection (io.EOF, a reset), the time
// (os.ErrDeadlineExceeded) or ErrMalformed.
func (c *Client) Read(within time.Duration) (*Received, error) {
	if len(c.aside) > 0 {
		r := c.aside[0]
		c.aside = c.aside[1:]
		return r, nil
	}
	return c.read(within)
}

func (c *Client) read(within time.Duration) (*Received, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(within))
	first, err := c.r.ReadByte()
	if err != nil {
		return nil, err
	}
	length, n, err := c.length()
	if err != nil {
		return nil, err
	}
	body := make([]byte, length)
	if _, err = io.ReadFull(c.r, body); err != nil {
		return nil, fmt.Errorf("within a packet: %w", err)
	}
	p, err := Decode(c.Version, first, body)
	if err != nil {
		return p, err
	}
	p.Size = 1 + n + length
	return p, c.alias(p)
}

// alias puts the topic in the place of a topic alias.
func (c *Client) alias(p *Received) error {
	alias := p.Props.Num(TopicAlias, 0)
	if p.Type != PUBLISH || alias == 0 {
		return nil
	}
	if p.Topic != "" {
		c.aliases[alias] = p.Topic
		return nil
	}
	var known bool
	if p.Topic, known = c.aliases[alias]; !known {
		return fmt.Errorf("%w: topic alias %d was never set", ErrMalformed, alias)
	}
	return nil
}

// length reads a remaining length of n bytes.
func (c *Client) length() (length, n int, err error) {
	var b []byte
	for len(b) == 0 || b[len(b)-1]&0x80 != 0 {
		digit, err := c.r.ReadByte()
		if err != nil {
			return 0, 0, fmt.Errorf("within a packet: %w", err)
		}
		if b = append(b, digit); len(b) > 4 {
			return 0, 0, fmt.Errorf("%w: remaining length of more than four bytes", ErrMalformed)
		}
	}
	d := decoder{b: b}
	length = int(d.varInt())
	return length, len(b), d.err
}

// Expect reads the next packet, which has to be of one of the types.
func (c *Client) Expect(types ...Type) *Received {
	c.t.Helper()
	p, err := c.Read(Patience)
	if err != nil {
		c.t.Fatalf("%v wanted, got %v %v", types, p, err)
	}
	if !slices.Contains(types, p.Type) {
		c.t.Fatalf("%v wanted, got %v", types, p)
	}
	return p
}

// ExpectCode reads the next packet, which has to be of the type and have one of the codes.
func (c *Client) ExpectCode(t Type, codes ...byte) *Received {
	c.t.Helper()
	p := c.Expect(t)
	if !bytes.Contains(codes, []byte{p.Code}) {
		c.t.Fatalf("%v with a code of % x wanted, got %v", t, codes, p)
	}
	return p
}

// Await reads until a packet of the type with the packet id (0: any) has come; what comes before is left for the next Expect.
func (c *Client) Await(t Type, id uint16) *Received {
	c.t.Helper()
	match := func(p *Received) bool { return p.Type == t && (id == 0 || p.ID == id) }
	if i := slices.IndexFunc(c.aside, match); i >= 0 {
		p := c.aside[i]
		c.aside = slices.Delete(c.aside, i, i+1)
		return p
	}
	for deadline := time.Now().Add(Patience); ; {
		p, err := c.read(time.Until(deadline))
		if err != nil {
			c.t.Fatalf("%v with id %d wanted, got %v %v after %v", t, id, p, err, c.aside)
		}
		if match(p) {
			return p
		}
		c.aside = append(c.aside, p)
	}
}

// ExpectClose wants the server to have closed the connection, or to do so now, with nothing said.
func (c *Client) ExpectClose() {
	c.t.Helper()
	c.expectClose(Patience)
}

func (c *Client) expectClose(within time.Duration) {
	c.t.Helper()
	switch p, err := c.Read(within); {
	case err == nil:
		c.t.Fatalf("the connection's end wanted, got %v", p)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Fatalf("the connection's end wanted, still open after %v", within)
	case errors.Is(err, ErrMalformed):
		c.t.Fatalf("the connection's end wanted, got %v", err)
	}
}

// ExpectDisconnect wants a DISCONNECT with one of the codes (none: any error) and then the connection's end. Before MQTT 5 a
// server has no DISCONNECT: then only the end is wanted, and nil returned.
func (c *Client) ExpectDisconnect(codes ...byte) *Received {
	c.t.Helper()
	if c.Version != V5 {
		c.ExpectClose()
		return nil
	}
	p := c.Expect(DISCONNECT)
	if len(codes) == 0 && p.Code < 0x80 || len(codes) > 0 && !bytes.Contains(codes, []byte{p.Code}) {
		c.t.Fatalf("DISCONNECT with a code of % x (none: an error) wanted, got %v", codes, p)
	}
	c.ExpectClose()
	return p
}

// ExpectRefused wants the answer to a bad CONNECT: the connection's end, before which there may be a CONNACK with one of the
// codes.
func (c *Client) ExpectRefused(codes ...byte) {
	c.t.Helper()
	p, err := c.Read(Patience)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ErrMalformed):
		c.t.Fatalf("a refusal or the connection's end wanted, got %v", err)
	case err != nil:
		return
	case p.Type != CONNACK || !bytes.Contains(codes, []byte{p.Code}):
		c.t.Fatalf("CONNACK with a code of % x or the connection's end wanted, got %v", codes, p)
	}
	c.ExpectClose()
}

// ExpectNothing wants nothing to have been sent before the answer to a PINGREQ: the server has dealt with all packets of this
// client and has not objected. Messages on their way may come later; see Drain.
func (c *Client) ExpectNothing() {
	c.t.Helper()
	c.Send(PingReq())
	c.Expect(PINGRESP)
}

// Settle returns when the server has dealt with everything that this client has sent; what comes meanwhile is left for the
// next Expect. To be called before Close where it matters: a connection that is cut takes with it what the server has not read.
func (c *Client) Settle() {
	c.t.Helper()
	c.Send(PingReq())
	c.Await(PINGRESP, 0)
}

// ExpectSilence wants nothing to be sent for the time. For what should never happen only, where nothing else tells.
func (c *Client) ExpectSilence(d time.Duration) {
	c.t.Helper()
	if p, err := c.Read(d); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("nothing wanted for %v, got %v %v", d, p, err)
	}
}

package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Connecting and being answered takes at most this long.
const connectTimeout = 30 * time.Second

// First bytes of MQTT 3.1.1 packets, and their types.
const (
	typeMask       = 0xf0
	typePublish    = 0x30
	typePubAck     = 0x40
	typePing       = 0xc0
	typeDisconnect = 0xe0
	qosShift       = 1
	qosMask        = 3
	maxRemaining   = 4 // bytes of a remaining length
)

var (
	errMalformed = errors.New("what came is not MQTT 3.1.1")
	errPacketBig = fmt.Errorf("a packet of more than %d bytes came", 2*maxSize)
)

// A dialer opens connections to one target.
type dialer struct {
	target *Target
	tls    *tls.Config
	bytes  *atomic.Int64 // received by all connections, or nil
}

func newDialer(t *Target) (*dialer, error) {
	d := &dialer{target: t, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if t.CA == "" {
		return d, nil
	}

	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}

	d.tls.RootCAs = x509.NewCertPool()
	if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s holds no PEM certificate", t.CA)
	}

	return d, nil
}

// A counted connection adds up what comes in.
type countedConn struct {
	net.Conn

	n *atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))

	return n, err
}

// tcp opens a TCP connection whose received bytes count. small asks for a small receive buffer, for a connection that will stop reading.
func (d *dialer) tcp(ctx context.Context, address string, small bool) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}

	if t, ok := conn.(*net.TCPConn); ok && small {
		_ = t.SetReadBuffer(smallBuffer) // a larger one only means that it takes longer to fill
	}

	if d.bytes != nil {
		conn = &countedConn{Conn: conn, n: d.bytes}
	}

	return conn, nil
}

// smallBuffer is twice the largest segment on a loopback: with less, the sender waits for each.
const smallBuffer = 128 << 10

// mqtt opens an MQTT 3.1.1 connection, clean session, no keep-alive of its own.
func (d *dialer) mqtt(ctx context.Context, address, id string, small bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()

	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}

	conn, err := d.mqttTransport(ctx, u, small)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", u.Redacted(), err)
	}

	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = d.greet(conn, id)

	if !stop() && err == nil {
		err = ctx.Err()
	}

	if err != nil {
		_ = conn.Close()

		return nil, fmt.Errorf("MQTT to %s: %w", u.Redacted(), err)
	}

	return conn, nil
}

func (d *dialer) mqttTransport(ctx context.Context, u *url.URL, small bool) (net.Conn, error) {
	switch u.Scheme {
	case "ws", "wss":
		ws, err := d.webSocket(ctx, u.String(), []string{"mqtt"}, false, small)
		if err != nil {
			return nil, err
		}

		return &streamConn{Conn: ws}, nil
	case "ssl":
		conn, err := d.tcp(ctx, hostPort(u), small)
		if err != nil {
			return nil, err
		}

		config := d.tls.Clone()
		config.ServerName = u.Hostname()
		secured := tls.Client(conn, config)

		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()

			return nil, err
		}

		return secured, nil
	default:
		return d.tcp(ctx, hostPort(u), small)
	}
}

// greet sends CONNECT and waits for CONNACK.
func (d *dialer) greet(conn net.Conn, id string) error {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket) //nolint:errcheck,forcetypeassert // that is what it is
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.ClientIdentifier = "MQTT", 4, true, id
	p.UsernameFlag, p.Username = d.target.Username != "", d.target.Username
	p.PasswordFlag, p.Password = d.target.Password != "", []byte(d.target.Password)

	if err := p.Write(conn); err != nil {
		return err
	}

	answer, err := packets.ReadPacket(conn)
	if err != nil {
		return fmt.Errorf("no CONNACK: %w", err)
	}

	ack, ok := answer.(*packets.ConnackPacket)
	if !ok {
		return fmt.Errorf("no CONNACK: %w", errMalformed)
	}

	if ack.ReturnCode != packets.Accepted {
		return fmt.Errorf("refused: %w (--username, --password)", packets.ConnErrors[ack.ReturnCode])
	}

	return nil
}

// subscribeMQTT subscribes and waits for the SUBACK.
func subscribeMQTT(conn net.Conn, filter string, qos int) error {
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket) //nolint:errcheck,forcetypeassert // that is what it is
	p.MessageID, p.Topics, p.Qoss = 1, []string{filter}, []byte{byte(qos)}

	_ = conn.SetDeadline(time.Now().Add(connectTimeout))

	if err := p.Write(conn); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}

	for {
		answer, err := packets.ReadPacket(conn)
		if err != nil {
			return fmt.Errorf("no SUBACK: %w", err)
		}

		ack, ok := answer.(*packets.SubackPacket)
		if !ok {
			continue // what was retained
		}

		if len(ack.ReturnCodes) != 1 || ack.ReturnCodes[0] > byte(qos) {
			return fmt.Errorf("the subscription to %q was refused", filter)
		}

		return conn.SetDeadline(time.Time{})
	}
}

// appendPublishHead appends a PUBLISH up to its payload.
func appendPublishHead(b, topic []byte, qos int, id uint16, payload int) []byte {
	rest := 2 + len(topic) + payload
	if qos > 0 {
		rest += 2
	}

	b = append(b, typePublish|byte(qos)<<qosShift)
	b = binary.AppendUvarint(b, uint64(rest)) // the same form as MQTT's remaining length
	b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
	b = append(b, topic...)

	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}

	return b
}

// A packetReader takes MQTT packets out of a connection, through a buffer that grows to the largest.
type packetReader struct {
	conn       io.Reader
	buf        []byte
	begin, end int
}

// next returns a packet that is in the buffer already; ok is false where it must be read first. The body is valid until fill.
func (r *packetReader) next() (first byte, body []byte, ok bool, err error) {
	have := r.buf[r.begin:r.end]
	if len(have) < 2 {
		return 0, nil, false, nil
	}

	n, size := binary.Uvarint(have[1:min(len(have), 1+maxRemaining)])

	switch {
	case size == 0 && len(have) <= maxRemaining:
		return 0, nil, false, nil
	case size <= 0:
		return 0, nil, false, errMalformed
	case n > 2*maxSize:
		return 0, nil, false, errPacketBig
	case len(have) < 1+size+int(n):
		r.need(1 + size + int(n))

		return 0, nil, false, nil
	}

	r.begin += 1 + size + int(n)

	return have[0], have[1+size : 1+size+int(n)], true, nil
}

func (r *packetReader) need(n int) {
	if n <= len(r.buf) {
		return
	}

	larger := make([]byte, max(n, 2*len(r.buf)))
	r.end = copy(larger, r.buf[r.begin:r.end])
	r.begin, r.buf = 0, larger
}

// fill reads more into the buffer.
func (r *packetReader) fill() error {
	if r.begin > 0 {
		r.end = copy(r.buf, r.buf[r.begin:r.end])
		r.begin = 0
	}

	n, err := r.conn.Read(r.buf[r.end:])
	r.end += n

	if n > 0 {
		return nil
	}

	return err
}

// publishPayload takes a PUBLISH's body apart.
func publishPayload(first byte, body []byte) (payload []byte, id uint16, err error) {
	if len(body) < 2 {
		return nil, 0, errMalformed
	}

	at := 2 + int(binary.BigEndian.Uint16(body))
	if first>>qosShift&qosMask > 0 {
		if len(body) < at+2 {
			return nil, 0, errMalformed
		}

		id = binary.BigEndian.Uint16(body[at:])
		at += 2
	}

	if len(body) < at {
		return nil, 0, errMalformed
	}

	return body[at:], id, nil
}

package simulators

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Bounds of a link.
const (
	readBuffer  = 256     // bytes; what comes back is mostly PUBACKs of 4 bytes
	maxIncoming = 1 << 20 // bytes of one packet from the broker; a larger one ends the connection
	keepAlive   = 60 * time.Second
)

var (
	// errOffline is returned for a QoS 0 message while the link is down.
	errOffline = errors.New("not connected")
	// errWindowFull is returned for a QoS 1 message while a whole window waits for its acknowledgements.
	errWindowFull = errors.New("too many messages wait for their acknowledgement")
	errTooLarge   = fmt.Errorf("the broker sent a packet of more than %d bytes", maxIncoming)
	errSilent     = errors.New("the broker did not answer PINGREQ")
	errSubscribe  = errors.New("the broker refused a subscription")
)

// A message is one publish. Announcements are sent at every connect and counted apart.
type message struct {
	topic        string
	payload      []byte
	qos          byte
	retain       bool
	announcement bool
}

// pending is a QoS 1 message on its way.
type pending struct {
	message

	id   uint16
	sent bool // it has been written to some connection
}

// linkConfig is what a link is made of; all but will, announce, subscribe and command must be set.
type linkConfig struct {
	endpoint *endpoint
	counters *counters
	pacer    *pacer // the turn to connect
	index    int    // among all links
	id       string // client id
	will     *message
	window   int  // QoS 1 messages that may be unacknowledged
	queue    bool // QoS 1 messages are taken while the link is down, and sent when it is up

	announce  []message                    // published at each connect
	subscribe string                       // filter, subscribed to at each connect
	command   func(*packets.PublishPacket) // called for each message received, by the reader
}

// link is one device's connection, kept up until it is closed. QoS 1 messages go out in the order of their publishes,
// and after a lost connection again in that order, until each is acknowledged: at least once [MQTT-4.3.2]. run owns the
// connection and is the only reader; all other methods may be called from anywhere.
type link struct {
	linkConfig

	heard  atomic.Int64  // when the broker was last heard, nanoseconds since the Unix epoch
	seen   atomic.Bool   // it has been connected
	gained chan struct{} // holds a token after an acknowledgement

	mu       sync.Mutex
	conn     net.Conn // nil while down
	nextID   uint16
	pending  []pending // in sending order
	outage   time.Duration
	wanted   bool // the next loss of the connection is our doing
	closed   bool
	pingSent time.Time
}

func newLink(config linkConfig) *link {
	return &link{linkConfig: config, gained: make(chan struct{}, 1)}
}

// How long a link waits between attempts to connect: at first, and at most.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 8 * time.Second
)

// run keeps the link connected until ctx ends or close is called. It returns an error only if the broker refuses for a
// reason that no further attempt can change, before any link was ever accepted.
func (l *link) run(ctx context.Context) error {
	for retry := firstRetry; l.pacer.wait(ctx) == nil && !l.isClosed(); retry = min(2*retry, lastRetry) {
		reader, err := l.open(ctx)
		if err == nil {
			retry = firstRetry
			err = l.serve(reader)
		}

		outage, wanted, closed := l.down()
		if closed || ctx.Err() != nil {
			break
		}

		if !wanted {
			l.counters.problem(reason(err))
		}

		refusal, refused := errors.AsType[*RefusedError](err)
		if refused && !refusal.Temporary() && l.counters.connects.Load() == 0 {
			return fmt.Errorf("%s at %s: %w", l.id, l.endpoint.url.Redacted(), err)
		}

		if sleep(ctx, max(outage, retry)) != nil {
			break
		}
	}

	return nil //nolint:nilerr // That a link ends as it was told to is no error.
}

// open connects, announces the device and sends again what was never acknowledged.
func (l *link) open(ctx context.Context) (*bufio.Reader, error) {
	conn, reader, err := l.endpoint.connect(ctx, l.index, hello{l.id, keepAlive, l.will})
	if err != nil {
		return nil, err
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	if l.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}

	now := time.Now()
	l.conn, l.pingSent = conn, now
	l.heard.Store(now.UnixNano())
	l.counters.connects.Add(1)
	l.counters.connected.Add(1)
	l.counters.healed()

	if l.subscribe != "" {
		l.sendSubscribe()
	}

	waiting := slices.DeleteFunc(l.pending, func(p pending) bool { return p.announcement })
	l.pending = nil

	for _, m := range l.announce {
		l.send(m)
	}

	for _, p := range waiting {
		if p.sent {
			l.counters.resent.Add(1)
		}

		p.sent = true
		l.pending = append(l.pending, p)
		l.write(p.packet())
	}

	l.seen.Store(true)

	return reader, nil
}

// down forgets the connection and says how long to stay away, whether the loss was wanted and whether the link is
// closed for good.
func (l *link) down() (time.Duration, bool, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
		l.counters.connected.Add(-1)

		if !l.closed {
			l.counters.dropped.Add(1)
		}
	}

	outage, wanted := l.outage, l.wanted
	l.outage, l.wanted = 0, false

	return outage, wanted, l.closed
}

// serve reads until the connection ends, and returns why.
func (l *link) serve(reader *bufio.Reader) error {
	for {
		packet, err := readPacket(reader)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the broker closed the connection")
			}

			return err
		}

		l.heard.Store(time.Now().UnixNano())

		switch p := packet.(type) {
		case *packets.PubackPacket:
			l.acknowledged(p.MessageID)
		case *packets.SubackPacket:
			if slices.Contains(p.ReturnCodes, 0x80) {
				l.counters.problem(errSubscribe.Error())
			}
		case *packets.PublishPacket:
			l.received(p)
		}
	}
}

// readPacket reads one packet after looking at its length, which paho's reader would allocate unseen.
func readPacket(reader *bufio.Reader) (packets.ControlPacket, error) {
	length := 0

	for i := 1; i <= 4; i++ {
		header, err := reader.Peek(i + 1)
		if err != nil {
			return nil, err
		}

		length |= int(header[i]&0x7f) << (7 * (i - 1))
		if header[i]&0x80 == 0 {
			break
		}
	}

	if length > maxIncoming {
		return nil, errTooLarge
	}

	return packets.ReadPacket(reader)
}

func (l *link) received(p *packets.PublishPacket) {
	if l.command != nil {
		l.command(p)
	}

	if p.Qos == 1 {
		ack, _ := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
		ack.MessageID = p.MessageID

		l.mu.Lock()
		defer l.mu.Unlock()

		l.write(ack)
	}
}

func (l *link) acknowledged(id uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()

	at := slices.IndexFunc(l.pending, func(p pending) bool { return p.id == id })
	if at < 0 {
		return
	}

	if !l.pending[at].announcement {
		l.counters.acknowledged.Add(1)
	}

	l.pending = slices.Delete(l.pending, at, at+1)

	select {
	case l.gained <- struct{}{}:
	default:
	}
}

// publish sends m, or returns errOffline or errWindowFull. A QoS 1 message that it took will be sent until it is
// acknowledged or the link closed.
func (l *link) publish(m message) error {
	l.mu.Lock()
	defer l.mu.Unlock()

	switch {
	case l.conn == nil && (m.qos == 0 || !l.queue):
		return errOffline
	case m.qos > 0 && len(l.pending) >= l.window:
		return errWindowFull
	}

	l.send(m)

	return nil
}

// send writes m, and remembers it if it wants an acknowledgement. The caller holds mu.
func (l *link) send(m message) {
	if m.announcement {
		l.counters.announced.Add(1)
	} else {
		l.counters.sent.Add(1)
	}

	p := pending{message: m, sent: l.conn != nil}
	if m.qos > 0 {
		p.id = l.freeID()
		l.pending = append(l.pending, p)
	}

	l.write(p.packet())
}

// freeID returns a packet id that no unacknowledged message has. The caller holds mu.
func (l *link) freeID() uint16 {
	for {
		l.nextID++
		taken := slices.ContainsFunc(l.pending, func(p pending) bool { return p.id == l.nextID })

		if l.nextID != 0 && !taken {
			return l.nextID
		}
	}
}

func (p *pending) packet() *packets.PublishPacket {
	packet, _ := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	packet.TopicName, packet.Payload = p.topic, p.payload
	packet.Qos, packet.Retain, packet.MessageID = p.qos, p.retain, p.id

	return packet
}

func (l *link) sendSubscribe() {
	packet, _ := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	packet.MessageID = l.freeID()
	packet.Topics, packet.Qoss = []string{l.subscribe}, []byte{1}
	l.write(packet)
}

// write writes a packet if the link is up. A failed write closes the connection, so that the reader sees it. The caller
// holds mu.
func (l *link) write(packet packets.ControlPacket) {
	if l.conn == nil {
		return
	}

	if l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil || packet.Write(l.conn) != nil {
		_ = l.conn.Close()
	}
}

// ping keeps the connection alive and ends it if the broker has gone silent. It is to be called more often than the
// keep alive interval.
func (l *link) ping(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.conn == nil {
		return
	}

	if silence := now.Sub(time.Unix(0, l.heard.Load())); silence > keepAlive*3/2 {
		l.counters.problem(errSilent.Error())
		l.wanted = true
		_ = l.conn.Close()
	} else if now.Sub(l.pingSent) >= keepAlive/2 {
		l.pingSent = now
		l.write(packets.NewControlPacket(packets.Pingreq))
	}
}

// drop breaks the connection without DISCONNECT, so that the broker publishes the will [MQTT-3.1.2-8], and keeps the
// link down for about the outage.
func (l *link) drop(outage time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.conn != nil {
		l.outage, l.wanted = outage, true
		_ = l.conn.Close()
	}
}

// unacknowledged returns how many QoS 1 messages wait.
func (l *link) unacknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()

	return len(l.pending)
}

// wait returns when publish may succeed where it did not, or when ctx ends. It may return early.
func (l *link) wait(ctx context.Context) error {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()

	select {
	case <-l.gained:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// up reports whether the link is connected.
func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.conn != nil
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.closed
}

// farewell publishes a last announcement; the will is for those who cannot. A link that is down stays down: were it to
// come up now, it would announce itself and never take it back.
func (l *link) farewell(m message) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.closed = true

	if l.conn != nil {
		l.send(m)
	}
}

// close sends DISCONNECT, so that the broker forgets the will [MQTT-3.14.4-3], and ends the link for good. The broker
// then closes the connection [MQTT-3.14.4-2]; closing it from here at once would reset it under what is still unread.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.closed = true

	if l.conn != nil {
		l.write(packets.NewControlPacket(packets.Disconnect))
		hangUp(l.conn)
	}
}

// abandon ends the link at once.
func (l *link) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.closed = true

	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// hangUp tells the other side that nothing more will come, and closes what cannot be closed in one direction.
func hangUp(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		return
	}

	_ = conn.Close()
}

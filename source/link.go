package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"pulso/bridge/event"
)

// Times and bounds of a connection.
const (
	// answerTime is how long the broker may take to answer CONNECT or SUBSCRIBE, and to take what is written.
	answerTime = 10 * time.Second
	// settleTime is how long a stop waits for what came to be stored and acknowledged.
	settleTime = time.Second
	// maxUnwritten is how many bytes may wait for the socket before nothing more is forwarded.
	maxUnwritten = 256 << 10
	readBuffer   = 32 << 10
	// transientExpiry is how long the broker keeps the session of a hub that keeps nothing itself.
	transientExpiry = 5 * time.Minute
)

// controlID is the identifier of SUBSCRIBE and UNSUBSCRIBE, which no message gets.
const controlID = 1

// Errors of a connection.
var (
	errVersion = errors.New("protocol version refused")
	errNoHello = errors.New("the broker hung up on CONNECT")
)

// A link is one connection to a broker. Its owner reads; one goroutine writes, one forwards. Acknowledgements are queued by
// the log's goroutine, which never waits for a socket.
type link struct {
	r       *remote
	conn    net.Conn
	in      *bufio.Reader
	codec   codec
	version int
	welcome welcome
	ended   atomic.Bool   // its reader is to stop
	shared  atomic.Bool   // subscriptions are shared ones
	wake    chan struct{} // has an element when there is something to write
	room    chan struct{} // has an element when something was written
	written chan struct{} // closed when the writer has ended

	// Of the reader.
	wanted  []string // the filters of the SUBSCRIBE under way
	surplus []string // those of the UNSUBSCRIBE
	overdue *time.Timer

	mu      sync.Mutex
	out     []byte
	acks    []*ack // of messages that are not acknowledged yet, in the order of their arrival
	cause   error  // why it ended
	leaving bool   // what is queued is the last
	closed  bool
}

// An ack is an acknowledgement that is owed [MQTT-4.6.0-2].
type ack struct {
	id   uint16
	done bool
}

// open connects, and says hello in one version of the protocol.
func (r *remote) open(ctx context.Context, version int) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	password, err := r.cfg.password()
	if err != nil {
		return nil, err
	}
	raw, err := dial(ctx, r.cfg)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	l := &link{
		r: r, conn: raw, version: version, codec: mqtt5{},
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), written: make(chan struct{}),
	}
	if version == 4 {
		l.codec = mqtt3{}
	}
	l.in = bufio.NewReaderSize(&patient{Conn: raw, silence: r.cfg.KeepAlive * 3 / 2, ended: l.ended.Load}, readBuffer)
	if err := l.hello(password); err != nil {
		stop()
		_ = raw.Close()
		return nil, err
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return l, nil
}

// hello sends CONNECT and reads the answer.
func (l *link) hello(password []byte) error {
	r := l.r
	h := hello{
		client: r.keeper.get().ClientID, user: r.cfg.User, password: password, keepAlive: r.cfg.KeepAlive,
		expiry: r.cfg.SessionExpiry, maxPacket: r.maxPacket, receiveMaximum: r.cfg.ReceiveMaximum,
	}
	if r.transient() { // nobody returns to this session after the process
		h.clean, h.expiry = l.version == 4, min(h.expiry, transientExpiry)
	}
	b, err := l.codec.connect(&h)
	if err != nil {
		return err
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := l.conn.Write(b); err != nil {
		return fmt.Errorf("write CONNECT: %w", err)
	}
	f, err := readFrame(l.in, r.maxPacket)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHello, err)
	}
	if f.kind() != typeConnack {
		return fmt.Errorf("%w: a packet of type %d before CONNACK", errMalformed, f.kind())
	}
	if l.welcome, err = l.codec.connack(f.body); err != nil {
		return err
	}
	switch code := l.welcome.code; {
	case code == versionRefused || l.version == 4 && code == versionRefused3:
		return fmt.Errorf("%w: %s", errVersion, l.codec.text(code))
	case code != 0:
		return fmt.Errorf("refused: %s", l.codec.text(code))
	}
	return nil
}

// serve works until the connection ends or ctx does, and says why it ended.
func (l *link) serve(ctx context.Context) error {
	// What is written outlives ctx: acknowledgements, and the goodbye.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		l.ended.Store(true)
		_ = l.conn.SetReadDeadline(time.Now()) // else the connection is closed already
	})
	var wg sync.WaitGroup
	wg.Go(func() { l.write(inner) })
	defer func() {
		stop()
		cancel()
		_ = l.end(nil)
		wg.Wait()
		if bad := l.r.outbox.ended(l, time.Now()); bad != nil && ctx.Err() == nil {
			l.r.abandon(bad)
		}
		if l.overdue != nil {
			l.overdue.Stop()
		}
	}()
	if err := l.subscribe(); err != nil {
		return err
	}
	wg.Go(func() { l.forward(ctx, inner) })
	for ctx.Err() == nil {
		f, err := readFrame(l.in, l.r.maxPacket)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = l.handle(ctx, &f)
		}
		if err != nil && ctx.Err() == nil {
			return l.end(err)
		}
	}
	l.leave()
	return context.Cause(ctx)
}

// end closes the connection, for the first reason that there is, and returns that.
func (l *link) end(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = err
	}
	if !l.closed {
		l.closed = true
		_ = l.conn.Close()
	}
	return l.cause
}

// leave waits until what came is stored and acknowledged, but not for long, and says goodbye.
func (l *link) leave() {
	owed := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acks) > 0 && !l.closed
	}
	timeout := time.NewTimer(settleTime)
	defer timeout.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for owed() {
		select {
		case <-tick.C:
		case <-timeout.C:
			return // without a goodbye: the broker sends them again
		}
	}
	l.push(l.codec.disconnect(l.r.transient()))
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	signal(l.wake)
	select {
	case <-l.written:
	case <-timeout.C: // the broker notices by itself
	}
}

// push queues bytes for the socket; false after the last.
func (l *link) push(b []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving || l.closed {
		return false
	}
	l.out = append(l.out, b...)
	signal(l.wake)
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write is the goroutine that writes: what is queued in one go, and a ping in each keep-alive.
func (l *link) write(ctx context.Context) {
	defer close(l.written)
	keepAlive := l.r.cfg.KeepAlive
	if l.welcome.keepAlive > 0 {
		keepAlive = min(keepAlive, l.welcome.keepAlive) // [MQTT-3.1.2-21]
	}
	ping := time.NewTicker(keepAlive * 2 / 3)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ping.C:
			l.push(pingreq())
			continue
		case <-l.wake:
		}
		l.mu.Lock()
		b, last := l.out, l.leaving
		l.out = nil
		l.mu.Unlock()
		err := l.conn.SetWriteDeadline(time.Now().Add(answerTime))
		if err == nil && len(b) > 0 {
			_, err = l.conn.Write(b)
		}
		if err != nil {
			_ = l.end(fmt.Errorf("write: %w", err))
		}
		if last || err != nil {
			return
		}
		signal(l.room)
	}
}

// handle acts on a packet. It blocks while the log has no room, so TCP slows the broker, which knows that by the receive
// maximum, too.
func (l *link) handle(ctx context.Context, f *frame) error {
	switch f.kind() {
	case typePublish:
		return l.receive(ctx, f)
	case typePuback:
		id, err := identifier(f.body)
		if err == nil {
			l.answered(id, l.codec.reason(typePuback, f.body))
		}
		return err
	case typeSuback:
		return l.subscribed(f.body)
	case typeUnsuback:
		l.unsubscribed()
		return nil
	case typePingresp:
		return nil
	case typeDisconnect:
		return fmt.Errorf("the broker hung up: %s", l.codec.text(l.codec.reason(typeDisconnect, f.body)))
	}
	return fmt.Errorf("%w: type %d from a broker", errMalformed, f.kind())
}

// receive takes a message: to the log first, and acknowledged when it is there.
func (l *link) receive(ctx context.Context, f *frame) error {
	m, err := decodeMessage(l.codec, f)
	if err != nil {
		return err
	}
	r := l.r
	r.metrics.received.WithLabelValues(r.cfg.Name, string('0'+m.qos)).Inc()
	if m.dup {
		r.metrics.redelivered.WithLabelValues(r.cfg.Name).Inc()
	}
	var owed *ack
	if m.qos > 0 {
		owed = &ack{id: m.id}
		l.mu.Lock()
		l.acks = append(l.acks, owed)
		l.mu.Unlock()
	}
	topic := r.cfg.Prefix + m.topic
	if !r.keeps(l, &m, f, topic) {
		l.settle(owed)
		return nil
	}
	e := event.Event{
		Kind: event.KindPublish, Source: event.SourceMQTT, Time: time.Now().UnixNano(), Topic: topic, Payload: m.payload,
		QoS: m.qos, Retain: m.retain, Properties: m.properties,
	}
	var done func(event.Position, error)
	if owed != nil {
		done = func(_ event.Position, err error) {
			if err != nil {
				_ = l.end(fmt.Errorf("a message was not stored: %w", err))
				return
			}
			r.metrics.acks.WithLabelValues(r.cfg.Name).Inc()
			l.settle(owed)
		}
	}
	return r.sink.Ingest(ctx, e, done)
}

// settle notes that a message is dealt with, and acknowledges what can be acknowledged in the order of arrival.
func (l *link) settle(owed *ack) {
	if owed == nil {
		return
	}
	l.mu.Lock()
	owed.done = true
	n := 0
	for ; n < len(l.acks) && l.acks[n].done; n++ {
		l.out = append(l.out, puback(l.acks[n].id)...)
	}
	if l.acks = l.acks[n:]; len(l.acks) == 0 {
		l.acks = nil
	}
	l.mu.Unlock()
	if n > 0 {
		signal(l.wake)
	}
}

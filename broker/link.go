package broker

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/broker/limit"
	"pulso/broker/packet"
)

// A link is one connection from its accept to its end: the socket, and what we know of it. Its fields belong to the
// connection's goroutine unless they say otherwise.
type link struct {
	broker *Broker
	conn   *conn
	reader reader
	remote string
	// ctx ends with the connection, for what its reader waits for.
	ctx    context.Context //nolint:containedctx // it is the life of the connection, not of a call
	cancel context.CancelFunc

	id          string
	version     byte
	problemInfo bool   // the client wants reason strings [MQTT-3.1.2-29]
	maxPacket   uint32 // bytes that the client takes in a packet; 0: any
	session     *session
	replaces    bool // the store has an earlier session that the CONNECT has ended
	announced   bool // the sink knows that the connection began
	will        *will
	aliases     map[uint16]string
	lastTopic   string     // one string for many messages
	judged      bool       // lastTopic may be published to by clients
	permitted   bool       // it may be by this one
	ref         *event.Ref // of lastTopic, once it is judged

	rate   limit.Rate
	streak streak

	meter   *meter.Chain // of the guest's account; nil: nothing is bounded
	guest   Guest        // who it is; nil: the broker knows nobody
	release func()       // says that the guest has left
	refusal *Refusal     // why the CONNECT was not accepted

	quota       atomic.Int32          // messages of QoS 1 and 2 that the client has sent and that are not answered. Any goroutine
	established atomic.Bool           // CONNACK was sent; id, version and session are fixed. Any goroutine
	cause       atomic.Pointer[cause] // why it ends; the first one counts. Any goroutine
	done        chan struct{}         // closed when the client id is free again. Any goroutine
}

// Errors that end a link's loop.
var (
	errDisconnect = errors.New("DISCONNECT")
	errRefused    = errors.New("refused")
	errPanic      = errors.New("panic")
)

func newLink(b *Broker, nc net.Conn) *link {
	l := &link{broker: b, remote: nc.RemoteAddr().String(), done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(b.ctx)
	l.conn = newConn(nc, l)
	l.rate = b.rates.Client()
	l.reader = reader{src: l.conn, maxPacket: b.cfg.MaxPacket}
	return l
}

// run serves the connection until it has ended in every respect.
func (l *link) run() {
	err := l.serve()
	l.cause.CompareAndSwap(nil, causeOf(err))
	l.cancel()
	if l.release != nil {
		l.release()
	}
	if l.established.Load() {
		l.goodbye(l.cause.Load())
	} else {
		l.refused()
	}
	l.meter.Close()
	l.broker.release(l)
	close(l.done)
	l.conn.finish()
}

// serve reads packets and acts on them. A panic costs the connection, not the process.
func (l *link) serve() (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.broker.caught(p, l)
			l.end(causePanic)
			err = errPanic
		}
	}()
	if err := l.open(); err != nil {
		return err
	}
	for {
		p, err := l.reader.next()
		if err != nil {
			return l.failed(err)
		}
		now := time.Now()
		l.conn.refresh(now)
		if err := l.handle(p, now); err != nil {
			return l.failed(err)
		}
		l.pace(p.first, now)
	}
}

// pace lets several messages of a busy connection come in before the next is read.
func (l *link) pace(first byte, now time.Time) {
	const qosBits = 0b110
	if packet.Kind(first>>4) != packet.Publish || first&qosBits != 0 {
		l.streak = streak{}
		return
	}
	if l.streak.add(&l.broker.beat, now); l.streak.busy && !l.reader.buffered() {
		l.broker.beat.wait()
	}
}

// open reads the CONNECT and answers it.
func (l *link) open() error {
	if err := l.handshake(); err != nil {
		return err
	}
	p, err := l.reader.next()
	if err == nil {
		err = l.connect(p.body)
	}
	if err != nil {
		return l.failed(err)
	}
	l.conn.refresh(time.Now())
	return nil
}

// failed takes note of why the loop ended, while the client can still be told.
func (l *link) failed(err error) error {
	v := (*violation)(nil)
	switch {
	case errors.As(err, &v) && l.established.Load():
		l.end(&cause{reason: v.reason, text: v.Error(), code: v.code})
	case errors.As(err, &v) && l.refusal == nil:
		l.refusal = &Refusal{Reason: v.reason, Detail: v.detail}
	case isTimeout(err) && l.established.Load():
		l.end(causeTimeout)
	}
	return err
}

// handle acts on one packet.
func (l *link) handle(p rawPacket, now time.Time) error {
	kind := packet.Kind(p.first >> 4)
	if kind == packet.Publish {
		return l.publish(p, now)
	}
	switch kind { //nolint:exhaustive // the reader lets no other pass
	case packet.Puback, packet.Pubrec, packet.Pubcomp, packet.Pubrel:
		id, code, err := packet.Ack(kind, p.body, l.version)
		if err != nil {
			return violationOf(err)
		}
		if kind == packet.Pubrel {
			l.session.release(id)
		} else {
			l.session.acknowledged(kind, id, code)
		}
	case packet.Subscribe:
		return l.subscribe(p.body)
	case packet.Unsubscribe:
		return l.unsubscribe(p.body)
	case packet.Pingreq: // [MQTT-3.12.4-1]
		if err := packet.Check(p.first, p.body, l.version); err != nil {
			return violationOf(err)
		}
		l.answerNow([]byte{byte(packet.Pingresp) << 4, 0})
	case packet.Disconnect:
		return l.disconnect(p.body)
	case packet.Auth: // no method was agreed on at CONNECT [MQTT-4.12.0-7]
		return &violation{reason: reasonProtocol, code: codeProtocol, detail: "AUTH without an authentication method"}
	}
	return nil
}

// answerNow queues an answer and writes it at once, unless the client sends on and so asks for more.
func (l *link) answerNow(p []byte) {
	if l.conn.answer(p) && !l.reader.buffered() {
		l.conn.writeQueued()
	}
}

// disconnect acts on a DISCONNECT: the will is discarded, unless the client asks for it [MQTT-3.14.4-3].
func (l *link) disconnect(body []byte) error {
	d, err := packet.DecodeDisconnect(body, l.version)
	if err != nil {
		return violationOf(err)
	}
	if d.HasSessionExpiry && !l.session.setExpiry(d.SessionExpiry) { // (MQTT 5, 3.14.2.2.2)
		return &violation{reason: reasonProtocol, code: codeProtocol, detail: "session expiry at DISCONNECT although there was none at CONNECT"}
	}
	if d.Code == 0 {
		l.cause.CompareAndSwap(nil, causeClean)
	} else {
		l.cause.CompareAndSwap(nil, causeWill)
	}
	return errDisconnect
}

// end ends the connection: the first cause counts, and the client is told where MQTT 5 has words for it. It does not
// block and may be called from any goroutine.
func (l *link) end(c *cause) {
	if !l.cause.CompareAndSwap(nil, c) {
		return
	}
	l.cancel()
	if l.established.Load() {
		l.conn.close(l.lastWords(c))
	} else { // nothing may come before the CONNACK: welcome has the last word
		l.conn.interrupt()
	}
}

// lastWords is the DISCONNECT that says why.
func (l *link) lastWords(c *cause) []byte {
	if c.code == 0 || l.version != 5 {
		return nil
	}
	return disconnectPacket(c, l.mods())
}

// drained is called when there is room again to write.
func (l *link) drained() {
	if l.established.Load() {
		l.session.pump()
	}
}

// slow keeps the reader waiting, and with it the client, where it or its account publishes faster than it may, or memory is short.
// That is no silence of the client.
func (l *link) slow(bytes int) {
	if l.meter.Take(l.ctx.Done(), bytes) {
		l.conn.refresh(time.Now())
	}
	wait := l.broker.cfg.Memory.Delay()
	if l.rate.On() {
		wait = max(wait, l.rate.Take(bytes))
	}
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

// goodbye tells the sink that an established connection has ended, and publishes its will where one is due.
func (l *link) goodbye(c *cause) {
	b := l.broker
	b.metrics.closed.WithLabelValues(c.reason).Inc()
	if c.isFault() && b.cfg.OnRefused != nil {
		b.cfg.OnRefused(Refusal{Time: time.Now(), Remote: l.remote, Client: l.id, Reason: c.reason, Detail: strings.TrimPrefix(c.text, c.reason+": ")})
	}
	l.session.detach(l.conn)
	if l.will != nil && c != causeClean && c != causeShutdown && c != causeRevoked { // [MQTT-3.1.2-8] [MQTT-3.1.2-10]
		b.publishWill(l)
	}
	b.log.Debug("MQTT client disconnected", "client", l.id, "remote", l.remote, "reason", c.text)
	if !l.announced {
		return
	}
	m := event.Event{
		Kind: event.KindDisconnected, Time: time.Now().UnixNano(), Client: l.id, Payload: []byte(c.text),
	}
	if err := b.cfg.Sink.Ingest(b.ctx, m, nil); err != nil {
		b.notStored(l.id, err)
	}
}

// refused reports a connection that never got a session. One that came and went without a byte is no refusal: that is
// how ports are probed.
func (l *link) refused() {
	r := l.refusal
	if r == nil {
		c := l.cause.Load()
		if c == causeTakenOver { // it was accepted, and lost the race to be told
			l.broker.metrics.closed.WithLabelValues(c.reason).Inc()
			return
		}
		if c.reason == reasonLost && !l.reader.midPacket() {
			return
		}
		r = &Refusal{Reason: c.reason, Detail: c.text}
		if c == causeTimeout {
			r.Detail = "no CONNECT in time"
		}
	}
	r.Remote, r.Client = l.remote, l.id
	l.broker.refuse(*r)
}

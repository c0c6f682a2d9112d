package broker

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
)

// takeoverTimeout bounds how long a new connection waits for the end of the one that has its client id.
const takeoverTimeout = 5 * time.Second

// A link is one connection from its accept to its end: the socket, mochi's client, and what we know of it. Its fields
// belong to the connection's goroutine unless they say otherwise.
type link struct {
	broker *Broker
	conn   *conn
	remote string
	// ctx ends with the connection, for what its reader waits for.
	ctx    context.Context //nolint:containedctx // mochi's hooks have no context of their own
	cancel context.CancelFunc

	cl        *mqtt.Client
	id        string
	version   byte
	session   *session
	resumed   bool // the session was there before
	announced bool // the sink knows that the connection began

	will       *event.Event // nil: none
	willDelay  time.Duration
	willEmpty  bool     // its payload is empty
	disconnect byte     // reason code of the DISCONNECT that came, if one came
	refusal    *Refusal // why the CONNECT was not accepted
	refuseCode byte     // reason code (MQTT 5) for the CONNACK
	lastTopic  string   // one string for many messages, and none of them holds a packet in memory
	suback     []byte   // reason codes that stand instead of mochi's; 0: mochi's
	replay     []packets.Subscription

	established atomic.Bool           // CONNACK was sent; id, version and session are fixed. Any goroutine
	cause       atomic.Pointer[cause] // why it ends; the first one counts. Any goroutine
	done        chan struct{}         // closed when the client id is free again. Any goroutine
}

func newLink(b *Broker, nc net.Conn) *link {
	l := &link{broker: b, remote: nc.RemoteAddr().String(), done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(b.ctx)
	l.conn = newConn(nc, l)
	return l
}

func linkOf(cl *mqtt.Client) *link {
	if c, ok := cl.Net.Conn.(*conn); ok {
		return c.link
	}
	return nil
}

// run serves the connection until it has ended in every respect.
func (l *link) run() {
	err := l.serve()
	l.cause.CompareAndSwap(nil, causeOf(l.cl, err, l.disconnect))
	l.cancel()
	if l.established.Load() {
		l.goodbye(l.cause.Load())
	} else {
		l.refused(err)
	}
	l.broker.release(l)
	close(l.done)
	l.conn.finish()
}

// serve has mochi serve the connection. A panic in there costs the connection, not the process.
func (l *link) serve() (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.broker.caught(p, "connection", l)
			l.end(causePanic)
			err = errors.New("panic")
		}
	}()
	return l.broker.server.EstablishConnection("pulso", l.conn)
}

// end ends the connection: the first cause counts, and the client is told where MQTT 5 has words for it. It does not
// block and may be called from any goroutine.
func (l *link) end(c *cause) {
	if !l.cause.CompareAndSwap(nil, c) {
		return
	}
	if c.code != 0 && l.established.Load() && l.version == 5 {
		l.conn.enqueue([]byte{typeDisconnect << 4, 2, c.code, 0})
	}
	l.cancel()
	_ = l.conn.Close() // it only fails if the socket is gone already
}

// violated ends the connection for what the guard found.
func (l *link) violated(v *violation) {
	if l.established.Load() {
		l.end(&cause{reason: v.reason, text: v.Error(), code: v.code})
		return
	}
	l.refusal = &Refusal{Reason: v.reason, Detail: v.detail}
	if v.reply != nil {
		l.conn.enqueue(v.reply)
	}
}

// goodbye tells the sink that an established connection has ended, and publishes its will where one is due.
func (l *link) goodbye(c *cause) {
	b := l.broker
	b.metrics.closed.WithLabelValues(c.reason).Inc()
	l.session.detach(l.conn)
	if l.will != nil && c != causeClean && c != causeShutdown { // [MQTT-3.1.2-8] [MQTT-3.1.2-10]
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
		b.log.Warn("end of a connection is not in the log", "client", l.id, "error", err)
	}
}

// refused reports a connection that never got a session. One that came and went without a byte is no refusal: that is
// how ports are probed.
func (l *link) refused(err error) {
	r := l.refusal
	if r == nil {
		c := l.cause.Load()
		if c == causeTakenOver { // it was accepted, and lost the race to be told
			l.broker.metrics.closed.WithLabelValues(c.reason).Inc()
			return
		}
		if c.reason == reasonLost && l.conn.guard.version == 0 {
			return
		}
		r = &Refusal{Reason: c.reason, Detail: c.text}
		if c == causeTimeout {
			r.Detail = "no CONNECT in time"
		}
		if err != nil && c.reason == reasonMalformed {
			r.Detail = err.Error()
		}
	}
	r.Remote, r.Client = l.remote, l.id
	l.broker.refuse(*r)
}

// claim makes l the connection of its client id and gives it its session. An earlier connection with the id is ended
// first [MQTT-3.1.4-3], and waited for: its will, its last event and its subscriptions are settled before l goes on.
// mochi does both at once, and then deletes the new client with the old one if the timing is right.
func (b *Broker) claim(l *link, clean bool) *Refusal {
	timeout := time.NewTimer(takeoverTimeout)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		old := b.owners[l.id]
		if old == nil || b.stopping {
			r := b.own(l, clean)
			b.mu.Unlock()
			return r
		}
		b.mu.Unlock()
		old.end(causeTakenOver)
		select {
		case <-old.done:
		case <-timeout.C:
			return &Refusal{Reason: reasonBusy, Detail: "the earlier connection with this client id does not end"}
		case <-l.ctx.Done():
			return &Refusal{Reason: reasonLost, Detail: "closed while connecting"}
		}
	}
}

// own is the part of claim that holds the lock.
func (b *Broker) own(l *link, clean bool) *Refusal {
	if b.stopping {
		return &Refusal{Reason: reasonShutdown, Detail: "the broker stops"}
	}
	existing, ok := b.server.Clients.Get(l.id)
	l.resumed = ok && !clean && (existing.Properties.ProtocolVersion == 5 || !existing.Properties.Clean)
	if ok && !l.resumed { // [MQTT-3.1.2-4]
		b.server.UnsubscribeClient(existing)
	}
	s := b.sessions[l.id]
	if s == nil && len(b.sessions) >= b.cfg.MaxSessions {
		return &Refusal{Reason: reasonLimit, Detail: "too many sessions"}
	}
	if s == nil || !l.resumed {
		s = &session{broker: b, id: l.id}
		b.sessions[l.id] = s
	}
	s.expires = time.Time{}
	delete(b.offline, l.id)
	l.session = s
	b.owners[l.id] = l
	return nil
}

// release frees the client id, and the session if it ends with its connection.
func (b *Broker) release(l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.links, l)
	if l.id == "" || b.owners[l.id] != l {
		return
	}
	delete(b.owners, l.id)
	cl, ok := b.server.Clients.Get(l.id)
	if ok && cl == l.cl && persistent(cl) {
		l.session.expires = time.Now().Add(b.expiry(cl))
		b.offline[l.id] = l.session
		return
	}
	b.forget(l.id)
}

func persistent(cl *mqtt.Client) bool {
	if cl.Properties.ProtocolVersion == 5 {
		return cl.Properties.Props.SessionExpiryInterval > 0
	}
	return !cl.Properties.Clean
}

func (b *Broker) expiry(cl *mqtt.Client) time.Duration {
	if cl.Properties.ProtocolVersion < 5 {
		return b.cfg.SessionExpiry
	}
	return min(time.Duration(cl.Properties.Props.SessionExpiryInterval)*time.Second, b.cfg.SessionExpiry)
}

// forget ends a session; b.mu is held. mochi would leave the subscriptions of expired sessions in its index.
func (b *Broker) forget(id string) {
	if cl, ok := b.server.Clients.Get(id); ok {
		b.server.UnsubscribeClient(cl)
		b.server.Clients.Delete(id)
	}
	delete(b.sessions, id)
	delete(b.offline, id)
}

func (b *Broker) expireSessions(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, s := range b.offline {
		if now.After(s.expires) {
			b.forget(id)
		}
	}
}

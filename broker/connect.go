package broker

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"math"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
	"pulso/broker/limit"
	"pulso/broker/packet"
)

const (
	// maxClientID bounds client ids: they are kept, logged and shown.
	maxClientID = 256
	// takeoverTimeout bounds how long a new connection waits for the end of the one that has its client id.
	takeoverTimeout = 5 * time.Second
	// topicAliasMaximum is how many topics of one client are remembered (MQTT 5, 3.2.2.3.8).
	topicAliasMaximum = 64
)

// connect acts on the CONNECT: what may refuse it comes first, then the session is claimed, then the client is told.
func (l *link) connect(body []byte) error {
	c, err := packet.DecodeConnect(body)
	l.version = c.Version
	if err != nil {
		return l.badConnect(err)
	}
	l.id, l.reader.version = c.ClientID, c.Version
	l.problemInfo, l.maxPacket = c.Version == 5 && c.RequestProblem, c.MaximumPacket
	assigned := ""
	if l.id == "" && (c.CleanStart && c.Version == 4 || c.Version == 5) { // [MQTT-3.1.3-6] [MQTT-3.1.3-7]
		assigned = "auto-" + rand.Text()
		l.id = assigned
	}
	code, refusal := l.judge(c)
	resumed := false
	if refusal == nil {
		code, resumed, refusal = l.claim(c)
	}
	if refusal != nil {
		l.refusal = refusal
		l.conn.answer(connackPacket(l.version, code, refusal.Detail, l.mods()))
		return errRefused
	}
	if !l.welcome(c, assigned, resumed) {
		return errRefused
	}
	return nil
}

// badConnect answers a CONNECT that is none, where the protocol has an answer: MQTT 5 has one for everything that still
// looks like it [MQTT-3.1.4-2], MQTT 3 for an unknown level only [MQTT-3.1.2-2].
func (l *link) badConnect(err error) error {
	v := violationOf(err)
	switch {
	case v.code == packet.ReasonNotMQTT:
	case v.code == packet.ReasonVersion: // in the form that everybody knows
		l.conn.answer(connackPacket(4, v.code, "", l.mods()))
	case l.version == 5:
		l.problemInfo = true
		l.conn.answer(connackPacket(5, v.code, v.detail, l.mods()))
	}
	return v
}

// judge decides on a CONNECT by what it says.
func (l *link) judge(c *packet.Connecting) (code byte, r *Refusal) {
	switch {
	case l.id == "": // [MQTT-3.1.3-8] of MQTT 3.1.1; MQTT 3.1 wants one always
		return codeClientID, &Refusal{Reason: reasonClientID, Detail: "a client id is needed"}
	case len(l.id) > maxClientID:
		r := &Refusal{Reason: reasonClientID, Detail: fmt.Sprintf("client id of %d bytes, at most %d", len(l.id), maxClientID)}
		l.id = l.id[:maxClientID]
		return codeClientID, r
	case c.HasAuthMethod: // [MQTT-4.12.0-1]
		return codeAuthMethod, &Refusal{Reason: reasonCredentials, Detail: fmt.Sprintf("authentication method %.40q", c.AuthMethod)}
	}
	if code, r := l.authenticate(c); r != nil {
		return code, r
	}
	if c.Will == nil {
		return 0, nil
	}
	if err := checkPublishTopic(c.Will.Topic, l.broker.cfg.MaxTopicLevels); err != nil {
		return codeTopicInvalid, &Refusal{Reason: reasonWill, Detail: err.Error()}
	}
	if l.guest != nil && !l.guest.MayPublish(c.Will.Topic) {
		l.broker.metrics.forbidden.WithLabelValues(forbiddenWill).Inc()
		return codeNotAuthorized, &Refusal{Reason: reasonWill, Detail: fmt.Sprintf("%v to publish to %.80q", errForbidden, c.Will.Topic)}
	}
	l.will = newWill(l.id, c)
	return 0, nil
}

// claim makes l the connection of its client id and gives it its session. An earlier connection with the id is ended
// first [MQTT-3.1.4-3], and waited for: its will, its last event and its subscriptions are settled before l goes on.
func (l *link) claim(c *packet.Connecting) (code byte, resumed bool, r *Refusal) {
	b := l.broker
	timeout := time.NewTimer(takeoverTimeout)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		old := b.owners[l.id]
		if old == nil || b.stopping || b.foreign(l) {
			code, resumed, r = b.own(l, c)
			b.mu.Unlock()
			return code, resumed, r
		}
		b.mu.Unlock()
		old.end(causeTakenOver)
		select {
		case <-old.done:
		case <-timeout.C:
			return codeBusy, false, &Refusal{Reason: reasonBusy, Detail: "the earlier connection with this client id does not end"}
		case <-l.ctx.Done():
			return codeBusy, false, &Refusal{Reason: reasonLost, Detail: "closed while connecting"}
		}
	}
}

// welcome sends the CONNACK and begins to serve. It reports false if the connection has been ended meanwhile.
func (l *link) welcome(c *packet.Connecting, assigned string, resumed bool) bool {
	b, s := l.broker, l.session
	keepAlive := l.keepAlive(c)
	l.conn.idle = time.Duration(keepAlive) * time.Second * 3 / 2
	window := b.cfg.MaxInflight
	if c.Version == 5 {
		window = min(window, int(c.ReceiveMaximum))
	}
	s.begin(c, window)
	fresh := s.unstored()
	if fresh && !resumed { // what earlier sessions of the client left comes before the checkpoint of this one
		l.settle()
	}
	if l.replaces || fresh { // what has ended must not come back after a crash, what has begun must not be gone
		if err := b.journal.sync(l.ctx.Done()); err != nil && l.ctx.Err() == nil {
			b.notStored(l.id, fmt.Errorf("session: %w", err))
		}
	}

	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connack}, ProtocolVersion: l.version,
		SessionPresent: resumed && l.version > 3, // MQTT 3.1 has no such flag
	}
	if l.version == 5 {
		p.Properties = packets.Properties{
			ReceiveMaximum: uint16(b.cfg.ReceiveMaximum), MaximumPacketSize: uint32(b.cfg.MaxPacket),
			TopicAliasMaximum: topicAliasMaximum, AssignedClientID: assigned,
		}
		if keepAlive != c.KeepAlive { // [MQTT-3.1.2-21]
			p.Properties.ServerKeepAlive, p.Properties.ServerKeepAliveFlag = keepAlive, true
		}
		if granted := s.granted(); granted != c.SessionExpiry { // (MQTT 5, 3.2.2.3.2)
			p.Properties.SessionExpiryInterval, p.Properties.SessionExpiryIntervalFlag = granted, true
		}
	}
	l.answerNow(encode(&p, (*packets.Packet).ConnackEncode))
	l.established.Store(true)
	l.stays()
	if c := l.cause.Load(); c != nil { // it was ended meanwhile, by somebody who could not tell the client yet
		l.conn.close(l.lastWords(c))
		return false
	}
	b.metrics.connects.Inc()
	b.settleWill(l.id, resumed)
	m := event.Event{Kind: event.KindConnected, Time: time.Now().UnixNano(), Client: l.id}
	err := b.cfg.Sink.Ingest(l.ctx, m, nil)
	l.announced = err == nil
	if err != nil && l.ctx.Err() == nil {
		b.notStored(l.id, err)
	}
	s.welcomeGuest(l.guest)
	s.attach(l.conn)
	b.log.Debug("MQTT client connected", "client", l.id, "remote", l.remote, "version", l.version, "resumed", resumed)
	return true
}

// keepAlive is the keep-alive that holds, in seconds. MQTT 5 clients that ask for none, or for more than is granted, are
// told; older ones cannot be.
func (l *link) keepAlive(c *packet.Connecting) uint16 {
	most := uint16(min(l.broker.cfg.KeepAlive/time.Second, math.MaxUint16))
	if l.version == 5 && (c.KeepAlive == 0 || c.KeepAlive > most) {
		return most
	}
	return c.KeepAlive
}

// own is the part of claim that holds the lock.
func (b *Broker) own(l *link, c *packet.Connecting) (code byte, resumed bool, r *Refusal) {
	if b.stopping {
		return codeShutdown, false, &Refusal{Reason: reasonShutdown, Detail: "the broker stops"}
	}
	s := b.sessions[l.id]
	switch {
	case b.foreign(l): // what waits in a session is its owner's alone
		return codeClientID, false, &Refusal{Reason: reasonClientID, Detail: "the session with this client id belongs to another user"}
	case s == nil && len(b.sessions) >= b.cfg.MaxSessions:
		return codeQuota, false, &Refusal{Reason: reasonLimit, Detail: "too many sessions"}
	case s == nil && !b.allows(limit.NewSession):
		return codeQuota, false, &Refusal{Reason: reasonLimit, Detail: "memory is short"}
	case s != nil && c.CleanStart: // [MQTT-3.1.2-4]
		l.replaces = b.forget(s)
		s = nil
	}
	resumed = s != nil
	if s == nil {
		s = newSession(b, l.id, l.identity())
		b.sessions[l.id] = s
	}
	s.own(l.identity())
	s.expires = time.Time{}
	delete(b.offline, l.id)
	l.session = s
	b.owners[l.id] = l
	return 0, resumed, nil
}

// foreign reports whether a client id has a session of another account, whose connection must not be ended either; b.mu is
// held.
func (b *Broker) foreign(l *link) bool {
	s := b.sessions[l.id]
	return s != nil && s.identity != "" && s.identity != l.identity()
}

// release frees the client id, and the session if it ends with its connection.
func (b *Broker) release(l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.links, l)
	s := l.session
	if s == nil || b.owners[l.id] != l {
		return
	}
	delete(b.owners, l.id)
	life := s.life()
	if life == 0 {
		b.forget(s)
		return
	}
	if life != forever {
		s.expires = time.Now().Add(life)
	}
	b.offline[l.id] = s
	s.leave(s.expires)
}

// forget ends a session and reports whether the store has to learn that; b.mu is held.
func (b *Broker) forget(s *session) (stored bool) {
	delete(b.sessions, s.id)
	delete(b.offline, s.id)
	return s.terminate()
}

func (b *Broker) expireSessions(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.offline {
		if !s.expires.IsZero() && now.After(s.expires) {
			b.forget(s)
		}
	}
}

// encode has mochi encode a packet. Its error would be one of memory.
func encode(p *packets.Packet, how func(*packets.Packet, *bytes.Buffer) error) []byte {
	var buf bytes.Buffer
	if err := how(p, &buf); err != nil {
		return nil
	}
	return buf.Bytes()
}

// mods are what mochi has to heed when it encodes: a client that wants no reasons gets none [MQTT-3.1.2-29], and none that
// make a packet larger than it takes [MQTT-3.2.2-19].
func (l *link) mods() packets.Mods {
	const header = 8 // what mochi does not count
	m := packets.Mods{DisallowProblemInfo: !l.problemInfo}
	if l.maxPacket > 0 {
		m.MaxSize = max(1, l.maxPacket-min(l.maxPacket, header))
	}
	return m
}

// connackPacket is a CONNACK that refuses. MQTT 3 has five codes only (MQTT 3.1.1, 3.2.2.3).
func connackPacket(version, code byte, why string, mods packets.Mods) []byte {
	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connack}, ProtocolVersion: version, ReasonCode: code, Mods: mods,
	}
	if version == 5 {
		p.Properties.ReasonString = why
		return encode(&p, (*packets.Packet).ConnackEncode)
	}
	switch code {
	case packet.ReasonVersion:
		p.ReasonCode = 1
	case codeClientID:
		p.ReasonCode = 2
	case codeCredentials:
		p.ReasonCode = 4
	case codeAuthMethod, codeTopicInvalid, codeNotAuthorized:
		p.ReasonCode = 5
	default:
		p.ReasonCode = 3
	}
	return encode(&p, (*packets.Packet).ConnackEncode)
}

// disconnectPacket is a DISCONNECT of MQTT 5.
func disconnectPacket(c *cause, mods packets.Mods) []byte {
	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ProtocolVersion: 5, ReasonCode: c.code, Mods: mods,
	}
	p.Properties.ReasonString = c.text
	return encode(&p, (*packets.Packet).DisconnectEncode)
}

package broker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
)

// maxClientID bounds client ids: they are kept, logged and shown.
const maxClientID = 256

// hook is the one hook that mochi has: where there are several, one that says yes is enough. Each method catches its own
// panics, because mochi catches none.
type hook struct {
	mqtt.HookBase

	b *Broker
}

// ID implements mqtt.Hook.
func (*hook) ID() string { return "pulso" }

// Provides implements mqtt.Hook.
func (*hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished,
		mqtt.OnPublish, mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnUnsubscribed, mqtt.OnPacketEncode, mqtt.OnPacketSent:
		return true
	}
	return false
}

// recovered is deferred by each method.
func (h *hook) recovered(where string, cl *mqtt.Client) {
	if p := recover(); p != nil {
		l := linkOf(cl)
		h.b.caught(p, where, l)
		l.end(causePanic)
	}
}

// OnConnect implements mqtt.Hook: a CONNECT has been decoded.
func (h *hook) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	defer h.recovered("OnConnect", cl)
	l := linkOf(cl)
	cl.ID = strings.Clone(cl.ID) // mochi's strings hold the packet in memory, password included
	cl.Properties.Username = bytes.Clone(cl.Properties.Username)
	l.cl, l.id, l.version = cl, cl.ID, cl.Properties.ProtocolVersion
	if l.version == 5 && cl.State.Keepalive == 0 {
		cl.State.Keepalive = uint16(min(h.b.cfg.KeepAlive/time.Second, 1<<16-1))
		cl.State.ServerKeepalive = true // [MQTT-3.1.2-21]
	}
	l.conn.idle = time.Duration(cl.State.Keepalive) * time.Second * 3 / 2
	return nil
}

// OnConnectAuthenticate implements mqtt.Hook: everything that may refuse a CONNECT stands here, because only from here
// does the client get a CONNACK that says so.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) (ok bool) {
	defer h.recovered("OnConnectAuthenticate", cl)
	l := linkOf(cl)
	code, r := h.judge(l, &pk)
	if r == nil {
		code, r = 0x89, h.b.claim(l, pk.Connect.Clean)
	}
	if r != nil {
		l.refusal, l.refuseCode = r, code
		return false
	}
	return true
}

// judge decides on a CONNECT by what it says.
func (h *hook) judge(l *link, pk *packets.Packet) (code byte, r *Refusal) {
	if len(l.id) > maxClientID {
		r := &Refusal{Reason: reasonClientID, Detail: fmt.Sprintf("client id of %d bytes, at most %d", len(l.id), maxClientID)}
		l.id = l.id[:maxClientID]
		return 0x85, r
	}
	if m := pk.Properties.AuthenticationMethod; m != "" { // [MQTT-4.12.0-1]
		return 0x8c, &Refusal{Reason: reasonCredentials, Detail: fmt.Sprintf("authentication method %.40q", m)}
	}
	if a := h.b.cfg.Authenticate; a != nil && !a(string(pk.Connect.Username), pk.Connect.Password, l.id) {
		return 0x86, &Refusal{Reason: reasonCredentials, Detail: fmt.Sprintf("user %.80q", pk.Connect.Username)}
	}
	if !pk.Connect.WillFlag {
		return 0, nil
	}
	if err := checkPublishTopic(pk.Connect.WillTopic); err != nil {
		return 0x90, &Refusal{Reason: reasonWill, Detail: err.Error()}
	}
	l.setWill(&pk.Connect, pk.Properties.SessionExpiryInterval)
	return 0, nil
}

// OnACLCheck implements mqtt.Hook. What may not be subscribed to is refused in OnSubscribe, what may not be published to
// in the guard and in OnPublish, where the resolved topic is known.
func (h *hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnSessionEstablish implements mqtt.Hook: the CONNACK comes next. Will and send quota are taken from mochi: it would
// send wills at a clean stop, and lock itself up at a Receive Maximum.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	defer h.recovered("OnSessionEstablish", cl)
	l := linkOf(cl)
	window := h.b.cfg.MaxInflight
	if pk.Properties.ReceiveMaximum > 0 {
		window = min(window, int(pk.Properties.ReceiveMaximum))
	}
	l.session.setLimits(l.version, window, int(pk.Properties.MaximumPacketSize))
	cl.Properties.Will = mqtt.Will{}
	cl.Properties.Props.ReceiveMaximum = 0
	cl.Properties.Props.TopicAliasMaximum = 0
	cl.State.Inflight.ResetSendQuota(0)
	if l.version < 5 { // MQTT 3 knows no Receive Maximum that could be exceeded
		cl.State.Inflight.ResetReceiveQuota(1 << 16)
	}
}

// OnSessionEstablished implements mqtt.Hook: the CONNACK has been sent, and reading is about to begin.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	defer h.recovered("OnSessionEstablished", cl)
	l := linkOf(cl)
	l.established.Store(true)
	h.b.metrics.connects.Inc()
	h.b.settleWill(l)
	m := event.Event{Kind: event.KindConnected, Time: time.Now().UnixNano(), Client: l.id}
	err := h.b.cfg.Sink.Ingest(l.ctx, m, nil)
	l.announced = err == nil
	if err != nil && l.ctx.Err() == nil {
		h.b.log.Warn("begin of a connection is not in the log", "client", l.id, "error", err)
	}
	l.session.attach(l.conn)
	h.b.log.Debug("MQTT client connected", "client", l.id, "remote", l.remote, "version", l.version, "resumed", l.resumed)
}

// OnSubscribe implements mqtt.Hook: filters that are refused are emptied, which mochi refuses, and the SUBACK gets the
// reason code that is due.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	defer h.recovered("OnSubscribe", cl)
	l := linkOf(cl)
	l.suback = make([]byte, len(pk.Filters))
	l.replay = l.replay[:0]
	held := l.session.subscriptions()
	pk.Filters = slices.Clone(pk.Filters)
	for i := range pk.Filters {
		sub := &pk.Filters[i]
		exists := l.session.subscribed(sub.Filter)
		err := checkSubscription(sub.Filter)
		switch {
		case err != nil:
			l.suback[i] = 0x8f
			h.b.log.Debug("MQTT subscription refused", "client", l.id, "error", err)
		case !exists && held >= h.b.cfg.MaxSubscriptions:
			l.suback[i] = 0x97
			h.b.log.Debug("MQTT subscription refused", "client", l.id, "error", "too many subscriptions")
		default:
			if !exists {
				held++
			}
			sub.Filter = strings.Clone(sub.Filter)
			if sub.RetainHandling == 0 || sub.RetainHandling == 1 && !exists { // [MQTT-3.3.1-9] [MQTT-3.3.1-10]
				l.replay = append(l.replay, *sub)
			}
			continue
		}
		sub.Filter = ""
	}
	return pk
}

// OnSubscribed implements mqtt.Hook: the filters are in mochi's index, the SUBACK comes next.
func (h *hook) OnSubscribed(cl *mqtt.Client, pk packets.Packet, codes []byte) {
	defer h.recovered("OnSubscribed", cl)
	l := linkOf(cl)
	for i, sub := range pk.Filters {
		if codes[i] <= 2 {
			l.session.subscribe(sub.Filter, subscription{
				identifier: sub.Identifier, qos: codes[i], noLocal: sub.NoLocal, retainAsPublished: sub.RetainAsPublished,
			})
		}
	}
}

// OnUnsubscribed implements mqtt.Hook: filters have left mochi's index, by UNSUBSCRIBE or with their session.
func (h *hook) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	defer h.recovered("OnUnsubscribed", cl)
	l := linkOf(cl)
	for _, sub := range pk.Filters {
		l.session.unsubscribe(sub.Filter)
	}
}

// OnPacketEncode implements mqtt.Hook: corrects what mochi answers.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) (out packets.Packet) {
	out = pk
	defer h.recovered("OnPacketEncode", cl)
	l := linkOf(cl)
	switch pk.FixedHeader.Type {
	case packets.Connack:
		l.correctConnack(&out)
	case packets.Suback:
		out.ReasonCodes = slices.Clone(pk.ReasonCodes)
		for i, code := range l.suback {
			if code != 0 && i < len(out.ReasonCodes) {
				out.ReasonCodes[i] = code
				if l.version < 5 { // [MQTT-3.9.3-2] of MQTT 3.1.1
					out.ReasonCodes[i] = 0x80
				}
			}
		}
	case packets.Pubrec:
		if pk.ReasonCode == packets.ErrPacketIdentifierInUse.Code { // a PUBLISH sent again: it is held, and that is success
			out.ReasonCode, out.Properties.ReasonString = 0, ""
		}
	}
	return out
}

// correctConnack puts our reason into a refusal and our limits into an acceptance.
func (l *link) correctConnack(pk *packets.Packet) {
	if pk.ReasonCode == 0 {
		pk.Properties.MaximumPacketSize = uint32(l.broker.cfg.MaxPacket)
		pk.Properties.TopicAliasMaximum = topicAliasMaximum
		return
	}
	if l.refuseCode != 0 {
		pk.ReasonCode = l.refuseCode
	} else if l.refusal == nil {
		l.refusal = &Refusal{Reason: reasonProtocol, Detail: pk.Properties.ReasonString}
	}
	pk.Properties.ReasonString = ""
	if pk.ProtocolVersion == 5 {
		return
	}
	switch pk.ReasonCode { // (MQTT 3.1.1, 3.2.2.3)
	case 0x85, 0x80: // mochi's 0x80 is an empty client id without a clean session [MQTT-3.1.3-8]
		pk.ReasonCode = 2
	case 0x86:
		pk.ReasonCode = 4
	case 0x8c, 0x90:
		pk.ReasonCode = 5
	default:
		pk.ReasonCode = 3
	}
}

// OnPacketSent implements mqtt.Hook: after the SUBACK come the retained messages.
func (h *hook) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	defer h.recovered("OnPacketSent", cl)
	if pk.FixedHeader.Type != packets.Suback {
		return
	}
	l := linkOf(cl)
	for i := range l.replay {
		h.b.replay(l.session, &l.replay[i])
	}
	l.replay = nil
}

// checkSubscription returns nil for a filter, with or without "$share/<group>/" in front.
func checkSubscription(filter string) error {
	const share = "$share/"
	if !strings.HasPrefix(filter, share) {
		if mqtt.IsSharedFilter(filter) { // mochi's prefix has no case
			return fmt.Errorf("%w: a shared subscription begins with %q", event.ErrFilter, share)
		}
		return event.CheckFilter(filter)
	}
	group, rest, ok := strings.Cut(filter[len(share):], "/")
	if !ok || group == "" || strings.ContainsAny(group, "+#") { // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
		return fmt.Errorf("%w: group of a shared subscription", event.ErrFilter)
	}
	return event.CheckFilter(rest)
}

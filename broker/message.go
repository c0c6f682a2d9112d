package broker

import (
	"time"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// A message is an event on its way to MQTT subscribers, shared by all of them.
type message struct {
	event event.Event
	// packets are the encoded form that all QoS 0 subscribers of MQTT 3 (0) and 5 (1) share; nil until one needs it. They
	// belong to Deliver's goroutine.
	packets [2][]byte
}

func (m *message) expires() bool { return m.event.Properties != nil && m.event.Properties.HasExpiry }

// expiresIn is the time that is left of a message that has an expiry.
func (m *message) expiresIn(now time.Time) time.Duration {
	return m.event.Arrival().Add(time.Duration(m.event.Properties.Expiry) * time.Second).Sub(now)
}

// packet is the packet that QoS 0 subscribers share.
func (m *message) packet(version byte) []byte {
	form := 0
	if version == 5 {
		form = 1
	}
	if m.packets[form] == nil {
		m.packets[form] = packet.AppendPublish(nil, version, &packet.Message{Event: &m.event})
	}
	return m.packets[form]
}

// A delivery is a message for one subscriber.
type delivery struct {
	message *message
	ids     []int  // subscription identifiers
	group   *group // the shared subscription that it comes from
	qos     byte
	retain  bool
	replay  *replay // for a retained message that answers a subscription: it has no place in the log's order
}

// shared reports whether the delivery is the very packet that other QoS 0 subscribers get.
func (d *delivery) shared() bool {
	return d.qos == 0 && !d.retain && len(d.ids) == 0 && !d.message.expires()
}

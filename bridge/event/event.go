// Package event holds the values that flow through the bridge: an [Event] as the log keeps it, a [Decoded] event as the
// views and rooms get it, the [Position] of both, and MQTT topics and filters.
//
// It is a leaf: it imports the standard library only. Values are immutable once they have been handed on, so any number
// of goroutines may read them; nothing here starts one.
package event

import "time"

// Kind says what an Event records.
type Kind uint8

// The kinds. Their numbers are part of the log's format and never change.
const (
	// KindPublish is an application message.
	KindPublish Kind = 0
	// KindWill is a will that the broker published because its connection ended without a DISCONNECT.
	KindWill Kind = 1
	// KindConnected is the start of an MQTT connection. Topic and Payload are empty, Client names it.
	KindConnected Kind = 2
	// KindDisconnected is the end of an MQTT connection. Topic is empty, Client names it; Payload is "clean" after a
	// DISCONNECT packet, "taken over" when the same client id connected again, "shutdown" when the hub stopped, and
	// else the reason in words.
	KindDisconnected Kind = 3
	// KindForget is somebody's wish that a device be forgotten, see [Event.Forgets]. Payload is the device's id, Topic and
	// Client are empty, Source is [SourceHub].
	//
	// It counts where it stands in the log: each view that holds something of the device (its record, its series) drops
	// what events before it have made, and begins anew with what comes after it, so that a view that is built from the log
	// again forgets again. The log itself keeps the device's events for as long as retention holds them, a topic stays
	// one, and what the decoder was told (aliases, units) stays known: else what the device says next would not be
	// understood.
	KindForget Kind = 4
	// KindCommand is a command to a device, or a change of what became of it: Payload is a record of package command, Client
	// is who sent it, Topic is empty, Source is [SourceHub]. What was published for it is an event of its own, a publish.
	KindCommand Kind = 5
	// KindAudit is something that somebody did to the hub: Payload is a record of package audit, Client is the account, Topic is
	// empty, Source is [SourceHub].
	KindAudit Kind = 6
)

// ResponseTopic is where clients of MQTT 5 answer the hub's commands: each is published with this Response Topic and with
// Correlation Data that name the command (MQTT 5, 4.10). It is one topic for all, so that answers add none to those there are.
const ResponseTopic = "pulso/response"

// Dead begins the topics of messages that were set aside because they break a contract: the topic that each was sent to follows.
// They are kept and delivered to who asks for them by name, and are understood as nothing that a device said.
const Dead = "$dead/"

// Payloads of KindDisconnected that have a meaning; any other is a reason in words.
const (
	DisconnectedClean     = "clean"
	DisconnectedTakenOver = "taken over"
	DisconnectedShutdown  = "shutdown"
)

// IsMessage reports whether the event carries an application message (a publish or a will).
func (k Kind) IsMessage() bool { return k <= KindWill }

// Source says through which door an event came.
type Source uint8

// The sources. Their numbers are part of the log's format and never change.
const (
	SourceMQTT    Source = 0
	SourceGateway Source = 1 // a WebSocket session, and later the other gateways
	SourceHub     Source = 2 // the hub itself
)

// An Event is one entry of the log. Before it has been appended, Position is zero and it is called a message.
type Event struct {
	// Position is the place just before this event: Position.Offset is the event's own offset. See [Event.Next].
	Position Position
	// Time is the arrival at the hub, in nanoseconds since the Unix epoch.
	Time int64
	// Topic is a valid topic name, without wildcards; empty for session events.
	Topic string
	// Ref is the topic's place in memory; nil: it has none.
	Ref *Ref
	// Client is the MQTT client id, or the gateway session's name.
	Client string
	// Payload is what the device sent, byte for byte. It may be shared: never written to.
	Payload []byte
	// Properties are the MQTT 5 properties; nil where there are none.
	Properties *Properties
	Kind       Kind
	Source     Source
	QoS        uint8
	// Retain is the publish's RETAIN flag.
	Retain bool
	// PacketID is the packet identifier of a publish that came with QoS 2 over MQTT, else 0: by it the broker knows after a
	// crash what a client sends again [MQTT-4.3.3-10].
	PacketID uint16
}

// Forgets returns the id of the device that the event wants forgotten; false if it wants none.
func (e *Event) Forgets() (device string, ok bool) {
	if e.Kind != KindForget {
		return "", false
	}
	return string(e.Payload), true
}

// Next is the position after this event: what a reader that has seen it resumes from.
func (e *Event) Next() Position {
	return Position{Epoch: e.Position.Epoch, Offset: e.Position.Offset + 1}
}

// Arrival is Time as a [time.Time].
func (e *Event) Arrival() time.Time { return time.Unix(0, e.Time) }

// Properties are the properties of an MQTT 5 PUBLISH that outlive the packet (MQTT 5, 3.3.2.3).
type Properties struct {
	// ContentType is what the publisher calls the payload's form; HasContentType tells the empty text from none.
	ContentType   string
	ResponseTopic string
	// CorrelationData is nil where there is none, and may be empty.
	CorrelationData []byte
	User            []UserProperty
	// Expiry is the message expiry interval in seconds; HasExpiry tells 0 from none.
	Expiry         uint32
	HasExpiry      bool
	HasContentType bool
	// UTF8 is the payload format indicator: the publisher says that the payload is UTF-8 text. Bytes is the other value of
	// it: the publisher says that it is bytes. Neither: it says nothing.
	UTF8, Bytes bool
}

// A UserProperty is one name-value pair (MQTT 5, 3.3.2.3.7); names may repeat and order counts.
type UserProperty struct{ Name, Value string }

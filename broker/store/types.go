package store

import "pulso/bridge/event"

// A Batch is what one transaction changes. What it takes away (Ended, Unsubscribed, GroupsEnded, WillsSettled) is taken away
// before anything is put in, whatever the order in which the broker learnt it; of two values for one key the later counts.
type Batch struct {
	// Ended are clients whose sessions are removed with their subscriptions, messages in flight and wills. A clean start
	// names its client here and puts the new session into Sessions.
	Ended []string
	// Unsubscribed are subscriptions to remove.
	Unsubscribed []SubscriptionKey
	// GroupsEnded are shared subscriptions that have lost their last member.
	GroupsEnded []GroupKey
	// WillsSettled are clients whose delayed will has been published or called off.
	WillsSettled []string

	// Sessions are inserted or replaced; their subscriptions stay.
	Sessions []Session
	// Subscribed are inserted or replaced by client and filter.
	Subscribed []Subscription
	// Groups are inserted or replaced by name and filter.
	Groups []Group
	// Retained are inserted or replaced by topic; an empty payload removes the topic's [MQTT-3.3.1-6].
	Retained []Retained
	// Wills are inserted or replaced by client.
	Wills []Will
	// Checkpoint says that everything in the log before it is reflected in this and earlier batches; zero: unchanged.
	Checkpoint event.Position
}

// rows is how many rows the batch touches at least.
func (b *Batch) rows() int {
	return len(b.Ended) + len(b.Unsubscribed) + len(b.GroupsEnded) + len(b.WillsSettled) +
		len(b.Sessions) + len(b.Subscribed) + len(b.Groups) + len(b.Retained) + len(b.Wills)
}

// NeverExpires is the session expiry interval of a session that does not end by itself (MQTT 5, 3.1.2.11.2).
const NeverExpires = 1<<32 - 1

// A Session is what the broker owes one client beyond its connection (MQTT 5, 4.1), its subscriptions apart.
type Session struct {
	// Client is the client identifier.
	Client string
	// Identity is who the session belongs to, by user name; empty for the anonymous.
	Identity string
	// Version is the protocol level: 3 (MQTT 3.1), 4 (3.1.1) or 5.
	Version byte
	// Expiry is the session expiry interval in seconds; NeverExpires: it stays for ever.
	Expiry uint32
	// Expires is when the session ends unless its client returns, in nanoseconds since the Unix epoch; 0 while connected.
	Expires int64
	// Next is the place in the log before which everything has been handed to the session.
	Next event.Position
	// Behind says that the session is served from the log, at Next.
	Behind bool
	// ReceivedUpTo is the offset up to which Seen reflects the log.
	ReceivedUpTo uint64
	// Seen are packet identifiers of QoS 2 messages that the client has sent and not released with a PUBREL yet
	// [MQTT-4.3.3-10].
	Seen []uint16
	// Inflight are the messages that were sent and not acknowledged in full, oldest first.
	Inflight []Inflight
	// Passed counts the events that retention dropped before the session got them.
	Passed uint64
}

// An Inflight message has been sent to a client that has not acknowledged it in full. Its content is in the log, at
// Offset, or among the retained messages, at Topic.
type Inflight struct {
	// ID is the packet identifier.
	ID  uint16 `json:"id"`
	QoS byte   `json:"qos"`
	// Received says that PUBREC has come: PUBREL is what is sent again.
	Received bool `json:"received,omitempty"`
	// Retain is the RETAIN flag that it was sent with.
	Retain bool `json:"retain,omitempty"`
	// Offset is the event's own place in the log.
	Offset event.Position `json:"offset,omitzero"`
	// Topic is the topic of a retained message that answers a subscription; empty for any other.
	Topic string `json:"topic,omitempty"`
	// Identifiers are the subscription identifiers that it was sent with.
	Identifiers []int `json:"identifiers,omitempty"`
	// Group is the shared subscription that gave the message to this client; zero for any other.
	Group GroupKey `json:"group,omitzero"`
}

// A SubscriptionKey names a subscription.
type SubscriptionKey struct{ Client, Filter string }

// A Subscription is one filter of one session with its options (MQTT 5, 3.8.3.1).
type Subscription struct {
	Client string
	// Filter is the filter as the client wrote it, with "$share/…/" if shared.
	Filter            string
	QoS               byte
	RetainHandling    byte
	NoLocal           bool
	RetainAsPublished bool
	// Identifier is the subscription identifier; 0: none.
	Identifier int
	// Since is the offset of the first event that is the subscription's business.
	Since uint64
}

// A GroupKey names a shared subscription (MQTT 5, 4.8.2).
type GroupKey struct {
	// Name is the share name.
	Name string `json:"name"`
	// Filter is the filter behind it.
	Filter string `json:"filter"`
}

// A Group is what the members of a shared subscription have in common.
type Group struct {
	Name, Filter string
	// Next is the place in the log before which everything has been handed to a member.
	Next event.Position
	// Again are events to be given to another member, oldest first.
	Again []event.Position
}

// A Retained message is the last one of its topic that was published with RETAIN, as the log has it.
type Retained struct{ event.Event }

// A Will is published at Due unless its client returns before.
type Will struct {
	// Due is in nanoseconds since the Unix epoch.
	Due int64
	// Event is the message; Event.Client names the client, which has at most one.
	Event event.Event
}

// A Loader gets what is stored. A nil function gets nothing. The values belong to the functions. An error from one ends
// the loading. They must not call the store.
type Loader struct {
	Session      func(*Session) error
	Subscription func(*Subscription) error
	Group        func(*Group) error
	Retained     func(*Retained) error
	Will         func(*Will) error
}

// Package command sends commands to devices and follows what becomes of them.
//
// A command is a publish that is watched. It is sent once the log has it; delivered when a subscriber of its topic has it
// (at QoS 1: has acknowledged it); acknowledged when an answer comes: from a client of MQTT 5 on [event.ResponseTopic] with
// the command's correlation data, else on the topic where the device says what it is in now (see [Replies]). It has failed when
// it could not be stored or when nobody subscribes to its topic, and has timed out when no answer came.
//
// The log has it all: each command and each change of its state is an [event.KindCommand], from which a [View] knows the
// newest; so they outlive the hub. What was under way when the hub ended has timed out, and says why.
//
// Life: [New], then [Sender.Run]; [Sender.Offer] is called by the one goroutine that hands on what was committed,
// [Sender.Delivered] from any. None of the two blocks.
package command

import (
	"time"

	"pulso/bridge/event"
)

// Bounds of commands.
const (
	// MaxPending is how many commands may be under way, MaxDevicePending how many to one device.
	MaxPending       = 1000
	MaxDevicePending = 32
	// MaxPayload is the size of a command in bytes.
	MaxPayload = 256 << 10
	// MaxShown is how many bytes of a payload and of a response are kept with a command.
	MaxShown = 4096
	// MaxKept is how many commands a View keeps: the newest.
	MaxKept = 1000
	// MinTimeout and MaxTimeout bound the wait for an answer; DefaultTimeout is taken where none is given.
	MinTimeout     = time.Second
	MaxTimeout     = 2 * time.Minute
	DefaultTimeout = 10 * time.Second
)

// A State is how far a command has come.
type State string

// The states. Those after Delivered are final.
const (
	Sent         State = "sent"
	Delivered    State = "delivered"
	Acknowledged State = "acknowledged"
	Failed       State = "failed"
	TimedOut     State = "timed_out"
)

func (s State) final() bool { return s == Acknowledged || s == Failed || s == TimedOut }

// An Expect is the answer that a command waits for.
type Expect struct {
	// Topic is where it comes; Field is a field of its JSON, as a path with dots, that must be there; empty: any payload will do.
	Topic string `json:"topic"`
	Field string `json:"field,omitempty"`
	// Value is what the field must be, as text; nil: anything.
	Value *string `json:"value,omitempty"`
}

// A Request is a command to be sent. [ParseRequest] makes one that is good.
type Request struct {
	Device, Topic string
	// From says who asks.
	From    string
	Payload []byte
	QoS     uint8
	Retain  bool
	Timeout time.Duration
	// Expect is the answer; nil: what the topic suggests.
	Expect *Expect
}

// A Record is the payload of an [event.KindCommand], JSON: the first of a command has all but what a change has.
type Record struct {
	ID    string `json:"id"`
	State State  `json:"state"`
	// At is when, in milliseconds since the Unix epoch.
	At int64 `json:"at"`

	Device string `json:"device,omitempty"`
	Topic  string `json:"topic,omitempty"`
	// Payload is its first MaxShown bytes, Size how many there were.
	Payload []byte `json:"payload,omitempty"`
	Size    int    `json:"size,omitempty"`
	QoS     uint8  `json:"qos,omitempty"`
	Retain  bool   `json:"retain,omitempty"`
	// Timeout is in milliseconds.
	Timeout int64 `json:"timeout,omitempty"`
	// Expected are the topics on which an answer is looked for.
	Expected []string `json:"expected,omitempty"`

	// To is the client that has it, of a delivery.
	To string `json:"to,omitempty"`
	// Response is the answer's first MaxShown bytes, Answered the topic it came on.
	Response []byte `json:"response,omitempty"`
	Answered string `json:"answered,omitempty"`
	// Reason is why it failed or timed out.
	Reason string `json:"reason,omitempty"`
}

// A Command is one with all that became of it.
type Command struct {
	Record // of the first; State, To, Response, Answered and Reason are those of now

	From string `json:"from"`
	// When it came into each state, in milliseconds since the Unix epoch; 0: it did not.
	SentAt      int64 `json:"sent_at"`
	DeliveredAt int64 `json:"delivered_at,omitempty"`
	EndedAt     int64 `json:"ended_at,omitempty"`
}

// apply adds a change, unless the command has ended.
func (c *Command) apply(r *Record) {
	if c.State.final() {
		return
	}
	c.State = r.State
	if r.State == Delivered {
		c.DeliveredAt, c.To = r.At, r.To
		return
	}
	if r.State.final() {
		c.EndedAt, c.Reason, c.Response, c.Answered = r.At, r.Reason, r.Response, r.Answered
	}
}

// Reasons of commands that did not come through.
const (
	ReasonNobody    = "no device listens on this topic"
	ReasonRetained  = "no device listens on this topic yet: the message is retained for the first that does"
	ReasonUntaken   = "no device has taken it"
	ReasonSilent    = "it was delivered, but no answer came"
	ReasonNoAnswer  = "no answer came"
	ReasonRestart   = "the hub was restarted before an answer came: what became of it is unknown"
	reasonNotStored = "it could not be stored: "
)

func cut(b []byte) []byte {
	return append([]byte(nil), b[:min(len(b), MaxShown)]...)
}

// properties are those of a command's publish. One that is not retained expires with the wait for its answer: a device
// that comes back later is not to do what nobody waits for any more.
func properties(id string, r *Request) *event.Properties {
	p := &event.Properties{ResponseTopic: event.ResponseTopic, CorrelationData: []byte(id)}
	if !r.Retain {
		p.Expiry, p.HasExpiry = uint32((r.Timeout+time.Second-1)/time.Second), true
	}
	return p
}

package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"pulso/bridge/event"
)

// Reasons for which a connection is refused or ends: labels of the metrics and [Refusal.Reason].
const (
	reasonTimeout      = "timeout"       // no CONNECT in time, or nothing within the keep-alive
	reasonTLS          = "tls"           // no handshake: an old version, an unknown authority, bytes that are no TLS
	reasonNotMQTT      = "not mqtt"      // the first bytes are not those of a CONNECT
	reasonVersion      = "version"       // a protocol level that is not supported
	reasonMalformed    = "malformed"     // bytes that are no packet
	reasonProtocol     = "protocol"      // a packet that is not allowed here
	reasonTooLarge     = "too large"     // a packet beyond the bounds
	reasonClientID     = "client id"     // a client id that is not accepted
	reasonWill         = "will"          // a will whose topic nobody may publish to
	reasonCredentials  = "credentials"   // unknown user, wrong password, or an unsupported method
	reasonLimit        = "limit"         // too many connections or sessions
	reasonOrigin       = "origin"        // a browser's page that may not connect
	reasonBusy         = "busy"          // the earlier connection with this client id could not be ended in time
	reasonShutdown     = "shutdown"      // the broker stops
	reasonLost         = "lost"          // the network, or the client, without a word
	reasonClean        = "clean"         // DISCONNECT
	reasonWillWanted   = "will wanted"   // DISCONNECT that asks for the will
	reasonTakenOver    = "taken over"    // the same client id connected again
	reasonSlow         = "slow"          // does not read what it is sent
	reasonStore        = "store"         // a message could not be stored
	reasonRevoked      = "revoked"       // the guest may no longer be here, or may do something else than before
	reasonTopic        = "topic"         // an invalid or forbidden topic, where the protocol has no milder answer
	reasonContract     = "contract"      // a payload that breaks the contract of its topic
	reasonPanic        = "panic"         // a bug, caught
	reasonOther        = "other"         // anything else
	dropQueue          = "queue"         // QoS 0, and the subscriber is far behind or not there
	dropExpired        = "expired"       // the message expired before it could be sent
	dropPacketSize     = "packet size"   // larger than the subscriber takes
	dropRetained       = "retained full" // not retained: too many are
	dropPassed         = "passed"        // no longer in the log when the subscriber came for it
	limitSubscriptions = "subscriptions" // too many filters, or memory is short
	forbiddenPublish   = "publish"       // a message to a topic without the right to it
	forbiddenSubscribe = "subscribe"     // a filter of which nothing may be heard
	forbiddenWill      = "will"          // a will to a topic without the right to it
	dropShared         = "shared"        // QoS 2 of a shared subscription whose member's session ended before it was acknowledged
)

// Reason codes of MQTT 5 (2.4) that the broker gives besides those of package packet.
const (
	codeNoSubscription = 0x11
	codeUnspecified    = 0x80
	codeProtocol       = 0x82
	codeImplementation = 0x83
	codeClientID       = 0x85
	codeCredentials    = 0x86
	codeNotAuthorized  = 0x87
	codeBusy           = 0x89
	codeShutdown       = 0x8b
	codeAuthMethod     = 0x8c
	codeTopicInvalid   = 0x90
	codePayloadFormat  = 0x99
	codeUnknownID      = 0x92
	codeReceiveMaximum = 0x93
	codeAlias          = 0x94
	codeTooLarge       = 0x95
	codeQuota          = 0x97
)

// A Refusal is a connection that was turned away, or cut off for what its client did.
type Refusal struct {
	Time time.Time
	// Remote is the peer's address.
	Remote string
	// Client is the client id, as far as it is known.
	Client string
	// Reason is one of a few words, for grouping; Detail is for people.
	Reason, Detail string
}

// A cause is why an accepted connection ends.
type cause struct {
	reason string
	text   string // payload of the KindDisconnected event
	code   byte   // MQTT 5 reason code of the DISCONNECT that the client gets; 0: it gets none
}

// isFault reports that the client is to blame: somebody should look at it.
func (c *cause) isFault() bool {
	switch c.reason {
	case reasonMalformed, reasonProtocol, reasonTooLarge, reasonTopic, reasonSlow:
		return true
	}
	return false
}

var (
	causeShutdown  = &cause{reasonShutdown, event.DisconnectedShutdown, 0x8b}
	causeTakenOver = &cause{reasonTakenOver, event.DisconnectedTakenOver, 0x8e}
	causeClean     = &cause{reasonClean, event.DisconnectedClean, 0}
	causeWill      = &cause{reasonWillWanted, "disconnect with will", 0}
	causeSlow      = &cause{reasonSlow, "too slow: did not read what it was sent", 0}
	causeLost      = &cause{reasonLost, "connection lost", 0}
	causeTimeout   = &cause{reasonTimeout, "keep-alive timeout", 0x8d}
	causeStore     = &cause{reasonStore, "a message could not be stored", 0x83}
	causePanic     = &cause{reasonPanic, "internal error", 0x80}
)

// causeOf finds the cause in the error that ended a connection's loop.
func causeOf(err error) *cause {
	if v := (*violation)(nil); errors.As(err, &v) {
		return &cause{reason: v.reason, text: v.Error()}
	}
	switch {
	case isTimeout(err):
		return causeTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return causeLost
	}
	return &cause{reason: reasonLost, text: "connection lost: " + err.Error()}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

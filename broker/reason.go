package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
)

// Reasons for which a connection is refused or ends: labels of the metrics and [Refusal.Reason].
const (
	reasonTimeout     = "timeout"       // no CONNECT in time, or nothing within the keep-alive
	reasonNotMQTT     = "not mqtt"      // the first bytes are not those of a CONNECT
	reasonVersion     = "version"       // a protocol level that is not supported
	reasonMalformed   = "malformed"     // bytes that are no packet
	reasonProtocol    = "protocol"      // a packet that is not allowed here
	reasonTooLarge    = "too large"     // a packet beyond the bounds
	reasonClientID    = "client id"     // a client id that is not accepted
	reasonWill        = "will"          // a will whose topic nobody may publish to
	reasonCredentials = "credentials"   // unknown user, wrong password, or an unsupported method
	reasonLimit       = "limit"         // too many connections or sessions
	reasonOrigin      = "origin"        // a browser's page that may not connect
	reasonBusy        = "busy"          // the earlier connection with this client id could not be ended in time
	reasonShutdown    = "shutdown"      // the broker stops
	reasonLost        = "lost"          // the network, or the client, without a word
	reasonClean       = "clean"         // DISCONNECT
	reasonWillWanted  = "will wanted"   // DISCONNECT that asks for the will
	reasonTakenOver   = "taken over"    // the same client id connected again
	reasonSlow        = "slow"          // does not read what it is sent
	reasonStore       = "store"         // a message could not be stored
	reasonTopic       = "topic"         // an invalid or forbidden topic, where the protocol has no milder answer
	reasonPanic       = "panic"         // a bug, caught
	reasonOther       = "other"         // anything else
	dropQueue         = "queue"         // the subscriber's queue is full
	dropExpired       = "expired"       // the message expired before it could be sent
	dropPacketSize    = "packet size"   // larger than the subscriber takes
	dropRetained      = "retained full" // not retained: too many are
)

// A Refusal is a connection that was turned away.
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

// causeOf finds the cause in what mochi left behind when it ended a connection by itself.
func causeOf(cl *mqtt.Client, err error, disconnect byte) *cause {
	stop := error(nil)
	if cl != nil {
		stop = cl.StopCause()
	}
	code := packets.Code{}
	switch {
	case errors.Is(stop, packets.CodeDisconnect):
		if disconnect == 0 { // [MQTT-3.14.4-3]
			return causeClean
		}
		return causeWill
	case errors.Is(err, packets.CodeDisconnectWillMessage):
		return causeWill
	case errors.Is(err, os.ErrDeadlineExceeded):
		return causeTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return causeLost
	case errors.As(err, &code), errors.As(stop, &code):
		reason := reasonProtocol
		if code.Code == packets.ErrMalformedPacket.Code {
			reason = reasonMalformed
		}
		return &cause{reason: reason, text: code.Reason}
	case err != nil:
		return &cause{reason: reasonLost, text: "connection lost: " + err.Error()}
	}
	return &cause{reason: reasonOther, text: "closed"}
}

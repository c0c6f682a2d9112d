// Package wire is protocol v1 as clients see it: commands read, replies and frames written, in both encodings, and error and
// close codes. The source of truth is proto/pulso/v1/stream.proto, docs/PROTOCOL.md tells how it is meant.
//
// Everything here is a function of its arguments: any number of goroutines may call any of it.
package wire

//go:generate go run pulso/internal/tools/gencodes -out ../../dashboard/web/src/core/wire/codes.gen.ts

import (
	"fmt"
	"time"
)

// Form says what a subscription delivers.
type Form uint8

// The forms.
const (
	FormEvents Form = iota + 1
	FormValues
	FormDevices
	FormTopics
	FormHub
	FormChat
)

var formNames = [...]string{FormEvents: "events", FormValues: "values", FormDevices: "devices", FormTopics: "topics", FormHub: "hub", FormChat: "chat"}

// String is the form's name on the wire.
func (f Form) String() string {
	if f == 0 || int(f) >= len(formNames) {
		return fmt.Sprintf("form %d", uint8(f))
	}
	return formNames[f]
}

// IsView reports whether the form shows the state of a view, not the stream of events.
func (f Form) IsView() bool { return f >= FormDevices }

// ParseForm is the inverse of [Form.String]; empty is FormEvents.
func ParseForm(s string) (Form, bool) {
	if s == "" {
		return FormEvents, true
	}
	for i, name := range formNames {
		if i > 0 && name == s {
			return Form(i), true
		}
	}
	return 0, false
}

// Delivery says what happens when there is more than a client's rate or speed takes.
type Delivery uint8

// The deliveries.
const (
	// DeliveryEvery leaves nothing out, or a gap says so.
	DeliveryEvery Delivery = iota + 1
	// DeliveryLatest is the current value of each series or topic, conflated.
	DeliveryLatest
)

// String is the delivery's name on the wire.
func (d Delivery) String() string {
	switch d {
	case DeliveryEvery:
		return "every"
	case DeliveryLatest:
		return "latest"
	default:
		return fmt.Sprintf("delivery %d", uint8(d))
	}
}

// Error codes of an error reply.
const (
	CodeBadJSON         = "bad_json"
	CodeBadProto        = "bad_proto"
	CodeBadCommand      = "bad_command"
	CodeTooLarge        = "too_large"
	CodeInvalidFilter   = "invalid_filter"
	CodeInvalidTopic    = "invalid_topic"
	CodeInvalidPosition = "invalid_position"
	CodeNotSubscribed   = "not_subscribed"
	CodeTooMany         = "too_many"
	CodeUnavailable     = "unavailable"
	CodeForbidden       = "forbidden"
	CodeUnauthorized    = "unauthorized" // of hubs with users
	CodeContract        = "contract"     // the payload breaks the contract of its topic
)

// ReasonInsufficientState is why a subscription did not recover: its position is not of this log.
const ReasonInsufficientState = "insufficient_state"

// Why there is a gap.
const (
	// ReasonRetention: retention has dropped what lies in it.
	ReasonRetention = "retention"
	// ReasonDamaged: what lies in it is lost to damage of the log.
	ReasonDamaged = "damaged"
	// ReasonBehind: a `latest` client was too far behind to be told everything that changed.
	ReasonBehind = "behind"
)

// An Error is what an error reply tells the client.
type Error struct {
	Code    string
	Message string
	// Retry reports that the same command may succeed later.
	Retry bool
	// After is how long to wait before that, where it is known. It is told over plain HTTP only, as Retry-After.
	After time.Duration
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes an Error that is not worth a retry.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// A CloseCode says why the hub ended a session. 4000 to 4499: come back; 4500 to 4999: not without a change.
type CloseCode uint16

// The close codes, the same for all transports.
const (
	CloseShutdown     CloseCode = 4000
	CloseSlow         CloseCode = 4001
	CloseOverloaded   CloseCode = 4002
	CloseInternal     CloseCode = 4003
	CloseSilent       CloseCode = 4004
	CloseLost         CloseCode = 4005
	CloseRights       CloseCode = 4006
	CloseBadCommands  CloseCode = 4500
	CloseUnauthorized CloseCode = 4501
	CloseTooLarge     CloseCode = 4502
	CloseWrongForm    CloseCode = 4503
	CloseBadFrame     CloseCode = 4504
)

// A CloseInfo is a row of the table of close codes.
type CloseInfo struct {
	Code CloseCode
	// Name is what stands in metrics and in clients' code.
	Name string
	// Meaning is for people.
	Meaning string
}

// CloseCodes returns the table, by code.
func CloseCodes() []CloseInfo {
	return []CloseInfo{
		{CloseShutdown, "shutdown", "the hub is stopping"},
		{CloseSlow, "slow", "nothing was taken for 10 s"},
		{CloseOverloaded, "overloaded", "the hub takes no more sessions at present"},
		{CloseInternal, "internal", "the hub failed; its log says how"},
		{CloseSilent, "silent", "nothing was heard of the client for 60 s"},
		{CloseLost, "lost", "the session is not known, or no longer: it ended, or the hub was started again"},
		{CloseRights, "rights", "what the account may do has changed"},
		{CloseBadCommands, "bad_commands", "20 bad commands in a row"},
		{CloseUnauthorized, "unauthorized", "credentials are missing or wrong"},
		{CloseTooLarge, "too_large", "a message over 16 MiB"},
		{CloseWrongForm, "wrong_form", "a binary message in the JSON form"},
		{CloseBadFrame, "bad_frame", "a frame that WebSocket does not allow; clients see the standard's own code for that, 1002"},
	}
}

// Info returns the table's row of c; for an unknown code one that says so.
func (c CloseCode) Info() CloseInfo {
	for _, i := range CloseCodes() {
		if i.Code == c {
			return i
		}
	}
	return CloseInfo{Code: c, Name: "unknown", Meaning: "unknown close code"}
}

// ComesBack reports whether a client should reconnect after this code.
func (c CloseCode) ComesBack() bool { return c < 4500 }

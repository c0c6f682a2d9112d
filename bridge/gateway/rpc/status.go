package rpc

import (
	"errors"
	"strconv"

	"connectrpc.com/connect"

	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// The trailers that say why the hub ended a call.
const (
	// CloseCode is the close code, a number.
	CloseCode = "Pulso-Close-Code"
	// CloseName is its name.
	CloseName = "Pulso-Close-Name"
)

// statuses of close codes; of the others, those that say "come back" are unavailable, and the client is at fault for the rest.
var statuses = map[wire.CloseCode]connect.Code{
	wire.CloseSlow:         connect.CodeResourceExhausted,
	wire.CloseOverloaded:   connect.CodeResourceExhausted,
	wire.CloseInternal:     connect.CodeInternal,
	wire.CloseUnauthorized: connect.CodeUnauthenticated,
}

// closed is the status of a call that the hub ends.
func closed(code wire.CloseCode) *connect.Error {
	status, special := statuses[code]
	switch {
	case special:
	case code.ComesBack():
		status = connect.CodeUnavailable
	default:
		status = connect.CodeInvalidArgument
	}
	info := code.Info()
	err := connect.NewError(status, errors.New(info.Meaning))
	err.Meta().Set(CloseCode, strconv.Itoa(int(code)))
	err.Meta().Set(CloseName, info.Name)
	return err
}

// refusal is the status of a call whose request is not good.
func refusal(bad *wire.Error) *connect.Error {
	status := connect.CodeInvalidArgument
	switch bad.Code {
	case wire.CodeUnavailable:
		status = connect.CodeUnavailable
	case wire.CodeTooMany:
		status = connect.CodeResourceExhausted
	case wire.CodeForbidden:
		status = connect.CodePermissionDenied
	case wire.CodeUnauthorized:
		status = connect.CodeUnauthenticated
	}
	err := connect.NewError(status, errors.New(bad.Message))
	detail, failure := connect.NewErrorDetail(&pulsov1.Error{Code: bad.Code, Message: bad.Message, Retry: bad.Retry})
	if failure == nil { // a message of text and a boolean always can be one
		err.AddDetail(detail)
	}
	return err
}

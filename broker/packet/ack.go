package packet

import (
	"bytes"
	"encoding/binary"
)

// Ack judges the body of a PUBACK, PUBREC, PUBREL or PUBCOMP and returns its packet identifier and reason code, which is
// 0 where none was sent (MQTT 5, 3.4.2.1). It takes no memory but for an error.
func Ack(kind Kind, body []byte, version byte) (id uint16, code byte, err error) {
	if len(body) < 2 || version < 5 && len(body) > 2 {
		return 0, 0, malformed("MQTT 5, 3.4.2", "%s of %d bytes", kind, len(body))
	}
	id = binary.BigEndian.Uint16(body)
	if id == 0 {
		return 0, 0, protocol("MQTT 5, 2.2.1", "%s with packet identifier 0", kind)
	}
	if len(body) == 2 {
		return id, 0, nil
	}
	code = body[2]
	if !ackCode(kind, code) {
		return 0, 0, protocol("[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]", "%s with reason code 0x%02x", kind, code)
	}
	if len(body) > 3 {
		r := reader{rest: body[3:]}
		r.properties(inAck, nil)
		r.end(kind)
		if r.err != nil {
			return 0, 0, r.err
		}
	}
	return id, code, nil
}

// ackCode reports whether an acknowledgement may have this reason code (MQTT 5, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1).
func ackCode(kind Kind, code byte) bool {
	if kind == Pubrel || kind == Pubcomp {
		return code == 0 || code == 0x92
	}
	switch code {
	case 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99:
		return true
	}
	return false
}

// A Disconnecting is a DISCONNECT of a client, taken apart (MQTT 5, 3.14).
type Disconnecting struct {
	// SessionExpiry is the new session expiry interval in seconds, where HasSessionExpiry says that there is one. That it
	// must stay 0 where the CONNECT's was 0 (MQTT 5, 3.14.2.2.2) is judged by whoever knows that.
	SessionExpiry    uint32
	HasSessionExpiry bool
	// Code is the reason code: 0x04 asks for the will.
	Code byte
}

// DecodeDisconnect judges the body of a DISCONNECT and takes it apart.
func DecodeDisconnect(body []byte, version byte) (d Disconnecting, err error) {
	if version < 5 {
		if len(body) > 0 {
			return d, malformed("MQTT 3.1.1, 3.14", "DISCONNECT with a body of %d bytes", len(body))
		}
		return d, nil
	}
	if len(body) == 0 { // (MQTT 5, 3.14.2.1)
		return d, nil
	}
	d.Code = body[0]
	if !disconnectCode(d.Code) {
		return d, protocol("[MQTT-3.14.2-1]", "DISCONNECT with reason code 0x%02x from a client", d.Code)
	}
	if len(body) == 1 { // (MQTT 5, 3.14.2.2.1)
		return d, nil
	}
	r := reader{rest: body[1:]}
	r.properties(inDisconnect, func(p property) {
		if p.id == propSessionExpiry {
			d.SessionExpiry, d.HasSessionExpiry = p.number, true
		}
	})
	r.end(Disconnect)
	return d, r.err
}

// disconnectCode reports whether a client may disconnect with this reason code (MQTT 5, 3.14.2.1).
func disconnectCode(code byte) bool {
	switch code {
	case 0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99:
		return true
	}
	return false
}

// An Authenticating is an AUTH of a client, taken apart (MQTT 5, 3.15).
type Authenticating struct {
	Method string
	Data   []byte // owned
	Code   byte   // 0x18: the next step, 0x19: authenticate again
}

// DecodeAuth judges the body of an AUTH and takes it apart.
func DecodeAuth(body []byte, version byte) (*Authenticating, error) {
	if version < 5 {
		return nil, protocol("MQTT 3.1.1, 2.2.1", "packet type 15")
	}
	r := reader{rest: body}
	a := &Authenticating{Code: r.octet("reason code")}
	if a.Code != 0x18 && a.Code != 0x19 { // success, which no bytes stand for as well (MQTT 5, 3.15.2.1), is the server's
		return nil, protocol("[MQTT-3.15.2-1]", "AUTH with reason code 0x%02x from a client", a.Code)
	}
	method := false
	r.properties(inAuth, func(p property) {
		switch p.id {
		case propAuthMethod:
			a.Method, method = string(p.bytes), true
		case propAuthData:
			a.Data = bytes.Clone(p.bytes)
		}
	})
	r.end(Auth)
	switch {
	case r.err != nil:
		return nil, r.err
	case !method:
		return nil, protocol("MQTT 5, 3.15.2.2.2", "AUTH without an authentication method")
	}
	return a, nil
}

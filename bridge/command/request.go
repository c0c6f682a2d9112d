package command

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// MaxBody bounds a request's body, in bytes: a payload in base64 with what stands around it.
const MaxBody = MaxPayload*4/3 + 16<<10

const (
	maxDevice = 256
	maxFrom   = 64
	maxField  = 256
)

// body is what a request may have.
type body struct {
	Device        string          `json:"device"`
	Topic         string          `json:"topic"`
	From          string          `json:"from"`
	Payload       json.RawMessage `json:"payload"`
	PayloadText   *string         `json:"payload_text"`
	PayloadBase64 *string         `json:"payload_base64"`
	QoS           int             `json:"qos"`
	Retain        bool            `json:"retain"`
	Timeout       *int64          `json:"timeout"`
	Expect        *Expect         `json:"expect"`
}

// ParseRequest reads a request's body. What is wrong with it is said by the key.
func ParseRequest(data []byte) (*Request, *wire.Error) {
	var b body
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return nil, wire.Errorf(wire.CodeBadJSON, "the command: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, wire.Errorf(wire.CodeBadJSON, "something follows the command")
	}
	if len(b.Device) > maxDevice || strings.TrimSpace(b.Device) == "" {
		return nil, wire.Errorf(wire.CodeBadCommand, "device: the device's id is needed, at most %d bytes", maxDevice)
	}
	if err := checkTopic("topic", b.Topic); err != nil {
		return nil, err
	}
	if b.QoS != 0 && b.QoS != 1 {
		return nil, wire.Errorf(wire.CodeBadCommand, "qos is %d: it must be 0 or 1", b.QoS)
	}
	r := &Request{
		Device: b.Device, Topic: b.Topic, From: printable(b.From), QoS: uint8(b.QoS), Retain: b.Retain, Timeout: DefaultTimeout, Expect: b.Expect,
	}
	if t := b.Timeout; t != nil {
		if *t < MinTimeout.Milliseconds() || *t > MaxTimeout.Milliseconds() {
			return nil, wire.Errorf(wire.CodeBadCommand, "timeout is %d: it must be from %d to %d milliseconds",
				*t, MinTimeout.Milliseconds(), MaxTimeout.Milliseconds())
		}
		r.Timeout = time.Duration(*t) * time.Millisecond
	}
	if e := b.Expect; e != nil {
		if err := checkTopic("expect.topic", e.Topic); err != nil {
			return nil, err
		}
		if len(e.Field) > maxField {
			return nil, wire.Errorf(wire.CodeBadCommand, "expect.field has %d bytes, at most %d", len(e.Field), maxField)
		}
	}
	var err *wire.Error
	r.Payload, err = b.payload()
	return r, err
}

func (b *body) payload() (payload []byte, bad *wire.Error) {
	count := 0
	if b.Payload != nil {
		count, payload = count+1, b.Payload
	}
	if b.PayloadText != nil {
		count, payload = count+1, []byte(*b.PayloadText)
	}
	if b.PayloadBase64 != nil {
		var err error
		if payload, err = base64.StdEncoding.DecodeString(*b.PayloadBase64); err != nil {
			return nil, wire.Errorf(wire.CodeBadCommand, "payload_base64: %v", err)
		}
		count++
	}
	switch {
	case count != 1:
		return nil, wire.Errorf(wire.CodeBadCommand,
			"payload: there are %d: exactly one of payload, payload_text, payload_base64 is needed", count)
	case len(payload) > MaxPayload:
		return nil, wire.Errorf(wire.CodeTooLarge, "payload has %d bytes, at most %d", len(payload), MaxPayload)
	}
	return payload, nil
}

func checkTopic(key, topic string) *wire.Error {
	if err := event.CheckTopic(topic); err != nil {
		return wire.Errorf(wire.CodeInvalidTopic, "%s: %v", key, err)
	}
	if topic[0] == '$' {
		return wire.Errorf(wire.CodeForbidden, "%s %.80q: topics that begin with \"$\" are the hub's own", key, topic)
	}
	return nil
}

// printable is a name that may stand in a list: one line, at most maxFrom bytes.
func printable(name string) string {
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name))
	for len(name) > maxFrom {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

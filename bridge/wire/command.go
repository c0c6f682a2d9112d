package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"pulso/bridge/event"
)

// Bounds of commands.
const (
	// MaxMessage is the size of a command in bytes.
	MaxMessage = 1 << 20
	// MaxFilters is how many filters one subscription may have, and how many device ids.
	MaxFilters = 256
	// MaxSelection is how many bytes the filters and device ids of one subscription have together.
	MaxSelection = 64 << 10
	// MaxFilterLevels is how many levels the filters of one subscription have together.
	MaxFilterLevels = 2048
	// MaxHistory is how many past events of each topic one may ask for.
	MaxHistory = 1000
	// MaxRate is the highest rate in frames a second.
	MaxRate = 1000
	// MaxName is the length of a client's names in bytes.
	MaxName = 128
	// MaxPaintedCounts is how many counts a report of what was painted may have.
	MaxPaintedCounts = 64
)

// A Command is one request of a client; exactly one of the pointers is set.
type Command struct {
	ID          uint64       `json:"id"`
	Hello       *Hello       `json:"hello"`
	Subscribe   *Subscribe   `json:"subscribe"`
	Unsubscribe *Unsubscribe `json:"unsubscribe"`
	Publish     *Publish     `json:"publish"`
	Ping        *Ping        `json:"ping"`
	Change      *Change      `json:"change"`
	Painted     *Painted     `json:"painted"`
}

// Hello introduces the client.
type Hello struct {
	Token  string `json:"token"`
	Client string `json:"client"`
	Name   string `json:"name"`
}

// Subscribe asks for a room. After ParseCommand its derived fields are set and valid.
type Subscribe struct {
	Filters      []string `json:"filters"`
	FormName     string   `json:"form"`
	DeliveryName string   `json:"delivery"`
	Rate         float64  `json:"rate"`
	FromText     string   `json:"from"`
	History      int      `json:"history"`
	Devices      []string `json:"devices"`
	// Viewers asks to be told who else watches.
	Viewers bool `json:"viewers"`

	Form     Form     `json:"-"`
	Delivery Delivery `json:"-"`
	// From is the position to resume from; zero for none.
	From event.Position `json:"-"`
	// FromStart asks for everything still held.
	FromStart bool `json:"-"`
}

// Unsubscribe leaves a room.
type Unsubscribe struct {
	Room uint64 `json:"room"`
}

// Change takes the subscription of a room into the room for Subscribe, at the position where it is.
type Change struct {
	Room      uint64     `json:"room"`
	Subscribe *Subscribe `json:"subscribe"`
}

// Publish is a message for the log. After ParseCommand Body holds its payload.
type Publish struct {
	Topic   string          `json:"topic"`
	Payload json.RawMessage `json:"payload"`
	Text    *string         `json:"payload_text"`
	Base64  *string         `json:"payload_base64"`
	QoS     int             `json:"qos"`
	Retain  bool            `json:"retain"`

	// Body is the payload's bytes.
	Body []byte `json:"-"`

	bytes *[]byte // a payload that came as bytes
}

// Size is how many bytes the topic and the payload have.
func (p *Publish) Size() int { return len(p.Topic) + len(p.Body) }

// Ping asks for a pong.
type Ping struct{}

// Painted tells how long it took at a screen from the arrival of messages until they were painted. Element i of Counts is how many
// took from 2^(i/4) to below 2^((i+1)/4) milliseconds; the first and the last also stand for what lies beyond.
type Painted struct {
	Counts []uint32 `json:"counts"`
}

func (p *Painted) check() *Error {
	if len(p.Counts) > MaxPaintedCounts {
		return Errorf(CodeBadCommand, "painted.counts has %d elements: at most %d", len(p.Counts), MaxPaintedCounts)
	}
	return nil
}

// ParseCommand reads one command and checks it. Where it fails, the error tells the client why, and the command's ID is
// set if it could be read.
func (e Encoding) ParseCommand(msg []byte) (Command, *Error) {
	if e == Proto {
		return parseCommandProto(msg)
	}
	var c Command
	if !utf8.Valid(msg) {
		return c, Errorf(CodeBadJSON, "the command is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(msg))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Command{ID: idOf(msg)}, jsonError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return c, Errorf(CodeBadJSON, "something stands after the command's object: send one object a message")
	}
	err := c.Check()
	return c, err
}

// idOf reads the id of a command that is otherwise malformed.
func idOf(msg []byte) uint64 {
	var c struct {
		ID uint64 `json:"id"`
	}
	if json.Unmarshal(msg, &c) != nil {
		return 0
	}
	return c.ID
}

func jsonError(err error) *Error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return Errorf(CodeBadJSON, "not JSON at byte %d: %v", syntax.Offset, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Errorf(CodeBadJSON, "the JSON ends too early")
	case errors.As(err, &typ):
		return Errorf(CodeBadCommand, "%s must be %s, not %.80s", cmpOr(typ.Field, "the command"), kindWord(typ.Type.String()), typ.Value)
	default:
		return Errorf(CodeBadCommand, "%.160s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// kindWord says what JSON value a Go type wants.
func kindWord(typ string) string {
	switch {
	case strings.HasPrefix(typ, "[]"):
		return "a list"
	case strings.Contains(typ, "string"):
		return "a string"
	case strings.Contains(typ, "bool"):
		return "a boolean"
	case strings.Contains(typ, "int"):
		return "a whole number"
	case strings.Contains(typ, "float"):
		return "a number"
	default:
		return "an object"
	}
}

// Check sets the derived fields of a command. Its error tells the client what is wrong with it.
func (c *Command) Check() *Error {
	n := 0
	for _, set := range [...]bool{
		c.Hello != nil, c.Subscribe != nil, c.Unsubscribe != nil, c.Publish != nil, c.Ping != nil, c.Change != nil, c.Painted != nil,
	} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		return Errorf(CodeBadCommand, "no command: one of hello, subscribe, unsubscribe, publish, ping, change, painted is needed")
	case n > 1:
		return Errorf(CodeBadCommand, "%d commands in one object: send one", n)
	case c.Hello != nil:
		return c.Hello.check()
	case c.Subscribe != nil:
		return c.Subscribe.Check()
	case c.Change != nil:
		return c.Change.check()
	case c.Publish != nil:
		return c.Publish.Check()
	case c.Painted != nil:
		return c.Painted.check()
	default:
		return nil
	}
}

func (h *Hello) check() *Error {
	if len(h.Name) > MaxName || len(h.Client) > MaxName {
		return Errorf(CodeBadCommand, "hello.name and hello.client have at most %d bytes", MaxName)
	}
	return nil
}

func (c *Change) check() *Error {
	switch {
	case c.Subscribe == nil:
		return Errorf(CodeBadCommand, "change.subscribe is missing")
	case c.Subscribe.FromText != "":
		return Errorf(CodeBadCommand, "change.subscribe.from is set: a change goes on where the subscription is")
	}
	return c.Subscribe.Check()
}

// Check sets the derived fields. Its error tells the client what is wrong.
func (s *Subscribe) Check() *Error {
	var ok bool
	if s.Form, ok = ParseForm(s.FormName); !ok {
		return Errorf(CodeBadCommand, "subscribe.form %.40q is unknown: it is one of %s", s.FormName, strings.Join(formNames[1:], ", "))
	}
	switch s.DeliveryName {
	case "every":
		s.Delivery = DeliveryEvery
	case "latest":
		s.Delivery = DeliveryLatest
	case "":
		s.Delivery = DeliveryEvery
	default:
		return Errorf(CodeBadCommand, "subscribe.delivery %.40q is unknown: it is every or latest", s.DeliveryName)
	}
	if s.Form.IsView() {
		// What means nothing in these forms must not keep those apart who see the same.
		s.Delivery, s.Devices = DeliveryLatest, nil
	}
	if s.Form == FormHub {
		s.Filters = nil
	}
	if s.Rate < 0 || s.Rate > MaxRate || math.IsNaN(s.Rate) {
		return Errorf(CodeBadCommand, "subscribe.rate is %v: it must be from 0 to %d frames a second", s.Rate, MaxRate)
	}
	if s.History < 0 || s.History > MaxHistory {
		return Errorf(CodeBadCommand, "subscribe.history is %d: it must be from 0 to %d", s.History, MaxHistory)
	}
	if err := s.checkFilters(); err != nil {
		return err
	}
	return s.checkFrom()
}

func (s *Subscribe) checkFilters() *Error {
	if len(s.Filters) == 0 {
		if s.Form != FormHub && len(s.Devices) == 0 {
			return Errorf(CodeBadCommand, "subscribe.filters is empty")
		}
		s.Filters = []string{"#"}
	}
	if len(s.Filters) > MaxFilters || len(s.Devices) > MaxFilters {
		return Errorf(CodeTooMany, "subscribe has %d filters and %d devices: at most %d each", len(s.Filters), len(s.Devices), MaxFilters)
	}
	size := 0
	for _, text := range slices.Concat(s.Filters, s.Devices) {
		size += len(text)
	}
	if size > MaxSelection {
		return Errorf(CodeTooLarge, "subscribe.filters and subscribe.devices have %d bytes: at most %d", size, MaxSelection)
	}
	levels := 0
	for _, f := range s.Filters {
		if levels += 1 + strings.Count(f, "/"); levels > MaxFilterLevels {
			return Errorf(CodeTooLarge, "subscribe.filters have more than %d levels together", MaxFilterLevels)
		}
		if err := event.CheckFilter(f); err != nil {
			return Errorf(CodeInvalidFilter, "%v", err)
		}
		if s.Form == FormChat && !strings.HasPrefix(f, "chat/") {
			return Errorf(CodeInvalidFilter, "filter %.80q: the form chat takes filters that begin with \"chat/\"", f)
		}
	}
	// The order of filters and doublets mean nothing: without them, more sessions share a room.
	slices.Sort(s.Filters)
	s.Filters = slices.Compact(s.Filters)
	slices.Sort(s.Devices)
	s.Devices = slices.Compact(s.Devices)
	return nil
}

func (s *Subscribe) checkFrom() *Error {
	switch s.FromText {
	case "":
		return nil
	case "start":
		s.FromStart = true
		return nil
	}
	var err error
	if s.From, err = event.ParsePosition(s.FromText); err != nil {
		return Errorf(CodeInvalidPosition, "subscribe.from: %v", err)
	}
	return nil
}

// Check sets Body. Its error tells the client what is wrong.
func (p *Publish) Check() *Error {
	if err := event.CheckTopic(p.Topic); err != nil {
		return Errorf(CodeInvalidTopic, "%v", err)
	}
	if p.Topic[0] == '$' {
		return Errorf(CodeForbidden, "topic %.80q: topics that begin with \"$\" are the hub's own", p.Topic)
	}
	if p.QoS != 0 && p.QoS != 1 {
		return Errorf(CodeBadCommand, "publish.qos is %d: it must be 0 or 1", p.QoS)
	}
	n := 0
	if p.Payload != nil {
		n++
		if p.Body = p.Payload; !json.Valid(p.Body) {
			return Errorf(CodeBadCommand, "publish.payload is not JSON: text goes into payload_text")
		}
	}
	if p.bytes != nil {
		n++
		p.Body = *p.bytes
	}
	if p.Text != nil {
		n++
		p.Body = []byte(*p.Text)
	}
	if p.Base64 != nil {
		n++
		var err error
		if p.Body, err = base64.StdEncoding.DecodeString(*p.Base64); err != nil {
			return Errorf(CodeBadCommand, "publish.payload_base64: %v", err)
		}
	}
	if n != 1 {
		return Errorf(CodeBadCommand, "%s", fmt.Sprintf("publish has %d payloads: exactly one of payload, payload_text, payload_base64 is needed", n))
	}
	return nil
}

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/encoding/protowire"
)

// webSocket opens a WebSocket that one of the subprotocols is spoken on; no subprotocols: any.
func (d *dialer) webSocket(ctx context.Context, address string, subprotocols []string, compress, small bool) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()

	dial := websocket.Dialer{
		NetDialContext:    func(ctx context.Context, _, address string) (net.Conn, error) { return d.tcp(ctx, address, small) },
		TLSClientConfig:   d.tls,
		Subprotocols:      subprotocols,
		EnableCompression: compress,
		ReadBufferSize:    4 << 10,
		WriteBufferSize:   1 << 10,
	}

	conn, answer, err := dial.DialContext(ctx, address, nil)
	if answer != nil {
		defer func() { _ = answer.Body.Close() }()
	}

	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && answer != nil:
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200)) // it explains; without it the status has to do

		return nil, fmt.Errorf("WebSocket to %s: %s %s", address, answer.Status, bytes.TrimSpace(text))
	case err != nil:
		return nil, fmt.Errorf("WebSocket to %s: %w", address, err)
	case len(subprotocols) > 0 && conn.Subprotocol() != subprotocols[0]:
		_ = conn.Close()

		return nil, fmt.Errorf("WebSocket to %s: it does not speak %s", address, strings.Join(subprotocols, ", "))
	}

	return conn, nil
}

// A streamConn makes a WebSocket that carries a stream of bytes, as MQTT's does, look like any connection. One goroutine may read while
// another writes.
type streamConn struct {
	*websocket.Conn

	message io.Reader // the one being read, or nil
}

func (c *streamConn) Read(b []byte) (int, error) {
	for {
		if c.message == nil {
			_, message, err := c.NextReader()
			if err != nil {
				return 0, err
			}

			c.message = message
		}

		n, err := c.message.Read(b)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}

		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *streamConn) Write(b []byte) (int, error) {
	if err := c.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, err
	}

	return len(b), nil
}

func (c *streamConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// The subprotocols of the stream, and the fields of its protobuf form that are needed here (proto/pulso/v1/stream.proto).
const (
	subprotocolJSON  = "pulso.v1.json"
	subprotocolProto = "pulso.v1.proto"

	commandID, commandSubscribe                               = 1, 3
	subscribeFilters, subscribeForm, subscribeDelivery        = 1, 2, 3
	subscribeRate                                             = 4
	formEvents, formOfValues, deliveryEvery, deliveryOfLatest = 1, 2, 1, 2
	messageSubscribed, messageError, messageGap               = 4, 8, 11
	errorText, gapEvents                                      = 2, 3
)

// subscribeStream opens a session of a hub's stream and subscribes, and returns when the hub says that it is.
func (d *dialer) subscribeStream(ctx context.Context, small bool) (*websocket.Conn, error) {
	t := d.target
	subprotocol, kind := subprotocolJSON, websocket.TextMessage
	command := fmt.Appendf(nil, `{"id":1,"subscribe":{"filters":[%q],"form":%q,"delivery":%q,"rate":%v}}`, t.filter(), t.Form, t.Delivery, t.FrameRate)

	if t.Wire == wireProto {
		subprotocol, kind, command = subprotocolProto, websocket.BinaryMessage, subscribeCommand(t)
	}

	conn, err := d.webSocket(ctx, t.URL, []string{subprotocol}, t.Compress, small)
	if err != nil {
		return nil, err
	}

	if err := converse(conn, kind, command); err != nil {
		_ = conn.Close()

		return nil, fmt.Errorf("subscribe at %s: %w", t.URL, err)
	}

	return conn, nil
}

// filter is what the subscribers subscribe to.
func (t *Target) filter() string { return t.Prefix + "/#" }

// subscribeCommand is the command in protobuf.
func subscribeCommand(t *Target) []byte {
	form, delivery := uint64(formEvents), uint64(deliveryEvery)
	if t.Form == formValues {
		form = formOfValues
	}

	if t.Delivery == delivLatest {
		delivery = deliveryOfLatest
	}

	var s []byte

	s = protowire.AppendTag(s, subscribeFilters, protowire.BytesType)
	s = protowire.AppendString(s, t.filter())
	s = protowire.AppendTag(s, subscribeForm, protowire.VarintType)
	s = protowire.AppendVarint(s, form)
	s = protowire.AppendTag(s, subscribeDelivery, protowire.VarintType)
	s = protowire.AppendVarint(s, delivery)
	s = protowire.AppendTag(s, subscribeRate, protowire.Fixed64Type)
	s = protowire.AppendFixed64(s, math.Float64bits(t.FrameRate))

	var c []byte

	c = protowire.AppendTag(c, commandID, protowire.VarintType)
	c = protowire.AppendVarint(c, 1)
	c = protowire.AppendTag(c, commandSubscribe, protowire.BytesType)

	return protowire.AppendBytes(c, s)
}

// converse sends the command and waits for its reply.
func converse(conn *websocket.Conn, kind int, command []byte) error {
	_ = conn.SetReadDeadline(time.Now().Add(connectTimeout))

	if err := conn.WriteMessage(kind, command); err != nil {
		return err
	}

	for {
		_, reply, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("no reply: %w", err)
		}

		switch text, subscribed := replyOf(reply, kind == websocket.BinaryMessage); {
		case subscribed:
			return conn.SetReadDeadline(time.Time{})
		case text != "":
			return fmt.Errorf("refused: %s", text)
		}
	}
}

// replyOf reports whether a message says that the subscription is, or why not; neither if it is another message.
func replyOf(message []byte, proto bool) (refusal string, subscribed bool) {
	if !proto {
		if bytes.Contains(message, []byte(`"error":{`)) {
			return string(message[:min(len(message), 300)]), false
		}

		return "", bytes.Contains(message, []byte(`"subscribed":{`))
	}

	if e, ok := field(message, messageError); ok {
		text, _ := field(e, errorText)

		return string(text), false
	}

	_, subscribed = field(message, messageSubscribed)

	return "", subscribed
}

// field returns the bytes of a protobuf message's field.
func field(message []byte, number protowire.Number) ([]byte, bool) {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, false
		}

		message = message[n:]
		size := protowire.ConsumeFieldValue(num, typ, message)

		if size < 0 {
			return nil, false
		}

		if num == number {
			if typ == protowire.BytesType {
				value, _ := protowire.ConsumeBytes(message)

				return value, true
			}

			return message[:size], true
		}

		message = message[size:]
	}

	return nil, false
}

// longestGap is more bytes than a message that says a gap takes.
const longestGap = 1 << 10

// gapOf reports how many events a message of the stream says are left out; message is its beginning, or all of it.
func gapOf(message []byte, proto bool) (events int64, ok bool) {
	if proto {
		gap, ok := field(message, messageGap)
		if !ok {
			return 0, false
		}

		value, _ := field(gap, gapEvents)
		n, _ := protowire.ConsumeVarint(value)

		return int64(n), true
	}

	// It stands at the beginning: a payload that holds the same words does not.
	head := message[:min(len(message), len(`{"room":18446744073709551615,"gap":{`))]
	if !bytes.Contains(head, []byte(`,"gap":{`)) {
		return 0, false
	}

	_, rest, _ := bytes.Cut(message, []byte(`"events":`))
	events, _ = digits(rest)

	return max(events, 0), true
}

// subscribeRaw opens a WebSocket and says what is to be said there.
func (d *dialer) subscribeRaw(ctx context.Context, small bool) (*websocket.Conn, error) {
	t := d.target

	var subprotocols []string
	if t.Subprotocol != "" {
		subprotocols = []string{t.Subprotocol}
	}

	conn, err := d.webSocket(ctx, t.URL, subprotocols, t.Compress, small)
	if err != nil {
		return nil, err
	}

	for _, text := range t.Hello {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			_ = conn.Close()

			return nil, fmt.Errorf("--hello at %s: %w", t.URL, err)
		}
	}

	return conn, nil
}

// closing describes the end of a connection.
func closing(err error) string {
	if c, ok := errors.AsType[*websocket.CloseError](err); ok {
		return fmt.Sprintf("closed with %d %s", c.Code, c.Text)
	}

	return err.Error()
}

package mqtt3

import (
	"github.com/gorilla/websocket"

	"pulso/test/conformance/wire"
)

// dialWebSocket is a client on WebSocket that has said nothing yet, at MQTT 3.1.1.
func (e *env) dialWebSocket() *wire.Client {
	e.Helper()
	c := wire.DialWebSocket(e, e.ws)
	c.Version = wire.V311
	return c
}

func websocketBinary(e *env) {
	e.run("text before CONNECT", func(e *env) {
		c := e.dialWebSocket()
		_ = c.WebSocket().WriteMessage(websocket.TextMessage, e.connect().Bytes(0))
		c.ExpectClose()
	})
	e.run("text after CONNECT", func(e *env) {
		c := e.dialWebSocket()
		c.Connect(e.connect())
		_ = c.WebSocket().WriteMessage(websocket.TextMessage, wire.PingReq())
		c.ExpectClose()
	})
	e.run("will", func(e *env) {
		sub := e.subscriber(1, e.topic("will"))
		c := e.dialWebSocket()
		c.Connect(e.connect(leaving(&wire.Will{Topic: e.topic("will"), Payload: "gone", QoS: 1})))
		_ = c.WebSocket().WriteMessage(websocket.TextMessage, []byte("hello"))
		c.ExpectClose()
		sub.ReceiveMessage(e.topic("will"), "gone")
	})
}

func websocketAlignment(e *env) {
	topic := e.topic("a")
	packets := func() []byte {
		return wire.Cat(
			e.connect().Bytes(0),
			(&wire.Subscribe{ID: 1, Filters: filters(2, topic)}).Bytes(wire.V311),
			(&wire.Publish{Topic: topic, Payload: "x", QoS: 1, ID: 2}).Bytes(wire.V311),
		)
	}
	check := func(c *wire.Client) {
		c.ExpectCode(wire.CONNACK, 0)
		c.Await(wire.SUBACK, 1)
		c.Await(wire.PUBACK, 2)
		c.ReceiveMessage(topic, "x")
		c.ExpectNothing()
		c.Disconnect(0)
	}
	one := e.dialWebSocket()
	for _, b := range packets() {
		one.SendRaw(b) // one frame each
	}
	check(one)
	all := e.dialWebSocket()
	all.SendRaw(packets()...)
	check(all)
	fragments := e.dialWebSocket()
	w, err := fragments.WebSocket().NextWriter(websocket.BinaryMessage)
	if err != nil {
		e.Fatal(err)
	}
	_, _ = w.Write(packets())
	_ = w.Close()
	check(fragments)
	empty := e.dialWebSocket()
	empty.SendRaw()
	empty.SendRaw(packets()...)
	check(empty)
}

func websocketSubprotocol(e *env) {
	for what, offered := range map[string][]string{
		"mqtt":                 {"mqtt"},
		"mqtt and the old one": {"mqttv3.1", "mqtt"},
		"others first":         {"chat", "mqtt", "x"},
	} {
		e.run(what, func(e *env) {
			ws, res, err := (&websocket.Dialer{Subprotocols: offered, HandshakeTimeout: wire.Patience}).Dial(e.ws, nil)
			if err != nil {
				e.Fatalf("dial %s: %v", e.ws, err)
			}
			defer ws.Close()
			_ = res.Body.Close()
			if got := ws.Subprotocol(); got != "mqtt" {
				e.Fatalf("mqtt wanted, got %q", got)
			}
		})
	}
}

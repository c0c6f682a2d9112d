package mqtt5

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"pulso/test/conformance/wire"
)

// webSocket connects over WebSocket and wants to be accepted.
func (s *suite) webSocket(name string) *wire.Client {
	s.Helper()
	c := wire.DialWebSocket(s, "ws://"+s.hub.HTTP+"/mqtt")
	c.Connect(&wire.Connect{ClientID: s.id(name)})
	return c
}

func transports(s *suite) {
	tcp, ws := s.client("a"), s.webSocket("b")
	for _, c := range []*wire.Client{tcp, ws} {
		c.Subscribe(s.topic("x"), 2)
	}
	for i, c := range []*wire.Client{tcp, ws} {
		payload := strings.Repeat("x", 100_000+i)
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: payload, QoS: 2})
		tcp.ReceiveMessage(s.topic("x"), payload)
		ws.ReceiveMessage(s.topic("x"), payload)
	}
	ws.Disconnect(0)
}

// webSocketText sends a packet in a text frame; that the server's own frames are binary the client sees to.
func webSocketText(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 0)
	c := s.webSocket("a")
	_ = c.WebSocket().WriteMessage(websocket.TextMessage, (&wire.Publish{Topic: s.topic("x")}).Bytes(wire.V5))
	c.Version = wire.V311 // whether a DISCONNECT comes first is the server's choice
	for {
		if _, err := c.Read(wire.Patience); err != nil {
			break
		}
	}
	watcher.ExpectNoMessage()

	first := wire.DialWebSocket(s, "ws://"+s.hub.HTTP+"/mqtt")
	_ = first.WebSocket().WriteMessage(websocket.TextMessage, (&wire.Connect{}).Bytes(0))
	first.ExpectClose()
}

// webSocketFrames sends packets byte by byte, in halves, several in one frame and with empty frames between.
func webSocketFrames(s *suite) {
	c := wire.DialWebSocket(s, "ws://"+s.hub.HTTP+"/mqtt")
	for _, b := range (&wire.Connect{ClientID: s.id("a")}).Bytes(0) {
		c.SendRaw(b)
	}
	c.ExpectCode(wire.CONNACK, 0)
	c.Subscribe(s.topic("x"), 0)
	c.SendRaw()
	packet := (&wire.Publish{Topic: s.topic("x"), Payload: "1"}).Bytes(wire.V5)
	c.SendRaw(wire.Cat(packet, packet, packet[:7])...)
	c.SendRaw()
	c.SendRaw(wire.Cat(packet[7:], packet[:1])...)
	c.SendRaw(packet[1:2]...)
	c.SendRaw(packet[2:]...)
	c.ExpectMessages("1", "1", "1", "1")

	// One packet in a message of several WebSocket frames.
	w, err := c.WebSocket().NextWriter(websocket.BinaryMessage)
	if err != nil {
		s.Fatal(err)
	}
	large := strings.Repeat("x", 20_000) // more than gorilla puts into a frame
	if _, err := w.Write((&wire.Publish{Topic: s.topic("x"), Payload: large}).Bytes(wire.V5)); err != nil {
		s.Fatal(err)
	}
	if err := w.Close(); err != nil {
		s.Fatal(err)
	}
	c.ReceiveMessage(s.topic("x"), large)
}

// webSocketSubprotocol offers mqtt alone, among others, and not at all. The client checks which one was selected.
func webSocketSubprotocol(s *suite) {
	s.webSocket("a").ExpectNothing()
	for offer, want := range map[string]string{"mqtt": "mqtt", "other,mqtt": "mqtt", "mqtt,mqttv3.1": "mqtt"} {
		s.Run(offer, func(t *testing.T) {
			ws, res, err := (&websocket.Dialer{Subprotocols: strings.Split(offer, ",")}).Dial("ws://"+s.hub.HTTP+"/mqtt", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			_ = res.Body.Close()
			if ws.Subprotocol() != want {
				t.Errorf("selected %q", ws.Subprotocol())
			}
		})
	}
	// Who does not offer it is not told that it was selected.
	for _, offer := range [][]string{nil, {"other"}} {
		ws, res, err := (&websocket.Dialer{Subprotocols: offer}).Dial("ws://"+s.hub.HTTP+"/mqtt", nil)
		if err != nil {
			continue // refused
		}
		_ = res.Body.Close()
		if ws.Subprotocol() != "" {
			s.Errorf("offered %q, selected %q", offer, ws.Subprotocol())
		}
		ws.Close()
	}
}

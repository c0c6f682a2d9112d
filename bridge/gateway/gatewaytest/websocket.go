package gatewaytest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/ws"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// WebSocket is the transport of package ws, in one of its encodings.
func WebSocket(e wire.Encoding) Factory {
	return Factory{
		Name: "WebSocket " + e.String(),
		Service: Service{Name: "ws", Serve: func(mux *http.ServeMux, g *gateway.Gateway, l Limits) func(context.Context) error {
			h := ws.New(ws.Config{Gateway: g, WriteTimeout: l.Write})
			mux.Handle("/ws", h)
			return h.Run
		}},
		Dial: func(h *Hub) (Client, error) {
			d := websocket.Dialer{Subprotocols: []string{wire.Subprotocols[e]}, NetDialContext: dialSmall, HandshakeTimeout: patience}
			conn, resp, err := d.Dial("ws://"+h.Addr+"/ws", nil)
			if err != nil {
				return nil, err
			}
			return &webSocket{conn: conn, encoding: e}, resp.Body.Close()
		},
	}
}

// receiveBuffer is how much of what a client does not read the kernel takes for it.
const receiveBuffer = 64 << 10

// dialSmall connects with a small receive buffer, so that a client that does not read is soon seen to.
func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, addr)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(receiveBuffer)
	}
	return c, err
}

// cutConn resets a connection.
func cutConn(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

type webSocket struct {
	conn     *websocket.Conn
	encoding wire.Encoding
}

func (c *webSocket) Cut() { cutConn(c.conn.NetConn()) }

func (c *webSocket) Send(command string) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if c.encoding == wire.Proto {
		// What can't be said in the binary form goes as the text that it is.
		if p := protoCommand(command); p != nil {
			raw, err := proto.Marshal(p)
			if err != nil {
				return err
			}
			return c.conn.WriteMessage(websocket.BinaryMessage, raw)
		}
	}
	return c.conn.WriteMessage(websocket.TextMessage, []byte(command))
}

func (c *webSocket) Receive() (Message, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	kind, raw, err := c.conn.ReadMessage()
	if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
		return Message{}, &ClosedError{wire.CloseCode(closed.Code)}
	}
	switch {
	case err != nil:
		return Message{}, err
	case kind == websocket.BinaryMessage:
		return FromProtoBytes(raw)
	default:
		return FromJSON(raw)
	}
}

// protoCommand is a good command as a message of the proto; nil for one that is not good.
func protoCommand(command string) *pulsov1.Command {
	c, bad := wire.JSON.ParseCommand([]byte(command))
	if bad != nil {
		return nil
	}
	p := &pulsov1.Command{Id: c.ID}
	switch {
	case c.Hello != nil:
		p.Command = &pulsov1.Command_Hello{Hello: &pulsov1.Hello{Client: c.Hello.Client, Name: c.Hello.Name}}
	case c.Subscribe != nil:
		p.Command = &pulsov1.Command_Subscribe{Subscribe: protoSubscribe(c.Subscribe)}
	case c.Unsubscribe != nil:
		p.Command = &pulsov1.Command_Unsubscribe{Unsubscribe: &pulsov1.Unsubscribe{Room: c.Unsubscribe.Room}}
	case c.Publish != nil:
		body := &pulsov1.Publish_PayloadBase64{PayloadBase64: c.Publish.Body}
		p.Command = &pulsov1.Command_Publish{Publish: &pulsov1.Publish{
			Topic: c.Publish.Topic, Body: body, Qos: uint32(c.Publish.QoS), Retain: c.Publish.Retain,
		}}
	case c.Painted != nil:
		p.Command = &pulsov1.Command_Painted{Painted: &pulsov1.Painted{Counts: c.Painted.Counts}}
	case c.Change != nil:
		p.Command = &pulsov1.Command_Change{Change: &pulsov1.Change{Room: c.Change.Room, Subscribe: protoSubscribe(c.Change.Subscribe)}}
	default:
		p.Command = &pulsov1.Command_Ping{Ping: &pulsov1.Ping{}}
	}
	return p
}

func protoSubscribe(s *wire.Subscribe) *pulsov1.Subscribe {
	return &pulsov1.Subscribe{
		Filters: s.Filters, Form: pulsov1.Form(s.Form), Delivery: pulsov1.Delivery(s.Delivery), Rate: s.Rate, From: s.FromText,
		History: uint32(s.History), Devices: s.Devices, Viewers: s.Viewers,
	}
}

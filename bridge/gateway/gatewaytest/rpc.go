package gatewaytest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/rpc"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
	"pulso/internal/gen/pulso/v1/pulsov1connect"
)

// calls is the service of package rpc.
var calls = Service{Name: "rpc", Serve: func(mux *http.ServeMux, g *gateway.Gateway, l Limits) func(context.Context) error {
	h := rpc.New(rpc.Config{Gateway: g, WriteTimeout: l.Write})
	mux.Handle(rpc.Path, h)
	return h.Run
}}

// RPC is the stream Session of package rpc, over gRPC or Connect.
func RPC(protocol string, options ...connect.ClientOption) Factory {
	return Factory{Name: "Session over " + protocol, Service: calls, Dial: func(h *Hub) (Client, error) {
		c := newCall(h, options)
		c.session = c.client.Session(c.ctx)
		return c, nil
	}}
}

// RPCSubscribe is the stream Subscribe of package rpc.
func RPCSubscribe(protocol string, options ...connect.ClientOption) Factory {
	return Factory{Name: "Subscribe over " + protocol, Service: calls, Single: true, Dial: func(h *Hub) (Client, error) {
		return newCall(h, options), nil
	}}
}

// call is a client of one stream on a connection of its own.
type call struct {
	client  pulsov1connect.StreamServiceClient
	http    *http.Transport
	ctx     context.Context //nolint:containedctx // the life of the stream
	cancel  context.CancelFunc
	session *connect.BidiStreamForClient[pulsov1.SessionRequest, pulsov1.SessionResponse]
	stream  *connect.ServerStreamForClient[pulsov1.SubscribeResponse]

	mu   sync.Mutex
	conn net.Conn

	reading bool
	came    chan came
}

// came is what a stream has brought.
type came struct {
	message *pulsov1.Message
	err     error
}

func newCall(h *Hub, options []connect.ClientOption) *call {
	c := &call{came: make(chan came)}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	c.http = &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialSmall(ctx, network, addr)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conn = conn
		return conn, err
	}, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: receiveBuffer, MaxReceiveBufferPerConnection: receiveBuffer}}
	c.client = pulsov1connect.NewStreamServiceClient(&http.Client{Transport: c.http}, "http://"+h.Addr, options...)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *call) Cut() {
	c.mu.Lock()
	if c.conn != nil {
		cutConn(c.conn)
	}
	c.mu.Unlock()
	c.cancel()
	c.http.CloseIdleConnections()
}

func (c *call) Send(command string) error {
	p := anyCommand(command)
	if c.session != nil {
		return c.session.Send(&pulsov1.SessionRequest{Command: p})
	}
	if c.stream != nil {
		return errors.New("the call has its one request")
	}
	var err error
	c.stream, err = c.client.Subscribe(c.ctx, connect.NewRequest(&pulsov1.SubscribeRequest{Subscribe: p.GetSubscribe()}))
	return err
}

// anyCommand is a command, good or not, as a message of the proto. What that cannot say, a field that nobody knows stands for.
func anyCommand(command string) *pulsov1.Command {
	var c wire.Command
	strict := json.NewDecoder(strings.NewReader(command))
	strict.DisallowUnknownFields()
	err := strict.Decode(&c)
	p := &pulsov1.Command{Id: c.ID}
	switch {
	case err != nil, c.Ping != nil && c.Hello != nil:
		p.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	case c.Subscribe != nil:
		p.Command = &pulsov1.Command_Subscribe{Subscribe: anySubscribe(c.Subscribe)}
	case c.Change != nil:
		p.Command = &pulsov1.Command_Change{Change: &pulsov1.Change{Room: c.Change.Room, Subscribe: anySubscribe(c.Change.Subscribe)}}
	case c.Painted != nil:
		p.Command = &pulsov1.Command_Painted{Painted: &pulsov1.Painted{Counts: c.Painted.Counts}}
	case c.Publish != nil:
		publish := &pulsov1.Publish{Topic: c.Publish.Topic, Qos: uint32(c.Publish.QoS), Retain: c.Publish.Retain}
		switch {
		case c.Publish.Payload != nil:
			publish.Body = &pulsov1.Publish_Payload{Payload: string(c.Publish.Payload)}
		case c.Publish.Text != nil:
			publish.Body = &pulsov1.Publish_PayloadText{PayloadText: *c.Publish.Text}
		case c.Publish.Base64 != nil:
			if raw, err := base64.StdEncoding.DecodeString(*c.Publish.Base64); err == nil {
				publish.Body = &pulsov1.Publish_PayloadBase64{PayloadBase64: raw}
			}
		}
		p.Command = &pulsov1.Command_Publish{Publish: publish}
	default:
		return protoCommand(command)
	}
	return p
}

// anySubscribe has numbers that nobody knows for forms and deliveries that are none.
func anySubscribe(s *wire.Subscribe) *pulsov1.Subscribe {
	form, known := wire.ParseForm(s.FormName)
	if !known {
		form = 99
	}
	delivery := map[string]pulsov1.Delivery{"": 0, "every": 1, "latest": 2, "some": 99}[s.DeliveryName]
	return &pulsov1.Subscribe{
		Filters: s.Filters, Form: pulsov1.Form(form), Delivery: delivery, Rate: s.Rate, From: s.FromText,
		History: uint32(s.History), Devices: s.Devices, Viewers: s.Viewers,
	}
}

func (c *call) next() (*pulsov1.Message, error) {
	if c.session != nil {
		m, err := c.session.Receive()
		return m.GetMessage(), err
	}
	if !c.stream.Receive() {
		return nil, c.stream.Err()
	}
	return c.stream.Msg().GetMessage(), nil
}

// Receive waits for what the one goroutine that reads brings; it reads only when it is asked to.
func (c *call) Receive() (Message, error) {
	if !c.reading {
		c.reading = true
		go func() {
			m, err := c.next()
			select {
			case c.came <- came{m, err}:
			case <-c.ctx.Done():
			}
		}()
	}
	select {
	case got := <-c.came:
		c.reading = false
		if got.err != nil {
			return farewell(got.err)
		}
		return FromProto(got.message)
	case <-time.After(patience):
		return Message{}, context.DeadlineExceeded
	}
}

// farewell is what the status of a call says: the close code, or an error as the reply to command 1.
func farewell(err error) (Message, error) {
	status := (*connect.Error)(nil)
	if !errors.As(err, &status) {
		return Message{}, err
	}
	if code, bad := strconv.Atoi(status.Meta().Get(rpc.CloseCode)); bad == nil {
		return Message{}, &ClosedError{wire.CloseCode(code)}
	}
	for _, d := range status.Details() {
		if v, bad := d.Value(); bad == nil {
			if e, ok := v.(*pulsov1.Error); ok {
				return Message{ID: 1, Error: &Error{e.GetCode(), e.GetMessage(), e.GetRetry()}}, nil
			}
		}
	}
	return Message{}, err
}

package ws

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// Bounds of clients that have not said yet who they are: how many there are at one time, in all and from one address, how long they may
// take, and how many bytes their first message may have.
const (
	maxStrangers  = 1024
	maxOfAddress  = 64
	helloTimeout  = 5 * time.Second
	maxHello      = 32 << 10
	strangersFull = "too many clients have not said yet who they are: come back, or send a token with the handshake"
)

// A lobby is where connections wait whose client has not said yet who it is.
type lobby struct {
	mu        sync.Mutex
	strangers int
	addresses map[string]int
	waiting   map[*conn]struct{}
	closed    bool
}

func newLobby() *lobby {
	return &lobby{addresses: make(map[string]int), waiting: make(map[*conn]struct{})}
}

// enter lets somebody in from an address, unless there are too many; leave has to follow.
func (l *lobby) enter(remote string) (leave func(), ok bool) {
	address, _, err := net.SplitHostPort(remote)
	if err != nil {
		address = remote
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strangers >= maxStrangers || l.addresses[address] >= maxOfAddress {
		return nil, false
	}
	l.strangers++
	l.addresses[address]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.strangers--
		if l.addresses[address]--; l.addresses[address] == 0 {
			delete(l.addresses, address)
		}
	}, true
}

// wait gives a connection its time to say who it is; false: the lobby is closed. forget has to follow.
func (l *lobby) wait(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.waiting[c] = struct{}{}
	_ = c.ws.SetReadDeadline(time.Now().Add(helloTimeout))
	return true
}

// forget takes a connection out, and reports whether the lobby has been closed meanwhile.
func (l *lobby) forget(c *conn) (closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, c)
	return l.closed
}

// close sends away who waits, and who comes.
func (l *lobby) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.waiting {
		_ = c.ws.SetReadDeadline(time.Now())
	}
}

// meet waits for the hello of a client and finds out by it who that is. code is what the connection is to be closed with where that
// is nobody; the client has then been told why.
func (h *Handler) meet(ctx context.Context, c *conn, client *gateway.Client, introduce gateway.Introduction) (hello wire.Command, code wire.CloseCode) {
	ignore := func(string) error { return nil }
	c.ws.SetPingHandler(ignore)
	c.ws.SetPongHandler(ignore)
	c.ws.SetCloseHandler(func(int, string) error { return nil })
	if !h.lobby.wait(c) {
		return hello, wire.CloseShutdown
	}
	hello, bad := firstCommand(c.ws, client.Encoding)
	if h.lobby.forget(c) {
		return hello, wire.CloseShutdown
	}
	token := ""
	if bad == nil && hello.Hello != nil {
		token = hello.Hello.Token
	}
	who, denied := introduce(ctx, token) // who has none is counted there
	if bad == nil {
		bad = denied
	}
	if bad != nil {
		_ = c.Write([]*wire.Message{client.Encoding.Error(hello.ID, bad)}) // whether the client hears it is beyond us
		return hello, wire.CloseUnauthorized
	}
	client.Person, client.Scope = gateway.PersonOf(who), event.ScopeOf(who)
	return hello, 0
}

// firstCommand is the first thing that a client says.
func firstCommand(ws *websocket.Conn, e wire.Encoding) (c wire.Command, bad *wire.Error) {
	kind, r, err := ws.NextReader()
	if err != nil {
		return c, wire.Errorf(wire.CodeUnauthorized, "no hello came within %v", helloTimeout)
	}
	in := encodingOf(kind)
	message, err := io.ReadAll(io.LimitReader(r, maxHello+1))
	switch {
	case err != nil:
		return c, wire.Errorf(wire.CodeUnauthorized, "no hello came within %v", helloTimeout)
	case len(message) > maxHello:
		return c, wire.Errorf(wire.CodeTooLarge, "a hello is not larger than %d bytes", maxHello)
	case in > e:
		return c, wire.Errorf(wire.CodeBadCommand, "the subprotocol is that of JSON")
	}
	return in.ParseCommand(message)
}

// encodingOf is what a message of a kind is written in: a text is a command in JSON, in the binary form, too: people can type that.
func encodingOf(kind int) wire.Encoding {
	if kind == websocket.BinaryMessage {
		return wire.Proto
	}
	return wire.JSON
}

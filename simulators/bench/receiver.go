package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// A tally is what all receivers of a run count together.
type tally struct {
	received  atomic.Int64 // events that came, of whatever time
	delivered atomic.Int64 // different events of the measured time
	kept      atomic.Int64 // of them, those that came to receivers which never stop reading
	doublets  atomic.Int64
	late      atomic.Int64
	strange   atomic.Int64
	frames    atomic.Int64
	bytes     atomic.Int64
	gaps      atomic.Int64
	gapEvents atomic.Int64
	broken    atomic.Int64
	values    atomic.Int64 // of the values form
	standFor  atomic.Int64 // that they stand for

	before histogram // latencies of events due before the switch
	after  histogram // and after; the same time where there is no switch
}

// A span is the measured time, in nanoseconds since the Unix epoch; at the change, slow receivers stop reading.
type span struct{ from, change, to atomic.Int64 }

func (s *span) holds(due int64) bool { return due >= s.from.Load() && due < s.to.Load() }

// A receiver is one subscriber.
type receiver struct {
	tally *tally
	span  *span
	clock func() int64
	track *tracker
	scan  scanner
	slow  *gate // nil: it always reads
	count bool  // events can be told apart
	buf   int   // bytes to read at once

	now   int64 // of the read being looked at
	got   local
	end   error // why it ended
	broke bool  // before its time

	mu    sync.Mutex // guards writing
	conn  net.Conn   // MQTT, or nil
	ws    *websocket.Conn
	proto bool
}

// A local is what has been counted since it was last added to the tally.
type local struct{ received, delivered, doublets, late int64 }

// subscribe connects and returns when it will get all that is published from now on.
func (r *receiver) subscribe(ctx context.Context, d *dialer, id string, qos int) error {
	var err error

	small := r.slow != nil

	switch d.target.Via {
	case viaStream:
		r.proto = d.target.Wire == wireProto
		r.ws, err = d.subscribeStream(ctx, small)
	case viaRaw:
		r.ws, err = d.subscribeRaw(ctx, small)
	default:
		if r.conn, err = d.mqtt(ctx, d.target.URL, id, small); err != nil {
			return err
		}

		if err = subscribeMQTT(r.conn, d.target.filter(), qos); err != nil {
			_ = r.conn.Close()
			err = fmt.Errorf("MQTT to %s: %w", d.target.URL, err)
		}
	}

	return err
}

// run receives until the connection ends.
func (r *receiver) run() {
	r.scan.found = r.found

	if r.ws != nil {
		r.end = r.runWebSocket()
	} else {
		r.end = r.runMQTT()
	}

	r.flush()
	r.tally.strange.Add(r.scan.strange)
}

// close ends the connection, and with it run.
func (r *receiver) close() {
	if r.ws != nil {
		_ = r.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		_ = r.ws.Close()
	} else if r.conn != nil {
		r.write([]byte{typeDisconnect, 0})
		_ = r.conn.Close()
	}
}

// ping keeps an MQTT connection alive. WebSockets answer the server's pings.
func (r *receiver) ping() {
	if r.conn != nil {
		r.write([]byte{typePing, 0})
	}
}

// writeTimeout is how long a server may take nothing of what a subscriber says.
const writeTimeout = 5 * time.Second

// write sends to an MQTT server. What fails here fails the reader, too.
func (r *receiver) write(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()

	_ = r.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = r.conn.Write(b)
}

func (r *receiver) runMQTT() error {
	reader := &packetReader{conn: r.conn, buf: make([]byte, r.buf)}

	var acks []byte

	for {
		r.slow.pass()

		if err := reader.fill(); err != nil {
			return err
		}

		r.now = r.clock()
		acks = acks[:0]

		for {
			first, body, ok, err := reader.next()
			if err != nil {
				return err
			}

			if !ok {
				break
			}

			r.tally.frames.Add(1)

			if first&typeMask != typePublish {
				continue
			}

			payload, id, err := publishPayload(first, body)
			if err != nil {
				return err
			}

			r.scan.scan(payload, true)

			if id != 0 {
				acks = append(acks, typePubAck, 2, byte(id>>8), byte(id))
			}
		}

		r.flush()

		if len(acks) > 0 {
			r.write(acks)
		}
	}
}

func (r *receiver) runWebSocket() error {
	buf := make([]byte, r.buf)

	var whole bytes.Buffer

	for {
		r.slow.pass()

		_, message, err := r.ws.NextReader()
		if err != nil {
			return err
		}

		r.tally.frames.Add(1)

		if r.count {
			err = r.message(message, buf)
		} else {
			err = r.valuesMessage(message, &whole)
		}

		if err != nil {
			return err
		}
	}
}

// message takes in one WebSocket message, a piece at a time.
func (r *receiver) message(message io.Reader, buf []byte) error {
	keep, first := 0, true

	for {
		r.slow.pass()

		n, err := message.Read(buf[keep:])
		data := buf[:keep+n]
		last := errors.Is(err, io.EOF)

		if err != nil && !last {
			return err
		}

		if first && n > 0 {
			r.gap(data)
		}

		first = first && n == 0
		r.now = r.clock()

		keep = copy(buf, data[len(data)-r.scan.scan(data, last):])
		r.flush()

		if last {
			return nil
		}
	}
}

// valuesMessage takes in one message of the values form.
func (r *receiver) valuesMessage(message io.Reader, whole *bytes.Buffer) error {
	whole.Reset()

	if _, err := whole.ReadFrom(io.LimitReader(message, maxMessage)); err != nil {
		return err
	}

	r.gap(whole.Bytes())

	values, standFor := valuesIn(whole.Bytes(), r.proto)
	r.tally.values.Add(values)
	r.tally.standFor.Add(standFor)

	return nil
}

// maxMessage is how many bytes of a message of values are looked at.
const maxMessage = 16 << 20

// gap looks whether a message of the stream says that events were left out.
func (r *receiver) gap(data []byte) {
	if len(data) > longestGap {
		return
	}

	if events, ok := gapOf(data, r.proto); ok {
		r.tally.gaps.Add(1)
		r.tally.gapEvents.Add(events)
	}
}

// found takes in one event.
func (r *receiver) found(s stamp) {
	r.got.received++
	verdict := r.track.note(s.device, s.seq)

	if !r.span.holds(s.due) {
		return
	}

	switch verdict {
	case doublet:
		r.got.doublets++

		return
	case late:
		r.got.late++
	case inOrder:
	}

	r.got.delivered++

	if r.slow != nil {
		return
	}

	latency := time.Duration(r.now - s.due)
	if s.due < r.span.change.Load() {
		r.tally.before.add(latency)
	} else {
		r.tally.after.add(latency)
	}
}

// flush adds what was counted to the tally.
func (r *receiver) flush() {
	if r.got == (local{}) {
		return
	}

	r.tally.received.Add(r.got.received)
	r.tally.delivered.Add(r.got.delivered)
	r.tally.doublets.Add(r.got.doublets)
	r.tally.late.Add(r.got.late)

	if r.slow == nil {
		r.tally.kept.Add(r.got.delivered)
	}

	r.got = local{}
}

// A gate stops those that pass it while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when it opens; nil while it is open
}

func (g *gate) pass() {
	if g == nil {
		return
	}

	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()

	if shut != nil {
		<-shut
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// An output is what all publishers of a run count together.
type output struct {
	sent   atomic.Int64 // of whatever time
	inSpan atomic.Int64 // of the measured time
	acked  atomic.Int64
	unsent atomic.Int64 // due in the measured time, and not sent in it

	lag    histogram // from due to handed to the socket, of the measured time
	acking histogram // from due to the acknowledgement, of the measured time
}

// A publisher is one connection that publishes for every step-th device from index on.
type publisher struct {
	out   *output
	span  *span
	clock func() int64
	load  *Load
	run   uint32
	index int
	topic string        // above the devices
	end   error         // why it could not write; nil: it could
	lost  atomic.Bool   // its connection broke
	gone  chan struct{} // closed when nothing will be acknowledged any more
	done  atomic.Bool   // publish has ended

	conn   net.Conn
	w      *bufio.Writer
	seqs   []uint32 // of each of its devices the last sent
	packet []byte
	next   int // its device of the next message

	// At QoS 1, free holds the packet ids that are not in use.
	free   chan uint16
	mu     sync.Mutex
	flight []flying // by packet id; seq 0 is none
}

// flying is a message that waits for its acknowledgement.
type flying struct {
	device int32
	seq    uint32
	due    int64
}

// lateEnd is how long after the end a publisher still sends what was due before.
const lateEnd = int64(100 * time.Millisecond)

var errStrangeAck = errors.New("an acknowledgement came of a packet id that is not in flight")

func newPublisher(p *publisher) *publisher {
	p.gone = make(chan struct{})
	own := (p.load.Devices - p.index + p.load.Publishers - 1) / p.load.Publishers
	p.seqs = make([]uint32, own)

	if p.load.QoS > 0 {
		p.flight = make([]flying, p.load.Window+1)
		p.free = make(chan uint16, p.load.Window)

		for id := range p.load.Window {
			p.free <- uint16(id + 1)
		}
	}

	return p
}

// connect opens the connection.
func (p *publisher) connect(ctx context.Context, d *dialer, id string) error {
	conn, err := d.mqtt(ctx, d.target.MQTT, id, false)
	if err != nil {
		return err
	}

	p.conn, p.w = conn, bufio.NewWriterSize(conn, 16<<10)

	return nil
}

// publish publishes from start (nanoseconds since the Unix epoch) to the end of the span, or until ctx ends.
func (p *publisher) publish(ctx context.Context, start int64) {
	defer p.done.Store(true)

	var err error
	if p.load.Rate == 0 {
		err = p.flatOut(ctx, start)
	} else {
		err = p.paced(ctx, start)
	}

	if err == nil {
		err = p.w.Flush()
	}

	if err != nil && !errors.Is(err, context.Canceled) {
		p.end = err
	}
}

// flatOut publishes as fast as the connection, and at QoS 1 the window, let it.
func (p *publisher) flatOut(ctx context.Context, start int64) error {
	if err := p.wait(ctx, start); err != nil {
		return err
	}

	for {
		now := p.clock()
		if now >= p.span.to.Load() || ended(ctx) {
			return nil
		}

		if err := p.send(ctx, now); err != nil {
			return err
		}
	}
}

// paced publishes each message when it is due, or as soon after as it can.
func (p *publisher) paced(ctx context.Context, start int64) error {
	due := func(k int64) int64 {
		turn := float64(k)*float64(p.load.Publishers) + float64(p.index)

		after := int64(math.Round(turn * float64(time.Second) / float64(p.load.Rate)))
		if bunch := int64(p.load.Bunch); bunch > 0 {
			after = (after + bunch - 1) / bunch * bunch
		}

		return start + after
	}

	for k := int64(0); ; {
		now, end := p.clock(), p.span.to.Load()

		for ; due(k) <= now && due(k) < end; k++ {
			if p.clock() >= end+lateEnd || ended(ctx) {
				p.giveUp(due, k)

				return nil
			}

			if err := p.send(ctx, due(k)); err != nil {
				p.giveUp(due, k)

				return err
			}
		}

		if due(k) >= end {
			return nil
		}

		if err := p.w.Flush(); err != nil {
			return err
		}

		if err := p.wait(ctx, due(k)); err != nil {
			return err
		}
	}
}

// ended reports whether the publisher is asked to end.
func ended(ctx context.Context) bool { return ctx.Err() != nil }

// giveUp counts the messages from the k-th on that were due in the measured time and will not be sent.
func (p *publisher) giveUp(due func(int64) int64, k int64) {
	for now := p.clock(); due(k) < p.span.to.Load() && due(k) <= now; k++ {
		if p.span.holds(due(k)) {
			p.out.unsent.Add(1)
		}
	}
}

// send writes one message; at QoS 1 it waits for a place in the window.
func (p *publisher) send(ctx context.Context, due int64) error {
	var id uint16

	if p.free != nil {
		var err error
		if id, err = p.take(ctx); err != nil {
			return err
		}
	}

	device := int32(p.index + p.next*p.load.Publishers)
	p.seqs[p.next]++
	s := stamp{due: due, seq: p.seqs[p.next], device: device}
	p.next = (p.next + 1) % len(p.seqs)

	if id != 0 {
		p.mu.Lock()
		p.flight[id] = flying{device: device, seq: s.seq, due: due}
		p.mu.Unlock()
	}

	var topic [256]byte

	name := append(topic[:0], p.topic...)
	name = append(name, "/d"...)
	name = strconv.AppendInt(name, int64(device), 10)
	name = append(name, "/telemetry"...)

	p.packet = appendPublishHead(p.packet[:0], name, p.load.QoS, id, p.load.Size)
	p.packet = appendPayload(p.packet, s, p.run, p.load.Size)

	p.out.sent.Add(1)

	if p.span.holds(due) {
		p.out.inSpan.Add(1)
		p.out.lag.add(time.Duration(p.clock() - due))
	}

	_, err := p.w.Write(p.packet)

	return err
}

// take takes a packet id; what is buffered goes out before it waits for one.
func (p *publisher) take(ctx context.Context) (uint16, error) {
	select {
	case id := <-p.free:
		return id, nil
	default:
	}

	if err := p.w.Flush(); err != nil {
		return 0, err
	}

	select {
	case id := <-p.free:
		return id, nil
	case <-p.gone:
		return 0, net.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// read takes in acknowledgements until the connection ends.
func (p *publisher) read() error {
	r := &packetReader{conn: p.conn, buf: make([]byte, 4<<10)}

	for {
		if err := r.fill(); err != nil {
			return err
		}

		now := p.clock()

		for {
			first, body, ok, err := r.next()
			if err != nil {
				return err
			}

			if !ok {
				break
			}

			if first&typeMask != typePubAck || len(body) < 2 {
				continue // PINGRESP
			}

			if err := p.acknowledged(uint16(body[0])<<8|uint16(body[1]), now); err != nil {
				return err
			}
		}
	}
}

func (p *publisher) acknowledged(id uint16, now int64) error {
	if int(id) >= len(p.flight) {
		return fmt.Errorf("%w: %d", errStrangeAck, id)
	}

	p.mu.Lock()
	f := p.flight[id]
	p.flight[id] = flying{}
	p.mu.Unlock()

	if f.seq == 0 {
		return fmt.Errorf("%w: %d", errStrangeAck, id)
	}

	p.out.acked.Add(1)

	if p.span.holds(f.due) {
		p.out.acking.add(time.Duration(now - f.due))
	}

	p.free <- id

	return nil
}

// close ends the connection, and with it read.
func (p *publisher) close() {
	if p.done.Load() {
		_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = p.conn.Write([]byte{typeDisconnect, 0})
	}

	_ = p.conn.Close()
}

// unacknowledged returns the messages that wait for their acknowledgement.
func (p *publisher) unacknowledged() []flying {
	p.mu.Lock()
	defer p.mu.Unlock()

	var waiting []flying

	for _, f := range p.flight {
		if f.seq != 0 {
			waiting = append(waiting, f)
		}
	}

	return waiting
}

// wait returns at the moment, or with the context's error.
func (p *publisher) wait(ctx context.Context, until int64) error {
	return waitUntil(ctx, p.clock, until, p.load.Publishers <= fineTimers)
}

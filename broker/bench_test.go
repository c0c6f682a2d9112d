package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// instant is a sink that stores at once, in a goroutine of its own, as a log without a disk would.
type instant struct{ queue chan entry }

func (instant) Settle(context.Context) error { return nil }

func (instant) Scan(from event.Position, _ func(string) bool, _ int) ([]event.Event, event.Position, error) {
	return nil, from, nil
}

func (instant) Bounds() (first, next event.Position) { return first, next }

func (s instant) Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error {
	select {
	case s.queue <- entry{m, done}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s instant) run(deliver func([]event.Decoded)) {
	var batch []event.Decoded
	for e := range s.queue {
		batch = append(batch[:0], event.Decoded{Event: e.event})
		if e.done != nil {
			e.done(event.Position{}, nil)
		}
		for more := true; more && len(batch) < 1024; {
			select {
			case e, ok := <-s.queue:
				if !ok {
					return
				}
				batch = append(batch, event.Decoded{Event: e.event})
				if e.done != nil {
					e.done(event.Position{}, nil)
				}
			default:
				more = false
			}
		}
		deliver(batch)
	}
}

func benchmarkBroker(b *testing.B) string {
	b.Helper()
	sink := instant{make(chan entry, 4096)}
	br, err := New(b.Context(), Config{Sink: sink, Log: sink, Address: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	if err := br.Listen(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { sink.run(br.Deliver) })
	var running sync.WaitGroup
	running.Go(func() { _ = br.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		running.Wait()
		close(sink.queue)
		wg.Wait()
	})
	return br.Addr().String()
}

func benchmarkClient(b *testing.B, addr, id string) (net.Conn, *bufio.Reader) {
	b.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = nc.Close() })
	if _, err := nc.Write(connectPacket(options{version: 4, id: id})); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReaderSize(nc, 64<<10)
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
		b.Fatal(err)
	}
	return nc, r
}

// BenchmarkQoS1 measures acknowledged messages; each publisher keeps a window of 64.
func BenchmarkQoS1(b *testing.B) {
	for _, publishers := range []int{1, 16} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			const window = 64
			addr := benchmarkBroker(b)
			type peer struct {
				net.Conn

				r *bufio.Reader
			}
			var peers []peer
			for i := range publishers {
				nc, r := benchmarkClient(b, addr, fmt.Sprint("p", i))
				peers = append(peers, peer{nc, r})
			}
			payload := make([]byte, 128)
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, p := range peers {
				n := b.N / publishers
				if i == 0 {
					n += b.N % publishers
				}
				wg.Go(func() {
					e := &event.Event{Topic: fmt.Sprintf("devices/d%d/telemetry", i), Payload: payload}
					ack := make([]byte, 4)
					var out []byte
					for sent, acked := 0, 0; acked < n; {
						out = out[:0]
						for ; sent < n && sent-acked < window; sent++ {
							out = packet.AppendPublish(out, 4, &packet.Message{Event: e, QoS: 1, ID: uint16(sent%60_000) + 1})
						}
						if len(out) > 0 {
							if _, err := p.Write(out); err != nil {
								b.Error(err)
								return
							}
						}
						for more := true; more && acked < sent; more = p.r.Buffered() >= 4 {
							if _, err := io.ReadFull(p.r, ack); err != nil {
								b.Error(err)
								return
							}
							if id := binary.BigEndian.Uint16(ack[2:]); int(id) != acked%60_000+1 {
								b.Errorf("acknowledgement of %d, want %d", id, acked%60_000+1)
								return
							}
							acked++
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acked/s")
		})
	}
}

// BenchmarkFanOut measures the cost of a delivered message with 200 subscribers of QoS 0.
func BenchmarkFanOut(b *testing.B) {
	const subscribers = 200
	addr := benchmarkBroker(b)
	var wg sync.WaitGroup
	e := &event.Event{Topic: "t", Payload: make([]byte, 128)}
	size := int64(len(packet.AppendPublish(nil, 4, &packet.Message{Event: e})))
	for i := range subscribers {
		nc, r := benchmarkClient(b, addr, fmt.Sprint("s", i))
		if _, err := nc.Write(rawPacketOf(0x82, append(appendString([]byte{0, 1}, "t"), 0))); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			if _, err := io.CopyN(io.Discard, r, size*int64(b.N)); err != nil {
				b.Error(err)
			}
		})
	}
	pub, r := benchmarkClient(b, addr, "pub")
	b.ResetTimer()
	for i := range b.N {
		if _, err := pub.Write(packet.AppendPublish(nil, 4, &packet.Message{Event: e, QoS: 1, ID: uint16(i%60_000) + 1})); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscribers), "ns/delivery")
}

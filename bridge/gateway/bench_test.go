package gateway_test

import (
	"bytes"
	"runtime"
	"sync/atomic"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// A sieve takes all messages at once and counts them.
type sieve struct{ taken *atomic.Int64 }

func (s sieve) Write(messages []*wire.Message) error {
	s.taken.Add(int64(len(messages)))
	return nil
}

func (s sieve) TryWrite(messages []*wire.Message, _ []byte) (bool, error) {
	return true, s.Write(messages)
}

func (sieve) Hurry() {}

func (sieve) Close(wire.CloseCode) {}

// BenchmarkWrite makes a frame and has it written to 2,000 sessions; an operation is one session's share, from being woken to
// having handed the frame to its transport. The frame is as large as one must be to be made at once, but nobody copies it.
func BenchmarkWrite(b *testing.B) {
	const sessions = 2000
	pos := event.Position{Epoch: 1}
	rooms := room.New(room.Config{}, pos)
	g := gateway.New(gateway.Config{Publisher: sink{}, Rooms: rooms})
	taken := new(atomic.Int64)
	all := make([]*gateway.Session, sessions)
	for i := range all {
		s, err := g.Open(sieve{taken}, gateway.Client{Transport: "test"})
		if err != nil {
			b.Fatal(err)
		}
		s.Handle([]byte(`{"id":1,"subscribe":{"filters":["#"]}}`))
		all[i] = s
	}
	until := func(n int) {
		for taken.Load() < int64(n) {
			runtime.Gosched()
		}
	}
	until(sessions) // the replies
	batch := []event.Decoded{{Event: event.Event{Topic: "t", Payload: bytes.Repeat([]byte("1"), 257<<10)}, JSON: true}}
	b.ReportAllocs()
	n := 0
	for ; b.Loop(); n++ {
		if n%sessions == 0 {
			until(sessions + n)
			batch[0].Position, pos.Offset = pos, pos.Offset+1
			rooms.Offer(batch)
		}
	}
	until(sessions + n/sessions*sessions)
	for _, s := range all {
		s.Close(wire.CloseShutdown)
		s.End()
	}
}

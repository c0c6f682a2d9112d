package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"pulso/bridge/event"
)

func benchSession(i int, at uint64) Session {
	s := Session{
		Client: fmt.Sprintf("sensor-%06d", i), Identity: "device", Version: 5, Expiry: 3600, Next: event.Position{Epoch: 77777, Offset: at},
		ReceivedUpTo: at, Seen: []uint16{1, 2, 3},
	}
	for i := range 5 {
		s.Inflight = append(s.Inflight, Inflight{ID: uint16(i + 1), QoS: 1, Offset: event.Position{Epoch: 77777, Offset: at + uint64(i)}})
	}
	return s
}

func benchRetained(i int, at uint64) Retained {
	return Retained{event.Event{
		Position: event.Position{Epoch: 77777, Offset: at}, Time: 1_700_000_000_000_000_000, Topic: fmt.Sprintf("plant/line%d/sensor-%06d/state", i%10, i),
		Client: fmt.Sprintf("sensor-%06d", i), Payload: make([]byte, 200), QoS: 1, Retain: true,
	}}
}

// BenchmarkCommit commits batches of rows that replace others among 100,000.
func BenchmarkCommit(b *testing.B) {
	for _, kind := range []string{"sessions", "retained"} {
		for _, sync := range []bool{false, true} {
			for _, rows := range []int{1, 10, 1000} {
				b.Run(fmt.Sprintf("%s/rows=%d/sync=%t", kind, rows, sync), func(b *testing.B) {
					s := mustOpen(b, Config{Path: newPath(b), Sync: sync})
					n := 0
					batch := func(rows int) *Batch {
						batch := &Batch{Checkpoint: event.Position{Epoch: 77777, Offset: uint64(n)}}
						for range rows {
							i := n
							if n >= 100_000 {
								i = rand.IntN(100_000)
							}
							if kind == "sessions" {
								batch.Sessions = append(batch.Sessions, benchSession(i, uint64(n)))
							} else {
								batch.Retained = append(batch.Retained, benchRetained(i, uint64(n)))
							}
							n++
						}
						return batch
					}
					if err := s.Commit(b.Context(), batch(100_000)); err != nil {
						b.Fatal(err)
					}
					b.ReportAllocs()
					for b.Loop() {
						b.StopTimer()
						next := batch(rows)
						b.StartTimer()
						if err := s.Commit(b.Context(), next); err != nil {
							b.Fatal(err)
						}
					}
					mustClose(b, s)
					b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
				})
			}
		}
	}
}

// BenchmarkLoad opens a store of 100,000 retained messages and loads them; "left" is as kill -9 leaves it.
func BenchmarkLoad(b *testing.B) {
	for _, closed := range []bool{true, false} {
		b.Run(fmt.Sprintf("retained=100000/closed=%t", closed), func(b *testing.B) {
			path := newPath(b)
			s := mustOpen(b, Config{Path: path})
			batch := &Batch{}
			for i := range 100_000 {
				batch.Retained = append(batch.Retained, benchRetained(i, uint64(i)))
			}
			mustCommit(b, s, batch)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				mustClose(b, s)
				if !closed {
					if err := os.WriteFile(walPath(path), []byte("left"), 0o600); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				s = mustOpen(b, Config{Path: path})
				n := 0
				if _, err := s.Load(b.Context(), Loader{Retained: func(*Retained) error { n++; return nil }}); err != nil || n != 100_000 {
					b.Fatalf("%d retained, %v", n, err)
				}
			}
			b.ReportMetric(float64(s.Size())/(1<<20), "MiB")
			mustClose(b, s)
		})
	}
}

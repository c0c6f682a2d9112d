package room_test

import (
	"fmt"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

type sleeper struct{}

func (sleeper) Wake() {}

// BenchmarkFanOut offers batches of 20 events of 128 bytes to one room of 200 members, who all take every frame; an
// operation is one event delivered to one member.
func BenchmarkFanOut(b *testing.B) {
	for _, form := range []wire.Form{wire.FormEvents, wire.FormValues} {
		for _, delivery := range []wire.Delivery{wire.DeliveryEvery, wire.DeliveryLatest} {
			b.Run(fmt.Sprintf("%v/%v", form, delivery), func(b *testing.B) {
				const members, size = 200, 20
				w := newWorld(b, memlog.Config{}, room.Config{})
				batches := benchmarkBatches(w, size)
				s := spec(form, delivery, "#")
				s.Rate = 1000
				subs := make([]*room.Sub, members)
				for i := range subs {
					sub, err := w.reg.Join(s, room.Options{}, sleeper{})
					if err != nil {
						b.Fatal(err)
					}
					subs[i] = sub
				}
				var messages []*wire.Message
				b.ReportAllocs()
				i := 0
				for n := 0; b.Loop(); n++ {
					if n%(members*size) != 0 {
						continue
					}
					w.reg.Offer(batches[i%len(batches)])
					i++
					for _, sub := range subs {
						var err error
						if messages, _, err = sub.Next(messages[:0], 1<<20); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// BenchmarkRoomsNotConcerned offers one event that one room wants, among rooms that do not.
func BenchmarkRoomsNotConcerned(b *testing.B) {
	for _, others := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			w := newWorld(b, memlog.Config{}, room.Config{})
			batches := benchmarkBatches(w, 1)
			for i := range others {
				s := spec(wire.FormEvents, wire.DeliveryEvery, fmt.Sprintf("other/%d/#", i))
				if i%2 == 0 {
					s.Filters, s.Devices = []string{"#"}, []string{fmt.Sprint("other", i)}
				}
				if _, err := w.reg.Join(s, room.Options{}, sleeper{}); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := w.reg.Join(spec(wire.FormEvents, wire.DeliveryEvery, "devices/#"), room.Options{}, sleeper{}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				w.reg.Offer(batches[i%len(batches)])
				i++
			}
		})
	}
}

func benchmarkBatches(w *world, size int) [][]event.Decoded {
	batches := make([][]event.Decoded, 100)
	for i := range batches {
		messages := make([]string, size)
		for j := range messages {
			messages[j] = fmt.Sprintf("devices/d%d/telemetry=%0128d", (i*size+j)%1000, 1)
		}
		batches[i] = w.decode(w.append(messages...))
	}
	return batches
}

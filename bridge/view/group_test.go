package view

import (
	"testing"
	"testing/synctest"
	"time"

	"pulso/bridge/event"
)

// TestGroup: batches come some at a time, all of them, in order, and what nothing comes after comes soon.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Runner{batches: make(chan []event.Decoded, 2*groupBatches), missed: make(chan struct{}, 1)}
		g := NewGroup([]*Runner{r})
		offset := uint64(0)
		offer := func() {
			g.Offer([]event.Decoded{{Event: event.Event{Position: event.Position{Epoch: 1, Offset: offset}}}})
			offset++
		}
		next := uint64(0)
		took := func(want int) {
			t.Helper()
			if len(r.batches) != want {
				t.Fatalf("%d batches, want %d", len(r.batches), want)
			}
			for range want {
				if b := <-r.batches; b[0].Position.Offset != next {
					t.Fatalf("batch %d, want %d", b[0].Position.Offset, next)
				}
				next++
			}
		}
		offer()
		took(0)
		time.Sleep(groupDelay / 2)
		offer()
		took(0)
		time.Sleep(groupDelay)
		offer() // takes those before it along
		took(3)
		offer()
		time.Sleep(groupRest)
		synctest.Wait()
		took(1)
		for range groupBatches {
			offer()
		}
		took(groupBatches)
		offer()
		g.Flush()
		took(1)
		time.Sleep(groupRest)
		synctest.Wait()
		took(0)
	})
}

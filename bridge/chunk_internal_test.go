package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

var payload [1 << 20]byte

// A model is a log of epochs, some of its events lost to damage, its oldest dropped. Event n says n.
type model struct {
	epochs      []uint64 // the offset where each begins; their numbers are 1, 2, …
	first, next uint64
	lostFrom    uint64 // the damage, up to lostTo
	lostTo      uint64
	payload     int // bytes of each payload
	perRead     int // bytes after which a read ends
}

func (m *model) at(offset uint64) event.Position {
	n := len(m.epochs)
	for n > 1 && offset < m.epochs[n-1] {
		n--
	}
	return event.Position{Epoch: uint64(n), Offset: offset}
}

func (m *model) bounds() (first, next event.Position) { return m.at(m.first), m.at(m.next) }

func (m *model) read(from event.Position, limit int) ([]event.Decoded, error) {
	if from.Epoch == 0 || from.Epoch > uint64(len(m.epochs)) {
		return nil, eventlog.ErrEpoch
	}
	end := m.next
	if from.Epoch < uint64(len(m.epochs)) {
		end = m.epochs[from.Epoch]
	}
	if from.Offset < m.epochs[from.Epoch-1] || from.Offset > end {
		return nil, eventlog.ErrEpoch
	}
	if from.Offset < m.first {
		return nil, &eventlog.TrimmedError{From: from, First: m.at(m.first)}
	}
	var events []event.Decoded
	for o, bytes := from.Offset, 0; o < m.next && len(events) < limit && bytes < m.perRead; o++ {
		if o >= m.lostFrom && o < m.lostTo {
			if len(events) == 0 {
				return nil, &eventlog.TrimmedError{From: from, First: m.at(m.lostTo), Damaged: true}
			}
			break
		}
		events = append(events, m.event(o))
		bytes += m.payload
	}
	return events, nil
}

func (m *model) event(offset uint64) event.Decoded {
	var d event.Decoded
	d.Position, d.Topic, d.Payload = m.at(offset), strconv.FormatUint(offset, 10), payload[:m.payload]
	return d
}

// TestChunksAreTheLog reads through the cache whatever the log goes through, and holds it against reading the log.
func TestChunksAreTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{epochs: []uint64{0}, payload: rapid.SampledFrom([]int{0, 10, 5000, 1 << 20}).Draw(t, "payload"), perRead: 1 << 20}
		c := newChunkCache(m.read)
		offset := func(name string) uint64 { return rapid.Uint64Range(m.first, m.next).Draw(t, name) }
		t.Repeat(map[string]func(*rapid.T){
			"append":  func(t *rapid.T) { m.next += rapid.Uint64Range(1, 600).Draw(t, "n") },
			"trim":    func(*rapid.T) { m.first = offset("first") },
			"damage":  func(*rapid.T) { m.lostFrom = m.next; m.next += 3; m.lostTo = m.next },
			"restart": func(*rapid.T) { m.epochs = append(m.epochs, m.next); c = newChunkCache(m.read) },
			"read": func(t *rapid.T) {
				from := event.Position{
					Epoch:  rapid.Uint64Range(0, uint64(len(m.epochs)+1)).Draw(t, "epoch"),
					Offset: rapid.Uint64Range(0, m.next+2).Draw(t, "from"),
				}
				if rapid.Bool().Draw(t, "of the log") {
					from = m.at(offset("from"))
				}
				check(t, m, c, from, rapid.IntRange(0, 300).Draw(t, "limit"))
			},
			"walk": func(t *rapid.T) {
				for from := m.at(offset("from")); ; {
					got := check(t, m, c, from, 256)
					if len(got) == 0 {
						return
					}
					from = got[len(got)-1].Next()
				}
			},
			"": func(t *rapid.T) {
				bytes := 0
				for number, k := range c.chunks {
					bytes += k.size
					if k.number != number || len(k.events) == 0 || len(k.events) > chunkEvents {
						t.Fatalf("chunk %d: %d events", k.number, len(k.events))
					}
				}
				if bytes != c.bytes || bytes > maxCachedBytes || len(c.chunks) > maxChunks || c.recent.Len() != len(c.chunks) {
					t.Fatalf("%d chunks, %d in the list, of %d bytes, counted %d", len(c.chunks), c.recent.Len(), bytes, c.bytes)
				}
			},
		})
	})
}

func check(t *rapid.T, m *model, c *chunkCache, from event.Position, limit int) []event.Decoded {
	t.Helper()
	want, wantErr := m.read(from, limit)
	first, next := m.bounds()
	got, _, err := c.get(from, first, next, limit)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) || (len(got) == 0) != (len(want) == 0) || len(got) > max(limit, 0) {
		t.Fatalf("from %v, up to %d: %d events, %v; the log has %d, %v", from, limit, len(got), err, len(want), wantErr)
	}
	for i := range got {
		if o := from.Offset + uint64(i); got[i].Position != m.at(o) || got[i].Topic != strconv.FormatUint(o, 10) {
			t.Fatalf("from %v: event %d is %s at %v", from, i, got[i].Topic, got[i].Position)
		}
	}
	return got
}

// TestChunkIsReadOnce has many ask at once for what takes long: one reads, the others wait for it.
func TestChunkIsReadOnce(t *testing.T) {
	m := &model{epochs: []uint64{0}, next: 1000, perRead: 1 << 20}
	const readers = 20
	var asking, reads atomic.Int32
	all := make(chan struct{})
	c := newChunkCache(func(from event.Position, limit int) ([]event.Decoded, error) {
		<-all
		reads.Add(1)
		return m.read(from, limit)
	})
	var wg sync.WaitGroup
	hits := make([]bool, readers)
	for i := range readers {
		wg.Go(func() {
			if asking.Add(1) == readers {
				close(all)
			}
			events, hit, err := c.get(m.at(uint64(300+i)), m.at(0), m.at(1000), 100)
			if hits[i] = hit; err != nil || len(events) != 100 {
				t.Errorf("%d events, %v", len(events), err)
			}
		})
	}
	wg.Wait()
	missed := 0
	for _, hit := range hits {
		if !hit {
			missed++
		}
	}
	if reads.Load() != 1 || missed != 1 {
		t.Errorf("%d reads, %d readers missed", reads.Load(), missed)
	}
}

// TestLargeEventsAreRead although a chunk of them is more than may be kept.
func TestLargeEventsAreRead(t *testing.T) {
	m := &model{epochs: []uint64{0}, next: 600, perRead: 1 << 20, payload: 1 << 18}
	c := newChunkCache(m.read)
	for range 2 {
		n := uint64(0)
		for n < m.next {
			events, _, err := c.get(m.at(n), m.at(0), m.at(m.next), 256)
			if err != nil || len(events) == 0 || events[0].Position.Offset != n {
				t.Fatalf("at %d: %d events, %v", n, len(events), err)
			}
			n += uint64(len(events))
		}
	}
	if c.bytes > maxCachedBytes || c.bytes == 0 {
		t.Errorf("%d bytes", c.bytes)
	}
}

// TestFailedReadIsTriedAgain: an error is the reader's, and is not kept.
func TestFailedReadIsTriedAgain(t *testing.T) {
	m := &model{epochs: []uint64{0}, next: 10, perRead: 1 << 20}
	broken := errors.New("broken")
	fail := true
	c := newChunkCache(func(from event.Position, limit int) ([]event.Decoded, error) {
		if fail {
			return nil, broken
		}
		return m.read(from, limit)
	})
	if _, _, err := c.get(m.at(5), m.at(0), m.at(10), 3); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	fail = false
	if events, _, err := c.get(m.at(5), m.at(0), m.at(10), 3); err != nil || len(events) != 3 || len(c.chunks) != 1 {
		t.Errorf("%d events, %d chunks, %v", len(events), len(c.chunks), err)
	}
}

// TestTheOldestChunkGoes: the one that nobody has read for longest.
func TestTheOldestChunkGoes(t *testing.T) {
	m := &model{epochs: []uint64{0}, next: 1e6, perRead: 1 << 20}
	c := newChunkCache(m.read)
	get := func(number uint64) (hit bool) {
		_, hit, err := c.get(m.at(number*chunkEvents), m.at(0), m.at(m.next), 1)
		if err != nil {
			t.Fatal(err)
		}
		return hit
	}
	for n := range uint64(maxChunks) {
		get(n)
	}
	get(0)
	get(maxChunks)
	if got := []bool{get(0), get(1), get(2)}; !slices.Equal(got, []bool{true, false, false}) {
		t.Errorf("in memory: %v", got)
	}
}

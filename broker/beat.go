package broker

import (
	"sync"
	"time"
)

// Reading a socket for each message is the dearest part of taking messages in: the reader looks, finds nothing, sleeps, is
// woken, and looks again. Where many come on many connections, their readers sleep together to the next beat instead, and
// find several messages each.
const (
	// beatEvery is how long a message of a busy connection may lie in its socket for that.
	beatEvery = 10 * time.Millisecond
	// busyClient and busyHub are messages a second of QoS 0: of a connection that has several in a beat, and of all such
	// connections together where it is worth a message's waiting.
	busyClient = 250
	busyHub    = 4000
	// streakLength is after how many messages a connection is judged anew.
	streakLength = 32
)

// A beat is what the readers of busy connections wait for. The zero value is ready. Its methods may be called from any
// goroutine.
type beat struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next beat; nil: nobody waits

	// Messages of busy connections since a moment, and how many a second came before it.
	count int
	since time.Time
	rate  float64
}

// wait returns at the next beat, within beatEvery.
func (b *beat) wait() {
	b.mu.Lock()
	next := b.next
	if next == nil {
		next = make(chan struct{})
		b.next = next
		time.AfterFunc(beatEvery, b.strike)
	}
	b.mu.Unlock()
	<-next
}

func (b *beat) strike() {
	b.mu.Lock()
	next := b.next
	b.next = nil
	b.mu.Unlock()
	close(next)
}

// note counts messages of a busy connection and reports whether the hub is busy.
func (b *beat) note(count int, now time.Time) (busy bool) {
	const window = 250 * time.Millisecond
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count += count
	switch past := now.Sub(b.since); {
	case past > 4*window: // nobody was busy for long
		b.rate, b.count, b.since = 0, 0, now
	case past >= window:
		b.rate, b.count, b.since = float64(b.count)/past.Seconds(), 0, now
	}
	return b.rate >= busyHub
}

// A streak is a connection's messages of QoS 0 with nothing else between them.
type streak struct {
	count int
	since time.Time
	busy  bool
}

// add takes note of a message of QoS 0.
func (s *streak) add(b *beat, now time.Time) {
	if s.count == 0 {
		s.since = now
	}
	if s.count++; s.count <= streakLength {
		return
	}
	s.busy = now.Sub(s.since) <= streakLength*time.Second/busyClient && b.note(streakLength, now)
	s.count = 0
}

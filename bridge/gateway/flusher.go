package gateway

import (
	"runtime"
	"sync"
	"sync/atomic"

	"pulso/bridge/wire"
)

const (
	maxFlushers = 8
	// flushesInARow is how many sessions a flusher writes to before it lets others have the processor.
	flushesInARow = 32
	// scratchBytes is how many bytes of messages are gathered for one write.
	scratchBytes = 64 << 10
)

// A nonBlocker is a transport that can also write without waiting. Where all is well that is all it takes, and one goroutine
// serves any number of sessions: none of them needs its own.
type nonBlocker interface {
	// TryWrite is Write, but it does not wait: what the connection does not take at once is kept for the next Write. It reports
	// whether that is nothing. scratch is memory that it may use until it returns.
	TryWrite(messages []*wire.Message, scratch []byte) (all bool, err error)
}

// flushers share the sessions among them.
type flushers struct {
	all  []*flusher
	turn atomic.Uint32
	wg   sync.WaitGroup
}

func newFlushers() *flushers {
	f := &flushers{}
	for range min(runtime.GOMAXPROCS(0), maxFlushers) {
		f.all = append(f.all, &flusher{wg: &f.wg})
	}
	return f
}

func (f *flushers) next() *flusher { return f.all[int(f.turn.Add(1))%len(f.all)] }

// A flusher serves the sessions that are due. Its goroutine lives as long as there are any.
type flusher struct {
	wg *sync.WaitGroup

	mu      sync.Mutex
	due     []*Session
	running bool

	// Of its goroutine.
	turn     []*Session
	messages []*wire.Message
	scratch  []byte
}

func (f *flusher) add(s *Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = append(f.due, s)
	if !f.running {
		f.running = true
		f.wg.Go(f.run)
	}
}

func (f *flusher) run() {
	if f.scratch == nil {
		f.scratch = make([]byte, 0, scratchBytes)
	}
	for f.take() {
		for i, s := range f.turn {
			if i%flushesInARow == flushesInARow-1 {
				runtime.Gosched()
			}
			s.flush(f)
		}
		clear(f.turn)
	}
}

// take takes the sessions that are due, if any are.
func (f *flusher) take() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn, f.due = f.due, f.turn[:0]
	f.running = len(f.turn) > 0
	return f.running
}

// flush writes the frames that are due, if that can be done without waiting and nothing else is asked for; what more there
// is to do is left to a goroutine.
func (s *Session) flush(f *flusher) {
	if !s.begin() {
		return
	}
	quick, ok := s.transport.(nonBlocker)
	if !ok || !s.calm() {
		go s.serve()
		return
	}
	messages, more := f.messages[:0], false
	budget := writeBudget
	for _, sub := range s.active {
		var again bool
		if messages, again = sub.Live(messages, max(budget/len(s.active), minShare)); again {
			more = true
		}
	}
	all, err := quick.TryWrite(messages, f.scratch)
	clear(messages)
	f.messages = messages[:0]
	switch {
	case err != nil:
		s.fail(err)
		go s.serve()
	case !all || more:
		go s.serve()
	default:
		s.rest()
	}
}

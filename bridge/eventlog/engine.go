package eventlog

import (
	"math"
	"math/rand/v2"
	"sync"
)

// Bounds that every engine keeps.
const (
	// ReadBytes is the payload after which Read and Last return what they have.
	ReadBytes = 1 << 20
	// DefaultEventBytes is the size in bytes that one event may have unless configured otherwise: 1 MiB of payload, and
	// room for its topic, client and properties.
	DefaultEventBytes = 1<<20 + 1<<18
)

// NewEpoch returns a random epoch. It is not zero and has 32 bits, which keeps the text of positions short and still
// tells apart the lives of any logs that meet.
func NewEpoch() uint64 {
	return 1 + uint64(rand.Uint32N(math.MaxUint32)) //nolint:gosec // it need not be secret, only seldom the same
}

// A Signal lets an engine wake its waiters. The zero Signal is ready; any number of goroutines may use it.
type Signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// C returns a channel that the next Wake closes. Look at the log after the call and before the wait, so that no change
// falls in between.
func (s *Signal) C() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// Wake wakes all who wait. It costs next to nothing when nobody does.
func (s *Signal) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// Package crash kills the real hub, cuts what it depends on, and checks that nothing acknowledged is lost.
//
//	go test ./test/crash -run Kill -v -args -rounds 100 -seed 7
//
// Without -seed each run makes other choices; the seed is printed. The hub is the binary that PULSO_BIN names, or one built
// from this tree.
package crash

import (
	"errors"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pulso/test/internal/hub"
)

var (
	rounds = flag.Int("rounds", 6, "how often TestKill kills the hub")
	seed   = flag.Uint64("seed", 0, "what random choices are made from; 0: another one each time")
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(suite{m})
}

// A suite is the tests with the binary that they need.
type suite struct{ m *testing.M }

func (s suite) Run() int { return hub.Main(s.m) }

// random is the source of a test's choices; the seed is logged.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

var errNotYet = errors.New("not yet")

// reach waits until a count has reached a number, as long as it grows at least every 20 seconds.
func reach(t *testing.T, what string, n int, count func() int) {
	t.Helper()
	last, since := -1, time.Now()
	for {
		c := count()
		if c >= n {
			return
		}
		if c != last {
			last, since = c, time.Now()
		}
		if time.Since(since) > 20*time.Second {
			t.Fatalf("%s: stuck at %d of %d for 20 s", what, c, n)
		}
		time.Sleep(5 * time.Millisecond) // the interval of polling
	}
}

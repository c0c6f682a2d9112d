package source

import (
	"hash/maphash"
	"sync"
	"time"
)

// Bounds of what is remembered of messages.
const (
	maxEchoes  = 1024
	echoAge    = 30 * time.Second
	maxReplays = 1 << 17
)

// originProperty is the user property that tells a hub its own messages where the broker cannot be asked to leave them out:
// in shared subscriptions of MQTT 5. Its value is the client id.
const originProperty = "pulso-origin"

// A memory recognises messages by their sums.
type memory struct {
	seed maphash.Seed

	mu sync.Mutex
	// echoes are what was sent and is expected back, in MQTT 3.1.1, oldest first.
	echoes []echo
	// retained has the retained messages that were stored, topic and payload, and fresh the topics of which one has come
	// since the subscription was made.
	retained map[uint64]uint64
	fresh    map[uint64]struct{}
}

type echo struct {
	sum  uint64
	sent time.Time
}

func newMemory() *memory {
	return &memory{seed: maphash.MakeSeed(), retained: map[uint64]uint64{}}
}

func (k *memory) sum(topic string, payload []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(k.seed)
	_, _ = h.WriteString(topic) // a hash never fails
	_ = h.WriteByte(0)
	_, _ = h.Write(payload)
	return h.Sum64()
}

// expect notes that a message was sent and will come back.
func (k *memory) expect(topic string, payload []byte, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.echoes) >= maxEchoes {
		k.echoes = k.echoes[1:]
	}
	k.echoes = append(k.echoes, echo{k.sum(topic, payload), now})
}

// isEcho reports whether a message is one that was sent not long ago, once for each time that it was.
func (k *memory) isEcho(topic string, payload []byte, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.echoes) > 0 && now.Sub(k.echoes[0].sent) > echoAge {
		k.echoes = k.echoes[1:]
	}
	if len(k.echoes) == 0 {
		return false
	}
	sum := k.sum(topic, payload)
	for i := range k.echoes {
		if k.echoes[i].sum == sum {
			k.echoes = append(k.echoes[:i:i], k.echoes[i+1:]...)
			return true
		}
	}
	return false
}

// begin notes that a connection has begun: with a subscription made anew the broker sends what it has retained, again.
func (k *memory) begin(anew bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fresh = nil
	if anew {
		k.fresh = map[uint64]struct{}{}
	}
}

// isRepeated reports whether a retained message is known already and comes only because a subscription was made anew: the
// first of its topic since then, and what the last one of that topic said. Such a message is no sign of life.
func (k *memory) isRepeated(topic string, payload []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	name, sum := k.sum(topic, nil), k.sum(topic, payload)
	known, ok := k.retained[name]
	if !ok && len(k.retained) >= maxReplays {
		return false
	}
	k.retained[name] = sum
	if k.fresh == nil {
		return false
	}
	if _, again := k.fresh[name]; again {
		return false
	}
	k.fresh[name] = struct{}{}
	return ok && known == sum
}

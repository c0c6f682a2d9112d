package meter

import (
	"context"
	"sync"
	"time"
)

// A Chain is the meters that one connection, session or request goes by. All its methods may be called of nil, which bounds nothing;
// they are safe for concurrent use.
type Chain struct {
	meters []*Meter

	mu     sync.Mutex
	closed bool
	held   [kinds]int64
}

// Close gives back what the chain holds, and forgets its meters where nobody else goes by them.
func (c *Chain) Close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	for _, m := range c.meters {
		for k, n := range c.held {
			if n > 0 {
				m.drop(Kind(k), n)
			}
		}
		m.table.leave(m)
	}
}

// Connect counts a connection until [Chain.Close], and reports whether there may be one more. With force it is counted in any case.
func (c *Chain) Connect(force bool) bool { return c.hold(Connections, force) }

// Subscribe counts a subscription until [Chain.Unsubscribe], and reports whether there may be one more. With force it is counted in
// any case.
func (c *Chain) Subscribe(force bool) bool { return c.hold(Subscriptions, force) }

func (c *Chain) hold(k Kind, force bool) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return true // it ends, and nobody counts it any more
	}
	for i, m := range c.meters {
		if m.hold(k, force) {
			continue
		}
		for _, before := range c.meters[:i] {
			before.drop(k, 1)
		}
		m.table.note(k, m.key)
		return false
	}
	c.held[k]++
	return true
}

// Unsubscribe says that there is one subscription less.
func (c *Chain) Unsubscribe() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.held[Subscriptions] == 0 {
		return
	}
	c.held[Subscriptions]--
	for _, m := range c.meters {
		m.drop(Subscriptions, 1)
	}
}

// Take takes one message that has come, with its bytes, and waits until another one may come, or done is closed. It reports whether
// it has waited. A limit that changes ends the wait.
func (c *Chain) Take(done <-chan struct{}, bytes int) (waited bool) {
	if c == nil {
		return false
	}
	for _, m := range c.meters {
		if !m.rated.Load() {
			continue
		}
		if wait, changed := m.pace(bytes); wait > 0 {
			waited = true
			await(wait, changed, done)
		}
	}
	return waited
}

func await(wait time.Duration, changed, done <-chan struct{}) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-done:
	}
}

// Allow takes one message of some bytes where nothing is owed. Else it takes nothing and returns which limit is in the way, and how
// long to wait. One that is larger than what is left is taken all the same: it is made up for by those that come after it.
func (c *Chain) Allow(bytes int) (limit Kind, wait time.Duration) {
	if c == nil {
		return 0, 0
	}
	for i, m := range c.meters {
		if !m.rated.Load() {
			continue
		}
		limit, wait := m.allow(bytes)
		if wait == 0 {
			continue
		}
		for _, before := range c.meters[:i] {
			if before.rated.Load() {
				before.giveBack(bytes)
			}
		}
		m.table.note(limit, m.key)
		return limit, wait
	}
	return 0, 0
}

// Ask returns how long to wait before another question may be asked; mostly 0. What one has read is to be told to [Chain.Read].
func (c *Chain) Ask() time.Duration {
	if c == nil {
		return 0
	}
	for _, m := range c.meters {
		if !m.asked.Load() {
			continue
		}
		m.mu.Lock()
		wait := m.debt(m.table.now(), Samples)
		m.mu.Unlock()
		if wait > 0 {
			m.table.note(Samples, m.key)
			return wait
		}
	}
	return 0
}

// Read takes what a question has read, be it into debt.
func (c *Chain) Read(samples int) {
	if c == nil || samples <= 0 {
		return
	}
	for _, m := range c.meters {
		if m.asked.Load() {
			m.mu.Lock()
			m.take(m.table.now(), Samples, int64(samples))
			m.mu.Unlock()
		}
	}
}

type chainKey struct{}

// With says by which chain what happens under a context goes.
func With(ctx context.Context, c *Chain) context.Context {
	return context.WithValue(ctx, chainKey{}, c)
}

// Of is the chain of a context; nil, which bounds nothing, where there is none.
func Of(ctx context.Context) *Chain {
	c, _ := ctx.Value(chainKey{}).(*Chain)
	return c
}

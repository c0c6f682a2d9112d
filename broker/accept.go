package broker

import (
	"errors"
	"net"
	"time"
)

// Bounds of the wait after an error of accepting, such as too many open files.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// accept takes connections until the listener is closed. Errors do not end it: it waits, longer each time, and goes on.
func (b *Broker) accept(ln net.Listener) {
	backoff := time.Duration(0)
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			backoff = 0
			b.serve(nc)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
		b.metrics.accepts.Inc()
		b.log.Warn("cannot accept MQTT connections, trying again", "error", err, "in", backoff)
		select {
		case <-b.stopped:
			return
		case <-time.After(backoff):
		}
	}
}

// serve runs a connection in a goroutine of its own, or turns it away.
func (b *Broker) serve(nc net.Conn) {
	l := newLink(b, nc)
	b.mu.Lock()
	full := len(b.links) >= b.cfg.MaxConnections
	if b.stopping || full {
		b.mu.Unlock()
		l.cancel()
		_ = nc.Close() // it was never used
		if full {
			b.refuse(Refusal{Remote: l.remote, Reason: reasonLimit, Detail: "too many connections"})
		}
		return
	}
	b.links[l] = struct{}{}
	b.wg.Go(l.run)
	b.mu.Unlock()
}

// refuse counts and reports a connection that is turned away. It logs at most one a second: anybody can cause them.
func (b *Broker) refuse(r Refusal) {
	r.Time = time.Now()
	b.metrics.refused.WithLabelValues(r.Reason).Inc()
	if now := r.Time.Unix(); b.lastRefused.Swap(now) != now {
		b.log.Warn("MQTT connection refused", "remote", r.Remote, "client", r.Client, "reason", r.Reason, "detail", r.Detail)
	}
	if b.cfg.OnRefused != nil {
		b.cfg.OnRefused(r)
	}
}

// caught counts and logs a panic that a recover caught.
func (b *Broker) caught(p any, where string, l *link) {
	b.metrics.panics.Inc()
	b.log.Error("panic caught", "where", where, "panic", p, "client", l.id, "remote", l.remote)
}

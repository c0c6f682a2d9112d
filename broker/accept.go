package broker

import (
	"errors"
	"net"
	"runtime/debug"
	"time"

	"pulso/broker/limit"
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
			if b.pause(b.serve(nc)) {
				continue
			}
			return
		case errors.Is(err, net.ErrClosed):
			return
		}
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
		b.metrics.accepts.Inc()
		b.log.Warn("cannot accept MQTT connections, trying again", "error", err, "in", backoff)
		if !b.pause(backoff) {
			return
		}
	}
}

// pause waits and reports whether the broker goes on.
func (b *Broker) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-b.stopped:
		return false
	case <-time.After(d):
		return true
	}
}

// serve runs a connection in a goroutine of its own, or turns it away. It returns how long to wait before another one is
// accepted.
func (b *Broker) serve(nc net.Conn) (wait time.Duration) {
	remote := nc.RemoteAddr().String()
	if !b.allows(limit.NewConnection) {
		_ = nc.Close() // it was never used, as below
		b.refuse(Refusal{Remote: remote, Reason: reasonLimit, Detail: "memory is short"})
		return 0
	}
	release, wait, refused := b.addresses.AdmitConn(remote)
	if refused != "" {
		_ = nc.Close()
		b.refuse(Refusal{Remote: remote, Reason: reasonLimit, Detail: "too many: " + string(refused)})
		return 0
	}
	l := newLink(b, nc)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping {
		l.cancel()
		release()
		_ = nc.Close()
		return 0
	}
	b.links[l] = struct{}{}
	b.wg.Go(func() {
		defer release()
		l.run()
	})
	return wait
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
func (b *Broker) caught(p any, l *link) {
	b.metrics.panics.Inc()
	b.log.Error("panic caught", "panic", p, "client", l.id, "remote", l.remote, "stack", string(debug.Stack()))
}

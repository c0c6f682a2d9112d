package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"pulso/test/bench/internal/load"
	"pulso/test/internal/mqtt"
)

// A subscriber reads everything, or stops reading for a while, and keeps the books.
type subscriber struct {
	c       *config
	pace    *pace
	id      string
	took    *load.Durations // nil for a staller
	stalled atomic.Bool
	resume  chan struct{} // closed when a staller may read on

	conn *mqtt.Conn

	mu         sync.Mutex
	last       []int // the highest number had from each publisher
	distinct   int
	disordered int
	again      int
	reconnects int
}

func (s *subscriber) connect() error {
	conn, err := mqtt.Dial(s.c.addr, "")
	if err != nil {
		return err
	}
	if tcp, ok := conn.Conn.(*net.TCPConn); ok && s.took == nil {
		_ = tcp.SetReadBuffer(64 << 10) // so that a staller's silence reaches the server soon
	}
	connect := mqtt.Connect{ID: s.id, Version: byte(s.c.version), Persistent: s.c.persistent && s.took == nil}
	if err := conn.Handshake(&connect); err != nil {
		conn.Close()
		return err
	}
	s.conn = conn
	if conn.Present {
		return nil
	}
	if err := conn.Subscribe(1, filter); err != nil {
		conn.Close()
		return err
	}
	return nil
}

// run reads until the context ends. A staller with a persistent session comes back when its connection is closed.
func (s *subscriber) run(ctx context.Context) error {
	for {
		conn := s.conn
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
		err := s.read(ctx)
		stop()
		conn.Close()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // That is how it ends.
		}
		if !s.c.persistent || s.took != nil {
			return err
		}
		if err := s.connect(); err != nil {
			return fmt.Errorf("come back: %w", err)
		}
		s.mu.Lock()
		s.reconnects++
		s.mu.Unlock()
	}
}

func (s *subscriber) read(ctx context.Context) error {
	var acks []byte
	for {
		if s.stalled.Load() {
			select {
			case <-s.resume:
				s.stalled.Store(false)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		first, body, err := s.conn.Next()
		if err != nil {
			return err
		}
		if first&0xf0 != mqtt.PUBLISH {
			continue
		}
		p, err := s.conn.ParsePublish(first, body)
		if err != nil {
			return err
		}
		if err := s.take(p); err != nil {
			return err
		}
		acks = append(acks, mqtt.Ack(mqtt.PUBACK, p.ID)...)
		if s.conn.Buffered() == 0 || len(acks) > 1<<10 {
			if _, err := s.conn.Write(acks); err != nil {
				return err
			}
			acks = acks[:0]
		}
	}
}

// take enters a message into the books. What comes again with DUP is no fault at QoS 1; without it, it is out of order.
func (s *subscriber) take(p *mqtt.Publish) error {
	if len(p.Payload) < header {
		return fmt.Errorf("%w: a payload of %d bytes", mqtt.ErrMalformed, len(p.Payload))
	}
	from, n := int(binary.BigEndian.Uint64(p.Payload)), int(binary.BigEndian.Uint64(p.Payload[8:]))
	if from >= len(s.last) {
		return fmt.Errorf("%w: from publisher %d", mqtt.ErrMalformed, from)
	}
	if s.took != nil {
		s.took.Add(time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(p.Payload[16:])))))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case n > s.last[from]: // what may be between is lost, or comes out of order
		s.last[from] = n
		s.distinct++
	case p.Dup:
		s.again++
	default:
		s.disordered++
	}
	return nil
}

// has reports whether the subscriber has had the last message of every publisher.
func (s *subscriber) has(p *pace) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.last {
		if int64(s.last[i]) < p.sent[i].Load() {
			return false
		}
	}
	return true
}

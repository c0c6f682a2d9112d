package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"pulso/test/bench/internal/load"
	"pulso/test/internal/mqtt"
)

// filter is what is published to and subscribed to.
const filter = "bench/stall/#"

// header is the length of what a payload begins with: publisher, number and the time at which it should have been published.
const header = 24

// pace knows how many messages each publisher has published.
type pace struct {
	sent []atomic.Int64
}

func newPace(c *config) *pace { return &pace{sent: make([]atomic.Int64, c.publishers)} }

func (p *pace) published() int {
	n := 0
	for i := range p.sent {
		n += int(p.sent[i].Load())
	}
	return n
}

// publish publishes at the publisher's part of the rate until stop is closed and all is acknowledged. Times are counted from when a
// message was due, so that a server that holds its publishers up does not hide it.
func (c *config) publish(ctx context.Context, i int, p *pace, stop <-chan struct{}) error {
	conn, err := mqtt.Open(c.addr, "", &mqtt.Connect{ID: fmt.Sprint("stall-pub-", i), Version: byte(c.version)})
	if err != nil {
		return err
	}
	defer conn.Close()
	acked := make(chan error, 1)
	var acks atomic.Int64
	go func() {
		for {
			first, _, err := conn.Next()
			if err != nil {
				acked <- err
				return
			}
			if first == mqtt.PUBACK {
				acks.Add(1)
			}
		}
	}()
	interval := time.Duration(float64(time.Second) * float64(c.publishers) / float64(c.rate))
	payload := make([]byte, max(c.size, header))
	m := mqtt.Publish{Topic: fmt.Sprintf("bench/stall/%d", i), QoS: 1, Payload: payload}
	due := time.Now().Add(interval * time.Duration(i) / time.Duration(c.publishers))
	for n := 1; ; n++ {
		select {
		case <-stop:
			return c.settle(ctx, p.sent[i].Load(), &acks, acked)
		case err := <-acked:
			return err
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(due)):
		}
		binary.BigEndian.PutUint64(payload, uint64(i))
		binary.BigEndian.PutUint64(payload[8:], uint64(n))
		binary.BigEndian.PutUint64(payload[16:], uint64(due.UnixNano()))
		m.ID = n%65_535 + 1
		if _, err := conn.Write(m.Bytes(conn.Version)); err != nil {
			return err
		}
		p.sent[i].Add(1)
		due = due.Add(interval)
	}
}

func (c *config) settle(ctx context.Context, sent int64, acks *atomic.Int64, failed <-chan error) error {
	for acks.Load() < sent {
		select {
		case err := <-failed:
			return err
		default:
		}
		if err := load.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

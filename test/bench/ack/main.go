// Command ack measures how many QoS 1 publishes a second a server acknowledges, each publisher having a window of them under
// way, and prints one JSON line.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"pulso/test/bench/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

type config struct {
	addr       string
	publishers int
	window     int
	size       int
	version    int
	warm, time time.Duration
	pid        int
}

// A result is the line that is printed.
type result struct {
	Publishers int     `json:"publishers"`
	Window     int     `json:"window"`
	PerSecond  float64 `json:"acked_per_s"`
	P50        float64 `json:"ack_p50_ms"`
	P99        float64 `json:"ack_p99_ms"`
	CPU        float64 `json:"cpu_us_per_message,omitempty"`
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:1883", "server")
	flag.IntVar(&c.publishers, "pubs", 16, "publishers")
	flag.IntVar(&c.window, "window", 64, "unacknowledged publishes of each")
	flag.IntVar(&c.size, "size", 128, "bytes of a payload")
	flag.IntVar(&c.version, "v", mqtt.V311, "version of MQTT: 3, 4 (3.1.1) or 5")
	flag.DurationVar(&c.warm, "warm", 2*time.Second, "time before the measured time")
	flag.DurationVar(&c.time, "time", 8*time.Second, "measured time")
	flag.IntVar(&c.pid, "pid", 0, "the server's process, for its processor time")
	flag.Parse()
	os.Exit(load.Main(c.run))
}

func (c *config) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	publishers := make([]*publisher, c.publishers)
	defer func() {
		for _, p := range publishers {
			if p != nil {
				p.conn.Close()
			}
		}
	}()
	for i := range publishers {
		conn, err := mqtt.Open(c.addr, "", &mqtt.Connect{ID: fmt.Sprint("ack-", i), Version: byte(c.version)})
		if err != nil {
			return err
		}
		publishers[i] = &publisher{conn: conn, topic: fmt.Sprintf("devices/ack-%d/telemetry", i), sent: make([]time.Time, c.window)}
	}
	var m meter
	var wg sync.WaitGroup
	failures := make(chan error, c.publishers)
	for _, p := range publishers {
		wg.Go(func() { failures <- p.run(ctx, c, &m) })
	}
	r, err := c.measure(ctx, &m, failures)
	cancel()
	for _, p := range publishers {
		_ = p.conn.SetDeadline(time.Now()) // wakes who still waits
	}
	wg.Wait()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func (c *config) measure(ctx context.Context, m *meter, failures <-chan error) (*result, error) {
	wait := func(d time.Duration) error {
		select {
		case err := <-failures:
			return err
		case <-time.After(d):
			return ctx.Err()
		}
	}
	if err := wait(c.warm); err != nil {
		return nil, err
	}
	m.took.Take()
	acked, began := m.acked.Load(), time.Now()
	cpu, err := c.cpu()
	if err != nil {
		return nil, err
	}
	if err := wait(c.time); err != nil {
		return nil, err
	}
	n, elapsed, took := m.acked.Load()-acked, time.Since(began), m.took.Take()
	used, err := c.cpu()
	if err != nil {
		return nil, err
	}
	return &result{
		Publishers: c.publishers, Window: c.window, PerSecond: float64(n) / elapsed.Seconds(),
		P50: load.Milliseconds(took.At(.5)), P99: load.Milliseconds(took.At(.99)), CPU: float64((used - cpu).Microseconds()) / float64(max(n, 1)),
	}, nil
}

func (c *config) cpu() (time.Duration, error) {
	if c.pid == 0 {
		return 0, nil
	}
	return hub.CPU(c.pid)
}

// A meter counts what was acknowledged and samples how long that took.
type meter struct {
	acked atomic.Int64
	took  load.Durations
}

// A publisher keeps its window full. A message has the packet id of its place in the window, so that a late acknowledgement
// holds up only its own place.
type publisher struct {
	conn  *mqtt.Conn
	topic string
	sent  []time.Time // by place in the window
}

func (p *publisher) run(ctx context.Context, c *config, m *meter) error {
	payload := append([]byte(`{"temperature":21.5,"pad":"`), bytes.Repeat([]byte("x"), max(0, c.size-29))...)
	payload = append(payload, `"}`...)
	packets := make([][]byte, c.window)
	var first []byte
	now := time.Now()
	for i := range packets {
		packet := mqtt.Publish{Topic: p.topic, Payload: payload, QoS: 1, ID: i + 1}
		packets[i] = packet.Bytes(p.conn.Version)
		first = append(first, packets[i]...)
		p.sent[i] = now
	}
	batch := first
	for n := 0; ctx.Err() == nil; {
		if _, err := p.conn.Write(batch); err != nil {
			return err
		}
		batch = batch[:0]
		// All the acknowledgements that have come are answered in one write.
		for more := true; more; more = p.conn.Buffered() > 0 {
			kind, body, err := p.conn.Next()
			if err != nil {
				return err
			}
			if kind != mqtt.PUBACK || len(body) < 2 {
				continue
			}
			place := int(body[0])<<8 + int(body[1]) - 1
			if place < 0 || place >= len(packets) {
				return fmt.Errorf("%w: PUBACK of %d", mqtt.ErrMalformed, place+1)
			}
			m.acked.Add(1)
			now := time.Now()
			if n++; n%16 == 0 {
				m.took.Add(now.Sub(p.sent[place]))
			}
			p.sent[place] = now
			batch = append(batch, packets[place]...)
		}
	}
	return nil
}

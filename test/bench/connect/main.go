// Command connect has many MQTT clients connect and subscribe at once and prints one JSON line: how long it took in all, how long
// a CONNECT took, and, with -pid, the memory a client costs the server when nothing happens.
package main

import (
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
	addr        string
	clients     int
	concurrency int
	version     int
	persistent  bool
	pid         int
	idle        time.Duration
}

// A result is the line that is printed. Times are in milliseconds.
type result struct {
	Clients      int      `json:"clients"`
	Failed       int64    `json:"failed"`
	Total        float64  `json:"total_ms"`
	ConnectP50   float64  `json:"connect_p50_ms"`
	ConnectP99   float64  `json:"connect_p99_ms"`
	ConnectMax   float64  `json:"connect_max_ms"`
	SubscribeP99 float64  `json:"subscribe_p99_ms"`
	IdleKiB      *float64 `json:"idle_kib_per_client,omitempty"`
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:1883", "server")
	flag.IntVar(&c.clients, "n", 10_000, "clients")
	flag.IntVar(&c.concurrency, "c", 10_000, "clients that connect at the same time")
	flag.IntVar(&c.version, "v", mqtt.V311, "version of MQTT: 3, 4 (3.1.1) or 5")
	flag.BoolVar(&c.persistent, "persistent", false, "sessions that outlive their connection")
	flag.IntVar(&c.pid, "pid", 0, "the server's process, for its memory")
	flag.DurationVar(&c.idle, "idle", 20*time.Second, "how long nothing happens before its memory is read")
	flag.Parse()
	os.Exit(load.Main(c.run))
}

func (c *config) run(ctx context.Context, out io.Writer) error {
	before, err := c.memory()
	if err != nil {
		return err
	}
	var connects, subscribes load.Durations
	var failed atomic.Int64
	var firstError sync.Once
	conns := make([]*mqtt.Conn, c.clients)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	}()
	next := make(chan int)
	began := time.Now()
	var wg sync.WaitGroup
	for range min(c.concurrency, c.clients) {
		wg.Go(func() {
			for i := range next {
				var err error
				if conns[i], err = c.one(i, &connects, &subscribes); err != nil {
					failed.Add(1)
					firstError.Do(func() { fmt.Fprintln(os.Stderr, "first failure:", err) })
				}
			}
		})
	}
	for i := 0; i < c.clients && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	wg.Wait()
	total := time.Since(began)
	ctimes, stimes := connects.Take(), subscribes.Take()
	r := result{
		Clients: c.clients, Failed: failed.Load(), Total: load.Milliseconds(total),
		ConnectP50: load.Milliseconds(ctimes.At(.5)), ConnectP99: load.Milliseconds(ctimes.At(.99)), ConnectMax: load.Milliseconds(ctimes.At(1)),
		SubscribeP99: load.Milliseconds(stimes.At(.99)),
	}
	if c.pid > 0 {
		if err := load.Sleep(ctx, c.idle); err != nil {
			return err
		}
		after, err := c.memory()
		if err != nil {
			return err
		}
		each := float64(after-before) / 1024 / float64(c.clients)
		r.IdleKiB = &each
	}
	return json.NewEncoder(out).Encode(r)
}

// one connects and subscribes client i. subscribes takes the time from before the connection until the SUBACK.
func (c *config) one(i int, connects, subscribes *load.Durations) (*mqtt.Conn, error) {
	id := fmt.Sprintf("bench-%06d", i)
	began := time.Now()
	conn, err := mqtt.Dial(c.addr, "")
	if err != nil {
		return nil, err
	}
	if err := conn.Handshake(&mqtt.Connect{ID: id, Version: byte(c.version), KeepAlive: 300, Persistent: c.persistent}); err != nil {
		conn.Close()
		return nil, err
	}
	connects.Add(time.Since(began))
	if err := conn.Subscribe(1, "devices/"+id+"/cmd"); err != nil {
		conn.Close()
		return nil, err
	}
	subscribes.Add(time.Since(began))
	conn.Shrink()
	return conn, nil
}

func (c *config) memory() (int64, error) {
	if c.pid == 0 {
		return 0, nil
	}
	return hub.RSS(c.pid)
}

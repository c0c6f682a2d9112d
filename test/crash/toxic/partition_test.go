package toxic

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulso/bridge/gateway/gatewaytest"
	"pulso/test/internal/hub"
)

// partitions are ways in which a network takes hub and clients apart. What they return puts them together again.
var partitions = map[string]func(n *network) (cure func()){
	"lets nothing through": func(n *network) func() { return n.poison(both("timeout", `"timeout": 0`)) },
	"cuts": func(n *network) func() {
		n.proxy.Stop()
		return func() {
			if err := n.proxy.Start(); err != nil {
				n.t.Error(err)
			}
		}
	},
}

// TestPartition has clients of each transport behind a network that for a while lets nothing through and breaks no connection, or
// breaks all and takes no new ones: each has every event once, in order. PULSO_PARTITION makes it longer (a duration; 3s by default), PULSO_CLIENTS is how many
// clients there are on each transport.
func TestPartition(t *testing.T) {
	partition, clients := 3*time.Second, 5
	if s := os.Getenv("PULSO_PARTITION"); s != "" {
		var err error
		if partition, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("PULSO_CLIENTS"); s != "" {
		if _, err := fmt.Sscan(s, &clients); err != nil {
			t.Fatal(err)
		}
	}
	for name, part := range partitions {
		t.Run(name, func(t *testing.T) { partitioned(t, part, partition, clients) })
	}
}

// partitioned takes clients and hub apart for a while.
func partitioned(t *testing.T, part func(*network) func(), partition time.Duration, clients int) {
	t.Helper()
	h := hub.Start(t)
	n := newNetwork(t, "partition", h.HTTP)
	start := publish(t, h, "begin", "")
	ctx, cancel := context.WithTimeout(t.Context(), partition+2*time.Minute)
	defer cancel()
	numbers := 500 + int(partition.Seconds())*100
	var wg sync.WaitGroup
	var connections, complete atomic.Int64
	factories := gatewaytest.All()
	for _, f := range factories {
		for i := range clients {
			follower := gatewaytest.Follower{
				Factory: f, Addr: n.addr(), Form: []string{"events", "values"}[i%2], Position: start, Numbers: numbers,
			}
			wg.Go(func() {
				c, got := follower.Follow(ctx, t)
				connections.Add(int64(c))
				if got == numbers {
					complete.Add(1)
				} else {
					t.Errorf("%s: %d of %d numbers", follower.Factory.Name, got, numbers)
				}
			})
		}
	}
	began := time.Now()
	var cure func()
	for i := range numbers {
		publish(t, h, "devices/d1/telemetry", fmt.Sprintf(`{"n":%d}`, i))
		switch {
		case i == 200:
			cure = part(n)
			began = time.Now()
		case cure != nil && time.Since(began) > partition:
			cure()
			cure = nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	if cure != nil {
		time.Sleep(max(0, partition-time.Since(began)))
		cure()
	}
	wg.Wait()
	t.Logf("%d clients had all of %d events after %v of partition, with %d connections", complete.Load(), numbers, partition, connections.Load())
	if least := int64(len(factories) * clients); connections.Load() <= least {
		t.Errorf("%d connections: nobody was cut off", connections.Load())
	}
}

// publish publishes and returns the position after the message.
func publish(t *testing.T, h *hub.Hub, topic, payload string) string {
	t.Helper()
	resp, err := http.Post("http://"+h.HTTP+"/api/v1/publish?topic="+topic, "", strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("publish: %s: %s, %v", resp.Status, answer, err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(answer), `{"position":"`), "\"}\n")
}

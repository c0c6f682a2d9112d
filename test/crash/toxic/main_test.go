// Package toxic puts bad networks (toxiproxy) between the clients and the real hub. It is a module of its own, so that the
// hub's module need not know toxiproxy.
package toxic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"pulso/test/internal/hub"
)

// TestMain looks for no leaks: toxiproxy leaves goroutines of connections behind that were cut.
func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // parts of toxiproxy have loggers of their own
	os.Exit(hub.Main(m))
}

// A network is a proxy to the hub.
type network struct {
	t              *testing.T
	name, upstream string
	proxy          *toxiproxy.Proxy
	stuck          bool // toxiproxy does not answer any more
}

func newNetwork(t *testing.T, name, upstream string) *network {
	t.Helper()
	n := &network{t: t, name: name, upstream: upstream}
	n.plugIn("127.0.0.1:0")
	t.Cleanup(func() {
		if !n.stuck {
			n.proxy.Stop()
		}
	})
	return n
}

// plugIn starts a proxy without toxins.
func (n *network) plugIn(addr string) {
	n.t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n.proxy = toxiproxy.NewProxy(server, n.name, addr, n.upstream)
	err := n.proxy.Start()
	// A client that dials a free port of its own machine may be given that very port for its own end, for a moment.
	for until := time.Now().Add(10 * time.Second); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(until); err = n.proxy.Start() {
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// addr is where clients reach the hub by way of the network.
func (n *network) addr() string { return n.proxy.Listen }

// A toxin is one thing that is wrong with a network, in toxiproxy's terms. Its stream is upstream (to the hub) or downstream.
type toxin struct{ kind, stream, attributes string }

// poison adds toxins, one for a direction at most; the function takes them away, and leaves the connections if the toxins do.
// It is not for a network that was just unplugged: toxiproxy waits for ever to take a toxin from a connection that ends meanwhile.
func (n *network) poison(toxins []toxin) (cure func()) {
	n.t.Helper()
	for _, x := range toxins {
		description := fmt.Sprintf(`{"name": %[1]q, "type": %[2]q, "stream": %[1]q, "attributes": {%[3]s}}`, x.stream, x.kind, x.attributes)
		if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(description)); err != nil {
			n.t.Fatalf("%s: %v", x.kind, err)
		}
	}
	return func() {
		for _, x := range toxins {
			done := make(chan error, 1)
			go func() { done <- n.proxy.Toxics.RemoveToxic(context.Background(), x.stream) }()
			select {
			case err := <-done:
				if err != nil {
					n.t.Errorf("%s: %v", x.kind, err)
				}
			case <-time.After(20 * time.Second):
				n.stuck = true
				n.t.Fatalf("toxiproxy does not remove %s within 20 s", x.kind)
			}
		}
	}
}

// replace ends all connections; new ones are without toxins.
func (n *network) replace() {
	n.t.Helper()
	n.proxy.Stop()
	n.plugIn(n.addr())
}

// unplug ends all connections; new ones are taken at once.
func (n *network) unplug() {
	n.t.Helper()
	n.proxy.Stop()
	if err := n.proxy.Start(); err != nil {
		n.t.Fatal(err)
	}
}

package limit

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDoor(tb testing.TB, cfg AddressesConfig) *Addresses {
	tb.Helper()
	a, err := NewAddresses(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// Ten thousand devices behind one gateway come back when the power does, and none of them waits.
func TestDefaultsLetABurstIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDoor(t, AddressesConfig{})
		for i := range 20_000 {
			if _, wait, refused := a.Admit(ip("10.0.0.1")); refused != "" || wait > 0 {
				t.Fatalf("connection %d: %q, wait %v", i, refused, wait)
			}
		}
		if _, _, refused := a.Admit(ip("10.0.0.1")); refused != AddressRate {
			t.Errorf("beyond the burst: %q", refused)
		}
		if _, _, refused := a.Admit(ip("10.0.0.2")); refused != "" {
			t.Errorf("somebody else: %q", refused)
		}
		time.Sleep(time.Second)
		for i := range 2_000 {
			if _, _, refused := a.Admit(ip("10.0.0.1")); refused != "" {
				t.Fatalf("connection %d of the next second: %q", i, refused)
			}
		}
	})
}

func TestConnectionsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := newDoor(t, AddressesConfig{MaxConnections: 5, MaxPerAddress: 3, Metrics: registry})
	var releases []func()
	admit := func(from string, want Reason) {
		t.Helper()
		release, _, refused := a.Admit(ip(from))
		if refused != want {
			t.Fatalf("%s: %q, want %q", from, refused, want)
		}
		if release != nil {
			releases = append(releases, release)
		}
	}
	for range 3 {
		admit("10.0.0.1", "")
	}
	admit("10.0.0.1", AddressConnections)
	admit("::ffff:10.0.0.1", AddressConnections)
	admit("10.0.0.2", "")
	admit("2001:db8::1", "")
	admit("10.0.0.3", Connections)
	releases[0]()
	releases[0]() // once counts
	admit("10.0.0.1", "")
	admit("10.0.0.3", Connections)
	for _, release := range releases {
		release()
	}
	if n := a.Open(); n != 0 {
		t.Errorf("%d are open after all were released", n)
	}
	if n := testutil.ToFloat64(a.metrics.refused[Connections]); n != 2 {
		t.Errorf("%v refused", n)
	}
	if _, err := NewAddresses(AddressesConfig{Port: "http", Metrics: registry}); err != nil {
		t.Errorf("a second port: %v", err)
	}
}

func TestAddressesOfIPv6AreNetworks(t *testing.T) {
	a := newDoor(t, AddressesConfig{MaxPerAddress: 1})
	for from, want := range map[string]Reason{"2001:db8::2": AddressConnections, "2001:db8:0:0:ffff::%eth0": AddressConnections, "2001:db8:0:1::1": ""} {
		b := newDoor(t, AddressesConfig{MaxPerAddress: 1})
		if _, _, refused := b.Admit(ip("2001:db8::1")); refused != "" {
			t.Fatal(refused)
		}
		if _, _, refused := b.Admit(ip(from)); refused != want {
			t.Errorf("%s: %q, want %q", from, refused, want)
		}
	}
	for _, remote := range []string{"127.0.0.1:1234", "", "@"} {
		release, _, refused := a.AdmitConn(remote)
		if refused != "" && remote != "@" {
			t.Errorf("%q: %q", remote, refused)
		}
		if remote == "@" && refused != AddressConnections {
			t.Errorf("what has no address is one: %q", refused)
		}
		_ = release
	}
}

// The rate of all makes the door wait, and refuses nobody; callers that do not wait don't hurt those that do for long.
func TestConnectRateDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDoor(t, AddressesConfig{Rate: 100, RatePerAddress: -1})
		for i := range 1000 {
			if _, wait, refused := a.Admit(ip("10.0.0.1")); wait != 0 || refused != "" {
				t.Fatalf("connection %d: wait %v, %q", i, wait, refused)
			}
		}
		for i := range 100 {
			_, wait, refused := a.Admit(ip("10.0.0.1"))
			if want := 10 * time.Millisecond; wait != want || refused != "" {
				t.Fatalf("connection %d: wait %v, %q; want %v", i, wait, refused, want)
			}
			time.Sleep(wait)
		}
		for range 10_000 {
			if _, wait, _ := a.Admit(ip("10.0.0.1")); wait > maxWait {
				t.Fatalf("wait %v", wait)
			}
		}
	})
}

// However many addresses come and go, the table is bounded, and who connected most is remembered longest.
func TestTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDoor(t, AddressesConfig{RatePerAddress: 1, MaxAddresses: 100})
		busy := ip("10.9.9.9")
		for range 10 {
			release, _, refused := a.Admit(busy)
			if refused != "" {
				t.Fatal(refused)
			}
			release()
		}
		for i := range 10_000 {
			release, _, refused := a.Admit(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
			if refused != "" {
				t.Fatal(refused)
			}
			release()
		}
		if len(a.table) != 100 || len(a.idle) != 100 {
			t.Errorf("%d addresses, %d idle", len(a.table), len(a.idle))
		}
		if _, _, refused := a.Admit(busy); refused != AddressRate {
			t.Errorf("the busy one was forgotten: %q", refused)
		}
		time.Sleep(time.Minute)
		release, _, refused := a.Admit(busy)
		if refused != "" || len(a.table) != 1 {
			t.Errorf("after a minute: %q, %d addresses", refused, len(a.table))
		}
		release()
	})
}

// A model that counts plainly agrees with the door about every connection.
func TestDoorAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, err := NewAddresses(AddressesConfig{MaxConnections: 8, MaxPerAddress: 3, Rate: -1, RatePerAddress: -1})
		if err != nil {
			t.Fatal(err)
		}
		open := map[netip.Addr][]func(){}
		total := 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			from := ip(fmt.Sprint("10.0.0.", rapid.IntRange(1, 5).Draw(t, "from")))
			if rapid.Bool().Draw(t, "end") && len(open[from]) > 0 {
				open[from][0]()
				open[from] = open[from][1:]
				total--
				continue
			}
			var want Reason
			switch {
			case total == 8:
				want = Connections
			case len(open[from]) == 3:
				want = AddressConnections
			}
			release, _, refused := a.Admit(from)
			if refused != want {
				t.Fatalf("%v: %q, want %q", from, refused, want)
			}
			if refused == "" {
				open[from] = append(open[from], release)
				total++
			}
			if a.Open() != total {
				t.Fatalf("%d open, want %d", a.Open(), total)
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	a := newDoor(t, AddressesConfig{MaxPerAddress: 10, RatePerAddress: -1, Rate: -1})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				if release, _, refused := a.Admit(netip.AddrFrom4([4]byte{10, 0, 0, byte((g + i) % 4)})); refused == "" {
					release()
				}
			}
		})
	}
	wg.Wait()
	if a.Open() != 0 {
		t.Errorf("%d are open", a.Open())
	}
}

func TestListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newDoor(t, AddressesConfig{MaxConnections: 1}).Listen(inner)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	served := <-accepted
	if _, ok := served.(syscall.Conn); !ok {
		t.Error("the socket of a TCP connection is hidden")
	}
	refused := dial()
	if err := refused.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := refused.Read(make([]byte, 1)); n != 0 || err == nil || isTimeout(err) {
		t.Errorf("the second connection was not closed: %v", err)
	}
	served.Close()
	served.Close()
	dial()
	(<-accepted).Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("accepting did not end")
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// A listener that waits for the rate ends at once when it is closed.
func TestListenerThatWaitsCloses(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: inner, door: newDoor(t, AddressesConfig{}), closed: make(chan struct{}), wait: math.MaxInt64}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	l.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("accepted")
		}
	case <-time.After(10 * time.Second):
		t.Error("still waits")
	}
}

func BenchmarkAdmit(b *testing.B) {
	a := newDoor(b, AddressesConfig{RatePerAddress: -1, Rate: -1})
	from := ip("10.0.0.1")
	for b.Loop() {
		release, _, _ := a.Admit(from)
		release()
	}
}

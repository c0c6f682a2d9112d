package limit

import (
	"container/heap"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// burstTime is how much of what a second allows may come at once, in seconds: with 2,000 connections a second 20,000 get
// in together, as the devices behind one gateway do when the power comes back.
const burstTime = 10 * time.Second

// maxWait bounds the wait that is asked of a door.
const maxWait = time.Second

// An AddressesConfig bounds connections. Zero values mean the defaults given, negative ones that there is no bound.
type AddressesConfig struct {
	// Port names what is connected to in the metrics ("mqtt", "http"); empty: "mqtt".
	Port string
	// MaxConnections bounds the connections at one time (100,000). A connection beyond it is refused.
	MaxConnections int
	// MaxPerAddress bounds those of one address (50,000). A connection beyond it is refused.
	MaxPerAddress int
	// Rate is the new connections a second (5,000), ten seconds' worth of them at once. Connections beyond it are to wait.
	Rate int
	// RatePerAddress is the same for one address (2,000). Connections beyond it are refused.
	RatePerAddress int
	// MaxAddresses bounds the addresses without connections that are remembered because their rate is not forgotten yet
	// (65,536). Beyond it, the one that has connected least is forgotten first.
	MaxAddresses int
	// Metrics gets the package's metrics about addresses; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c AddressesConfig) withDefaults() AddressesConfig {
	def := func(p *int, v int) {
		switch {
		case *p == 0:
			*p = v
		case *p < 0:
			*p = unlimited
		}
	}
	def(&c.MaxConnections, 100_000)
	def(&c.MaxPerAddress, 50_000)
	def(&c.Rate, 5_000)
	def(&c.RatePerAddress, 2_000)
	def(&c.MaxAddresses, 1<<16)
	if c.Port == "" {
		c.Port = "mqtt"
	}
	return c
}

// unlimited is more than there can be; as a rate it costs a nanosecond.
const unlimited = 1_000_000_000

// Addresses admits connections by where they come from. An address is an IPv4 address or the first 64 bits of an IPv6 one:
// whoever has one of the latter has them all.
//
// What is beyond the rate or the number of one address is refused, so that it does not hold up those who wait behind it in
// the system's queue. What is beyond the rate of all is not refused: the door waits, devices wait in the system's queue,
// and whoever is connected already is served meanwhile.
//
// Its methods are safe for concurrent use.
type Addresses struct {
	cfg     AddressesConfig
	clock   clock
	metrics *addressMetrics

	mu    sync.Mutex
	open  int
	all   bucket
	table map[netip.Prefix]*address
	idle  idleAddresses
}

// An address is what is known of one.
type address struct {
	prefix netip.Prefix
	open   int
	rate   bucket
	place  int // in idle, while open is 0
}

// NewAddresses makes the door. Its error is that of registering the metrics.
func NewAddresses(cfg AddressesConfig) (*Addresses, error) {
	cfg = cfg.withDefaults()
	a := &Addresses{cfg: cfg, clock: newClock(), table: make(map[netip.Prefix]*address)}
	a.metrics = newAddressMetrics(a)
	return a, a.metrics.register(cfg.Metrics)
}

// Admit asks whether a connection from there may be served. If refused is not empty it is to be closed at once, and the
// other results are zero. Otherwise release is to be called when it ends (once counts), and wait says how long to wait
// before another connection is accepted; mostly 0.
func (a *Addresses) Admit(from netip.Addr) (release func(), wait time.Duration, refused Reason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.now()
	a.forget(now)
	e, refused := a.admit(now, prefixOf(from))
	if refused != "" {
		a.metrics.refused[refused].Inc()
		return nil, 0, refused
	}
	wait = a.all.take(now, time.Second/time.Duration(a.cfg.Rate), burstTime)
	if wait > maxWait { // callers that do not wait must not make those wait that do
		a.all.full -= wait - maxWait
		wait = maxWait
	}
	if wait > 0 {
		a.metrics.delayed.Inc()
	}
	return func() { a.release(&e) }, wait, ""
}

// AdmitConn is Admit for the other end of a connection or for what [net/http.Request] has as RemoteAddr. What has no IP
// address counts as one address.
func (a *Addresses) AdmitConn(remote string) (release func(), wait time.Duration, refused Reason) {
	at, _ := netip.ParseAddrPort(remote) // the zero address stands for all that are none
	return a.Admit(at.Addr())
}

// Open is how many connections there are.
func (a *Addresses) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

func (a *Addresses) admit(now time.Duration, prefix netip.Prefix) (*address, Reason) {
	if a.open >= a.cfg.MaxConnections {
		return nil, Connections
	}
	e := a.table[prefix]
	if e == nil {
		e = &address{prefix: prefix, place: -1}
	}
	if e.open >= a.cfg.MaxPerAddress {
		return nil, AddressConnections
	}
	if !e.rate.allow(now, time.Second/time.Duration(a.cfg.RatePerAddress), burstTime) {
		return nil, AddressRate
	}
	if e.place >= 0 {
		heap.Remove(&a.idle, e.place)
	}
	a.table[prefix] = e
	e.open++
	a.open++
	return e, ""
}

// release takes a connection off. *e is nil afterwards, so that it counts once.
func (a *Addresses) release(e **address) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := *e
	if was == nil {
		return
	}
	*e = nil
	a.open--
	if was.open--; was.open > 0 {
		return
	}
	heap.Push(&a.idle, was)
	a.forget(a.clock.now())
}

// forget takes out of the table who has no connection and a full bucket: there is nothing to know of them. If there are
// still too many, those go that are nearest to it.
func (a *Addresses) forget(now time.Duration) {
	for len(a.idle) > 0 && (a.idle[0].rate.full <= now || len(a.idle) > a.cfg.MaxAddresses) {
		e, _ := heap.Pop(&a.idle).(*address) // there is nothing else in it
		delete(a.table, e.prefix)
	}
}

// prefixOf is what counts as one address.
func prefixOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := min(a.BitLen(), 64)
	p, _ := a.Prefix(bits) // the zero address gives the zero prefix
	return p
}

// idleAddresses are those without connections, the one first whose bucket is full first: a [heap.Interface].
type idleAddresses []*address

// Len implements [heap.Interface].
func (h *idleAddresses) Len() int { return len(*h) }

// Less implements [heap.Interface].
func (h *idleAddresses) Less(i, j int) bool { return (*h)[i].rate.full < (*h)[j].rate.full }

// Swap implements [heap.Interface].
func (h *idleAddresses) Swap(i, j int) {
	all := *h
	all[i], all[j] = all[j], all[i]
	all[i].place, all[j].place = i, j
}

// Push implements [heap.Interface].
func (h *idleAddresses) Push(x any) {
	e, _ := x.(*address) // there is nothing else in it
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop implements [heap.Interface].
func (h *idleAddresses) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.place = -1
	return e
}

// Listen returns a listener that hands on what is admitted and closes the rest, for servers that have their own way of
// accepting, such as net/http's.
func (a *Addresses) Listen(l net.Listener) net.Listener {
	return &listener{Listener: l, door: a, closed: make(chan struct{})}
}

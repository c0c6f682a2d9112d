// Package devices is the registry of devices: who they are, what they last said, and whether they are still there.
//
// # Presence
//
// A device is online, stale or offline. What says so, the newest word winning:
//
//   - A message from the device: online.
//   - Its own word ("offline" on a topic about presence): that. A will on a topic of the device: offline.
//   - The end of the MQTT connection of the client that last published for it: offline, unless the session was taken over,
//     the hub was stopped, or it was a visit: a clean end less than [Config.Visit] after the connection began, as of a
//     sensor that sleeps between messages or of a command-line tool. Those say nothing.
//   - A new connection of that client, where the end of the last one had made it offline: online.
//   - Silence longer than [Silence] times its own interval while it is online: stale. A device whose interval is not
//     known yet has [Config.DefaultSilence].
//
// The interval is the median of the last eight gaps between messages; messages less than 100 ms after the first of a
// burst belong to that burst. Silence counts while the hub listens: after a restart a device keeps its status until its
// interval has passed once more. Commands sent to a device are no sign of life.
//
// # Deletion
//
// A device that somebody wants forgotten ([event.KindForget]) is removed as if it had never been; if it speaks again, it
// is a new one. Its topics stay with it no longer.
//
// A View starts no goroutine. Its Runner calls Apply, Tick, Save and Restore; the other methods may be called from any
// goroutine.
package devices

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
)

// Status is a device's presence.
type Status uint8

// The statuses.
const (
	Online Status = iota
	Stale
	Offline
	statuses = iota
)

var statusNames = [statuses]string{Online: "online", Stale: "stale", Offline: "offline"}

// String is the status on the wire.
func (s Status) String() string {
	if s >= statuses {
		return fmt.Sprintf("status %d", uint8(s))
	}
	return statusNames[s]
}

// Silence is how many of its own intervals a device may be silent before it is stale.
const Silence = 2.5

// Config configures a View.
type Config struct {
	// Intern returns the series of this node's life for these strings, nil if there are too many. Required: a snapshot
	// holds no pointers.
	Intern func(device, name, unit, topic string) *event.Series
	// DefaultSilence is how long a device whose interval is unknown may be silent; 0: 5 min.
	DefaultSilence time.Duration
	// Visit is the length below which a connection that ended cleanly says nothing of presence; 0: 10 s.
	Visit time.Duration
	// MaxDevices bounds the devices; 0: 100,000. Further ones are refused and counted.
	MaxDevices int
	// MaxMetrics, MaxTopics and MaxTexts bound what is kept of one device; 0: 1,000, 256 and 64.
	MaxMetrics, MaxTopics, MaxTexts int
	// Metrics registers the view's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c *Config) setDefaults() {
	set := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	set(&c.MaxDevices, 100_000)
	set(&c.MaxMetrics, 1000)
	set(&c.MaxTopics, 256)
	set(&c.MaxTexts, 64)
	if c.DefaultSilence == 0 {
		c.DefaultSilence = 5 * time.Minute
	}
	if c.Visit == 0 {
		c.Visit = 10 * time.Second
	}
}

// Refused counts what was not kept because of a bound.
type Refused struct {
	Devices uint64 `json:"devices"`
	Metrics uint64 `json:"metrics"`
	Topics  uint64 `json:"topics"`
	Texts   uint64 `json:"texts"`
}

// A View is the registry. See the package comment.
type View struct {
	config Config

	mu       sync.Mutex
	version  uint64
	epoch    uint64 // grows when all is forgotten, from 1
	byID     map[string]*device
	below    map[string]map[*device]struct{} // by the id without its last level
	all      []*device
	numbers  uint32 // given to devices so far
	removals removals
	changes  changes
	clients  map[string]*client
	counts   [statuses]int
	refused  Refused
	heard    int64 // when the hub began to listen: the first Tick, in nanoseconds
	selected []*device
}

// New returns an empty View. Its error says what Config lacks, or that the metrics could not be registered.
func New(c Config) (*View, error) {
	if c.Intern == nil {
		return nil, errors.New("devices view: Intern is required")
	}
	c.setDefaults()
	v := &View{config: c}
	v.clear()
	if err := v.register(c.Metrics); err != nil {
		return nil, fmt.Errorf("devices view: register metrics: %w", err)
	}
	return v, nil
}

func (v *View) clear() {
	v.version++
	v.epoch++
	v.byID, v.below = make(map[string]*device), make(map[string]map[*device]struct{})
	v.all, v.changes, v.selected, v.numbers, v.removals = nil, changes{}, nil, 0, removals{}
	v.clients = make(map[string]*client)
	v.counts, v.refused, v.heard = [statuses]int{}, Refused{}, 0
}

// Name implements view.View.
func (*View) Name() string { return "devices" }

// Version grows with each visible change.
func (v *View) Version() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version
}

// Counts returns how many devices there are, and how many of each status.
func (v *View) Counts() (total, online, stale, offline int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.all), v.counts[Online], v.counts[Stale], v.counts[Offline]
}

// CountsFor are the Counts of the devices that a scope sees.
func (v *View) CountsFor(scope event.Scope) (total, online, stale, offline int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var counts [statuses]int
	for _, d := range v.all {
		if v.seenBy(d, scope) {
			total++
			counts[d.status]++
		}
	}
	return total, counts[Online], counts[Stale], counts[Offline]
}

// Refused returns what was not kept because of a bound.
func (v *View) Refused() Refused {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.refused
}

// A Value is the newest value of a series.
type Value struct {
	Series *event.Series
	// Time is its arrival in nanoseconds since the Unix epoch.
	Time  int64
	Value float64
}

// A Device is a copy of what is known of a device.
type Device struct {
	Number         uint32
	ID, Kind, Name string
	Client         string
	Status         Status
	First, Last    time.Time
	Rate           float64 // messages a second
	Events         uint64
	Undecodable    uint64
	Interval       time.Duration // 0: unknown
	Topics         []string
	Values         []Value
	Texts          []event.Text
}

// Device returns the device with an id.
func (v *View) Device(id string) (Device, bool) { return v.DeviceFor(id, nil) }

// DeviceFor returns the device with an id as who reads with a scope (nil: everything) sees it.
func (v *View) DeviceFor(id string, scope event.Scope) (Device, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d, found := v.byID[id]
	if !found || !v.seenBy(d, scope) {
		return Device{}, false
	}
	return d.copy(scope), true
}

func (d *device) copy(scope event.Scope) Device {
	return Device{
		Number: d.number, ID: d.id, Kind: d.kind, Name: d.name, Client: d.client, Status: d.status,
		First: time.Unix(0, d.first), Last: time.Unix(0, d.last), Rate: d.rate, Events: d.events,
		Undecodable: d.undecodable, Interval: d.interval,
		Topics: slices.Clone(d.topics), Values: slices.Clone(d.values), Texts: d.textsFor(scope),
	}
}

// Values returns the current value of each series whose topic one of filters matches and that belongs to one of devices
// (none: all). It is a copy as of the call.
func (v *View) Values(filters, devices []string) iter.Seq[Value] {
	v.mu.Lock()
	defer v.mu.Unlock()
	var found []Value
	take := func(d *device) {
		for _, value := range d.values {
			if event.MatchAny(filters, value.Series.Topic) {
				found = append(found, value)
			}
		}
	}
	if len(devices) > 0 {
		for _, id := range devices {
			if d := v.byID[id]; d != nil {
				take(d)
			}
		}
		return slices.Values(found)
	}
	for _, d := range v.all {
		take(d)
	}
	return slices.Values(found)
}

// Topics returns up to limit topics of devices (none: all) that one of filters matches and a scope (nil: any) sees, and whether
// there are more.
func (v *View) Topics(filters, devices []string, scope event.Scope, limit int) (topics []string, more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	take := func(d *device) bool {
		for _, t := range d.topics {
			if !event.MatchAny(filters, t) || !event.Sees(scope, t) {
				continue
			}
			if len(topics) >= limit {
				more = true
				return false
			}
			topics = append(topics, t)
		}
		return true
	}
	if len(devices) > 0 {
		for _, id := range devices {
			if d := v.byID[id]; d != nil && !take(d) {
				break
			}
		}
		return topics, more
	}
	for _, d := range v.all {
		if !take(d) {
			break
		}
	}
	return topics, more
}

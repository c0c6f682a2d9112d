package devices

import (
	"slices"
	"strings"
	"time"

	"pulso/bridge/event"
)

// A client is an MQTT client that publishes for devices.
type client struct {
	// since is when its connection began, in nanoseconds; 0 if there is none or that is not known.
	since   int64
	devices map[*device]struct{}
}

// Apply implements view.View.
func (v *View) Apply(batch []event.Decoded) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.version + 1
	for i := range batch {
		e := &batch[i]
		switch {
		case e.Kind == event.KindConnected:
			v.connected(e, next)
		case e.Kind == event.KindDisconnected:
			v.disconnected(e, next)
		case e.Kind == event.KindForget:
			v.remove(string(e.Payload), next)
		case e.Device == "" || e.Command:
		default:
			v.message(e, next)
		}
	}
}

// touch notes a change in version next.
func (v *View) touch(d *device, next uint64) {
	v.version = next
	if d.changed == next {
		return
	}
	d.changed = next
	v.changes.remove(d)
	v.changes.append(d)
}

func (v *View) announce(d *device, next uint64) {
	d.announced = next
	v.touch(d, next)
}

func (v *View) setStatus(d *device, s Status, next uint64) {
	if d.status == s {
		return
	}
	v.counts[d.status]--
	v.counts[s]++
	d.status = s
	v.touch(d, next)
}

// device returns the device of an event, a new one if it is not known; nil if there are too many.
func (v *View) device(e *event.Decoded, next uint64) *device {
	if d, found := event.Slot[*device](e.Ref, event.SlotDevices); found && d.epoch == v.epoch && d.id == e.Device {
		return d
	}
	d := v.deviceOf(e.Device, e.Time, next)
	if d != nil {
		e.Ref.Keep(event.SlotDevices, d)
	}
	return d
}

// deviceOf returns the device of an id, a new one if it is not known; nil if there are too many.
func (v *View) deviceOf(id string, now int64, next uint64) *device {
	if d := v.byID[id]; d != nil {
		return d
	}
	if len(v.all) >= v.config.MaxDevices {
		v.refused.Devices++
		return nil
	}
	d := &device{id: strings.Clone(id), first: now}
	v.add(d)
	v.announce(d, next)
	return d
}

// add numbers a device and takes it in.
func (v *View) add(d *device) {
	v.numbers++
	d.epoch, d.number, d.at = v.epoch, v.numbers, len(v.all)
	v.byID[d.id] = d
	v.all = append(v.all, d)
	v.counts[d.status]++
	v.changes.append(d)
	if above, ok := d.above(); ok {
		if v.below[above] == nil {
			v.below[above] = make(map[*device]struct{})
		}
		v.below[above][d] = struct{}{}
	}
}

// remove makes a device as if it had never been. Its number is not given again.
func (v *View) remove(id string, next uint64) {
	d := v.byID[id]
	if d == nil {
		return
	}
	v.forget(d)
	v.changes.remove(d)
	v.counts[d.status]--
	delete(v.byID, id)
	if above, ok := d.above(); ok {
		if delete(v.below[above], d); len(v.below[above]) == 0 {
			delete(v.below, above)
		}
	}
	d.epoch = 0
	last := v.all[len(v.all)-1]
	v.all[d.at], last.at = last, d.at
	v.all[len(v.all)-1] = nil
	v.all = v.all[:len(v.all)-1]
	v.removals.add(d, next)
	v.version = next
}

func (v *View) message(e *event.Decoded, next uint64) {
	if e.Registry {
		v.describe(e, next)
		return
	}
	v.others(e, next)
	d := v.device(e, next)
	if d == nil {
		return
	}
	v.comesOn(d, e.Topic, next)
	if e.Kind == event.KindWill {
		v.ends(d, e, next)
		return
	}
	v.speaks(d, e, next)
	v.learn(d, e, next)
	if e.Status == event.StatusOffline {
		v.ends(d, e, next)
		return
	}
	if e.Status == event.StatusUnknown {
		d.meanwhile(e.Time)
	}
	d.left = false
	v.setStatus(d, Online, next)
}

// others takes what the message says of devices besides its own.
func (v *View) others(e *event.Decoded, next uint64) {
	var d *device
	for _, sample := range e.Earlier {
		s := sample.Series
		if s.Device == e.Device {
			continue
		}
		if d == nil || d.id != s.Device {
			if d = v.deviceOf(s.Device, e.Time, next); d == nil {
				continue
			}
			v.comesOn(d, e.Topic, next)
			v.speaks(d, e, next)
			d.meanwhile(e.Time)
			d.left = false
			v.setStatus(d, Online, next)
		}
		if at := d.find(s, 0); at >= 0 {
			d.values[at].Time, d.values[at].Value = e.Time, sample.Value
		} else {
			v.newValue(d, Value{Series: s, Time: e.Time, Value: sample.Value}, next)
		}
	}
}

// comesOn notes that the device's messages come on a topic.
func (v *View) comesOn(d *device, topic string, next uint64) {
	added, full := d.addTopic(topic, v.config.MaxTopics, next)
	if full {
		v.refused.Topics++
	}
	if added {
		v.announce(d, next)
	}
}

// speaks notes a message of the device.
func (v *View) speaks(d *device, e *event.Decoded, next uint64) {
	v.touch(d, next)
	d.last = max(d.last, e.Time)
	d.events++
	d.meter.Add(e.Time / int64(time.Second))
	if e.Problem != "" {
		d.undecodable++
	}
	v.setClient(d, e.Client, next)
}

// ends notes that the device is gone by what it or its will says, and those below it where that is meant.
func (v *View) ends(d *device, e *event.Decoded, next uint64) {
	d.left = false
	v.setStatus(d, Offline, next)
	if !e.Below {
		return
	}
	for below := range v.below[d.id] {
		below.left = false
		v.setStatus(below, Offline, next)
	}
}

// describe takes what a registry says of a device. It makes none known: a registry also lists what never speaks.
func (v *View) describe(e *event.Decoded, next uint64) {
	if d := v.byID[e.Device]; d != nil {
		v.learn(d, e, next)
	}
}

// learn takes what the message says.
func (v *View) learn(d *device, e *event.Decoded, next uint64) {
	if e.DeviceKind != "" && e.DeviceKind != d.kind {
		d.kind = strings.Clone(e.DeviceKind)
		v.announce(d, next)
	}
	if e.DeviceName != "" && e.DeviceName != d.name {
		d.name = strings.Clone(e.DeviceName)
		v.announce(d, next)
	}
	at := -1
	for _, m := range e.Metrics {
		if at = d.find(m.Series, at+1); at >= 0 {
			d.values[at].Time, d.values[at].Value = e.Time, m.Value
			continue
		}
		at = v.newValue(d, Value{Series: m.Series, Time: e.Time, Value: m.Value}, next)
	}
	registry := ""
	if e.Registry {
		registry = e.Topic
	}
	for _, t := range e.Texts {
		v.text(d, text{t, registry}, next)
	}
}

// newValue adds a value, or puts it in the place of the one that differs from it only by its unit: the device has said
// its unit meanwhile. It returns where it is; -1 if there is no room.
func (v *View) newValue(d *device, value Value, next uint64) (at int) {
	if len(d.values) >= v.config.MaxMetrics {
		v.refused.Metrics++
		return -1
	}
	s := value.Series
	at = slices.IndexFunc(d.values, func(old Value) bool { return old.Series.Name == s.Name && old.Series.Topic == s.Topic })
	if at >= 0 {
		d.replaceValue(at, value)
	} else {
		at = len(d.values)
		d.addValue(value)
	}
	v.announce(d, next)
	return at
}

// setClient notes who publishes for a device.
func (v *View) setClient(d *device, name string, next uint64) {
	if d.client == name {
		return
	}
	v.forget(d)
	d.client = strings.Clone(name)
	c := v.clients[d.client]
	if c == nil {
		c = &client{}
		v.clients[d.client] = c
	}
	c.add(d)
	v.announce(d, next)
}

func (c *client) add(d *device) {
	if c.devices == nil {
		c.devices = make(map[*device]struct{})
	}
	c.devices[d] = struct{}{}
}

// forget undoes setClient. A client without a device and without a connection is forgotten too.
func (v *View) forget(d *device) {
	c := v.clients[d.client]
	if c == nil {
		return
	}
	delete(c.devices, d)
	if len(c.devices) == 0 && c.since == 0 {
		delete(v.clients, d.client)
	}
}

// connected notes when a connection began. Clients that are no device's are noted too, since they may be about to
// become one's, up to as many as there may be devices.
func (v *View) connected(e *event.Decoded, next uint64) {
	c := v.clients[e.Client]
	if c == nil {
		if len(v.clients) >= 2*v.config.MaxDevices {
			return
		}
		c = &client{}
		v.clients[strings.Clone(e.Client)] = c
	}
	c.since = e.Time
	for d := range c.devices {
		d.alive = e.Time
		if d.left && d.status == Offline {
			d.left = false
			v.setStatus(d, Online, next)
		}
	}
}

// disconnected draws what the end of a connection says; see the package comment.
func (v *View) disconnected(e *event.Decoded, next uint64) {
	c := v.clients[e.Client]
	reason := string(e.Payload)
	if c == nil || reason == event.DisconnectedTakenOver {
		return
	}
	since := c.since
	c.since = 0
	if len(c.devices) == 0 {
		delete(v.clients, e.Client)
		return
	}
	visit := since == 0 || e.Time-since < int64(v.config.Visit)
	if reason == event.DisconnectedShutdown || reason == event.DisconnectedClean && visit {
		return
	}
	for d := range c.devices {
		if d.status != Offline {
			d.left = true
			v.setStatus(d, Offline, next)
		}
	}
}

// Tick implements view.Ticker: it finds who has fallen silent and lets rates fall.
func (v *View) Tick(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	nano, second := now.UnixNano(), now.Unix()
	if v.heard == 0 {
		v.heard = nano
	}
	next := v.version + 1
	for _, d := range v.all {
		if d.rate != 0 || !d.meter.Idle(second) {
			if rate := d.meter.Rate(second, d.first/int64(time.Second)); rate != d.rate {
				d.rate = rate
				v.touch(d, next)
			}
		}
		if d.status == Online && nano-max(d.last, d.alive, v.heard) > v.patience(d) {
			v.setStatus(d, Stale, next)
		}
	}
}

// patience is how long a device may be silent, in nanoseconds; at least a second, which is what Tick can tell.
func (v *View) patience(d *device) int64 {
	if d.interval == 0 {
		return int64(v.config.DefaultSilence)
	}
	return max(int64(Silence*float64(d.interval)), int64(time.Second))
}

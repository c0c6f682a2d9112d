package devices

import (
	"slices"
	"strings"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/view"
)

// gapsKept is how many gaps the interval is the median of.
const gapsKept = 8

// burst is how long after the first message of a burst another belongs to it.
const burst = int64(100 * time.Millisecond)

// A device is what is known of one device. The View's mutex guards it.
type device struct {
	// epoch is the view's; 0 of a device that has been forgotten.
	epoch          uint64
	number         uint32
	at             int // its index in View.all
	id, kind, name string
	client         string
	status         Status
	// left reports that it is offline because its connection ended: a new one undoes that.
	left        bool
	first, last int64
	// alive is the newest sign of life that was not a message.
	alive       int64
	events      uint64
	undecodable uint64
	topics      []string
	came        []uint64 // the versions in which they did
	topic       int      // index of the topic last seen
	values      []Value
	lead        int                   // the index of the most telling value
	index       map[*event.Series]int // of values, once there are many
	texts       []text

	// burst is when the newest burst began; gaps are the newest gaps between bursts, as a ring.
	burst    int64
	gaps     [gapsKept]int64
	gapCount int
	interval time.Duration
	meter    view.Meter
	rate     float64

	// changed and announced are the versions of the newest change of anything, and of what is announced.
	changed, announced uint64
	older, newer       *device
}

// above is the id without its last level; not ok if it has but one.
func (d *device) above() (id string, ok bool) {
	at := strings.LastIndexByte(d.id, '/')
	return d.id[:max(at, 0)], at > 0
}

// meanwhile takes a message's arrival into the interval.
func (d *device) meanwhile(at int64) {
	if d.burst != 0 && at-d.burst < burst {
		return
	}
	if d.burst != 0 {
		d.gaps[d.gapCount%gapsKept] = at - d.burst
		d.gapCount++
		d.interval = d.median()
	}
	d.burst = at
}

// median of the gaps; 0 while there are less than two.
func (d *device) median() time.Duration {
	const enough = 2
	if d.gapCount < enough {
		return 0
	}
	sorted := d.gaps
	n := min(d.gapCount, gapsKept)
	slices.Sort(sorted[:n])
	return time.Duration(sorted[n/2])
}

// addTopic reports whether the topic is new and was kept. full: there is no room for it.
func (d *device) addTopic(topic string, limit int, next uint64) (added, full bool) {
	if d.topic < len(d.topics) && d.topics[d.topic] == topic {
		return false, false
	}
	if i := slices.Index(d.topics, topic); i >= 0 {
		d.topic = i
		return false, false
	}
	if len(d.topics) >= limit {
		return false, true
	}
	d.topic = len(d.topics)
	d.topics, d.came = append(d.topics, strings.Clone(topic)), append(d.came, next)
	return true, false
}

// manyValues is the number of values from which on they are found by a map.
const manyValues = 16

// find returns the index of a series in values; -1 if it is not there. Payloads name their values in the same order each
// time, so the one after the last is looked at first.
func (d *device) find(s *event.Series, guess int) int {
	if guess < len(d.values) && d.values[guess].Series == s {
		return guess
	}
	if d.index != nil {
		if i, found := d.index[s]; found {
			return i
		}
		return -1
	}
	return slices.IndexFunc(d.values, func(v Value) bool { return v.Series == s })
}

func (d *device) addValue(v Value) {
	d.values = append(d.values, v)
	if at := len(d.values) - 1; telling(v.Series) < telling(d.values[d.lead].Series) {
		d.lead = at
	}
	switch {
	case d.index != nil:
		d.index[v.Series] = len(d.values) - 1
	case len(d.values) == manyValues:
		d.index = make(map[*event.Series]int, 2*manyValues)
		for i, v := range d.values {
			d.index[v.Series] = i
		}
	}
}

func (d *device) replaceValue(at int, v Value) {
	if d.index != nil {
		delete(d.index, d.values[at].Series)
		d.index[v.Series] = at
	}
	d.values[at] = v
	d.retell()
}

// changes is the list of devices by the version of their newest change.
type changes struct {
	oldest, newest *device
}

func (c *changes) remove(d *device) {
	if d.older != nil {
		d.older.newer = d.newer
	} else if c.oldest == d {
		c.oldest = d.newer
	}
	if d.newer != nil {
		d.newer.older = d.older
	} else if c.newest == d {
		c.newest = d.older
	}
	d.older, d.newer = nil, nil
}

func (c *changes) append(d *device) {
	d.older = c.newest
	if c.newest != nil {
		c.newest.newer = d
	} else {
		c.oldest = d
	}
	c.newest = d
}

// removalsKept is how many removed devices are remembered, for readers who knew them.
const removalsKept = 4096

// removals are the numbers of removed devices by the version of their removal, oldest first.
type removals struct {
	all []removal
}

type removal struct {
	number  uint32
	version uint64
	// topics are those that the device had spoken on, came the versions in which.
	topics []string
	came   []uint64
}

func (r *removals) add(d *device, version uint64) {
	if len(r.all) >= 2*removalsKept {
		r.all = append(r.all[:0], r.all[len(r.all)-removalsKept:]...)
	}
	r.all = append(r.all, removal{d.number, version, d.topics, d.came})
}

// since returns the numbers of those that were removed after a version and knew says that the reader knew; nil for a reader who
// knows of none yet.
func (r *removals) since(version uint64, knew func(*removal) bool) []uint32 {
	var out []uint32
	for i := len(r.all) - 1; i >= 0 && version > 0 && r.all[i].version > version; i-- {
		if knew(&r.all[i]) {
			out = append(out, r.all[i].number)
		}
	}
	slices.Reverse(out)
	return out
}

package audit

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"pulso/bridge/event"
)

// whatRead is what the record of a [Reader] says was done. Its About is a filter.
const whatRead = "read"

// A Reader is somebody who has asked for topics.
type Reader struct {
	Who string `json:"who"`
	// Filter is what was asked for; of it, only what the account may see was told.
	Filter string `json:"filter"`
	// Last is when it was last noted, in milliseconds since the Unix epoch: at most an hour before it was last asked for.
	Last int64 `json:"last"`
}

// Bounds of what is known of readers.
const (
	// maxReaders bounds the pairs of account and filter that are known. Of more, those that were noted longest ago go.
	maxReaders = 50_000
	// maxFilters bounds the filters of one account that are noted in an hour; of more, it is noted that it asks for everything.
	maxFilters = 100
	// noteEvery is how often a pair is noted.
	noteEvery = time.Hour
)

// Notes decide which reads are recorded: a pair of account and filter once an hour. Their methods are safe for concurrent use.
type Notes struct {
	put func(Record)
	now func() time.Time

	mu    sync.Mutex
	since time.Time
	noted map[[2]string]struct{}
	of    map[string]int // filters by account
}

// NewNotes makes Notes that are recorded by put.
func NewNotes(put func(Record), now func() time.Time) *Notes {
	return &Notes{put: put, now: now}
}

// Note takes note that an account asks for the topics of filters.
func (n *Notes) Note(who, from string, filters ...string) {
	if who == "" {
		return
	}
	for _, f := range filters {
		if f = bounded(f); n.fresh(who, &f) {
			n.put(Record{Time: n.now().UnixMilli(), Who: who, What: whatRead, About: f, From: from, Outcome: Done})
		}
	}
}

// fresh reports whether a pair is to be recorded, and widens the filter where there are too many.
func (n *Notes) fresh(who string, filter *string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := n.now(); n.noted == nil || now.Sub(n.since) >= noteEvery || len(n.noted) >= maxReaders {
		n.since, n.noted, n.of = now, make(map[[2]string]struct{}), make(map[string]int)
	}
	if _, known := n.noted[[2]string{who, *filter}]; known {
		return false
	}
	if n.of[who] >= maxFilters {
		*filter = "#"
		if _, known := n.noted[[2]string{who, *filter}]; known {
			return false
		}
	}
	n.of[who]++
	n.noted[[2]string{strings.Clone(who), strings.Clone(*filter)}] = struct{}{}
	return true
}

// bounded is a filter that a record has room for: a wider one, where it is too long.
func bounded(filter string) string {
	if len(filter) <= maxText {
		return filter
	}
	level := strings.LastIndexByte(filter[:maxText-len("/#")], '/')
	if level < 0 {
		return "#"
	}
	return filter[:level] + "/#"
}

// readers are those that a View knows.
type readers map[[2]string]int64

func (r readers) note(record *Record) {
	if len(r) >= maxReaders {
		r.forget()
	}
	r[[2]string{record.Who, record.About}] = record.Time
}

// forget drops the tenth that was noted longest ago.
func (r readers) forget() {
	times := make([]int64, 0, len(r))
	for _, at := range r {
		times = append(times, at)
	}
	slices.Sort(times)
	limit := times[len(times)/10]
	for pair, at := range r {
		if at <= limit {
			delete(r, pair)
		}
	}
}

func (r readers) list() []Reader {
	list := make([]Reader, 0, len(r))
	for pair, at := range r {
		list = append(list, Reader{pair[0], pair[1], at})
	}
	slices.SortFunc(list, func(a, b Reader) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.Who, b.Who), cmp.Compare(a.Filter, b.Filter))
	})
	return list
}

// Readers are those who have asked for a topic, the last first, at most limit.
func (v *View) Readers(topic string, limit int) []Reader {
	v.mu.Lock()
	list := v.reads.list()
	v.mu.Unlock()
	list = slices.DeleteFunc(list, func(r Reader) bool { return !event.Match(r.Filter, topic) })
	return list[:min(len(list), limit)]
}

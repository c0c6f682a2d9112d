package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Report is what the books say at the end.
type Report struct {
	// Sent counts messages at QoS 0; Acknowledged those by QoS that the hub took over (index 0 is unused).
	Sent         int
	Acknowledged [3]int
	// Delivered counts deliveries to all readers, doublets not counted.
	Delivered int
	// Doubles counts what was delivered again to any reader where the protocol allows it.
	Doubles int
	// Faults counts what must not be, by kind.
	Faults map[string]int
	// Told are the first faults with the histories of their messages.
	Told []string
}

// Close ends the books: what has not been delivered by now is lost. The readers must have had the time to get everything.
func (l *Ledger) Close() *Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.order {
		for n := range t.open {
			l.fault(Unread, fmt.Sprintf("%d of %s", n, t.Name), l.tell(Unread, t, n, ""))
		}
		for _, r := range l.readers {
			l.closeView(t, r)
		}
	}
	report := &Report{Sent: l.acknowledged(0), Faults: maps.Clone(l.counts), Told: slices.Clone(l.faults)}
	report.Acknowledged[1], report.Acknowledged[2] = l.acknowledged(1), l.acknowledged(2)
	for _, r := range l.readers {
		report.Delivered += r.firsts
		for t, v := range r.views {
			if t.QoS > 0 && min(t.QoS, r.qos) < 2 {
				report.Doubles += v.doubles
			}
		}
	}
	return report
}

// closeView finds what of a topic a reader has not got.
func (l *Ledger) closeView(t *Topic, r *Reader) {
	if t.QoS == 0 {
		return
	}
	v := r.views[t]
	if v == nil {
		v = &view{}
	}
	lose := func(n uint32, history string) {
		if _, open := t.open[n]; !open {
			l.fault(Lost, fmt.Sprintf("%s never got %d of %s", r.name, n, t.Name), history)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(v.missing)) {
		lose(n, v.missing[n].history)
	}
	for n := v.next; n < t.sent; n++ {
		lose(n, l.tell(Lost, t, n, r.name))
	}
}

// Faultless says whether nothing was wrong.
func (r *Report) Faultless() bool { return len(r.Faults) == 0 }

// String is the figures in lines, and the first faults behind them.
func (r *Report) String() string {
	var b strings.Builder
	line := func(n int, what string) { fmt.Fprintf(&b, "%9d  %s\n", n, what) }
	line(r.Acknowledged[1], "acknowledged at QoS 1")
	line(r.Acknowledged[2], "acknowledged at QoS 2")
	line(r.Sent, "sent at QoS 0")
	line(r.Delivered, "delivered to all readers")
	line(r.Faults[Lost], Lost)
	line(r.Faults[Twice], Twice)
	line(r.Doubles, "doubled at QoS 1, which is allowed")
	line(r.Faults[Disorder], Disorder)
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		if kind != Lost && kind != Twice && kind != Disorder {
			line(r.Faults[kind], kind)
		}
	}
	for _, told := range r.Told {
		fmt.Fprintf(&b, "%s\n", told)
	}
	return b.String()
}

// Settle waits until the readers have got what is acknowledged and nothing more has come for quiet, or until none of them has
// got anything for patience.
func (l *Ledger) Settle(quiet, patience time.Duration) {
	const interval = 10 * time.Millisecond
	last, since := -1, time.Now()
	for {
		deliveries, behind := l.deliveries()
		if deliveries != last {
			last, since = deliveries, time.Now()
		}
		if idle := time.Since(since); idle > patience || behind == 0 && idle > quiet {
			return
		}
		time.Sleep(interval)
	}
}

// deliveries counts all deliveries, doublets included, and how far the readers are behind together.
func (l *Ledger) deliveries() (sum, behind int) {
	l.mu.Lock()
	readers := slices.Clone(l.readers)
	for _, r := range readers {
		sum += r.firsts
		for _, v := range r.views {
			sum += v.doubles
		}
	}
	l.mu.Unlock()
	for _, r := range readers {
		behind += r.Behind()
	}
	return sum, behind
}

// Package ledger keeps the books of a test that breaks things: what was published, acknowledged and delivered, message by
// message, over any number of deaths of the hub and of its clients. It finds what was lost, doubled or out of order at the
// moment it shows, and then tells the history of that message.
//
// Messages are numbered by topic from 0, without holes. A publisher repeats each message until it is acknowledged, so each
// one must reach each reader in the end, and the first delivery of each must come in the order of the numbers (the order of
// MQTT 5, 4.6: 1, 2, 3, 2, 3, 4 is in order at QoS 1). So a number that was skipped is late or lost at once.
//
// All methods may be called from any goroutine.
package ledger

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// What happened to a message.
const (
	Stored    = "publisher stores it"
	Sent      = "publisher sends PUBLISH"
	Resent    = "publisher sends PUBLISH again (DUP)"
	Acked     = "publisher gets PUBACK"
	Received  = "publisher gets PUBREC"
	Released  = "publisher sends PUBREL"
	Completed = "publisher gets PUBCOMP"
	Delivered = "reader gets PUBLISH"
	Again     = "reader gets PUBLISH (DUP)"
	Skipped   = "reader gets a later message before this one"
	Repeated  = "reader gets PUBLISH of an identifier that it holds"
	Answered  = "reader answers PUBLISH"
	LetGo     = "reader gets PUBREL"
)

// Kinds of faults.
const (
	Lost        = "acknowledged and lost"
	Twice       = "doubled at QoS 2"
	TwiceAtZero = "doubled at QoS 0"
	Disorder    = "out of order"
	Altered     = "altered"
	NoSession   = "session lost"
	Protocol    = "protocol"
	Retained    = "retained value wrong"
	Unread      = "never acknowledged"
)

// kept is how many faults of a kind are told in full; further ones are counted.
const kept = 3

// A Ledger is the books of one test.
type Ledger struct {
	mu      sync.Mutex
	began   time.Time
	topics  map[string]*Topic
	order   []*Topic // in order of creation
	readers []*Reader
	events  ring // of connections and processes
	faults  []string
	counts  map[string]int
	gaps    int // numbers that were skipped at first
}

// New begins the books.
func New() *Ledger {
	return &Ledger{began: time.Now(), topics: make(map[string]*Topic), counts: make(map[string]int), events: newRing(1 << 10)}
}

// A Topic is a topic on which one publisher publishes.
type Topic struct {
	// Name is the topic's name, QoS what its messages are published at.
	Name string
	QoS  byte

	ledger    *Ledger
	publisher string
	sent      uint32              // numbers given out
	open      map[uint32]struct{} // of these, the ones not acknowledged
	highest   int64               // the highest number acknowledged; -1: none
	events    ring
}

// Topic adds a topic.
func (l *Ledger) Topic(name string, qos byte, publisher string) *Topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &Topic{Name: name, QoS: qos, ledger: l, publisher: publisher, open: make(map[uint32]struct{}), highest: -1, events: newRing(1 << 13)}
	l.topics[name] = t
	l.order = append(l.order, t)
	return t
}

// Next gives out the next number: the publisher has stored the message.
func (t *Topic) Next() uint32 {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	n := t.sent
	t.sent++
	if t.QoS > 0 {
		t.open[n] = struct{}{}
	}
	t.note(n, t.publisher, Stored, 0)
	return n
}

// Acknowledged says that the hub has taken over a message: PUBACK at QoS 1, PUBREC at QoS 2.
func (t *Topic) Acknowledged(n uint32) {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	delete(t.open, n)
	t.highest = max(t.highest, int64(n))
}

// Note remembers what happened to a message, for its history. id is the packet identifier.
func (t *Topic) Note(n uint32, who, what string, id int) {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	t.note(n, who, what, id)
}

func (t *Topic) note(n uint32, who, what string, id int) {
	t.events.add(event{at: time.Since(t.ledger.began), n: n, who: who, what: what, id: uint16(id)})
}

// Bounds returns the highest number acknowledged (-1: none) and how many numbers have been given out.
func (t *Topic) Bounds() (acknowledged int64, sent uint32) {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	return t.highest, t.sent
}

// Payload is the payload of message n of a topic: its number, and a filler that makes sizes differ.
func Payload(topic string, n uint32) []byte {
	b := strconv.AppendUint(make([]byte, 0, 160), uint64(n), 10)
	b = append(b, ' ')
	for i := range int(n*31+uint32(len(topic))) % 128 {
		b = append(b, byte('a'+(i+int(n))%26))
	}
	return b
}

// A Reader is a subscriber to every topic, or several that share their messages.
type Reader struct {
	name   string
	qos    byte
	ledger *Ledger
	views  map[*Topic]*view
	firsts int // deliveries that were no doublets
}

// A view is what a reader has seen of a topic.
type view struct {
	next    uint32          // the number after the highest delivered
	missing map[uint32]skip // numbers below it that were skipped
	doubles int
}

// A skip is what was known when a message did not come in its turn.
type skip struct {
	by      uint32 // the message that came instead
	history string
}

// Reader adds a reader that subscribes at a QoS.
func (l *Ledger) Reader(name string, qos byte) *Reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &Reader{name: name, qos: qos, ledger: l, views: make(map[*Topic]*view)}
	l.readers = append(l.readers, r)
	return r
}

// Find returns the topic and the number of a message that was delivered, and false if it was never published or its payload
// is not what was (which is a fault).
func (r *Reader) Find(topic string, payload []byte) (*Topic, uint32, bool) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	t := r.ledger.topics[topic]
	n := uint32(0)
	for _, c := range payload {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint32(c-'0')
	}
	if t == nil || n >= t.sent || !bytes.Equal(payload, Payload(topic, n)) {
		r.ledger.fault(Altered, fmt.Sprintf("%s got %.80q on %q", r.name, payload, topic), "")
		return nil, 0, false
	}
	return t, n, true
}

// Deliver books a delivery: the reader's application has got message n, by a PUBLISH with this packet identifier and DUP flag.
func (r *Reader) Deliver(t *Topic, n uint32, id int, dup bool) {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	what := Delivered
	if dup {
		what = Again
	}
	t.note(n, r.name, what, id)
	v := r.views[t]
	if v == nil {
		v = &view{missing: make(map[uint32]skip)}
		r.views[t] = v
	}
	missed, late := v.missing[n]
	switch {
	case n >= v.next:
		for m := v.next; m < n && t.QoS > 0; m++ {
			t.note(m, r.name, Skipped, 0)
			v.missing[m] = skip{by: n, history: l.skipped(t, m, r.name)}
		}
		v.next = n + 1
		r.firsts++
	case late:
		delete(v.missing, n)
		r.firsts++
		l.fault(Disorder, fmt.Sprintf("%s got %d of %s after %d", r.name, n, t.Name, v.next-1), l.tell(Disorder, t, n, r.name)+
			fmt.Sprintf("\n\t    %d, which came before it:", missed.by)+l.tell(Disorder, t, missed.by, r.name))
	default:
		v.doubles++
		switch {
		case t.QoS == 0:
			l.fault(TwiceAtZero, fmt.Sprintf("%s got %d of %s again", r.name, n, t.Name), l.tell(TwiceAtZero, t, n, r.name))
		case t.QoS == 2 && r.qos == 2:
			l.fault(Twice, fmt.Sprintf("%s got %d of %s again", r.name, n, t.Name), l.tell(Twice, t, n, r.name))
		}
	}
}

// skipped is the history of a message that is late or lost, while it may be one of the few that are told.
func (l *Ledger) skipped(t *Topic, n uint32, reader string) string {
	const most = 10 * kept
	if l.gaps++; l.gaps > most {
		return ""
	}
	return l.history(t, n, reader)
}

// Behind is how many messages at QoS 1 and 2 the hub has acknowledged and the reader has not got yet, about.
func (r *Reader) Behind() int {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	behind := 0
	for _, t := range r.ledger.order {
		if t.QoS == 0 {
			continue
		}
		got := 0
		if v := r.views[t]; v != nil {
			got = int(v.next) - len(v.missing)
		}
		behind += max(0, int(t.sent)-len(t.open)-got)
	}
	return behind
}

// Got is how many different messages the reader has got.
func (r *Reader) Got() int {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	return r.firsts
}

// Event remembers what happened to a client or, with "" for its name, to the hub.
func (l *Ledger) Event(who, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events.add(event{at: time.Since(l.began), who: who, what: what})
}

// Faultf books a fault that concerns no message.
func (l *Ledger) Faultf(kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault(kind, fmt.Sprintf(format, args...), "")
}

// Faultf books a fault that concerns a message, with its history.
func (t *Topic) Faultf(kind string, n uint32, format string, args ...any) {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	t.ledger.fault(kind, fmt.Sprintf(format, args...), t.ledger.tell(kind, t, n, ""))
}

// Acknowledged is how many messages of a QoS the hub has acknowledged; at QoS 0, how many were sent.
func (l *Ledger) Acknowledged(qos byte) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acknowledged(qos)
}

func (l *Ledger) acknowledged(qos byte) int {
	sum := 0
	for _, t := range l.order {
		if t.QoS == qos {
			sum += int(t.sent) - len(t.open)
		}
	}
	return sum
}

// fault counts a fault and tells the first ones.
func (l *Ledger) fault(kind, what, history string) {
	l.counts[kind]++
	if l.counts[kind] > kept {
		return
	}
	l.faults = append(l.faults, fmt.Sprintf("%9.3f s %s: %s%s", time.Since(l.began).Seconds(), kind, what, history))
}

// tell is history while a fault of the kind would be told in full.
func (l *Ledger) tell(kind string, t *Topic, n uint32, reader string) string {
	if l.counts[kind] >= kept {
		return ""
	}
	return l.history(t, n, reader)
}

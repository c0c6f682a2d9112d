package disklog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"pulso/bridge/event"
)

// The layout of an offset index; FORMAT.md has it as a table.
const (
	offsetsHeader = 64
	offsetsMagic  = "PULSOIDX"
	atCount       = 12
	atEnd         = 24
	atSize        = 32
	atFirstTime   = 40
	atLastTime    = 48
	atOffsetsCRC  = 60
	offsetsEntry  = 8

	// indexEvery is the distance in bytes between the records that the offset index names.
	indexEvery = 8 << 10
)

// Bounds of an index in memory: a segment whose topics are more than that is full.
const (
	maxLiveTopics     = 1 << 18
	maxLiveTopicBytes = 16 << 20
)

// An entry says where in its segment the record with the offset base+ordinal begins.
type entry struct{ ordinal, place uint32 }

// floor returns the entry at or before an ordinal; the segment's first record if there is none.
func floor(entries []entry, ordinal uint32) entry {
	i, found := slices.BinarySearchFunc(entries, ordinal, func(e entry, o uint32) int { return cmp.Compare(e.ordinal, o) })
	switch {
	case found:
		return entries[i]
	case i == 0:
		return entry{place: segmentHeader}
	}
	return entries[i-1]
}

// A liveIndex is the index of a segment that has none on the disk yet. The appender adds, readers look up.
type liveIndex struct {
	number uint64 // tells it from all others

	mu         sync.RWMutex
	entries    []entry
	topics     map[string]*liveTopic
	list       []*liveTopic // the same, in the order of their appearance
	topicBytes int
	nextEntry  uint32 // the place from which on a record gets an entry
}

// A liveTopic is a topic in memory with the places of its records, ascending. Events of connections have the topic "".
type liveTopic struct {
	name   string
	places []uint32
	index  uint64 // number of the one that it belongs to: a pointer would keep it
}

func newLiveIndex() *liveIndex {
	return &liveIndex{number: liveIndexes.Add(1), topics: make(map[string]*liveTopic)}
}

// liveIndexes counts the indexes that were made.
var liveIndexes atomic.Uint64

// add notes one record; mu is held.
func (x *liveIndex) add(topic string, ordinal, place uint32) {
	x.addEntry(ordinal, place)
	if t, ok := x.topics[topic]; ok {
		t.places = append(t.places, place)
		return
	}
	x.addTopic(strings.Clone(topic), place)
}

// addEvent is add for an event, whose topic may have been met; mu is held.
func (x *liveIndex) addEvent(e *event.Event, ordinal, place uint32) {
	t, found := event.Slot[*liveTopic](e.Ref, event.SlotLog)
	if found && t.index == x.number {
		x.addEntry(ordinal, place)
		t.places = append(t.places, place)
		return
	}
	x.add(e.Topic, ordinal, place)
	if e.Ref != nil {
		e.Ref.Keep(event.SlotLog, x.topics[e.Topic])
	}
}

// addRecord is add for a record whose bytes are reused; mu is held.
func (x *liveIndex) addRecord(r record, ordinal, place uint32) {
	x.addEntry(ordinal, place)
	topic := r.topic()
	if t, ok := x.topics[string(topic)]; ok {
		t.places = append(t.places, place)
		return
	}
	x.addTopic(string(topic), place)
}

func (x *liveIndex) addEntry(ordinal, place uint32) {
	if place >= x.nextEntry {
		x.entries = append(x.entries, entry{ordinal, place})
		x.nextEntry = place + indexEvery
	}
}

func (x *liveIndex) addTopic(topic string, place uint32) {
	t := &liveTopic{topic, []uint32{place}, x.number}
	x.topics[topic] = t
	x.list = append(x.list, t)
	x.topicBytes += len(topic)
}

// full reports whether the segment should end for the sake of memory.
func (x *liveIndex) full() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.topics) >= maxLiveTopics || x.topicBytes >= maxLiveTopicBytes
}

// sparse returns the entries so far. They do not change; later ones may follow them.
func (x *liveIndex) sparse() []entry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.entries
}

// places returns up to n of a topic's last places below a bound, ascending.
func (x *liveIndex) places(topic string, below int64, n int) []uint32 {
	x.mu.RLock()
	var all []uint32
	if t := x.topics[topic]; t != nil {
		all = t.places
	}
	x.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(all, below, func(p uint32, b int64) int { return cmp.Compare(int64(p), b) })
	return all[max(0, i-n):i]
}

// offsetIndex is what an offset index's file says.
type offsetIndex struct {
	end         uint64
	size        int64
	first, last int64
	entries     []entry
}

func appendOffsetIndex(b []byte, s *segment, entries []entry) []byte {
	start := len(b)
	b = append(b, offsetsMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(entries)))
	b = binary.LittleEndian.AppendUint64(b, s.base)
	b = binary.LittleEndian.AppendUint64(b, s.end)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.size))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.last))
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b, e.ordinal)
		b = binary.LittleEndian.AppendUint32(b, e.place)
	}
	binary.LittleEndian.PutUint32(b[start+atOffsetsCRC:], offsetsSum(b[start:]))
	return b
}

// offsetsSum is the checksum over all of the file but the checksum.
func offsetsSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:atOffsetsCRC], castagnoli), castagnoli, b[offsetsHeader:])
}

// parseOffsetIndex is the inverse of appendOffsetIndex. Its error wraps errDamaged: such an index is built anew.
func parseOffsetIndex(b []byte, base uint64) (offsetIndex, error) {
	switch {
	case len(b) < offsetsHeader || !bytes.HasPrefix(b, []byte(offsetsMagic)):
		return offsetIndex{}, fmt.Errorf("%w: no offset index", errDamaged)
	case binary.LittleEndian.Uint32(b[atVersion:]) != formatVersion:
		return offsetIndex{}, fmt.Errorf("%w: offset index of another version", errDamaged)
	case uint64(len(b)-offsetsHeader) != uint64(binary.LittleEndian.Uint32(b[atCount:]))*offsetsEntry:
		return offsetIndex{}, fmt.Errorf("%w: offset index's length", errDamaged)
	case binary.LittleEndian.Uint32(b[atOffsetsCRC:]) != offsetsSum(b):
		return offsetIndex{}, fmt.Errorf("%w: offset index's checksum", errDamaged)
	}
	x := offsetIndex{
		end:   binary.LittleEndian.Uint64(b[atEnd:]),
		size:  int64(binary.LittleEndian.Uint64(b[atSize:])),
		first: int64(binary.LittleEndian.Uint64(b[atFirstTime:])),
		last:  int64(binary.LittleEndian.Uint64(b[atLastTime:])),
	}
	if binary.LittleEndian.Uint64(b[atBase:]) != base || x.end < base || x.size < segmentHeader {
		return offsetIndex{}, fmt.Errorf("%w: offset index of another segment", errDamaged)
	}
	b = b[offsetsHeader:]
	x.entries = make([]entry, 0, len(b)/offsetsEntry)
	for ; len(b) > 0; b = b[offsetsEntry:] {
		x.entries = append(x.entries, entry{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])})
	}
	return x, nil
}

package disklog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// selectAhead is how many bytes of places are read at least at once: those of several topics, where they lie together.
const selectAhead = 16 << 10

// A selection is the records of one segment that a Scan wants: of each topic wanted, its places below the end of what can
// be read.
type selection struct {
	topics int // how many the segment has
	lists  [][]uint32
	count  int // of places
	// dense says that so many of the records are wanted that one had better read them all; lists may be incomplete then.
	dense bool
}

// denseShare is the share of a segment's records from which on it is read from one end to the other: a record that is
// passed over costs about an eighth of one that is found by its place.
const denseShare = 8

// add takes the places of one more topic, which ascend, below a bound. all is how many records the segment has.
func (s *selection) add(places []uint32, below int64, all uint64) {
	if n := len(places); n > 0 && int64(places[n-1]) >= below {
		n, _ = slices.BinarySearch(places, uint32(min(below, math.MaxUint32)))
		places = places[:n]
	}
	if len(places) == 0 {
		return
	}
	s.count += len(places)
	s.dense = uint64(s.count)*denseShare > all
	s.lists = append(s.lists, places)
}

// from returns the wanted places from one on, ascending, at most limit of them, and whether these are all.
func (s *selection) from(place int64, limit int) (places []uint32, all bool) {
	limit = min(limit, s.count)
	places = make([]uint32, 0, s.count)
	for _, l := range s.lists {
		i, _ := slices.BinarySearch(l, uint32(min(place, math.MaxUint32)))
		places = append(places, l[i:min(len(l), i+limit+1)]...) // of one list no more can be among the first
	}
	slices.Sort(places)
	if len(places) > limit {
		return places[:limit], false
	}
	return places, true
}

// choose asks want about each topic that the index in memory has.
func (x *liveIndex) choose(v view, want func(topic string) bool) selection {
	x.mu.RLock()
	list := x.list
	x.mu.RUnlock()
	s := selection{topics: len(list)}
	for _, t := range list {
		if !want(t.name) {
			continue
		}
		x.mu.RLock()
		places := t.places
		x.mu.RUnlock()
		if s.add(places, v.size, v.end-v.segment.base); s.dense {
			break
		}
	}
	return s
}

// choose asks want about each topic of the segment. Its error wraps errDamaged: such an index is built anew.
func (x *topicIndex) choose(v view, want func(topic string) bool) (selection, error) {
	s := selection{topics: int(x.count)}
	table, err := x.section(topicsHeader, int64(x.count)*topicEntry)
	if err != nil {
		return s, err
	}
	names, err := x.section(x.atNames(), int64(x.names)+crc32.Size)
	if err != nil {
		return s, err
	}
	end := len(names) - crc32.Size
	if binary.LittleEndian.Uint32(names[end:]) != crc32.Checksum(names[:end], castagnoli) || !x.sound(table) {
		return s, fmt.Errorf("%w: topic index's names or entries", errDamaged)
	}
	rest := string(names[:end]) // one string for all
	var ahead window
	for ; len(table) > 0; table = table[topicEntry:] {
		if len(rest) < nameHeader {
			return s, fmt.Errorf("%w: topic index's names", errDamaged)
		}
		n := nameHeader + (int(rest[0]) | int(rest[1])<<8)
		if n > len(rest) {
			return s, fmt.Errorf("%w: topic index's names", errDamaged)
		}
		name := rest[nameHeader:n]
		rest = rest[n:]
		if !want(name) {
			continue
		}
		places, err := ahead.places(x, parseTopicRef(table))
		if err != nil {
			return s, err
		}
		if s.add(places, v.size, v.end-v.segment.base); s.dense {
			break
		}
	}
	return s, nil
}

// sound reports whether the checksums of all buckets are right.
func (x *topicIndex) sound(table []byte) bool {
	from := 0
	for i := range x.buckets {
		end := int(x.buckets[i].end) * topicEntry
		if crc32.Checksum(table[from:end], castagnoli) != x.buckets[i].crc {
			return false
		}
		from = end
	}
	return from == len(table)
}

func (x *topicIndex) section(at, size int64) ([]byte, error) {
	b := make([]byte, size)
	if _, err := x.file.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("%w: topic index: %w", errDamaged, err)
	}
	return b, nil
}

// A window is the part of an index's places that has been read last.
type window struct {
	bytes []byte
	first uint32
}

// places returns all places of an entry, verified.
func (w *window) places(x *topicIndex, r topicRef) ([]uint32, error) {
	if !x.holds(r) {
		return nil, fmt.Errorf("%w: topic index's entry", errDamaged)
	}
	from, size := int64(r.start-w.first)*placeBytes, int64(r.count)*placeBytes
	if r.start < w.first || from+size > int64(len(w.bytes)) {
		left := int64(x.total-r.start) * placeBytes
		b, err := x.section(x.atPlaces()+int64(r.start)*placeBytes, min(left, max(size, selectAhead)))
		if err != nil {
			return nil, err
		}
		w.bytes, w.first, from = b, r.start, 0
	}
	b := w.bytes[from:][:size]
	if crc32.Checksum(b, castagnoli) != r.crc {
		return nil, fmt.Errorf("%w: topic index's places", errDamaged)
	}
	places := make([]uint32, r.count)
	for i := range places {
		places[i] = binary.LittleEndian.Uint32(b[i*placeBytes:])
	}
	if !slices.IsSorted(places) {
		return nil, fmt.Errorf("%w: places in disorder", errDamaged)
	}
	return places, nil
}

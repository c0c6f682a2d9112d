package disklog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"
)

// The layout of a topic index; FORMAT.md has it as a table.
const (
	topicsMagic   = "PULSOTIX"
	topicsFixed   = 40
	topicsBuckets = 256
	bucketEntry   = 8
	atTopicsCRC   = topicsFixed + topicsBuckets*bucketEntry
	topicsHeader  = atTopicsCRC + 4
	topicEntry    = 20
	placeBytes    = 4
	nameHeader    = 2

	atTopicsSize  = 24
	atPlacesCount = 32
	atNamesBytes  = 36

	// topicsVersion is 2 since the index holds the topics themselves, and a place for each record of its segment.
	topicsVersion = 2
)

// topicHash is FNV-1a with 64 bits. Topics that share a hash are told apart by their records.
func topicHash[T string | []byte](topic T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(topic) {
		h = (h ^ uint64(topic[i])) * 1099511628211
	}
	return h
}

// A topicRef is a topic's entry in a topic index: its places are the count ones from start on, and crc is their checksum.
type topicRef struct {
	hash              uint64
	start, count, crc uint32
}

// A bucket is where the entries whose hash begins with the same byte end, and their checksum.
type bucket struct{ end, crc uint32 }

// appendTopicIndex appends the topic index of a segment.
func appendTopicIndex(b []byte, s *segment, topics []*liveTopic) []byte {
	type list struct {
		*liveTopic

		hash uint64
	}
	lists := make([]list, 0, len(topics))
	total, names := 0, 0
	for _, t := range topics {
		lists = append(lists, list{t, topicHash(t.name)})
		total += len(t.places)
		names += nameHeader + len(t.name)
	}
	slices.SortFunc(lists, func(a, b list) int { return cmp.Compare(a.hash, b.hash) })

	start := len(b)
	b = slices.Grow(b, topicsHeader+len(lists)*topicEntry+total*placeBytes+names+crc32.Size)
	b = append(b, topicsMagic...)
	b = binary.LittleEndian.AppendUint32(b, topicsVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(lists)))
	b = binary.LittleEndian.AppendUint64(b, s.base)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.size))
	b = binary.LittleEndian.AppendUint32(b, uint32(total))
	b = binary.LittleEndian.AppendUint32(b, uint32(names))
	b = append(b, make([]byte, topicsHeader-topicsFixed+len(lists)*topicEntry)...)
	at := uint32(0)
	for i, l := range lists {
		from := len(b)
		for _, p := range l.places {
			b = binary.LittleEndian.AppendUint32(b, p)
		}
		e := b[start+topicsHeader+i*topicEntry:]
		binary.LittleEndian.PutUint64(e, l.hash)
		binary.LittleEndian.PutUint32(e[8:], at)
		binary.LittleEndian.PutUint32(e[12:], uint32(len(l.places)))
		binary.LittleEndian.PutUint32(e[16:], crc32.Checksum(b[from:], castagnoli))
		at += uint32(len(l.places))
	}
	from := len(b)
	for _, l := range lists {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(l.name)))
		b = append(b, l.name...)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
	ends := make([]int, topicsBuckets)
	for i := range ends {
		ends[i], _ = slices.BinarySearchFunc(lists, i+1, func(l list, first int) int { return cmp.Compare(int(l.hash>>56), first) })
	}
	sumTopicIndex(b[start:], ends)
	return b
}

// sumTopicIndex writes the buckets and the checksums of a topic index whose buckets end at these entries.
func sumTopicIndex(b []byte, ends []int) {
	table, from := b[topicsHeader:], 0
	for i, end := range ends {
		e := b[topicsFixed+i*bucketEntry:]
		binary.LittleEndian.PutUint32(e, uint32(end))
		binary.LittleEndian.PutUint32(e[4:], crc32.Checksum(table[from*topicEntry:end*topicEntry], castagnoli))
		from = end
	}
	binary.LittleEndian.PutUint32(b[atTopicsCRC:], crc32.Checksum(b[:atTopicsCRC], castagnoli))
}

// A topicIndex reads a topic index's file. Only its header is in memory; buckets are verified as they are read, and
// places by the records that they lead to.
type topicIndex struct {
	file    io.ReaderAt
	size    int64  // the segment's
	count   uint32 // topics
	total   uint32 // places
	names   uint32 // bytes of the names
	buckets [topicsBuckets]bucket
}

// openTopicIndex reads the header of the topic index, a file of that length, of a segment with that base and size. Its
// error wraps errDamaged: such an index is built anew.
func openTopicIndex(f io.ReaderAt, length int64, base uint64, size int64) (*topicIndex, error) {
	var b [topicsHeader]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return nil, fmt.Errorf("%w: topic index: %w", errDamaged, err)
	}
	switch {
	case !bytes.HasPrefix(b[:], []byte(topicsMagic)) || binary.LittleEndian.Uint32(b[atVersion:]) != topicsVersion:
		return nil, fmt.Errorf("%w: no topic index of this version", errDamaged)
	case binary.LittleEndian.Uint32(b[atTopicsCRC:]) != crc32.Checksum(b[:atTopicsCRC], castagnoli):
		return nil, fmt.Errorf("%w: topic index's checksum", errDamaged)
	case binary.LittleEndian.Uint64(b[atBase:]) != base || int64(binary.LittleEndian.Uint64(b[atTopicsSize:])) != size:
		return nil, fmt.Errorf("%w: topic index of another segment", errDamaged)
	}
	x := &topicIndex{
		file: f, size: size, count: binary.LittleEndian.Uint32(b[atCount:]), total: binary.LittleEndian.Uint32(b[atPlacesCount:]),
		names: binary.LittleEndian.Uint32(b[atNamesBytes:]),
	}
	if length != x.bytes() {
		return nil, fmt.Errorf("%w: topic index's length", errDamaged)
	}
	from := uint32(0)
	for i := range x.buckets {
		e := b[topicsFixed+i*bucketEntry:]
		k := bucket{binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])}
		if k.end < from || k.end > x.count {
			return nil, fmt.Errorf("%w: topic index's buckets", errDamaged)
		}
		x.buckets[i], from = k, k.end
	}
	return x, nil
}

// bytes is the size of the index's file.
func (x *topicIndex) bytes() int64 { return x.atNames() + int64(x.names) + crc32.Size }

// atPlaces and atNames are where the places and the names begin.
func (x *topicIndex) atPlaces() int64 { return topicsHeader + int64(x.count)*topicEntry }
func (x *topicIndex) atNames() int64  { return x.atPlaces() + int64(x.total)*placeBytes }

// find returns the entries with a hash: one, or several whose topics share it.
func (x *topicIndex) find(hash uint64) ([]topicRef, error) {
	i := int(hash >> 56)
	from, k := uint32(0), x.buckets[i]
	if i > 0 {
		from = x.buckets[i-1].end
	}
	if from == k.end {
		return nil, nil
	}
	b := make([]byte, (k.end-from)*topicEntry)
	if _, err := x.file.ReadAt(b, topicsHeader+int64(from)*topicEntry); err != nil {
		return nil, fmt.Errorf("%w: topic index: %w", errDamaged, err)
	}
	if crc32.Checksum(b, castagnoli) != k.crc {
		return nil, fmt.Errorf("%w: topic index's bucket", errDamaged)
	}
	n := len(b) / topicEntry
	at := sort.Search(n, func(i int) bool { return binary.LittleEndian.Uint64(b[i*topicEntry:]) >= hash })
	var refs []topicRef
	for ; at < n; at++ {
		r := parseTopicRef(b[at*topicEntry:])
		if r.hash != hash {
			break
		}
		if !x.holds(r) {
			return nil, fmt.Errorf("%w: topic index's entry", errDamaged)
		}
		refs = append(refs, r)
	}
	return refs, nil
}

func parseTopicRef(e []byte) topicRef {
	return topicRef{
		binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:]),
		binary.LittleEndian.Uint32(e[16:]),
	}
}

// holds reports whether an entry's places are places of the index.
func (x *topicIndex) holds(r topicRef) bool {
	return r.count > 0 && uint64(r.start)+uint64(r.count) <= uint64(x.total)
}

// places returns up to n of a topic's last places below a bound, ascending.
func (x *topicIndex) places(r topicRef, below int64, n int) ([]uint32, error) {
	if below >= x.size {
		n = min(n, int(r.count))
		return x.read(r.start+r.count-uint32(n), n)
	}
	var failed error
	end := sort.Search(int(r.count), func(i int) bool {
		p, err := x.read(r.start+uint32(i), 1)
		if err != nil {
			failed = err
			return true
		}
		return int64(p[0]) >= below
	})
	if failed != nil {
		return nil, failed
	}
	n = min(n, end)
	if n == 0 {
		return nil, nil
	}
	return x.read(r.start+uint32(end-n), n)
}

func (x *topicIndex) read(from uint32, n int) ([]uint32, error) {
	b := make([]byte, n*placeBytes)
	if _, err := x.file.ReadAt(b, x.atPlaces()+int64(from)*placeBytes); err != nil {
		return nil, fmt.Errorf("%w: topic index: %w", errDamaged, err)
	}
	places := make([]uint32, n)
	for i := range places {
		places[i] = binary.LittleEndian.Uint32(b[i*placeBytes:])
	}
	return places, nil
}

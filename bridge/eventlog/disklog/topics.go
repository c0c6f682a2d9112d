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
	topicEntry    = 16
	placeBytes    = 4

	atTopicsSize  = 24
	atPlacesCount = 32
)

// topicHash is FNV-1a with 64 bits. Topics that share a hash are told apart by their records.
func topicHash[T string | []byte](topic T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(topic) {
		h = (h ^ uint64(topic[i])) * 1099511628211
	}
	return h
}

// A topicRef is a topic's entry in a topic index: its places are the count ones from start on.
type topicRef struct {
	hash         uint64
	start, count uint32
}

// A bucket is where the entries whose hash begins with the same byte end, and their checksum.
type bucket struct{ end, crc uint32 }

// appendTopicIndex appends the topic index of a segment.
func appendTopicIndex(b []byte, s *segment, topics map[string]*[]uint32) []byte {
	type list struct {
		hash   uint64
		places []uint32
	}
	lists := make([]list, 0, len(topics))
	total := 0
	for topic, places := range topics {
		lists = append(lists, list{topicHash(topic), *places})
		total += len(*places)
	}
	slices.SortFunc(lists, func(a, b list) int { return cmp.Compare(a.hash, b.hash) })

	start := len(b)
	b = slices.Grow(b, topicsHeader+len(lists)*topicEntry+total*placeBytes)
	b = append(b, topicsMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(lists)))
	b = binary.LittleEndian.AppendUint64(b, s.base)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.size))
	b = binary.LittleEndian.AppendUint32(b, uint32(total))
	b = append(b, make([]byte, topicsHeader-atPlacesCount-4)...)
	at := uint32(0)
	for _, l := range lists {
		b = binary.LittleEndian.AppendUint64(b, l.hash)
		b = binary.LittleEndian.AppendUint32(b, at)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(l.places)))
		at += uint32(len(l.places))
	}
	table := b[start+topicsHeader:]
	for _, l := range lists {
		for _, p := range l.places {
			b = binary.LittleEndian.AppendUint32(b, p)
		}
	}
	header := b[start:][:topicsHeader]
	for i, from := 0, 0; i < topicsBuckets; i++ {
		n, _ := slices.BinarySearchFunc(lists, i+1, func(l list, first int) int { return cmp.Compare(int(l.hash>>56), first) })
		e := header[topicsFixed+i*bucketEntry:]
		binary.LittleEndian.PutUint32(e, uint32(n))
		binary.LittleEndian.PutUint32(e[4:], crc32.Checksum(table[from*topicEntry:n*topicEntry], castagnoli))
		from = n
	}
	binary.LittleEndian.PutUint32(header[atTopicsCRC:], crc32.Checksum(header[:atTopicsCRC], castagnoli))
	return b
}

// A topicIndex reads a topic index's file. Only its header is in memory; buckets are verified as they are read, and
// places by the records that they lead to.
type topicIndex struct {
	file    io.ReaderAt
	size    int64  // the segment's
	count   uint32 // topics
	total   uint32 // places
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
	case !bytes.HasPrefix(b[:], []byte(topicsMagic)) || binary.LittleEndian.Uint32(b[atVersion:]) != formatVersion:
		return nil, fmt.Errorf("%w: no topic index of this version", errDamaged)
	case binary.LittleEndian.Uint32(b[atTopicsCRC:]) != crc32.Checksum(b[:atTopicsCRC], castagnoli):
		return nil, fmt.Errorf("%w: topic index's checksum", errDamaged)
	case binary.LittleEndian.Uint64(b[atBase:]) != base || int64(binary.LittleEndian.Uint64(b[atTopicsSize:])) != size:
		return nil, fmt.Errorf("%w: topic index of another segment", errDamaged)
	}
	x := &topicIndex{
		file: f, size: size, count: binary.LittleEndian.Uint32(b[atCount:]), total: binary.LittleEndian.Uint32(b[atPlacesCount:]),
	}
	if length != topicsHeader+int64(x.count)*topicEntry+int64(x.total)*placeBytes {
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
		e := b[at*topicEntry:]
		r := topicRef{binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])}
		if r.hash != hash {
			break
		}
		if r.count == 0 || uint64(r.start)+uint64(r.count) > uint64(x.total) {
			return nil, fmt.Errorf("%w: topic index's entry", errDamaged)
		}
		refs = append(refs, r)
	}
	return refs, nil
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
	if _, err := x.file.ReadAt(b, topicsHeader+int64(x.count)*topicEntry+int64(from)*placeBytes); err != nil {
		return nil, fmt.Errorf("%w: topic index: %w", errDamaged, err)
	}
	places := make([]uint32, n)
	for i := range places {
		places[i] = binary.LittleEndian.Uint32(b[i*placeBytes:])
	}
	return places, nil
}

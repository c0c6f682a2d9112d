package disklog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math"
	"reflect"
	"slices"
	"testing"

	"pulso/bridge/event"
)

// fuzzEvents have what a record can have.
func fuzzEvents() []event.Event {
	return []event.Event{
		{Topic: "a", Payload: []byte("1")},
		{Kind: event.KindConnected, Client: "c", Time: math.MaxInt64},
		{Topic: "q", Client: "d", Payload: []byte("2"), QoS: 2, PacketID: 0x1234},
		{Topic: "q", QoS: 2, PacketID: 1, Properties: &event.Properties{UTF8: true}},
		{Topic: "b/c", Client: "d", Payload: bytes.Repeat([]byte("x"), 100), Retain: true, QoS: 2, Properties: &event.Properties{
			HasContentType: true, ContentType: "t", ResponseTopic: "r", CorrelationData: []byte{1}, Expiry: 9, HasExpiry: true, UTF8: true,
			User: []event.UserProperty{{Name: "n", Value: "v"}, {}},
		}},
	}
}

// resum makes the checksums of records right, so that the fuzzer gets beyond them.
func resum(data []byte) {
	for at := 0; at < len(data); {
		n, _, err := peek(data[at:])
		if err != nil || n > len(data)-at {
			return
		}
		rec := data[at:][:n]
		binary.LittleEndian.PutUint32(rec[atCRC:], crc32.Checksum(rec[atOffset:], castagnoli))
		at += n
	}
}

func FuzzRecords(f *testing.F) {
	var seed []byte
	for i, e := range fuzzEvents() {
		seed = appendRecord(seed, &e, uint64(i))
	}
	f.Add(seed, false)
	f.Add(seed[:len(seed)-3], true)
	f.Add(oldRecord(f), false)
	short := appendRecord(nil, &event.Event{Topic: "q", PacketID: 1}, 0)
	short[len(short)-3-3] = 1 // an identifier of one byte
	f.Add(short, true)
	l := &Log{identity: newIdentity()}
	f.Fuzz(func(t *testing.T, data []byte, sums bool) {
		if sums {
			data = bytes.Clone(data)
			resum(data)
		}
		file := bytes.NewReader(append(make([]byte, segmentHeader), data...))
		r := newReader()
		end, size, why, err := scan(file, 0, segmentHeader, func(rec record, _ int64) error {
			if e := r.add(l, hit{record: rec}, rec.payloadLen()); e != nil && !errors.Is(e, errDamaged) {
				t.Fatal(e)
			}
			return nil
		})
		if err != nil || size > int64(segmentHeader+len(data)) || (why == nil) != (size == int64(segmentHeader+len(data))) {
			t.Fatalf("end %d, size %d of %d, %v, %v", end, size, len(data), why, err)
		}
		for i := range r.events {
			checkRoundTrip(t, l, &r.events[i])
		}
	})
}

// oldRecord is a record as it was written before there were packet identifiers.
func oldRecord(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString("2f000000d289e9ec0500000000000000070000000000000000000e000300010001000000612f626378010100000074")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOldRecordIsRead(t *testing.T) {
	rec, err := cutRecord(oldRecord(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	l, r := &Log{identity: newIdentity()}, newReader()
	if err := r.add(l, hit{record: rec}, 1); err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		Position: r.events[0].Position, Time: 7, Topic: "a/b", Client: "c", Payload: []byte("x"), QoS: 2, Retain: true,
		Properties: &event.Properties{HasContentType: true, ContentType: "t"},
	}
	if !reflect.DeepEqual(r.events[0], want) || want.Position.Offset != 5 {
		t.Errorf("%+v", r.events[0])
	}
}

// checkRoundTrip writes an event that has been read and reads it again.
func checkRoundTrip(t *testing.T, l *Log, e *event.Event) {
	t.Helper()
	b := appendRecord(nil, e, e.Position.Offset)
	if len(b) != recordSize(e) {
		t.Fatalf("%d bytes instead of %d", len(b), recordSize(e))
	}
	rec, err := cutRecord(b, e.Position.Offset)
	if err != nil {
		t.Fatal(err)
	}
	r := newReader()
	if err := r.add(l, hit{record: rec}, 0); err != nil || !reflect.DeepEqual(r.events[0], *e) {
		t.Fatalf("%+v instead of %+v, %v", r.events, e, err)
	}
}

// FuzzGather reads any bytes as a segment, with an index that says anything.
func FuzzGather(f *testing.F) {
	seed := appendSegmentHeader(nil, 0, 1, 0)
	for i, e := range fuzzEvents() {
		seed = appendRecord(seed, &e, uint64(i))
	}
	f.Add(seed, uint64(3), uint32(0), uint32(segmentHeader), uint64(2))
	f.Add(seed[:100], uint64(3), uint32(1), uint32(101), uint64(1))
	l := &Log{identity: newIdentity()}
	f.Fuzz(func(t *testing.T, data []byte, end uint64, ordinal, place uint32, offset uint64) {
		resum(data[min(len(data), segmentHeader):])
		v := view{&segment{}, end, int64(len(data)) + 10}
		file := bytes.NewReader(data)
		r := newReader()
		r.limit = 100
		entries := []entry{{ordinal, place}}
		at, err := r.seek(file, v, entries, offset)
		if err == nil {
			_, _, err = r.gather(l, file, v, at, offset)
		}
		if err != nil && !errors.Is(err, errDamaged) {
			t.Fatal(err)
		}
		if next := r.resume(file, v, entries, offset); next != end && next <= offset {
			t.Fatalf("reading goes on at %d after damage at %d", next, offset)
		}
	})
}

func FuzzOffsetIndex(f *testing.F) {
	f.Add(appendOffsetIndex(nil, &segment{base: 5, end: 9, size: 700}, []entry{{0, 64}, {3, 500}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= offsetsHeader {
			binary.LittleEndian.PutUint32(data[atOffsetsCRC:], offsetsSum(data))
		}
		x, err := parseOffsetIndex(data, 5)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatal(err)
			}
			return
		}
		if cap(x.entries)*offsetsEntry > len(data) {
			t.Fatalf("%d entries of %d bytes", cap(x.entries), len(data))
		}
		floor(x.entries, 3)
	})
}

func FuzzTopicIndex(f *testing.F) {
	topics := []*liveTopic{
		{name: "a", places: []uint32{64, 500}}, {name: "b", places: []uint32{100}}, {name: "c", places: []uint32{300}}, {places: []uint32{400}},
	}
	seed := appendTopicIndex(nil, &segment{base: 5, size: 700}, topics)
	f.Add(seed, "a", int64(200))
	f.Add(seed[:len(seed)-1], "b", int64(700))
	f.Fuzz(func(t *testing.T, data []byte, topic string, below int64) {
		if len(data) >= topicsHeader {
			binary.LittleEndian.PutUint32(data[atTopicsCRC:], crc32.Checksum(data[:atTopicsCRC], castagnoli))
		}
		x, err := openTopicIndex(bytes.NewReader(data), int64(len(data)), 5, 700)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatal(err)
			}
			return
		}
		if _, err := x.choose(view{&segment{base: 5}, 9, below}, func(name string) bool { return name != topic }); err != nil && !errors.Is(err, errDamaged) {
			t.Fatal(err)
		}
		refs, err := x.find(topicHash(topic))
		if err != nil && !errors.Is(err, errDamaged) {
			t.Fatal(err)
		}
		for _, r := range refs {
			got, err := x.places(r, below, 3)
			if err != nil && !errors.Is(err, errDamaged) || len(got) > 3 {
				t.Fatal(got, err)
			}
		}
	})
}

func FuzzIdentity(f *testing.F) {
	id := newIdentity()
	id.begin(7)
	data, err := id.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := parseIdentity(data)
		if err != nil {
			return
		}
		again, err := id.encode()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := parseIdentity(again); err != nil || !reflect.DeepEqual(same, id) {
			t.Fatalf("%+v instead of %+v, %v", same, id, err)
		}
	})
}

// TestTopicsThatShareAHash finds each of two topics by its records.
func TestTopicsThatShareAHash(t *testing.T) {
	l := mustOpen(t, Config{Sync: SyncOS})
	appendN(t, l, 20)
	s := l.active
	x := s.live.Load()
	// The index of a segment in which "t1" hashes like "t2".
	data := appendTopicIndex(nil, s, x.list)
	collide(t, data, topicHash("t1"), topicHash("t2"))
	topics, err := openTopicIndex(bytes.NewReader(data), int64(len(data)), s.base, s.size)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := topics.find(topicHash("t2"))
	if err != nil || len(refs) != 2 {
		t.Fatalf("%d entries, %v", len(refs), err)
	}
	ours := 0
	for _, ref := range refs {
		r := newReader()
		r.limit = 10
		yes, err := r.collect(l, l.end.file, view{s, s.end, s.size}, query{topic: "t2", before: s.end, below: s.size, strict: true},
			func(below int64, n int) ([]uint32, error) { return topics.places(ref, below, n) })
		if err != nil {
			t.Fatal(err)
		}
		if yes && len(r.events) == 3 {
			ours++
		}
	}
	if ours != 1 {
		t.Errorf("%d of the entries are the topic's", ours)
	}
}

// collide puts the entry of one hash beside that of another and gives it the same hash.
func collide(t *testing.T, data []byte, from, to uint64) {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(data[atCount:]))
	table := data[topicsHeader:][:n*topicEntry]
	var entries [][]byte
	for e := range slices.Chunk(table, topicEntry) {
		e = bytes.Clone(e)
		if binary.LittleEndian.Uint64(e) == from {
			binary.LittleEndian.PutUint64(e, to)
		}
		entries = append(entries, e)
	}
	hash := func(e []byte) uint64 { return binary.LittleEndian.Uint64(e) }
	slices.SortFunc(entries, func(a, b []byte) int { return cmp.Compare(hash(a), hash(b)) })
	copy(table, bytes.Join(entries, nil))
	ends := make([]int, topicsBuckets)
	end := 0
	for i := range ends {
		for end < n && binary.LittleEndian.Uint64(entries[end])>>56 == uint64(i) {
			end++
		}
		ends[i] = end
	}
	sumTopicIndex(data, ends)
}

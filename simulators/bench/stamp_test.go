package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func TestPayload(t *testing.T) {
	for _, s := range []stamp{
		{due: time.Now().UnixNano(), seq: 1, device: 0},
		{due: 1763830000000000000, seq: math.MaxUint32, device: math.MaxInt32},
		{due: 1, seq: 99, device: 12},
	} {
		for _, size := range []int{smallestPayload, 128, 1000} {
			payload := appendPayload(nil, s, 0x4f0c2a91, size)
			if len(payload) != size {
				t.Errorf("%d bytes, want %d", len(payload), size)
			}

			if s.due > 1e18 && !json.Valid(payload) {
				t.Errorf("no JSON: %s", payload)
			}

			if got, ok := readStamp(payload, 0x4f0c2a91); !ok || got != s {
				t.Errorf("%s: read %+v, want %+v", payload, got, s)
			}

			if _, ok := readStamp(payload, 0x4f0c2a92); ok {
				t.Error("a payload of another run was taken")
			}
		}
	}
}

// scanAll scans data in pieces that end at the cuts.
func scanAll(data []byte, devices int32, cuts ...int) (found []stamp, strange int64) {
	s := scanner{run: 7, devices: devices, found: func(s stamp) { found = append(found, s) }}

	var keep []byte

	begin := 0

	for _, end := range append(cuts, len(data)) {
		piece := append(slices.Clone(keep), data[begin:end]...)
		n := s.scan(piece, end == len(data))
		keep = slices.Clone(piece[len(piece)-n:])
		begin = end
	}

	return found, s.strange
}

// Wherever a message is cut, each stamp in it is found once.
func TestScanPieces(t *testing.T) {
	data := []byte(`{"room":1,"events":[{"topic":"a","payload":`)
	want := []stamp{}

	for i := range 3 {
		s := stamp{due: 1763830000000000000 + int64(i), seq: uint32(i + 9), device: int32(i)}
		want = append(want, s)
		data = append(appendPayload(data, s, 7, 110), `},{"ts":3,"payload":{"t`...)
	}

	data = append(data, `s"`...)

	for cut := range data {
		for second := cut; second < len(data); second += 17 {
			if found, _ := scanAll(data, 3, cut, second); !slices.Equal(found, want) {
				t.Fatalf("cut at %d and %d: %+v", cut, second, found)
			}
		}
	}

	if found, strange := scanAll(data, 2); len(found) != 2 || strange == 0 {
		t.Errorf("of 2 devices %d are found, strange %d", len(found), strange)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(appendPayload([]byte("x"), stamp{due: 1763830000000000000, seq: 3, device: 4}, 7, 128), 20, 60)
	f.Add([]byte(`{"ts":{"ts":{"ts":1763830000000000000,"temperature":21.07,"humidity":45,"seq":12`), 5, 9)
	f.Fuzz(func(t *testing.T, data []byte, a, b int) {
		a = min(max(a, 0), len(data))
		b = min(max(b, a), len(data))
		whole, _ := scanAll(data, 10)

		if pieces, _ := scanAll(data, 10, a, b); !slices.Equal(whole, pieces) {
			t.Errorf("whole %v, in pieces %v", whole, pieces)
		}
	})
}

// A model of the tracker that remembers everything.
type model struct{ seen map[string]bool }

func FuzzTracker(f *testing.F) {
	f.Add([]byte{1, 2, 3, 5, 4, 4, 9, 6, 8, 7, 1})
	f.Add([]byte{200, 1, 100, 50, 150, 25, 75, 200})
	f.Fuzz(func(t *testing.T, arrivals []byte) {
		track, m := newTracker(2), model{seen: make(map[string]bool)}
		highest := [2]uint32{}

		for i, a := range arrivals {
			device, seq := int32(i%2), uint32(a)+1
			key := fmt.Sprint(device, " ", seq)
			want := inOrder

			switch {
			case m.seen[key]:
				want = doublet
			case seq < highest[device]:
				want = late
			}

			if got := track.note(device, seq); got != want {
				t.Fatalf("%d of device %d after %v: %v, want %v", seq, device, arrivals[:i], got, want)
			}

			m.seen[key] = true
			highest[device] = max(highest[device], seq)
		}

		if track.have != int64(len(m.seen)) {
			t.Errorf("it has %d, want %d", track.have, len(m.seen))
		}

		held := 0
		for _, h := range track.holes {
			held += len(h)
		}

		if held != track.held {
			t.Errorf("it holds %d holes and counts %d", held, track.held)
		}

		for device := range int32(2) {
			for seq := uint32(1); seq < 300; seq++ {
				if got := track.has(device, seq); got != m.seen[fmt.Sprint(device, " ", seq)] {
					t.Fatalf("has %d of device %d: %v", seq, device, got)
				}
			}
		}
	})
}

// The tracker's memory is bounded, and it says when it has reached the bound.
func TestTrackerForgets(t *testing.T) {
	track := newTracker(1)
	for i := range uint32(maxHoles + 10) {
		track.note(0, 2*i+2)
	}

	if track.held != maxHoles || track.forgot != 10 {
		t.Errorf("holes %d, forgot %d", track.held, track.forgot)
	}
}

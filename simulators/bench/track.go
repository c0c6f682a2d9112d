package bench

// A tracker tells of one receiver which messages of each device it has, which are missing, and which came twice or late. Sequence
// numbers are counted, not sampled, so what it says is exact; it says so itself (forgot) where its bound kept it from that. It is
// not safe for concurrent use.
type tracker struct {
	high  []uint32         // of each device the highest sequence number seen; 0 is none
	holes map[int32][]hole // of a device, ascending
	held  int              // holes held, of all devices

	have   int64 // different messages
	forgot int64 // messages in holes that were given up: if they come after all they count as doublets
}

// A hole is a run of sequence numbers that have not come, both ends included.
type hole struct{ from, to uint32 }

// maxHoles is how many holes a tracker holds, 8 bytes each.
const maxHoles = 1 << 16

// What a message is to its receiver.
type verdict int

const (
	inOrder verdict = iota
	late            // after one that was sent later
	doublet         // had already
)

func newTracker(devices int) *tracker {
	return &tracker{high: make([]uint32, devices), holes: make(map[int32][]hole)}
}

// note takes a message in.
func (t *tracker) note(device int32, seq uint32) verdict {
	high := t.high[device]
	if seq > high {
		if seq > high+1 {
			t.open(device, hole{high + 1, seq - 1})
		}

		t.high[device] = seq
		t.have++

		return inOrder
	}

	if t.fill(device, seq) {
		t.have++

		return late
	}

	return doublet
}

// has reports whether the message has come.
func (t *tracker) has(device int32, seq uint32) bool {
	if seq > t.high[device] {
		return false
	}

	for _, h := range t.holes[device] {
		if seq >= h.from && seq <= h.to {
			return false
		}
	}

	return true
}

func (t *tracker) open(device int32, h hole) {
	if t.held >= maxHoles {
		t.forgot += int64(h.to-h.from) + 1

		return
	}

	t.holes[device] = append(t.holes[device], h)
	t.held++
}

// fill takes a message out of the hole it was missing in, and reports whether it was.
func (t *tracker) fill(device int32, seq uint32) bool {
	holes := t.holes[device]
	for i, h := range holes {
		if seq < h.from || seq > h.to {
			continue
		}

		// What is left of the hole: nothing, one part or two.
		rest := make([]hole, 0, len(holes)+1)
		rest = append(rest, holes[:i]...)

		if seq > h.from {
			rest = append(rest, hole{h.from, seq - 1})
		}

		if seq < h.to {
			rest = append(rest, hole{seq + 1, h.to})
		}

		rest = append(rest, holes[i+1:]...)
		t.held += len(rest) - len(holes)

		if len(rest) == 0 {
			delete(t.holes, device)
		} else {
			t.holes[device] = rest
		}

		return true
	}

	return false
}

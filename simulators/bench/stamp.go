package bench

import (
	"bytes"
	"math"
	"strconv"
)

// A stamp is what each payload says of itself.
type stamp struct {
	due    int64  // when it should have been sent, nanoseconds since the Unix epoch
	seq    uint32 // of its device, from 1
	device int32
}

// A payload is JSON, so that hubs which decode what devices send have something to decode:
//
//	{"ts":1763830000000000000,"temperature":21.07,"humidity":45,"seq":12,"pad":"4f0c2a91.17.xxxx"}
//
// The pad begins with the run's id and the device. Receivers look for the marker in whatever wraps the payload and read the stamp
// behind it: they need not know the protocol, as long as it leaves a payload's bytes as they are.
var (
	marker   = []byte(`{"ts":`)
	afterSeq = []byte(`,"pad":"`)
)

const (
	stampDigits = 19
	runDigits   = 8
	// seqAt is where the sequence number begins: all before it has a fixed width.
	seqAt = len(`{"ts":1763830000000000000,"temperature":21.07,"humidity":45,"seq":`)
	// longestStamp is the most bytes up to where the padding begins.
	longestStamp = seqAt + len(`4294967295,"pad":"4f0c2a91.2147483647.`)
	// smallestPayload is the size that holds any stamp.
	smallestPayload = longestStamp + len(`"}`)
	zeros           = "0000000000000000000"
)

// appendPayload appends a payload of size bytes, at least smallestPayload.
func appendPayload(b []byte, s stamp, run uint32, size int) []byte {
	end := len(b) + size - len(`"}`)
	b = append(b, marker...)
	b = appendPadded(b, s.due, stampDigits)
	b = append(b, `,"temperature":`...)
	b = appendPadded(b, 15+int64(s.seq%20), 2)
	b = append(b, '.')
	b = appendPadded(b, int64(s.seq%100), 2)
	b = append(b, `,"humidity":`...)
	b = appendPadded(b, 30+int64(s.seq%50), 2)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, uint64(s.seq), 10)
	b = append(b, afterSeq...)
	b = appendHex(b, run)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(s.device), 10)
	b = append(b, '.')

	for len(b) < end {
		b = append(b, 'x')
	}

	return append(b, `"}`...)
}

// appendPadded appends a number with zeros before it.
func appendPadded(b []byte, n int64, width int) []byte {
	begin := len(b)
	b = append(b, zeros[:width]...)

	for i := begin + width - 1; i >= begin && n > 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}

	return b
}

func appendHex(b []byte, n uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[n>>shift&0xf])
	}

	return b
}

// A scanner finds the stamps of a run in bytes that come in pieces.
type scanner struct {
	run     uint32
	devices int32 // how many there are; a stamp of another is strange
	found   func(stamp)
	strange int64 // markers that no stamp of this run follows
}

// scan calls found for each stamp in data and returns how many bytes at its end may be the beginning of another: they are to stand
// before the next piece. At the end of a message nothing can follow: last is true and all of it is taken.
func (s *scanner) scan(data []byte, last bool) (keep int) {
	for {
		i := bytes.Index(data, marker)
		if i < 0 {
			if last {
				return 0
			}

			return min(len(data), len(marker)-1)
		}

		data = data[i:]
		if len(data) < longestStamp && !last {
			return len(data)
		}

		if st, ok := readStamp(data, s.run); ok && st.device < s.devices {
			s.found(st)
		} else {
			s.strange++
		}

		data = data[len(marker):]
	}
}

// readStamp reads the stamp that data, which begins with the marker, holds.
func readStamp(data []byte, run uint32) (s stamp, ok bool) {
	if len(data) < seqAt {
		return s, false
	}

	due, ok := number(data[len(marker) : len(marker)+stampDigits])
	if !ok {
		return s, false
	}

	seq, rest := digits(data[seqAt:])
	if seq <= 0 || seq > math.MaxUint32 || !bytes.HasPrefix(rest, afterSeq) {
		return s, false
	}

	rest = rest[len(afterSeq):]
	if len(rest) <= runDigits || rest[runDigits] != '.' {
		return s, false
	}

	id, err := strconv.ParseUint(string(rest[:runDigits]), 16, 32)
	device, rest := digits(rest[runDigits+1:])

	if err != nil || id != uint64(run) || device < 0 || device > math.MaxInt32 || len(rest) == 0 || rest[0] != '.' {
		return s, false
	}

	return stamp{due: due, seq: uint32(seq), device: int32(device)}, true
}

// number reads text that is digits only.
func number(text []byte) (int64, bool) {
	n, rest := digits(text)

	return n, n >= 0 && len(rest) == 0
}

// digits reads the number, at most 19 digits long, that text begins with: -1 if there is none.
func digits(text []byte) (n int64, rest []byte) {
	i := 0
	for i < len(text) && i < stampDigits && text[i] >= '0' && text[i] <= '9' {
		n = n*10 + int64(text[i]-'0')
		i++
	}

	if i == 0 {
		return -1, text
	}

	return n, text[i:]
}

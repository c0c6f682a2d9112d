package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Types of MQTT control packets (MQTT 5, 2.1.2), as they stand in the upper half of the first byte.
const (
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typePubrec     = 5
	typePubrel     = 6
	typePubcomp    = 7
	typeSuback     = 9
	typeUnsuback   = 11
	typePingresp   = 13
	typeDisconnect = 14
)

// errMalformed is wrapped by what is wrong with a packet.
var errMalformed = errors.New("malformed packet")

// A frame is one packet as it came.
type frame struct {
	first byte
	// body is what follows the fixed header; of a message that is too large, only its topic and identifier.
	body []byte
	// size is how long the packet was, tooLarge whether that is more than it may be.
	size     int
	tooLarge bool
}

func (f *frame) kind() byte { return f.first >> 4 }

// readFrame reads one packet of at most limit bytes. No more memory is taken than that. Of a message that is larger, the
// beginning is kept and the rest is read away: a broker sends again what is not acknowledged, so to hang up would be
// to hang up for ever. Any other packet that is larger is an error.
func readFrame(in *bufio.Reader, limit int) (frame, error) {
	var f frame
	var err error
	if f.first, err = in.ReadByte(); err != nil {
		return f, err
	}
	length, header := 0, 1
	for shift := 0; ; shift += 7 { // MQTT 5, 1.5.5
		b, err := in.ReadByte()
		if err != nil {
			return f, unexpected(err)
		}
		header++
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift == 21 {
			return f, fmt.Errorf("%w: its length takes more than four bytes", errMalformed)
		}
	}
	if f.size = header + length; f.size <= limit {
		f.body = make([]byte, length)
		_, err = io.ReadFull(in, f.body)
		return f, unexpected(err)
	}
	if f.kind() != typePublish {
		return f, fmt.Errorf("%w: %d bytes, at most %d", errMalformed, f.size, limit)
	}
	f.tooLarge = true
	topic, err := in.Peek(2)
	if err != nil {
		return f, unexpected(err)
	}
	keep := min(2+int(binary.BigEndian.Uint16(topic))+2, length)
	f.body = make([]byte, keep)
	if _, err = io.ReadFull(in, f.body); err != nil {
		return f, unexpected(err)
	}
	_, err = in.Discard(length - keep)
	return f, unexpected(err)
}

// unexpected is an end in the middle of a packet.
func unexpected(err error) error {
	if err == io.EOF { //nolint:errorlint // a reader's end is io.EOF itself
		return io.ErrUnexpectedEOF
	}
	return err
}

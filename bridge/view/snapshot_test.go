package view

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"time"

	"pulso/bridge/event"
)

type blob string

func (blob) Name() string              { return "blob" }
func (blob) Apply([]event.Decoded)     {}
func (blob) Tick(time.Time)            {}
func (b blob) Save(w io.Writer) error  { _, err := io.WriteString(w, string(b)); return err }
func (blob) Restore(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }

// FuzzSnapshot feeds files that may be anything, with a good checksum so that what lies behind it is reached.
func FuzzSnapshot(f *testing.F) {
	at := event.Position{Epoch: 7, Offset: 9}
	good, err := encodeSnapshot(blob("state"), at)
	if err != nil {
		f.Fatal(err)
	}
	if got, state, err := decodeSnapshot(good); err != nil || got != at || string(state) != "state" {
		f.Fatalf("%v %q %v", got, state, err)
	}
	f.Add(good[:len(good)-sumBytes])
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, _ = decodeSnapshot(data)
		sealed := binary.BigEndian.AppendUint32(slices.Clip(data), sum(data))
		at, state, err := decodeSnapshot(sealed)
		if err != nil {
			return
		}
		again, err := encodeSnapshot(blob(state), at)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Fatalf("%q became %q: %v", sealed, again, err)
		}
	})
}

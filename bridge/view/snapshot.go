package view

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"pulso/bridge/event"
	"pulso/internal/replace"
)

// A snapshot file is: snapshotMagic, the position's epoch and offset as 8 bytes each, the state's length as 8 bytes, the
// state as the view wrote it, and the CRC-32C of everything before as 4 bytes; all integers big-endian.
const (
	// snapshotMagic ends in the version of the format; a view's own state carries its own.
	snapshotMagic = "pulso-view\x00\x01"
	headerBytes   = len(snapshotMagic) + 3*8
	sumBytes      = 4
)

// errSnapshot is wrapped by what is said of a snapshot that is not whole.
var errSnapshot = errors.New("damaged snapshot")

func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func encodeSnapshot(v View, at event.Position) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(snapshotMagic)
	var header [3 * 8]byte
	b.Write(header[:])
	if err := v.Save(&b); err != nil {
		return nil, err
	}
	data := b.Bytes()
	fields := data[len(snapshotMagic):headerBytes]
	binary.BigEndian.PutUint64(fields[0:], at.Epoch)
	binary.BigEndian.PutUint64(fields[8:], at.Offset)
	binary.BigEndian.PutUint64(fields[16:], uint64(len(data)-headerBytes))
	return binary.BigEndian.AppendUint32(data, sum(data)), nil
}

// decodeSnapshot returns the position and the state in data. Errors wrap errSnapshot.
func decodeSnapshot(data []byte) (event.Position, []byte, error) {
	switch {
	case len(data) < headerBytes+sumBytes:
		return event.Position{}, nil, fmt.Errorf("%w: %d bytes", errSnapshot, len(data))
	case string(data[:len(snapshotMagic)]) != snapshotMagic:
		return event.Position{}, nil, fmt.Errorf("%w: unknown format or version", errSnapshot)
	}
	body, tail := data[:len(data)-sumBytes], data[len(data)-sumBytes:]
	if got, want := sum(body), binary.BigEndian.Uint32(tail); got != want {
		return event.Position{}, nil, fmt.Errorf("%w: checksum %08x, not %08x", errSnapshot, got, want)
	}
	fields := body[len(snapshotMagic):headerBytes]
	state := body[headerBytes:]
	if length := binary.BigEndian.Uint64(fields[16:]); length != uint64(len(state)) {
		return event.Position{}, nil, fmt.Errorf("%w: %d bytes of state, not %d", errSnapshot, len(state), length)
	}
	at := event.Position{Epoch: binary.BigEndian.Uint64(fields[0:]), Offset: binary.BigEndian.Uint64(fields[8:])}
	return at, state, nil
}

func (r *Runner) file() string { return filepath.Join(r.config.Dir, r.view.Name()+".snapshot") }

// restore sets the view and the position by the snapshot; by the log's start where there is none or it is damaged.
func (r *Runner) restore() error {
	r.savedAt = time.Now()
	if r.config.Dir == "" {
		return r.rebuild("")
	}
	data, err := os.ReadFile(r.file())
	if errors.Is(err, os.ErrNotExist) {
		return r.rebuild("")
	}
	if err != nil {
		return r.rebuild(err.Error())
	}
	at, state, err := decodeSnapshot(data)
	if err != nil {
		return r.rebuild(err.Error())
	}
	if err := r.view.Restore(bytes.NewReader(state)); err != nil {
		return r.rebuild(err.Error())
	}
	r.position.Store(&at)
	r.saved = at
	return nil
}

// rebuild empties the view and goes to the log's start. A reason is logged.
func (r *Runner) rebuild(reason string) error {
	if reason != "" {
		r.metrics.rebuilds.Inc()
		r.logger.Warn("a view is built again from the log's start", "reason", reason)
	}
	if err := r.view.Restore(bytes.NewReader(nil)); err != nil {
		return fmt.Errorf("empty view %s: %w", r.view.Name(), err)
	}
	first, _ := r.log.Bounds()
	r.position.Store(&first)
	r.saved = event.Position{}
	return nil
}

// save writes a snapshot if the view has moved on since the last one.
func (r *Runner) save() error {
	r.savedAt = time.Now()
	at := r.Position()
	if r.config.Dir == "" || at.IsZero() || at == r.saved {
		return nil
	}
	data, err := encodeSnapshot(r.view, at)
	if err != nil {
		return fmt.Errorf("save view %s: %w", r.view.Name(), err)
	}
	if err := replace.File(r.file(), data); err != nil {
		return fmt.Errorf("save view %s: %w", r.view.Name(), err)
	}
	r.saved = at
	return nil
}

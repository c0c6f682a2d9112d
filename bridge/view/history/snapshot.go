package history

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	rules "pulso/bridge/view/series"
)

// stateVersion is the version of the form in which the state is saved: this byte; the storage's identity; for each
// write-ahead log its mark; how many devices; for each of them its id, its kind and how many series; for
// each of those topic (empty: as the one before), field, how many variants, for each its unit and kind, both runs, and the
// newest value as 8 bytes. Texts have their length in front, other numbers are varints.
const stateVersion = 1

// errState is wrapped by what is said of a state that cannot be read.
var errState = errors.New("malformed state of the history")

// Save implements view.View. All samples that were applied are in the storage and on the disk before it returns nil.
func (v *View) Save(w io.Writer) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.flush(); err != nil {
		return err
	}
	if v.keep {
		reached, err := v.sync(v.marks)
		if err != nil {
			// What a failed sync has not written may never be: until the next start, no position is claimed.
			v.givenUp = err
			return err
		}
		v.marks = reached
	}
	_, err := w.Write(v.appendState(nil))
	return err
}

// Restore implements view.View. The storage stays as it is; its error says what of it is missing.
func (v *View) Restore(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.flush(); err != nil {
		return err
	}
	v.forgetAll()
	v.marks = marks{}
	if v.stored, err = v.survey(); err != nil {
		return err
	}
	if len(data) == 0 {
		return nil
	}
	if err := v.readState(data); err != nil {
		v.forgetAll()
		return err
	}
	return nil
}

func (v *View) appendState(b []byte) []byte {
	b = append(b, stateVersion)
	b = appendText(b, v.identity)
	for _, m := range v.marks {
		b = binary.AppendVarint(binary.AppendVarint(b, m.segment), m.size)
		b = binary.AppendUvarint(b, uint64(m.sum))
	}
	b = binary.AppendUvarint(b, uint64(len(v.devices)))
	for _, d := range v.devices {
		b = appendText(appendText(b, d.id), d.kind)
		b = binary.AppendUvarint(b, uint64(len(d.series)))
		topic := ""
		for _, s := range slices.SortedFunc(maps.Values(d.series), byKey) {
			if s.key.topic == topic {
				b = appendText(b, "")
			} else {
				b = appendText(b, s.key.topic)
			}
			topic = s.key.topic
			b = s.append(appendText(b, s.key.field))
		}
	}
	return b
}

func byKey(a, b *series) int {
	return cmp.Or(cmp.Compare(a.key.topic, b.key.topic), cmp.Compare(a.key.field, b.key.field))
}

func (s *series) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.variants)))
	for _, x := range s.variants {
		b = appendText(appendText(b, x.unit), x.kind)
	}
	for _, r := range []rules.Run{s.Newest, s.Late} {
		b = binary.AppendVarint(binary.AppendVarint(b, r.First), r.Last)
	}
	return binary.BigEndian.AppendUint64(b, math.Float64bits(s.value))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A stateReader reads what append wrote. After an error, everything it reads is zero.
type stateReader struct {
	rest []byte
	bad  bool
}

func (r *stateReader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *stateReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.take(-1)
		return 0
	}
	r.take(size)
	return n
}

func (r *stateReader) varint() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.take(-1)
		return 0
	}
	r.take(size)
	return n
}

// count reads how many things follow, each of at least a byte.
func (r *stateReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.take(-1)
		return 0
	}
	return int(n)
}

func (r *stateReader) text() string { return string(r.take(r.count())) }

func (r *stateReader) run() rules.Run { return rules.Run{First: r.varint(), Last: r.varint()} }

func (r *stateReader) float() float64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

func (v *View) readState(data []byte) error {
	if data[0] != stateVersion {
		return fmt.Errorf("%w: version %d", errState, data[0])
	}
	r := &stateReader{rest: data[1:]}
	identity := r.text()
	var known marks
	for i := range known {
		known[i] = mark{segment: r.varint(), size: r.varint(), sum: uint32(r.uvarint())}
	}
	if r.bad {
		return fmt.Errorf("%w: it ends too early", errState)
	}
	if identity != v.identity {
		return errors.New("the history's folder is not the one that the state was saved with")
	}
	if v.keep {
		if err := v.missing(known); err != nil {
			return fmt.Errorf("the history's storage has lost samples: %w", err)
		}
	}
	for range r.count() {
		d := &device{id: r.text(), kind: r.text(), series: make(map[seriesKey]*series)}
		v.devices[d.id] = d
		topic := ""
		for range r.count() {
			s := r.series(d, &topic)
			d.series[s.key] = s
			v.series++
		}
	}
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("%w: %d bytes too many or too few", errState, len(r.rest))
	}
	v.marks = known
	return nil
}

// series reads one series of a device; topic is that of the one before.
func (r *stateReader) series(d *device, topic *string) *series {
	if t := r.text(); t != "" {
		*topic = t
	}
	s := &series{device: d, key: seriesKey{*topic, r.text()}, stored: math.MinInt64}
	for range r.count() {
		x := &variant{unit: r.text(), kind: r.text()}
		x.labels, _ = rules.Labels(d.id, s.key.topic, s.key.field, x.unit, x.kind)
		s.variants = append(s.variants, x)
	}
	s.Newest, s.Late = r.run(), r.run()
	s.value = r.float()
	return s
}

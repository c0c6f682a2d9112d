package wire

import (
	"math"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"pulso/bridge/event"
)

// appendFrameProto appends a Message with a Frame in the field of number.
func appendFrameProto(dst []byte, number protowire.Number, room uint64, pos event.Position, fields []byte, truncated bool) []byte {
	var text [48]byte
	position := pos.Append(text[:0])
	size := 2 + len(position) + len(fields) // the position is shorter than a length of two bytes could say
	if truncated {
		size += 2
	}
	dst = protowire.AppendTag(dst, messageRoom, protowire.VarintType)
	dst = protowire.AppendVarint(dst, room)
	dst = protowire.AppendTag(dst, number, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = protowire.AppendTag(dst, framePosition, protowire.BytesType)
	dst = protowire.AppendBytes(dst, position)
	dst = append(dst, fields...)
	if truncated {
		dst = protowire.AppendTag(dst, frameTruncated, protowire.VarintType)
		dst = append(dst, 1)
	}
	return dst
}

// appendEventProto appends an Event as the field events of a Frame.
func appendEventProto(dst []byte, e *event.Decoded, count uint32) []byte {
	device, problem := validText(e.Device), validText(e.Problem)
	body := protowire.Number(6) // payload_base64
	switch {
	case e.JSON:
		body = 4 // payload
	case utf8.Valid(e.Payload):
		body = 5 // payload_text
	}
	size := sizeString(e.Topic) + sizeString(device) + 1 + protowire.SizeVarint(uint64(Millis(e.Time))) +
		1 + protowire.SizeBytes(len(e.Payload)) + sizeString(problem)
	if count > 1 {
		size += 1 + protowire.SizeVarint(uint64(count))
	}
	if e.Kind == event.KindWill {
		size += 2
	}
	dst = protowire.AppendTag(dst, frameEvents, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = appendStringField(dst, 1, e.Topic)
	dst = appendStringField(dst, 2, device)
	dst = protowire.AppendTag(dst, 3, protowire.VarintType)
	dst = protowire.AppendVarint(dst, uint64(Millis(e.Time)))
	dst = protowire.AppendTag(dst, body, protowire.BytesType)
	dst = protowire.AppendBytes(dst, e.Payload)
	dst = appendStringField(dst, 7, problem)
	if count > 1 {
		dst = protowire.AppendTag(dst, 8, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(count))
	}
	if e.Kind == event.KindWill {
		dst = protowire.AppendTag(dst, 9, protowire.VarintType)
		dst = append(dst, 1)
	}
	return dst
}

// appendSeriesProto appends a Series as the field series of a Frame.
func appendSeriesProto(dst []byte, s *event.Series) []byte {
	texts := [...]string{validText(s.Device), validText(s.Name), validText(s.Unit), validText(s.Topic)}
	size := 1 + protowire.SizeVarint(uint64(s.ID))
	for _, text := range texts {
		size += sizeString(text)
	}
	dst = protowire.AppendTag(dst, frameSeries, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = protowire.AppendTag(dst, 1, protowire.VarintType)
	dst = protowire.AppendVarint(dst, uint64(s.ID))
	for i, text := range texts {
		dst = appendStringField(dst, protowire.Number(2+i), text)
	}
	return dst
}

// validText is s as protobuf takes it: U+FFFD stands for what is not UTF-8.
func validText(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// sizeString is the size of a string field whose number is below 16.
func sizeString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

// appendStringField appends a string field; none where it is empty.
func appendStringField(dst []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	dst = protowire.AppendTag(dst, number, protowire.BytesType)
	return protowire.AppendString(dst, s)
}

// Of the kinds of Values: see the proto file.
const (
	maxScale    = 14
	kindDouble  = 15
	kindSeveral = 1 << 4
)

// maxExact bounds the decimals: whole numbers up to it are exact as a float64.
const maxExact = 1 << 53

var powers = [maxScale + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14}

// decimal finds the fewest decimals, scale or more, with which v is a whole number divided by a power of ten, exactly: the
// division of two numbers that are exact gives the float64 that is nearest to the quotient (IEEE 754).
func decimal(v float64, scale int) (number int64, _ int, ok bool) {
	for ; scale <= maxScale; scale++ {
		n := math.Round(v * powers[scale])
		if !(math.Abs(n) <= maxExact) {
			return 0, 0, false
		}
		if n/powers[scale] == v && (n != 0 || !math.Signbit(v)) {
			return int64(n), scale, true
		}
	}
	return 0, 0, false
}

// columns are the elements of one Values, encoded.
type columns struct {
	series, times, kinds, decimals, doubles, counts []byte
}

var columnPool = sync.Pool{New: func() any { return new(columns) }}

// maxPooled is the size of a column that is not kept for the next frame.
const maxPooled = 256 << 10

// appendValuesProto appends Values as the field values of a Frame.
func appendValuesProto(dst []byte, values []Value) []byte {
	if len(values) == 0 {
		return dst
	}
	c, _ := columnPool.Get().(*columns) // the pool holds nothing else
	defer c.release()
	base := Millis(values[0].Time)
	series, last := uint32(0), base
	for i := range values {
		v := &values[i]
		c.series = protowire.AppendVarint(c.series, uint64(uint32(zigzag32(int32(v.Series.ID-series)))))
		series = v.Series.ID
		millis := Millis(v.Time)
		c.times = protowire.AppendVarint(c.times, protowire.EncodeZigZag(millis-last))
		last = millis
		c.add(&v.Aggregate)
	}
	size := 1 + protowire.SizeVarint(uint64(base))
	all := [...][]byte{c.series, c.times, c.kinds, c.decimals, c.doubles, c.counts}
	for _, column := range all {
		if len(column) > 0 {
			size += 1 + protowire.SizeBytes(len(column))
		}
	}
	dst = protowire.AppendTag(dst, frameValues, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = protowire.AppendTag(dst, 1, protowire.VarintType)
	dst = protowire.AppendVarint(dst, uint64(base))
	for i, column := range all {
		if len(column) > 0 {
			dst = protowire.AppendTag(dst, protowire.Number(2+i), protowire.BytesType)
			dst = protowire.AppendBytes(dst, column)
		}
	}
	return dst
}

func zigzag32(v int32) int32 { return v<<1 ^ v>>31 }

// add appends a number to the columns.
func (c *columns) add(a *Aggregate) {
	several := byte(0)
	if a.Count > 1 {
		several = kindSeveral
		c.counts = protowire.AppendVarint(c.counts, uint64(a.Count))
	}
	n, scale, ok := decimal(a.Last, 0)
	if !ok {
		c.addDoubles(a)
		return
	}
	if several == 0 {
		c.kinds = append(c.kinds, byte(scale))
		c.decimals = protowire.AppendVarint(c.decimals, protowire.EncodeZigZag(n))
		return
	}
	low, lowScale, ok := decimal(a.Min, scale)
	high, highScale, ok2 := decimal(a.Max, scale)
	if ok && ok2 && lowScale != highScale { // the three share the most decimals that one of them needs
		common := max(lowScale, highScale)
		low, lowScale, ok = decimal(a.Min, common)
		high, highScale, ok2 = decimal(a.Max, common)
	}
	if ok = ok && ok2 && lowScale == highScale; ok {
		n, scale, ok = decimal(a.Last, lowScale)
	}
	if !ok || scale != lowScale {
		c.addDoubles(a)
		return
	}
	c.kinds = append(c.kinds, byte(scale)|several)
	c.decimals = protowire.AppendVarint(c.decimals, protowire.EncodeZigZag(n))
	c.decimals = protowire.AppendVarint(c.decimals, protowire.EncodeZigZag(n-low))
	c.decimals = protowire.AppendVarint(c.decimals, protowire.EncodeZigZag(high-n))
}

func (c *columns) addDoubles(a *Aggregate) {
	c.doubles = protowire.AppendFixed64(c.doubles, math.Float64bits(a.Last))
	if a.Count <= 1 {
		c.kinds = append(c.kinds, kindDouble)
		return
	}
	c.kinds = append(c.kinds, kindDouble|kindSeveral)
	c.doubles = protowire.AppendFixed64(c.doubles, math.Float64bits(a.Min))
	c.doubles = protowire.AppendFixed64(c.doubles, math.Float64bits(a.Max))
}

// release empties the columns and keeps them for another frame.
func (c *columns) release() {
	for _, column := range []*[]byte{&c.series, &c.times, &c.kinds, &c.decimals, &c.doubles, &c.counts} {
		if *column = (*column)[:0]; cap(*column) > maxPooled {
			*column = nil
		}
	}
	columnPool.Put(c)
}

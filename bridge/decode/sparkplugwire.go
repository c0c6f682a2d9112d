package decode

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The data types of Sparkplug B that matter here (specification 3.0, section 6.4.16).
const (
	sparkplugInt8      = 1
	sparkplugInt64     = 4
	sparkplugDateTime  = 13
	sparkplugInt8Array = 22
	sparkplugLastArray = 31 // DoubleArray
)

// A sparkplugPayload is org.eclipse.tahu.protobuf.Payload.
type sparkplugPayload struct {
	timestamp uint64
	metrics   []sparkplugMetric
	uuid      string
	body      []byte
}

// A sparkplugMetric is Payload.Metric. Of the value, bits or bytes hold what travels in the field of the number of.
type sparkplugMetric struct {
	name                    []byte
	named, aliased          bool
	alias                   uint64
	timestamp               uint64
	kind                    uint64
	historical, null, isBad bool
	of                      int
	bits                    uint64
	bytes                   []byte
	unit                    string
}

// The fields that hold a metric's value.
const (
	sparkplugInt      = 10
	sparkplugLong     = 11
	sparkplugFloat    = 12
	sparkplugDouble   = 13
	sparkplugBool     = 14
	sparkplugString   = 15
	sparkplugBytes    = 16
	sparkplugDataSet  = 17
	sparkplugTemplate = 18
)

func readSparkplug(message []byte) (*sparkplugPayload, error) {
	p := &sparkplugPayload{}
	err := wireFields(message, func(f *wireField) error {
		switch {
		case f.number == 1 && f.isVarint():
			p.timestamp = f.bits
		case f.number == 2 && f.isBytes():
			if len(p.metrics) >= maxAsked {
				return nil
			}
			m, err := readSparkplugMetric(f.bytes)
			p.metrics = append(p.metrics, m)
			return err
		case f.number == 4 && f.isBytes():
			p.uuid = string(f.bytes)
		case f.number == 5 && f.isBytes():
			p.body = f.bytes
		}
		return nil
	})
	return p, err
}

func readSparkplugMetric(message []byte) (sparkplugMetric, error) {
	var m sparkplugMetric
	err := wireFields(message, func(f *wireField) error {
		switch f.number {
		case 1:
			m.name, m.named = f.bytes, len(f.bytes) > 0
		case 2:
			m.alias, m.aliased = f.bits, true
		case 3:
			m.timestamp = f.bits
		case 4:
			m.kind = f.bits
		case 5:
			m.historical = f.bits != 0
		case 7:
			m.null = f.bits != 0
		case 9:
			return m.properties(f.bytes)
		case sparkplugInt, sparkplugLong, sparkplugFloat, sparkplugDouble, sparkplugBool, sparkplugString, sparkplugBytes,
			sparkplugDataSet, sparkplugTemplate:
			m.of, m.bits, m.bytes = f.number, f.bits, f.bytes
		}
		return nil
	})
	return m, err
}

// properties takes the unit and the quality from Payload.PropertySet.
func (m *sparkplugMetric) properties(message []byte) error {
	var keys, values [][]byte
	err := wireFields(message, func(f *wireField) error {
		switch {
		case len(keys) > MaxTexts || len(values) > MaxTexts:
		case f.number == 1 && f.isBytes():
			keys = append(keys, f.bytes)
		case f.number == 2 && f.isBytes():
			values = append(values, f.bytes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range min(len(keys), len(values)) {
		key := string(keys[i])
		if _, isUnit := sparkplugUnitKeys[key]; !isUnit && key != "Quality" && key != "quality" {
			continue
		}
		err := wireFields(values[i], func(f *wireField) error {
			switch {
			case f.number == 8 && f.isBytes():
				m.unit = string(f.bytes)
			case f.number == 3 && f.isVarint():
				const bad = 0
				m.isBad = f.bits == bad
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sparkplugUnitKeys are the properties by which implementations name a unit.
var sparkplugUnitKeys = words("engUnit EngUnit engUnits EngUnits engineeringUnits EngineeringUnits unit Unit units Units uom")

// number returns a metric's value as a number. Signed types travel in unsigned fields, as two's complement of as many bits
// as the field has.
func (m *sparkplugMetric) number() (value float64, isNumber bool) {
	return sparkplugNumber(m.of, m.bits, m.kind)
}

func sparkplugNumber(field int, bits, kind uint64) (value float64, isNumber bool) {
	signed := kind >= sparkplugInt8 && kind <= sparkplugInt64
	switch field {
	case sparkplugInt:
		if signed {
			switch kind {
			case sparkplugInt8:
				return float64(int8(bits)), true
			case sparkplugInt8 + 1:
				return float64(int16(bits)), true
			}
			return float64(int32(bits)), true
		}
		return float64(uint32(bits)), true
	case sparkplugLong:
		if signed {
			return float64(int64(bits)), true
		}
		return float64(bits), true
	case sparkplugFloat:
		return shortFloat(math.Float32frombits(uint32(bits))), true
	case sparkplugDouble:
		return math.Float64frombits(bits), true
	case sparkplugBool:
		return float64(min(bits, 1)), true
	default:
		return 0, false
	}
}

// shortFloat is the number that a person would write for f: 21.1 and not 21.1000003815.
func shortFloat(f float32) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f)
	}
	return v
}

// sparkplugTime is a time in milliseconds as nanoseconds; 0 where it is not one that a clock shows.
func sparkplugTime(ms uint64) int64 {
	if ms == 0 || ms > math.MaxInt64/uint64(time.Millisecond) {
		return 0
	}
	return int64(ms) * int64(time.Millisecond)
}

// A sparkplugTable is Payload.DataSet.
type sparkplugTable struct {
	columns [][]byte
	kinds   []uint64
	rows    [][]sparkplugCell
}

// A sparkplugCell is Payload.DataSet.DataSetValue, its field numbered as a metric's.
type sparkplugCell struct {
	of   int
	bits uint64
	text []byte
}

func readSparkplugTable(message []byte) (*sparkplugTable, error) {
	t := &sparkplugTable{}
	err := wireFields(message, func(f *wireField) error {
		switch {
		case len(t.columns) > MaxReadings, len(t.kinds) > MaxReadings, len(t.rows) > MaxReadings:
		case f.number == 2 && f.isBytes():
			t.columns = append(t.columns, f.bytes)
		case f.number == 3 && f.isVarint():
			t.kinds = append(t.kinds, f.bits)
		case f.number == 3 && f.isBytes():
			for b := f.bytes; len(b) > 0 && len(t.kinds) <= MaxReadings; {
				kind, n := protowire.ConsumeVarint(b)
				if n < 0 {
					return errProtobuf
				}
				t.kinds, b = append(t.kinds, kind), b[n:]
			}
		case f.number == 4 && f.isBytes():
			row, err := readSparkplugRow(f.bytes)
			t.rows = append(t.rows, row)
			return err
		}
		return nil
	})
	return t, err
}

func readSparkplugRow(message []byte) (row []sparkplugCell, err error) {
	err = wireFields(message, func(f *wireField) error {
		if f.number != 1 || !f.isBytes() || len(row) > MaxReadings {
			return nil
		}
		var c sparkplugCell
		err := wireFields(f.bytes, func(f *wireField) error {
			c = sparkplugCell{of: f.number + sparkplugInt - 1, bits: f.bits, text: f.bytes}
			return nil
		})
		row = append(row, c)
		return err
	})
	return row, err
}

// sparkplugArray returns the elements of an array of numbers, which travels as packed little-endian bytes.
func sparkplugArray(kind uint64, b []byte) []float64 {
	if kind < sparkplugInt8Array || kind > sparkplugLastArray {
		return nil
	}
	const kinds = 10
	sizes := [kinds]int{1, 2, 4, 8, 1, 2, 4, 8, 4, 8}
	at := int(kind - sparkplugInt8Array)
	size := sizes[at]
	var values []float64
	for ; len(b) >= size && len(values) < MaxTexts; b = b[size:] {
		var padded [8]byte
		copy(padded[:], b[:size])
		bits := binary.LittleEndian.Uint64(padded[:])
		switch at {
		case 8:
			values = append(values, shortFloat(math.Float32frombits(uint32(bits))))
		case 9:
			values = append(values, math.Float64frombits(bits))
		default:
			shift := 64 - 8*size
			if at < 4 {
				values = append(values, float64(int64(bits<<shift)>>shift))
			} else {
				values = append(values, float64(bits))
			}
		}
	}
	return values
}

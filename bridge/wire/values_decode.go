package wire

import (
	"errors"
	"fmt"
	"math"

	pulsov1 "pulso/internal/gen/pulso/v1"
)

// ErrValues is wrapped by the errors of [DecodeValues].
var ErrValues = errors.New("malformed values")

// A Number is a value as a client gets it. Min and Max are Last where it stands for itself; Time is in nanoseconds, with the
// wire's precision of a millisecond.
type Number struct {
	Aggregate

	// Series is the number of its series on the node.
	Series uint32
}

// maxMillis bounds times: what is a time in nanoseconds, too.
const maxMillis = math.MaxInt64 / 1_000_000

// DecodeValues is the inverse of what [Encoding.AppendValues] writes in [Proto]: the same float64s, bit by bit. Its errors
// wrap [ErrValues] and say which element of which column is wrong.
func DecodeValues(v *pulsov1.Values) ([]Number, error) {
	d := decoder{decimals: v.GetDecimals(), doubles: v.GetDoubles(), counts: v.GetCounts()}
	rows := len(v.GetKinds())
	if len(v.GetSeries()) != rows || len(v.GetTimes()) != rows {
		return nil, fmt.Errorf("%w: %d kinds, %d series, %d times", ErrValues, rows, len(v.GetSeries()), len(v.GetTimes()))
	}
	numbers := make([]Number, rows)
	series, millis := uint32(0), v.GetTime()
	if millis > maxMillis || millis < -maxMillis {
		return nil, fmt.Errorf("%w: time %d", ErrValues, millis)
	}
	for i, kind := range v.GetKinds() {
		series += uint32(v.GetSeries()[i])
		step := v.GetTimes()[i]
		if step > maxMillis-millis || step < -maxMillis-millis {
			return nil, fmt.Errorf("%w: times element %d is too far from the one before", ErrValues, i)
		}
		millis += step
		aggregate, err := d.next(kind)
		if err != nil {
			return nil, fmt.Errorf("%w (row %d)", err, i)
		}
		aggregate.Time = millis * 1_000_000
		numbers[i] = Number{Aggregate: aggregate, Series: series}
	}
	if rest := len(d.decimals) + len(d.doubles) + len(d.counts); rest > 0 {
		return nil, fmt.Errorf("%w: %d elements more than the kinds need", ErrValues, rest)
	}
	return numbers, nil
}

// A decoder holds what is left of the columns of numbers.
type decoder struct {
	decimals []int64
	doubles  []float64
	counts   []uint32
}

// next takes the number of one kind from the columns.
func (d *decoder) next(kind uint32) (Aggregate, error) {
	if kind >= 2*kindSeveral {
		return Aggregate{}, fmt.Errorf("%w: kind %d", ErrValues, kind)
	}
	scale, needs := kind%kindSeveral, 1
	a := Aggregate{Count: 1}
	if kind >= kindSeveral {
		if needs = 3; len(d.counts) == 0 {
			return a, fmt.Errorf("%w: too few counts", ErrValues)
		}
		a.Count, d.counts = d.counts[0], d.counts[1:]
	}
	if scale == kindDouble {
		if len(d.doubles) < needs {
			return a, fmt.Errorf("%w: too few doubles", ErrValues)
		}
		a.Last, a.Min, a.Max = d.doubles[0], d.doubles[0], d.doubles[0]
		if needs == 3 {
			a.Min, a.Max = d.doubles[1], d.doubles[2]
		}
		d.doubles = d.doubles[needs:]
		return a, nil
	}
	if len(d.decimals) < needs {
		return a, fmt.Errorf("%w: too few decimals", ErrValues)
	}
	last, low, high := d.decimals[0], int64(0), int64(0)
	if needs == 3 {
		low, high = d.decimals[1], d.decimals[2]
	}
	d.decimals = d.decimals[needs:]
	if !within(last, maxExact) || !within(low, 2*maxExact) || !within(high, 2*maxExact) ||
		!within(last-low, maxExact) || !within(last+high, maxExact) {
		return a, fmt.Errorf("%w: a decimal beyond 2^53", ErrValues)
	}
	power := powers[scale]
	a.Last, a.Min, a.Max = float64(last)/power, float64(last-low)/power, float64(last+high)/power
	return a, nil
}

func within(n, limit int64) bool { return -limit <= n && n <= limit }

package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a number of bytes that is written with a unit: 64MiB, 10GB, 4096.
type Bytes int64

func units() []struct {
	name string
	size int64
} {
	return []struct {
		name string
		size int64
	}{
		{"KiB", 1 << 10},
		{"MiB", 1 << 20},
		{"GiB", 1 << 30},
		{"TiB", 1 << 40},
		{"kB", 1e3},
		{"MB", 1e6},
		{"GB", 1e9},
		{"TB", 1e12},
		{"B", 1},
		{"", 1},
	}
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	for _, u := range units() {
		number, found := strings.CutSuffix(s, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0 && n*float64(u.size) <= math.MaxInt64/2) {
			break
		}
		*b = Bytes(n * float64(u.size))
		return nil
	}
	return fmt.Errorf("%q is not a number of bytes like 64MiB, 10GB or 4096", s)
}

// String is the number in the unit that makes it shortest without a fraction, as it was most likely given.
func (b Bytes) String() string {
	short := strconv.FormatInt(int64(b), 10)
	least := int64(b)
	for _, u := range units() {
		if n := int64(b) / u.size; n > 0 && int64(b)%u.size == 0 && n < least {
			least, short = n, strconv.FormatInt(n, 10)+u.name
		}
	}
	return short
}

// MarshalText implements [encoding.TextMarshaler].
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrPosition is wrapped by the error of [ParsePosition].
var ErrPosition = errors.New("malformed position")

// A Position is a place between two events of a log: everything before Offset has been seen, the event that has this
// Offset has not. Epoch is the identity of the log's life; offsets of different epochs cannot be compared. The zero
// Position names no place.
type Position struct {
	Epoch  uint64
	Offset uint64
}

// IsZero reports whether p names no place.
func (p Position) IsZero() bool { return p.Epoch == 0 }

// String is the wire's form: the epoch in base 36, a full stop, the offset in decimal. Empty for the zero Position.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends what String returns to b.
func (p Position) Append(b []byte) []byte {
	if p.IsZero() {
		return b
	}
	b = strconv.AppendUint(b, p.Epoch, 36)
	b = append(b, '.')
	return strconv.AppendUint(b, p.Offset, 10)
}

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) { return p.Append(nil), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by [ParsePosition]; empty text is the zero Position.
func (p *Position) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = Position{}
		return nil
	}
	var err error
	*p, err = ParsePosition(string(b))
	return err
}

// ParsePosition is the inverse of [Position.String] and takes nothing but what that writes. Its error wraps
// [ErrPosition].
func ParsePosition(s string) (Position, error) {
	epoch, offset, found := strings.Cut(s, ".")
	e, err := strconv.ParseUint(epoch, 36, 64)
	if !found || err != nil || e == 0 {
		return Position{}, fmt.Errorf("%w: %.40q", ErrPosition, s)
	}
	o, err := strconv.ParseUint(offset, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("%w: %.40q", ErrPosition, s)
	}
	if p := (Position{Epoch: e, Offset: o}); p.String() == s {
		return p, nil
	}
	return Position{}, fmt.Errorf("%w: %.40q", ErrPosition, s)
}

package access

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pulso/access/meter"
)

// ErrLimit is wrapped by what is wrong with a limit.
var ErrLimit = errors.New("limit")

// Limits are the limits that an account or a role names, such as "connections=3,messages=100": those that it does not name are left
// to others. 0 is no limit. The zero value names none.
type Limits struct {
	named   [5]bool
	figures meter.Limits
}

// greatest are the greatest figures that make sense.
var greatest = map[meter.Kind]int64{
	meter.Connections: 1 << 24, meter.Messages: 1e9, meter.Bytes: 1 << 40, meter.Subscriptions: 1 << 24, meter.Samples: 1e12,
}

// MaxLimit is the greatest figure that a limit may have.
func MaxLimit(k meter.Kind) int { return int(greatest[k]) }

// maxLimits bounds the text of limits, in bytes.
const maxLimits = 256

// ParseLimits reads limits as "connections=3,messages=100". The empty text names none. Its error wraps [ErrLimit] and names the key.
func ParseLimits(text string) (Limits, error) {
	var l Limits
	if len(text) > maxLimits {
		return l, fmt.Errorf("%w: %d bytes of them, at most %d", ErrLimit, len(text), maxLimits)
	}
	if text == "" {
		return l, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		i := slices.IndexFunc(meter.Kinds(), func(k meter.Kind) bool { return k.String() == key })
		switch {
		case !ok:
			return Limits{}, fmt.Errorf("%w %.40q: it must be like messages=100", ErrLimit, part)
		case i < 0:
			return Limits{}, fmt.Errorf("%w %.40q: there are connections, messages, bytes, subscriptions and samples", ErrLimit, key)
		case l.named[i]:
			return Limits{}, fmt.Errorf("%w %s: it is there twice", ErrLimit, key)
		}
		figure, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return Limits{}, fmt.Errorf("%w %s: %.40q is not a whole number", ErrLimit, key, value)
		}
		if most := greatest[meter.Kind(i)]; figure < 0 || figure > most {
			return Limits{}, fmt.Errorf("%w %s: %d is not between 0, which is no limit, and %d", ErrLimit, key, figure, most)
		}
		l.named[i], l.figures[i] = true, figure
	}
	return l, nil
}

// String is the limits as [ParseLimits] reads them.
func (l Limits) String() string {
	var parts []string
	for i, k := range meter.Kinds() {
		if l.named[i] {
			parts = append(parts, k.String()+"="+strconv.FormatInt(l.figures[i], 10))
		}
	}
	return strings.Join(parts, ",")
}

// IsZero reports whether the limits name none.
func (l Limits) IsZero() bool { return l == Limits{} }

// MarshalText implements [encoding.TextMarshaler].
func (l Limits) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *Limits) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLimits(string(text))
	return err
}

// generous are the more generous figures of two: of those that either names, the greater, and none before any.
func (l Limits) generous(other *Limits) Limits {
	out := l
	for i, named := range other.named {
		figure := other.figures[i]
		if named && (!out.named[i] || figure == 0 || out.figures[i] != 0 && figure > out.figures[i]) {
			out.named[i], out.figures[i] = true, figure
		}
	}
	return out
}

// over are the limits with those that they do not name taken from others.
func (l Limits) over(others *meter.Limits) meter.Limits {
	out := *others
	for i, named := range l.named {
		if named {
			out[i] = l.figures[i]
		}
	}
	return out
}

// limitsOf are the limits of who has some roles, and some limits of its own, nil for none: these win, then the most generous of
// the roles', then the defaults.
func (s *state) limitsOf(own *Limits, roles []string, defaults *meter.Limits) meter.Limits {
	var of Limits
	for _, name := range roles {
		if l, ok := s.limits[name]; ok {
			of = of.generous(&l)
		}
	}
	all := of.over(defaults)
	if own == nil {
		return all
	}
	return own.over(&all)
}

// Limits are those that hold for an account.
func (d *Directory) Limits(account string) meter.Limits {
	return (&Grant{Account: account, directory: d}).limits()
}

// Meter is what the grant's account is counted and bounded by, in all its connections together; nil where there is no account. Who
// opens it closes it.
func (g *Grant) Meter() *meter.Chain {
	if g == nil || g.Account == "" {
		return nil
	}
	keys := []meter.Key{{Name: g.Account, Limits: g.limits}}
	if g.Namespace != "" {
		keys = append(keys, meter.Key{Name: g.Namespace + "/", Limits: g.namespaceLimits}) // which no account is called
	}
	return g.directory.meters.Open(keys...)
}

// namespaceLimits are what holds for all in the account's namespace together, now.
func (g *Grant) namespaceLimits() meter.Limits {
	g.directory.mu.RLock()
	s := g.directory.state
	g.directory.mu.RUnlock()
	for i := range s.content.Namespaces {
		if n := &s.content.Namespaces[i]; n.Name == g.Namespace {
			return n.Limits.over(&meter.Limits{})
		}
	}
	return meter.Limits{}
}

// limits are what holds for the account now, whatever it was when the grant was made.
func (g *Grant) limits() meter.Limits {
	d := g.directory
	d.mu.RLock()
	s := d.state
	d.mu.RUnlock()
	if g.outsider != nil {
		return s.limitsOf(nil, g.outsider.Roles, &d.cfg.Limits)
	}
	if a := s.accounts[g.Account]; a != nil {
		return s.limitsOf(&a.Limits, a.Roles, &d.cfg.Limits)
	}
	return d.cfg.Limits
}

package access

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pulso/bridge/event"
)

// Rights are what somebody may do with a topic, as a set.
type Rights uint8

// The rights there are.
const (
	// Publish is to send messages, by MQTT or over HTTP; wills and chat are messages, too.
	Publish Rights = 1 << iota
	// Subscribe is to see messages as they come, what is retained, and the values made of them.
	Subscribe
	// History is to see what came earlier: messages, samples, exports.
	History
	// Command is to send commands to devices and to see what became of them.
	Command
	// Administer is to change how the hub works: overrides, boards, deletion of devices, accounts and roles.
	Administer

	// All is every right.
	All = Publish | Subscribe | History | Command | Administer
)

var rightNames = []struct {
	right Rights
	name  string
}{{Publish, "publish"}, {Subscribe, "subscribe"}, {History, "history"}, {Command, "command"}, {Administer, "administer"}}

// String is the rights by their names, joined by commas: what [ParseRights] reads.
func (r Rights) String() string {
	if r == All {
		return "all"
	}
	var names []string
	for _, n := range rightNames {
		if r&n.right != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// Each is every right by itself.
func Each() []Rights { return []Rights{Publish, Subscribe, History, Command, Administer} }

// ErrRule is wrapped by the errors about rules, roles and rights.
var ErrRule = errors.New("rule")

// ParseRights reads rights such as "publish,subscribe" or "all".
func ParseRights(s string) (Rights, error) {
	if s == "all" {
		return All, nil
	}
	var rights Rights
next:
	for name := range strings.SplitSeq(s, ",") {
		for _, n := range rightNames {
			if name == n.name {
				rights |= n.right
				continue next
			}
		}
		return 0, fmt.Errorf("%w: no right is called %.40q: there are publish, subscribe, history, command, administer and all", ErrRule, name)
	}
	return rights, nil
}

// A Rule allows or denies rights on the topics that a filter matches. In the filter, %u stands for the name of the account,
// %c for the MQTT client id and %d for the device's; each is one level at most, and part of one at least.
type Rule struct {
	Deny   bool
	Rights Rights
	Filter string
}

// String is the rule as [ParseRule] reads it.
func (r Rule) String() string {
	verb := "allow"
	if r.Deny {
		verb = "deny"
	}
	return verb + " " + r.Rights.String() + " " + r.Filter
}

// maxFilter bounds the filter of a rule, in bytes.
const maxFilter = 1024

// ParseRule reads a rule such as "allow publish,subscribe plant/+/state" or "deny command #".
func ParseRule(s string) (Rule, error) {
	verb, rest, _ := strings.Cut(s, " ")
	rights, filter, ok := strings.Cut(rest, " ")
	if verb != "allow" && verb != "deny" || !ok {
		return Rule{}, fmt.Errorf("%w: %.80q is not like \"allow publish,subscribe plant/#\"", ErrRule, s)
	}
	r, err := ParseRights(rights)
	if err != nil {
		return Rule{}, err
	}
	if len(filter) > maxFilter {
		return Rule{}, fmt.Errorf("%w: a filter of %d bytes, at most %d", ErrRule, len(filter), maxFilter)
	}
	if err := event.CheckFilter(filter); err != nil {
		return Rule{}, fmt.Errorf("%w: %w", ErrRule, err)
	}
	if strings.HasPrefix(filter, event.Dead) {
		return Rule{}, fmt.Errorf("%w: %.80q: who may read a topic may read what was set aside of it; there are no rules for that", ErrRule, filter)
	}
	return Rule{Deny: verb == "deny", Rights: r, Filter: filter}, nil
}

// expand puts names in the place of the filter's placeholders. A name that is missing, or could reach beyond its level, makes
// an allowance void and a denial wider: neither gives anybody more than was meant.
func (r Rule) expand(w *Who) (Rule, bool) {
	if !hasNames(r.Filter) {
		return r, true
	}
	levels := strings.Split(r.Filter, "/")
	for i, level := range levels {
		for _, p := range [...]struct{ mark, name string }{{"%u", w.User}, {"%c", w.Client}, {"%d", w.Device}} {
			switch {
			case !strings.Contains(level, p.mark):
			case isLevel(p.name):
				level = strings.ReplaceAll(level, p.mark, p.name)
			case r.Deny:
				level = "+"
			default:
				return Rule{}, false
			}
			if level == "+" {
				break
			}
		}
		levels[i] = level
	}
	r.Filter = strings.Join(levels, "/")
	return r, true
}

// hasNames reports whether a filter has placeholders.
func hasNames(filter string) bool {
	return strings.Contains(filter, "%u") || strings.Contains(filter, "%c") || strings.Contains(filter, "%d")
}

// isLevel reports whether a name may stand in the place of a placeholder: it can neither match more than itself, nor be
// another level, nor bring a placeholder of its own.
func isLevel(name string) bool {
	return name != "" && !strings.ContainsAny(name, "/+#%$") && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// kinds of a level, from the widest to the narrowest.
const (
	kindRest  = iota // #
	kindOne          // +
	kindExact        // a name
	kindEnd          // the filter ends here
)

func kindOf(levels []string, i int) int {
	switch {
	case i >= len(levels):
		return kindEnd
	case levels[i] == "#":
		return kindRest
	case levels[i] == "+":
		return kindOne
	}
	return kindExact
}

// compareFilters orders filters, those that say more of a topic first: level by level a name comes before +, and + before #.
// Of two filters that match one topic, it is never a matter of taste which comes first.
func compareFilters(a, b []string) int {
	for i := range max(len(a), len(b)) + 1 {
		if c := cmp.Compare(kindOf(b, i), kindOf(a, i)); c != 0 {
			return c
		}
		if kindOf(a, i) == kindRest {
			break
		}
	}
	return slices.Compare(a, b)
}

// overlap reports whether there is a topic that both filters match.
func overlap(a, b []string) bool {
	if len(a) > 0 && len(b) > 0 && (beginsReserved(a[0]) && isWild(b[0]) || beginsReserved(b[0]) && isWild(a[0])) {
		return false // (MQTT 5, 4.7.2)
	}
	for {
		ka, kb := kindOf(a, 0), kindOf(b, 0)
		switch {
		case ka == kindRest || kb == kindRest: // # matches its parent, too
			return true
		case ka == kindEnd || kb == kindEnd:
			return ka == kb
		case ka == kindExact && kb == kindExact && a[0] != b[0]:
			return false
		}
		a, b = a[1:], b[1:]
	}
}

// covers reports whether every topic that b matches is matched by a, too.
func covers(a, b []string) bool {
	if len(a) > 0 && len(b) > 0 && beginsReserved(b[0]) && isWild(a[0]) {
		return false
	}
	for {
		ka, kb := kindOf(a, 0), kindOf(b, 0)
		switch {
		case ka == kindRest:
			return true
		case kb == kindRest || ka == kindEnd || kb == kindEnd:
			return ka == kb
		case ka == kindExact && (kb == kindOne || a[0] != b[0]):
			return false
		}
		a, b = a[1:], b[1:]
	}
}

func beginsReserved(level string) bool { return strings.HasPrefix(level, "$") }

func isWild(level string) bool { return level == "+" || level == "#" }

// CheckID returns nil for a name that accounts, roles and tokens may have: 1 to 64 of the letters a to z and A to Z, digits,
// and . _ - @ between them. It stands in topics, on command lines and in pages, and no two of them look alike.
func CheckID(id string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-@", r)
	}
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, bad) || id[0] == '-' || id[0] == '.' {
		return fmt.Errorf("%w: %.80q is no name: 1 to 64 letters, digits and . _ - @, not beginning with . or -", ErrRule, id)
	}
	return nil
}

package decode

import (
	"fmt"
	"slices"
	"strings"
)

// A Role is what the messages of a topic are.
type Role uint8

// The roles. RoleReading, the zero Role, is what most topics are.
const (
	// RoleReading: they say what the device measures and in which state it is.
	RoleReading Role = iota
	// RoleState is like RoleReading, and a payload that is nothing but a word of presence ("online") tells of that.
	RoleState
	// RoleStatus: they tell of the device's presence alone ("LWT"): true and 1 are words of presence, too.
	RoleStatus
	// RoleCommand: they are addressed to the device or repeat what was asked of it. They are no sign of life and no reading.
	RoleCommand
	// RoleRegistry: they tell what the device is, not what it measures. Texts, names and units are kept, numbers are not.
	RoleRegistry
	// RoleQuiet: they are neither, but of use to nobody who looks at charts: logs, lists, clocks. They have texts at most.
	RoleQuiet
)

// A Func is [Format.Decode] of one kind of topic.
type Func func(s *Scope, in *Input, out *Result) (understood bool, problem error)

// A Scheme is a family of devices that its topics tell. It is a table; Topic is for what no table says.
type Scheme struct {
	// Name names the scheme in [Result.Format].
	Name string
	// Rules are tried in their order; the first that fits counts.
	Rules []Rule
	// Topic tells what the rules cannot; it is asked after them. nil: nothing. The levels are never empty texts.
	Topic func(levels []string) (Address, bool)
	// Keys say what is in this family's payloads, by the whole path inside the payload ("ENERGY.Power") or by its end
	// ("Power"), of which the longest counts, with indexes behind it or without; a bare value, or one whose key is "value",
	// goes by its subject ("relay.0.power"). They count for more than the common rules.
	Keys map[string]Key
}

// A Rule is a row of a Scheme: topics of one shape.
type Rule struct {
	// Topic is the shape, as levels parted by slashes. Each is one of
	//
	//	text          this text; "a|b" is either, and "*" at the beginning or the end of one is anything
	//	+             any level
	//	{device}      any level, which names the device; several are joined by slashes
	//	{device:a*|b} the same of a level of this form
	//	{device...}   one level or more that name the device; at most one of a shape has the dots
	//	{subject}     a level that goes to the readings' names; {subject:…} and {subject...} as above
	//	#             as the last: any number of further levels, none of which matters
	Topic string
	// Role is what the messages are.
	Role Role
	// Subject stands before the names of all readings, before what the topic gives.
	Subject string
	// Kind is the device's kind.
	Kind string
	// Decode understands the payload; where it does not, or is nil, the common formats are tried.
	Decode Func
}

// An Address is what a topic says.
type Address struct {
	// Device is the device's id; empty: the payload names it, or else the client.
	Device string
	// Subject stands before the names of all readings ("relay.0").
	Subject string
	Kind    string
	Role    Role
	Decode  Func
	// Vague reports that discovery may name the device better than the topic does.
	Vague bool
}

// A KeyClass says what may become of a value.
type KeyClass uint8

// The classes. ClassCommon, the zero KeyClass, leaves it to the common rules for keys.
const (
	ClassCommon KeyClass = iota
	// ClassMetric is a reading, although its key may not look so.
	ClassMetric
	// ClassText is a text even where it looks like a number: an id, a version, an enumeration.
	ClassText
	// ClassTime is the device's clock.
	ClassTime
	// ClassHidden is neither.
	ClassHidden
)

// A Key says what the value of a key is.
type Key struct {
	Class KeyClass `json:"class,omitempty"`
	// Name stands in the place of the path; empty: the path stays.
	Name string `json:"name,omitempty"`
	// Unit as a person reads it; empty: as the common rules find.
	Unit string `json:"unit,omitempty"`
	// Scale is what its numbers are multiplied by; 0 is 1.
	Scale float64 `json:"scale,omitempty"`
}

// A scheme is a Scheme made ready.
type scheme struct {
	*Scheme

	rules []rule
}

type rule struct {
	*Rule

	levels []level
	// open is the index of the level that takes several; -1 if none does. rest: it ends in "#".
	open int
	rest bool
}

// A level is one level of a rule's shape.
type level struct {
	device, subject bool
	// forms are the texts that it may be; nil: any.
	forms []form
}

type form struct {
	text            string
	anyHead, anyEnd bool
}

func newScheme(s *Scheme) (*scheme, error) {
	made := &scheme{Scheme: s}
	for i := range s.Rules {
		r, err := newRule(&s.Rules[i])
		if err != nil {
			return nil, fmt.Errorf("scheme %s: %w", s.Name, err)
		}
		made.rules = append(made.rules, r)
	}
	return made, nil
}

func newRule(r *Rule) (rule, error) {
	made := rule{Rule: r, open: -1}
	shape := strings.Split(r.Topic, "/")
	for i, text := range shape {
		if text == "#" && i == len(shape)-1 {
			made.rest = true
			break
		}
		l, several, ok := newLevel(text)
		if !ok || several && made.open >= 0 {
			return rule{}, fmt.Errorf("the shape %q has a bad level %q", r.Topic, text)
		}
		if several {
			made.open = i
		}
		made.levels = append(made.levels, l)
	}
	if made.rest && made.open >= 0 {
		return rule{}, fmt.Errorf("the shape %q has both \"...\" and \"#\"", r.Topic)
	}
	return made, nil
}

func newLevel(text string) (l level, several, ok bool) {
	if text == "+" {
		return level{}, false, true
	}
	if inner, braced := strings.CutPrefix(text, "{"); braced {
		if inner, braced = strings.CutSuffix(inner, "}"); !braced {
			return level{}, false, false
		}
		inner, several = strings.CutSuffix(inner, "...")
		name, forms, limited := strings.Cut(inner, ":")
		l = level{device: name == "device", subject: name == "subject"}
		if limited {
			l.forms = newForms(forms)
		}
		return l, several, l.device || l.subject
	}
	return level{forms: newForms(text)}, false, text != "" && text != "#"
}

func newForms(text string) []form {
	var forms []form
	for alternative := range strings.SplitSeq(text, "|") {
		var f form
		f.text, f.anyHead = strings.CutPrefix(alternative, "*")
		f.text, f.anyEnd = strings.CutSuffix(f.text, "*")
		forms = append(forms, f)
	}
	return forms
}

func (l *level) fits(text string) bool {
	return l.forms == nil || slices.ContainsFunc(l.forms, func(f form) bool {
		switch {
		case f.anyHead && f.anyEnd:
			return strings.Contains(text, f.text)
		case f.anyHead:
			return strings.HasSuffix(text, f.text)
		case f.anyEnd:
			return strings.HasPrefix(text, f.text)
		default:
			return text == f.text
		}
	})
}

// match returns what the scheme says of a topic.
func (s *scheme) match(levels []string) (Address, bool) {
	for i := range s.rules {
		if a, ok := s.rules[i].match(levels); ok {
			return a, true
		}
	}
	if s.Topic == nil {
		return Address{}, false
	}
	return s.Topic(levels)
}

func (r *rule) match(levels []string) (Address, bool) {
	extra := len(levels) - len(r.levels)
	if extra < 0 || extra > 0 && !r.rest && r.open < 0 {
		return Address{}, false
	}
	if r.rest {
		extra = 0
	}
	var device, subject []string
	if r.Subject != "" {
		subject = append(subject, r.Subject)
	}
	at := 0
	for i := range r.levels {
		count := 1
		if i == r.open {
			count += extra
		}
		for _, text := range levels[at : at+count] {
			l := &r.levels[i]
			switch {
			case !l.fits(text):
				return Address{}, false
			case l.device:
				device = append(device, text)
			case l.subject:
				subject = append(subject, text)
			}
		}
		at += count
	}
	return Address{
		Device: strings.Join(device, "/"), Subject: strings.Join(subject, "."), Kind: r.Kind, Role: r.Role, Decode: r.Decode,
	}, true
}

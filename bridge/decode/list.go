package decode

import (
	"bytes"
	"slices"
)

// Lists of JSON whose elements say what they are ("name", "tag") go by that and not by their place, which changes; lists
// whose elements say when they were so are moments of the same readings. Both hold for topics of no known family alone: a
// scheme knows better.

// listed is what an element of a list is.
type listed struct {
	// name is what it says of itself, under nameKey; nil: nothing.
	name    []byte
	nameKey string
	// pure reports that it is a value besides.
	pure bool
}

// A batch is a list of moments, or of lines, and the path that it stands under.
type batch struct {
	path []byte
	raw  [][]byte
}

const (
	// maxListName bounds the names of elements, in bytes, maxListed the elements that are looked at, maxBatches the lists
	// of moments of one message, maxKeys the keys of an element among which its name and its time are sought.
	maxListName = 64
	maxListed   = 1024
	maxBatches  = 8
	maxKeys     = 64
)

// nameRank is how surely the key of an element says its name; 0: it does not.
func nameRank(key []byte) int {
	switch string(key) {
	case "name", "Name":
		return 3
	case "key", "tag", "metric", "field", "param", "parameter", "variable", "measurement", "signal", "tagName", "tag_name":
		return 2
	case "id", "Id", "ID", "sensor", "sensor_id", "sensorId", "channel", "label":
		return 1
	default:
		return 0
	}
}

func isValueKey(key []byte) bool {
	switch string(key) {
	case "value", "Value", "val", "v", "reading":
		return true
	default:
		return false
	}
}

// listedAs reads what the element that b begins with is.
func listedAs(b []byte) (l listed) {
	best, keys := 0, 0
	for key, value := range members(b) {
		if keys++; keys > maxKeys {
			break
		}
		if isValueKey(key) {
			l.pure = l.pure || value[0] != '{' && value[0] != '['
			continue
		}
		rank := nameRank(key)
		if rank <= best || len(value) <= len(`""`) || len(value) > maxListName || value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
			continue
		}
		name := value[1 : len(value)-1]
		if _, number := plainNumber(name); !number && unprintable(name) < 0 {
			best, l.name, l.nameKey = rank, name, string(key)
		}
	}
	l.pure = l.pure && l.name != nil
	return l
}

// momentOf is when an element was so, in nanoseconds; 0: it does not say.
func momentOf(element []byte) int64 {
	keys := 0
	for k, value := range members(element) {
		if keys++; keys > maxKeys {
			break
		}
		key := string(cut(k, maxListName))
		if class := classify(key); class != keyTime && (class != keyPlain || !isMoment(key)) || isApart(key) {
			continue
		}
		if t := timeOfText([]byte(scalar(value))); t != 0 {
			return t
		}
	}
	return 0
}

// opensList looks at the array whose first element comes next: whether its elements are all named, each otherwise, and
// whether it is a batch, which it then notes.
func (p *parser) opensList() (named, batched bool) {
	if p.at == len(p.data) || p.data[p.at] != '{' || p.quiet() || p.inside || p.scope.topic.space.scheme != nil {
		return false, false
	}
	all := p.objects()
	if all == nil {
		return false, false
	}
	without := func(element []byte) bool { return momentOf(element) == 0 }
	if len(all) > 1 && len(p.batches) < maxBatches && !slices.ContainsFunc(all, without) {
		p.batches = append(p.batches, batch{path: bytes.Clone(p.scope.name[p.base:]), raw: all})
		return false, true
	}
	names := make(map[string]struct{})
	for _, element := range all {
		l := listedAs(element)
		if _, again := names[string(l.name)]; again || l.name == nil {
			return false, false
		}
		names[string(l.name)] = struct{}{}
	}
	return true, false
}

// objects returns the elements of the array of which the first comes next; nil if they are too many or not all objects.
func (p *parser) objects() (all [][]byte) {
	at := p.at
	for at < len(p.data) && p.data[at] == '{' && len(all) < maxListed {
		end := skipValue(p.data, at)
		all = append(all, p.data[at:end])
		if at = skipSpace(p.data, end); at < len(p.data) && p.data[at] == ',' {
			at = skipSpace(p.data, at+1)
		}
	}
	if at == len(p.data) || p.data[at] != ']' {
		return nil
	}
	return all
}

// isWish reports whether what comes next is an object of what is wanted of a device, not of what is.
func (p *parser) isWish(key []byte) bool {
	if p.at == len(p.data) || p.data[p.at] != '{' && p.data[p.at] != '[' || p.scope.topic.space.scheme != nil {
		return false
	}
	switch string(key) {
	case "desired", "Desired", "command", "commands", "cmd", "set", "request", "requested":
		return true
	default:
		return false
	}
}

// tellBatches adds what the batches say: of each name the newest is the reading.
func (p *parser) tellBatches() {
	if len(p.lines) > 1 && p.scope.topic.space.scheme == nil {
		lines := batch{raw: p.lines}
		for _, line := range p.lines {
			if momentOf(line) == 0 {
				lines.raw = nil
			}
		}
		if lines.raw != nil {
			p.out.nothing()
			p.batches = []batch{lines}
		}
	}
	if len(p.batches) == 0 || p.scalar {
		return
	}
	all := p.scope.points(p.in, p.out)
	all.sent = p.out.DeviceTime
	for _, b := range p.batches {
		for _, element := range b.raw {
			all.element(b.path, element, momentOf(element))
		}
	}
	all.done()
}

// element adds an element of a batch. Where it is a value that has a name, it goes by that alone.
func (p *points) element(path, element []byte, at int64) {
	l := listedAs(element)
	if !l.pure {
		p.json(path, "", element, at)
		return
	}
	unit := readUnit(first(scalar(member(element, "unit")), scalar(member(element, "units"))))
	path = below(path, l.name)
	for key, value := range members(element) {
		switch {
		case string(key) == l.nameKey, string(key) == "unit", string(key) == "units":
		case isValueKey(key):
			p.json(path, unit, value, at)
		default:
			p.json(below(path, unescape(nil, key)), "", value, at)
		}
	}
}

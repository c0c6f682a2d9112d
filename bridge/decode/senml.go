package decode

import (
	"math"
	"strings"
)

// SenML understands Sensor Measurement Lists in JSON (RFC 8428, section 5): [{"bn":"urn:dev:…","n":"temp","u":"Cel","v":21}].
// Their CBOR form is [CBOR]'s.
type SenML struct{}

// Name implements [Format].
func (SenML) Name() string { return "senml" }

// Decode implements [Format].
func (SenML) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	if !looksLikeSenML(in.Payload) {
		return false, nil
	}
	if err := s.checkJSON(in, out); err != nil {
		return false, nil // the JSON format says what is wrong with it
	}
	pack := &senmlPack{points: s.points(in, out)}
	for raw := range elements(in.Payload) {
		r, ok := readSenML(raw)
		if !ok {
			return false, nil
		}
		pack.add(&r)
	}
	pack.end()
	return true, nil
}

// senmlLabels are the keys of a record (RFC 8428, table 4) and of RFC 8798 and 9100.
var senmlLabels = words("bn bt bu bv bs bver n u v vs vb vd s t ut link")

// looksLikeSenML takes a quick look: an array of an object whose first key is a label.
func looksLikeSenML(b []byte) bool {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return false
	}
	if i = skipSpace(b, i+1); i >= len(b) || b[i] != '{' {
		return false
	}
	i = skipSpace(b, i+1)
	end := skipValue(b, i)
	if end-i < len(`"n"`) || end-i > len(`"bver"`) || b[i] != '"' {
		return false
	}
	return has(senmlLabels, string(b[i+1:end-1]))
}

// A senmlRecord is one record. Base values are nil where it has none.
type senmlRecord struct {
	baseName, baseUnit           *string
	baseTime, baseValue, baseSum *float64
	name, unit                   string
	time                         float64
	value, sum                   *float64
	text, data                   *string
	truth                        *bool
}

// readSenML reads a record; not ok if it has a key that no record has, or a value of a wrong type. Keys that end in "_" must
// be understood or the record is not (section 4.4).
func readSenML(raw []byte) (r senmlRecord, ok bool) {
	if len(raw) == 0 || raw[0] != '{' {
		return r, false
	}
	for k, v := range members(raw) {
		key := string(unescape(nil, k))
		if len(v) == 0 || v[0] == '{' || v[0] == '[' {
			if has(senmlLabels, key) {
				return r, false
			}
			continue
		}
		var value any
		switch v[0] {
		case '"':
			value = scalar(v)
		case 't', 'f':
			value = v[0] == 't'
		case 'n':
			continue
		default:
			value = floatOf(v)
		}
		if !r.set(key, value) {
			return r, false
		}
	}
	return r, true
}

// set sets what a label stands for. It reports whether it can be so.
func (r *senmlRecord) set(label string, value any) bool {
	number, isNumber := value.(float64)
	text, isText := value.(string)
	truth, isTruth := value.(bool)
	switch label {
	case "bn":
		r.baseName = &text
	case "bu":
		r.baseUnit = &text
	case "n":
		r.name = text
	case "u":
		r.unit = text
	case "vs":
		r.text = &text
	case "vd":
		r.data = &text
	case "bt":
		r.baseTime = &number
	case "bv":
		r.baseValue = &number
	case "bs":
		r.baseSum = &number
	case "v":
		r.value = &number
	case "s":
		r.sum = &number
	case "t":
		r.time = number
	case "vb":
		r.truth = &truth
	default:
		return !strings.HasSuffix(label, "_")
	}
	switch label {
	case "bn", "bu", "n", "u", "vs", "vd":
		return isText
	case "vb":
		return isTruth
	default:
		return isNumber
	}
}

// A senmlPack resolves records: base values count from the record that has them (section 4.1).
type senmlPack struct {
	*points

	baseName, baseUnit           string
	baseTime, baseValue, baseSum float64
	records                      []senmlValue
}

// A senmlValue is a resolved record.
type senmlValue struct {
	*senmlRecord

	name string
	unit string
	at   int64
}

// senmlAbsolute is from which number of seconds on a time is one, and not relative to now (section 4.5.3).
const senmlAbsolute = 1 << 28

func (p *senmlPack) add(r *senmlRecord) {
	if r.baseName != nil {
		p.baseName = *r.baseName
	}
	if r.baseUnit != nil {
		p.baseUnit = *r.baseUnit
	}
	for _, base := range []struct {
		to   *float64
		from *float64
	}{{&p.baseTime, r.baseTime}, {&p.baseValue, r.baseValue}, {&p.baseSum, r.baseSum}} {
		if base.from != nil {
			*base.to = *base.from
		}
	}
	if len(p.records) >= maxAsked {
		p.s.left++
		return
	}
	if r.value != nil {
		r.value = new(*r.value + p.baseValue)
	}
	if r.sum != nil {
		r.sum = new(*r.sum + p.baseSum)
	}
	v := senmlValue{senmlRecord: r, name: p.baseName + r.name, unit: first(r.unit, p.baseUnit)}
	switch t := p.baseTime + r.time; {
	case t >= senmlAbsolute:
		v.at = timeOfNumber(t)
	case p.in.Time != 0 && t != 0 && math.Abs(t) < senmlAbsolute:
		v.at = p.in.Time + int64(t*1e9)
	}
	p.records = append(p.records, v)
}

// end adds the records. The device is what all names begin with, up to the last mark between parts; a name that is nothing
// but a device's has no name of its own.
func (p *senmlPack) end() {
	device := ""
	for i := range p.records {
		of, _ := splitSenML(p.records[i].name)
		if i > 0 && of != device {
			device = ""
			break
		}
		device = of
	}
	if device != "" {
		p.s.SetDevice(p.out, device)
	}
	for i := range p.records {
		r := &p.records[i]
		name := r.name
		if device != "" {
			_, name = splitSenML(name)
		}
		p.record(r, []byte(name))
	}
	p.done()
}

func (p *senmlPack) record(r *senmlValue, path []byte) {
	unit := string(cut([]byte(r.unit), MaxNameBytes)) // as its registry writes it (RFC 8428, section 12.1)
	switch {
	case r.value != nil:
		p.number(path, unit, *r.value, r.at)
	case r.truth != nil:
		p.truth(path, *r.truth, r.at)
	case r.text != nil:
		p.text(path, []byte(*r.text), r.at)
	case r.data != nil:
		p.text(path, []byte(*r.data), r.at)
	}
	if r.sum != nil {
		if r.value != nil {
			path = below(path, []byte("sum"))
		}
		p.number(path, first(senmlSums[r.unit], unit+"s"), *r.sum, r.at)
	}
}

// splitSenML parts a resolved name into the device's and what it measures: behind the last of ":", "/" and "_" of a device's
// URN (RFC 9039), else behind the last "/" or ":".
func splitSenML(name string) (device, measure string) {
	rest, isURN := strings.CutPrefix(name, "urn:dev:")
	if !isURN {
		if i := strings.LastIndexAny(name, "/:"); i > 0 {
			return name[:i], name[i+1:]
		}
		return "", name
	}
	kind, rest, found := strings.Cut(rest, ":")
	if !found {
		return name, ""
	}
	head := len("urn:dev:") + len(kind) + 1
	if i := strings.IndexAny(rest, ":/_"); i >= 0 {
		return name[:head+i], rest[i+1:]
	}
	return name, ""
}

// senmlSums are the units of sums over time.
var senmlSums = map[string]string{"W": "J", "A": "C", "m3/s": "m³", "l/s": "l", "m/s": "m", "kg/s": "kg", "": "s"}

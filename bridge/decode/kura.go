package decode

import (
	"bytes"
	"errors"
	"time"
	"unicode/utf8"

	"pulso/bridge/event"
)

// Kura understands the payloads of Eclipse Kura and Kapua: their protobuf, packed with gzip or not, and their JSON. The
// topics are <account>/<client id>/<application>/…, so that the second level names the device.
type Kura struct{}

// Name implements [Format].
func (Kura) Name() string { return "kura" }

// kuraControl are the topics by which clients tell of their life, and are managed.
var kuraControl = &Scheme{
	Name: "kura",
	Rules: []Rule{
		{Topic: "$EDC/+/{device}/MQTT/BIRTH", Role: RoleRegistry, Decode: kuraLife(event.StatusOnline)},
		{Topic: "$EDC/+/{device}/MQTT/DC|LWT|MISSING", Role: RoleRegistry, Decode: kuraLife(event.StatusOffline)},
		{Topic: "$EDC/+/{device}/MQTT/APPS", Role: RoleRegistry, Decode: kuraLife(event.StatusUnknown)},
		{Topic: "$EDC/+/{device}/+/GET|PUT|POST|DEL|EXEC/#", Role: RoleCommand, Decode: quietly},
		{Topic: "$EDC/+/{device}/+/REPLY/#", Role: RoleQuiet, Decode: quietly},
	},
}

// kuraLife reads a message about a client's life: what it says of itself are texts. A will's time is that of its making.
func kuraLife(status event.Status) Func {
	return func(s *Scope, in *Input, out *Result) (bool, error) {
		m, err := readKura(in.Payload)
		if err != nil {
			return false, nil //nolint:nilerr // JSON or nothing
		}
		p := s.points(in, out)
		for i := range m.metrics {
			if f := &m.metrics[i]; f.isText {
				p.text(f.name, f.text, 0)
				if string(f.name) == "display_name" {
					out.Name = s.intern(cut(f.text, MaxNameBytes))
				}
			}
		}
		out.Status = status
		return true, nil
	}
}

// kuraHeads are what a payload can begin with: the tags of its fields, or gzip.
var kuraHeads = []byte{0x08, 0x12, 0xc2, 0xca, 0x1f}

// Decode implements [Format].
func (Kura) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	if len(in.Payload) == 0 || bytes.IndexByte(kuraHeads, in.Payload[0]) < 0 || unprintable(in.Payload) < 0 {
		return false, nil
	}
	m, err := readKura(in.Payload)
	if err != nil || len(m.metrics) == 0 && len(m.position) == 0 {
		return false, nil //nolint:nilerr // it may be of another format
	}
	s.kuraDevice(in, out)
	p := s.points(in, out)
	if m.timestamp > 0 && m.timestamp < earliest {
		p.sent = m.timestamp * int64(time.Millisecond)
	}
	for i := range m.position {
		p.number(append([]byte("position."), m.position[i].name...), m.position[i].unit, m.position[i].value, 0)
	}
	for i := range m.metrics {
		if f := &m.metrics[i]; f.isText {
			p.text(f.name, f.text, 0)
		} else {
			p.number(f.name, "", f.value, 0)
		}
	}
	p.done()
	return true, nil
}

// kuraDevice names the device by the topic's second level, where no other rule does.
func (s *Scope) kuraDevice(in *Input, out *Result) {
	const least = 3
	if levels := splitLevels(in.Topic); s.topic.space.scheme == nil && len(levels) >= least {
		s.SetDevice(out, levels[1])
	}
}

// decodeKuraJSON reads {"SENTON":…,"POSITION":{…},"METRICS":{…},"BODY":…}.
func decodeKuraJSON(s *Scope, in *Input, out *Result) (bool, error) {
	s.kuraDevice(in, out)
	p := s.points(in, out)
	if sent := floatOf(member(in.Payload, "SENTON")); sent >= 1e12 { // in seconds it is an old version's, of a zone unknown
		p.sent = timeOfNumber(sent)
	}
	p.json([]byte("POSITION"), "", member(in.Payload, "POSITION"), 0)
	for key, value := range members(member(in.Payload, "METRICS")) {
		p.json(unescape(nil, key), "", value, 0)
	}
	p.done()
	return true, nil
}

// A kuraMessage is KuraPayload.
type kuraMessage struct {
	timestamp int64 // milliseconds
	position  []kuraPosition
	metrics   []kuraMetric
}

type kuraPosition struct {
	name, unit string
	value      float64
}

type kuraMetric struct {
	name   []byte
	isText bool
	text   []byte
	value  float64
}

var errKura = errors.New("not a payload of Kura's")

// readKura reads a payload, unpacked if it is packed. It knows all fields that there are: another is a sign of a message of
// another kind.
func readKura(payload []byte) (*kuraMessage, error) {
	if isGzip(payload) {
		var err error
		if payload, err = inflate(payload); err != nil {
			return nil, err
		}
	}
	m := &kuraMessage{}
	err := wireFields(payload, func(f *wireField) error {
		switch {
		case f.number == 1 && f.isVarint():
			m.timestamp = int64(f.bits)
		case f.number == 2 && f.isBytes():
			return m.place(f.bytes)
		case f.number == 5000 && f.isBytes():
			metric, err := readKuraMetric(f.bytes)
			if len(m.metrics) < maxAsked {
				m.metrics = append(m.metrics, metric)
			}
			return err
		case f.number == 5001 && f.isBytes():
		default:
			return errKura
		}
		return nil
	})
	return m, err
}

// kuraPlace are the fields of KuraPosition, by their numbers.
var kuraPlace = map[int]kuraPosition{
	1: {name: "latitude", unit: "°"}, 2: {name: "longitude", unit: "°"}, 3: {name: "altitude", unit: "m"}, 4: {name: "precision"},
	5: {name: "heading", unit: "°"}, 6: {name: "speed", unit: "m/s"}, 8: {name: "satellites"}, 9: {name: "status"},
}

func (m *kuraMessage) place(message []byte) error {
	return wireFields(message, func(f *wireField) error {
		known, found := kuraPlace[f.number]
		switch {
		case found && f.isFixed64():
			known.value = f.float64()
		case found && f.isVarint():
			known.value = float64(int32(f.bits))
		case f.number == 7 && f.isVarint():
			return nil
		default:
			return errKura
		}
		m.position = append(m.position, known)
		return nil
	})
}

// readKuraMetric reads KuraPayload.KuraMetric. Data (type 6) is nothing to show.
func readKuraMetric(message []byte) (m kuraMetric, err error) {
	err = wireFields(message, func(f *wireField) error {
		switch {
		case f.number == 1 && f.isBytes() && utf8.Valid(f.bytes):
			m.name = f.bytes
		case f.number == 2 && f.isVarint():
			const text, data = 5, 6
			m.isText = f.bits >= text && f.bits <= data
		default:
			return m.setValue(f)
		}
		return nil
	})
	if err == nil && len(m.name) == 0 {
		err = errKura
	}
	return m, err
}

// setValue takes the value, which is in the field of its type.
func (m *kuraMetric) setValue(f *wireField) error {
	switch {
	case f.number == 3 && f.isFixed64():
		m.value = f.float64()
	case f.number == 4 && f.isFixed32():
		m.value = f.float32()
	case f.number == 5 && f.isVarint():
		m.value = float64(int64(f.bits))
	case f.number == 6 && f.isVarint():
		m.value = float64(int32(f.bits))
	case f.number == 7 && f.isVarint():
		m.value = float64(min(f.bits, 1))
	case f.number == 8 && f.isBytes():
		m.text = f.bytes
	case f.number == 9 && f.isBytes():
	default:
		return errKura
	}
	return nil
}

package decode

import (
	"slices"
	"strconv"
	"strings"

	"pulso/bridge/event"
)

// opcua are the topics of OPC UA PubSub over MQTT (OPC 10000-14, 7.3.4.7): <prefix>/json/<type>/<publisher>/<group>/<writer>.
// What is in the messages, they say themselves: see [Envelope].
var opcua = &Scheme{
	Name: "opcua",
	Rules: []Rule{
		{Topic: "+/json/data|delta|keyframe|event|keepalive/{device}/#"},
		{Topic: "+/json/status|connection/{device}/#", Role: RoleStatus},
		{Topic: "+/json/metadata|application|endpoints/{device}/#", Role: RoleRegistry},
	},
}

// opcuaUnits are the units of a writer's fields, by device and writer.
var opcuaUnits = Facts[map[string]string]{Kind: "opcua"}

// decodeOPCUA reads a NetworkMessage in JSON, or a DataSetMessage alone (OPC 10000-14, 7.2.5).
func decodeOPCUA(s *Scope, in *Input, out *Result) (bool, error) {
	root := trim(in.Payload)
	p := s.points(in, out)
	for message := range elements(root) {
		if publisher := strings.Trim(scalar(member(message, "PublisherId")), `"`); publisher != "" {
			s.SetDevice(out, publisher)
		}
		switch scalar(member(message, "MessageType")) {
		case "ua-metadata":
			p.opcuaMetadata(message)
		case "ua-status", "ua-connection":
			p.opcuaStatus(message)
		case "ua-application", "ua-endpoints", "ua-applicationinformation":
		case "ua-data":
			p.opcuaData(message)
		default: // a DataSetMessage without its header
			p.opcuaSet(message, "")
		}
	}
	p.done()
	return true, nil
}

// opcuaData adds the messages of a NetworkMessage. Where several writers' are in one, the fields of each have its id before
// their names.
func (p *points) opcuaData(message []byte) {
	sets := member(message, "Messages")
	if sets == nil {
		sets = message
	}
	var writers []string
	for set := range elements(sets) {
		if id := scalar(member(set, "DataSetWriterId")); !slices.Contains(writers, id) && len(writers) < MaxTexts {
			writers = append(writers, id)
		}
	}
	for set := range elements(sets) {
		prefix := scalar(member(set, "DataSetWriterName"))
		if prefix == "" && len(writers) > 1 {
			prefix = scalar(member(set, "DataSetWriterId"))
		}
		if slices.Contains(strings.Split(p.in.Topic, "/"), prefix) {
			prefix = ""
		}
		p.opcuaSet(set, prefix)
	}
}

// opcuaSet adds a DataSetMessage.
func (p *points) opcuaSet(set []byte, prefix string) {
	if scalar(member(set, "MessageType")) == "ua-keepalive" || isOPCBad(member(set, "Status")) {
		return
	}
	writer := first(scalar(member(set, "DataSetWriterName")), scalar(member(set, "DataSetWriterId")))
	units, _ := opcuaUnits.RecallThen(p.s, p.out.Device+"/"+writer)
	at := timeOfText([]byte(scalar(member(set, "Timestamp"))))
	if at > p.sent {
		p.sent = at
	}
	for key, value := range members(member(set, "Payload")) {
		name := unescape(nil, key)
		unit := units[string(name)]
		if prefix != "" {
			name = below([]byte(prefix), name)
		}
		p.opcuaValue(name, unit, value, at, 0)
	}
}

// The ids of built-in types (OPC 10000-6, table 1) that are no plain JSON.
const (
	opcuaString        = "12"
	opcuaDateTime      = "13"
	opcuaGUID          = "14"
	opcuaByteString    = "15"
	opcuaLocalizedText = "21"
)

// opcuaValue adds a field: a value as it is, a DataValue, or a Variant; {"Value":…,"StatusCode":…}, {"Type":…,"Body":…},
// {"UaType":…,"Value":…}.
func (p *points) opcuaValue(name []byte, unit string, raw []byte, at int64, depth int) {
	if len(raw) == 0 || raw[0] != '{' || depth > 3 {
		p.json(name, unit, raw, at)
		return
	}
	if isOPCBad(first2(member(raw, "StatusCode"), member(raw, "Status"))) {
		p.s.Becausef("%q has a bad status: no reading", name)
		return
	}
	if at == 0 {
		at = timeOfText([]byte(scalar(first2(member(raw, "SourceTimestamp"), member(raw, "ServerTimestamp")))))
	}
	value := first2(member(raw, "Body"), member(raw, "Value"))
	kind := scalar(first2(member(raw, "Type"), member(raw, "UaType")))
	switch {
	case member(raw, "Text") != nil && (member(raw, "Locale") != nil || kind == opcuaLocalizedText):
		p.text(name, []byte(scalar(member(raw, "Text"))), at)
	case value == nil:
		p.opcuaStructure(name, unit, raw, at, depth)
	case kind == opcuaByteString:
	case kind == opcuaString, kind == opcuaDateTime, kind == opcuaGUID:
		if text := scalar(value); text != "" {
			p.text(name, []byte(text), at)
		}
	default:
		p.opcuaValue(name, unit, value, at, depth+1)
	}
}

// opcuaStructure adds the fields of a structure. What only says how it was taken, is none.
func (p *points) opcuaStructure(name []byte, unit string, raw []byte, at int64, depth int) {
	for key, value := range members(raw) {
		switch string(key) {
		case "SourceTimestamp", "ServerTimestamp", "SourcePicoseconds", "ServerPicoseconds", "StatusCode", "Status":
		default:
			p.opcuaValue(below(name, unescape(nil, key)), unit, value, at, depth+1)
		}
	}
}

func first2(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}

// isOPCBad reports whether a status says that there is no value: its two highest bits (OPC 10000-4, 7.39). It is a number,
// or an object that has it as its "Code".
func isOPCBad(raw []byte) bool {
	if len(raw) > 0 && raw[0] == '{' {
		raw = member(raw, "Code")
	}
	code, err := strconv.ParseUint(scalar(raw), 10, 32)
	const bad = 1 << 31
	return err == nil && code&bad != 0
}

// opcuaStatus reads a PubSubState: Disabled, Paused, Operational, Error, PreOperational.
func (p *points) opcuaStatus(message []byte) {
	p.sent = timeOfText([]byte(scalar(member(message, "Timestamp"))))
	switch scalar(member(message, "Status")) {
	case "2":
		p.out.Status = event.StatusOnline
	case "0", "1", "3":
		p.out.Status = event.StatusOffline
	}
}

// opcuaMetadata notes the units of a writer's fields: the EUInformation under "EngineeringUnits".
func (p *points) opcuaMetadata(message []byte) {
	units := make(map[string]string)
	for field := range elements(member(message, "MetaData", "Fields")) {
		name := scalar(member(field, "Name"))
		for property := range elements(member(field, "Properties")) {
			key := member(property, "Key")
			if first(scalar(member(key, "Name")), scalar(key)) != "EngineeringUnits" || len(units) >= MaxReadings {
				continue
			}
			if unit := opcuaUnit(member(property, "Value")); unit != "" && name != "" {
				units[name] = readUnit(unit)
				p.s.announceUnit(p.out, name, unit)
			}
		}
	}
	if p.out.Name == "" {
		p.text([]byte("MetaData.Name"), []byte(scalar(member(message, "MetaData", "Name"))), 0)
	}
	for _, writer := range []string{scalar(member(message, "DataSetWriterName")), scalar(member(message, "DataSetWriterId"))} {
		if writer != "" && len(units) > 0 {
			opcuaUnits.Remember(p.s, p.out.Device+"/"+writer, units)
		}
	}
}

// opcuaUnit finds the display name in an EUInformation, however it is wrapped.
func opcuaUnit(raw []byte) string {
	for range 4 {
		if name := member(raw, "DisplayName"); name != nil {
			return first(scalar(member(name, "Text")), scalar(name))
		}
		inner := first2(member(raw, "Body"), member(raw, "Value"))
		if inner == nil {
			break
		}
		raw = inner
	}
	return scalar(raw)
}

// isOPCSamples reports whether a payload is a list of samples, or one.
func isOPCSamples(payload []byte) bool {
	for sample := range elements(trim(payload)) {
		return member(sample, "NodeId") != nil && member(sample, "Value") != nil
	}
	return false
}

// decodeOPCSamples reads what Azure's OPC Publisher sends in its mode "Samples": a list of values by the node that they are
// of. A value's name is the node's DisplayName, else what identifies the node.
func decodeOPCSamples(s *Scope, in *Input, out *Result) (bool, error) {
	p := s.points(in, out)
	for sample := range elements(trim(in.Payload)) {
		name := scalar(member(sample, "DisplayName"))
		if name == "" {
			id := scalar(member(sample, "NodeId"))
			name = id[strings.LastIndexByte(id, ';')+1:]
			_, name, _ = strings.Cut(name, "=")
			name = first(name, id)
		}
		if name == "" || isOPCBad(member(sample, "StatusCode")) || isOPCBad(member(sample, "Status")) {
			continue
		}
		p.opcuaValue([]byte(name), "", member(sample, "Value"), timeOfText([]byte(scalar(member(sample, "Timestamp")))), 0)
	}
	p.done()
	return true, nil
}

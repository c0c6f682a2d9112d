package decode

import (
	"bytes"
	"encoding/json"
	"strings"
)

// homie5 are devices of the Homie convention 5: https://homieiot.github.io/specification/. A description says what their
// properties are.
var homie5 = &Scheme{
	Name: "homie-v5",
	Rules: []Rule{
		{Topic: "homie/5/$broadcast/#", Role: RoleQuiet, Decode: verbatim},
		{Topic: "homie/5/{device}/{subject:$state}", Role: RoleState},
		{Topic: "homie/5/{device}/$description", Role: RoleRegistry, Decode: homieDescription},
		{Topic: "homie/5/{device}/{subject:$log|$alert}/{subject}", Role: RoleQuiet, Decode: verbatim},
		{Topic: "homie/5/{device}/{subject:$*}", Role: RoleRegistry, Decode: verbatim},
		{Topic: "homie/5/{device}/+/+/set", Role: RoleCommand},
		{Topic: "homie/5/{device}/{subject}/{subject}/{subject:$*}", Role: RoleQuiet, Decode: verbatim},
		{Topic: "homie/5/{device}/{subject}/{subject}", Decode: homieValue},
	},
}

// homie4 are devices of the Homie convention up to 4, whose attributes are topics of their own:
// https://homieiot.github.io/specification/spec-core-v4_0_0/.
var homie4 = &Scheme{
	Name:  "homie",
	Rules: append([]Rule{{Topic: "homie/$broadcast/#", Role: RoleQuiet, Decode: verbatim}}, homieRules("homie")...),
	Keys: map[string]Key{
		"$stats.signal": {Unit: "%"}, "$stats.battery": {Unit: "%"}, "$stats.cpuload": {Unit: "%"}, "$stats.cputemp": {Unit: "°C"},
		"$stats.freeheap": {Unit: "B"}, "$stats.supply": {Unit: "V"}, "$stats.uptime": {Unit: "s"},
	},
}

// homieRules are those below a root: attributes of the device, of its nodes and of their properties, and values.
func homieRules(root string) []Rule {
	return []Rule{
		{Topic: root + "/{device}/{subject:$state}", Role: RoleState},
		{Topic: root + "/{device}/$online", Role: RoleStatus},
		{Topic: root + "/{device}/{subject:$name}", Role: RoleRegistry, Decode: homieName},
		{Topic: root + "/{device}/{subject:$stats}/{subject:signal|battery|cpuload|cputemp|freeheap|supply|uptime}"},
		{Topic: root + "/{device}/{subject:$*}", Role: RoleRegistry, Decode: verbatim},
		{Topic: root + "/{device}/{subject:$*}/{subject...}", Role: RoleRegistry, Decode: verbatim},
		{Topic: root + "/{device}/{subject}/{subject:$*}", Role: RoleRegistry, Decode: verbatim},
		{Topic: root + "/{device}/+/+/set", Role: RoleCommand},
		{Topic: root + "/{device}/{subject}/{subject}/{subject:$unit|$datatype}", Role: RoleRegistry, Decode: homieAttribute},
		{Topic: root + "/{device}/{subject}/{subject}/{subject:$*}", Role: RoleRegistry, Decode: verbatim},
		{Topic: root + "/{device}/{subject}/{subject}", Decode: homieValue},
	}
}

// homieValue knows the one byte 0 that stands for an empty text, and colours, which are numbers with commas between.
func homieValue(s *Scope, in *Input, out *Result) (bool, error) {
	if bytes.IndexByte(in.Payload, ',') >= 0 {
		return verbatim(s, in, out)
	}
	if string(in.Payload) != "\x00" {
		return false, nil
	}
	s.text(out, s.bare(), nil)
	return true, nil
}

func homieName(s *Scope, in *Input, out *Result) (bool, error) {
	understood, err := verbatim(s, in, out)
	if understood && err == nil {
		out.Name = s.intern(cut(trim(in.Payload), MaxNameBytes))
	}
	return understood, err
}

// homieKey is what a datatype and a unit say of a property's values.
func homieKey(datatype, unit string) Key {
	k := Key{Unit: readUnit(unit)}
	switch datatype {
	case "integer", "float":
		k.Class = ClassMetric
	case "percent":
		k.Class, k.Unit = ClassMetric, first(k.Unit, "%")
	case "string", "enum", "color", "datetime", "duration":
		k.Class = ClassText
	}
	return k
}

// homieAttribute tells a property's topic of its unit or datatype.
func homieAttribute(s *Scope, in *Input, out *Result) (bool, error) {
	understood, err := verbatim(s, in, out)
	if !understood || err != nil {
		return understood, err
	}
	at := strings.LastIndexByte(in.Topic, '/')
	property := in.Topic[:at]
	told, _ := s.Told(property)
	k, value := told.Keys[""], string(cut(trim(in.Payload), MaxTextBytes))
	if in.Topic[at+1:] == "$unit" {
		k.Unit = homieKey("", value).Unit
		_, name, _ := strings.Cut(property, out.Device+"/")
		s.announceUnit(out, strings.ReplaceAll(name, "/", "."), value)
	} else {
		k.Class = homieKey(value, "").Class
		k.Unit = first(k.Unit, homieKey(value, "").Unit)
	}
	s.tellMore(property, Told{Keys: map[string]Key{"": k}})
	return true, nil
}

// A homieDevice is a device's $description.
type homieDevice struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Nodes map[string]struct {
		Properties map[string]struct {
			Unit     string `json:"unit"`
			Datatype string `json:"datatype"`
		} `json:"properties"`
	} `json:"nodes"`
}

// homieDescription reads a description and tells the properties' topics of it.
func homieDescription(s *Scope, in *Input, out *Result) (bool, error) {
	understood, err := JSON{}.Decode(s, in, out)
	if !understood || err != nil {
		return understood, err
	}
	var d homieDevice
	if err := json.Unmarshal(in.Payload, &d); err != nil {
		s.Becausef("a part of the description is not as it should be: %s", err)
	}
	out.Name, out.Kind = d.Name, d.Type
	base := strings.TrimSuffix(in.Topic, "$description")
	told := 0
	for node, n := range d.Nodes {
		for property, p := range n.Properties {
			k := homieKey(p.Datatype, p.Unit)
			if told++; told > MaxReadings || strings.ContainsAny(node+property, "+#/\x00") {
				continue
			}
			s.announceUnit(out, node+"."+property, p.Unit)
			s.Tell(base+node+"/"+property, Told{Name: d.Name, Kind: d.Type, Keys: map[string]Key{"": k}})
		}
	}
	return true, nil
}

package decode

import (
	"strconv"
	"strings"

	"pulso/bridge/event"
)

// zwave is Z-Wave JS UI: https://zwave-js.github.io/zwave-js-ui/#/guide/mqtt. By its settings the topics have names or
// numbers, with the node's location before it or not, and payloads are values, values with their time, or all that is known
// of a value.
var zwave = &Scheme{
	Name: "zwave-js-ui",
	Rules: []Rule{
		{Topic: zwaveBase + "/_CLIENTS/{device}/status", Role: RoleStatus, Decode: zwaveStatus},
		{Topic: zwaveBase + "/_CLIENTS/{device}/version", Role: RoleRegistry},
		{Topic: zwaveBase + "/_CLIENTS/{device}/#", Role: RoleCommand},
		{Topic: zwaveBase + "/_EVENTS/{device}/#", Role: RoleQuiet},
		{Topic: zwaveBase + "/{device...}/status", Role: RoleStatus, Decode: zwaveStatus},
		{Topic: zwaveBase + "/{device...}/nodeinfo|nodeInfo", Role: RoleRegistry, Decode: zwaveInfo},
		{Topic: zwaveBase + "/{device...}/{subject:lastActive}", Decode: zwaveLastActive},
	},
	Topic: zwaveTopic,
	Keys: map[string]Key{
		"time": {Class: ClassTime}, "lastUpdate": {Class: ClassTime}, "nodeId": {Class: ClassText}, "nodeName": {Class: ClassText},
		"nodeLocation": {Class: ClassText}, "battery.endpoint_0.level": {Unit: "%"}, "128.0.level": {Unit: "%"},
	},
}

// zwaveBase are the prefixes in use; it is a setting.
const zwaveBase = "zwave|zwavejs|zwave-js|zwave-js-ui|zwavejs2mqtt|zwave2mqtt"

// zwaveTopic finds what names the command class and the endpoint: what stands before it is the node.
func zwaveTopic(levels []string) (Address, bool) {
	base := level{forms: newForms(zwaveBase)}
	const least = 4
	if len(levels) < least || !base.fits(levels[0]) {
		return Address{}, false
	}
	at := -1
	for i := 3; i < len(levels) && at < 0; i++ {
		number, named := strings.CutPrefix(levels[i], "endpoint_")
		if isShortNumber(number) && (named || isShortNumber(levels[i-1])) {
			at = i - 1
		}
	}
	if at < 0 {
		return Address{}, false
	}
	a := Address{Device: strings.Join(levels[1:at], "/"), Subject: strings.Join(levels[at:], "."), Decode: zwaveValue}
	switch property := at + 2; {
	case levels[len(levels)-1] == "set":
		a.Role = RoleCommand
	case property < len(levels) && levels[property] == "targetValue":
		a.Role = RoleQuiet // a wish
	}
	return a, true
}

// zwaveValue reads a value with its time, or all that is known of it.
func zwaveValue(s *Scope, in *Input, out *Result) (bool, error) {
	unit := zwaveMeterUnit(in.Topic)
	if ok, err := s.object(in, out); !ok {
		if err != nil || unit == "" {
			return false, err
		}
		understood, err := Number{}.Decode(s, in, out)
		zwaveUnit(out, unit)
		_ = s.checkJSON(in, out) // only notes whether it is
		return understood, err
	}
	for key, value := range members(in.Payload) {
		switch name := string(key); name {
		case "unit":
			unit = readUnit(scalar(value))
		case "time", "lastUpdate", "value":
			if err := s.part(in, out, name, value); err != nil {
				return true, err
			}
		}
	}
	zwaveUnit(out, unit)
	return true, nil
}

func zwaveUnit(out *Result, unit string) {
	for i := range out.Readings {
		out.Readings[i].Unit = first(out.Readings[i].Unit, unit)
	}
}

// zwaveMeterUnit is the unit of a meter's value: the number that is its name consists of the meter's type, the scale and the
// rate type, a byte each (Z-Wave Application Specification, Meter Command Class).
func zwaveMeterUnit(topic string) string {
	at := strings.LastIndexByte(topic, '/')
	if !strings.Contains(topic, "/meter/") && !strings.Contains(topic, "/50/") {
		return ""
	}
	number, err := strconv.ParseUint(topic[at+1:], 10, 24)
	if err != nil {
		return ""
	}
	const electric, gas, water = 1, 2, 3
	units := map[uint64][]string{
		electric: {"kWh", "kVAh", "W", "", "V", "A", ""},
		gas:      {"m³", "ft³"},
		water:    {"m³", "ft³", "gal"},
	}[number>>16]
	if scale := number >> 8 & 0xff; scale < uint64(len(units)) {
		return units[scale]
	}
	return ""
}

// zwaveStatus reads whether a node is available; one that sleeps is.
func zwaveStatus(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	value := scalar(member(in.Payload, "value"))
	switch state := strings.ToLower(scalar(member(in.Payload, "status"))); {
	case state == "dead", value == "false":
		out.Status = event.StatusOffline
	case state == "alive", state == "awake", state == "asleep", value == "true":
		out.Status = event.StatusOnline
	}
	for key, raw := range members(in.Payload) {
		if name := string(key); name == "time" || name == "status" {
			if err := s.part(in, out, name, raw); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// zwaveInfo reads what is known of a node: its name and what it is.
func zwaveInfo(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	out.Name = scalar(member(in.Payload, "name"))
	out.Kind = strings.TrimSpace(scalar(member(in.Payload, "manufacturer")) + " " + scalar(member(in.Payload, "productLabel")))
	return JSON{}.Decode(s, in, out)
}

// zwaveLastActive reads when a node was heard last, which is nothing to chart.
func zwaveLastActive(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	return true, s.part(in, out, "time", []byte(first(string(member(in.Payload, "time")), "null")))
}

package decode

import (
	"bytes"
	"slices"
)

// domoticz are the devices that Domoticz knows by an index: https://www.domoticz.com/wiki/MQTT. "in" has what is measured
// and, with a "command", what is asked for; "out" repeats what it knows.
var domoticz = &Scheme{
	Name: "domoticz",
	Rules: []Rule{
		{Topic: "domoticz/in", Decode: domoticzDevice},
		{Topic: "domoticz/out", Decode: domoticzDevice},
		{Topic: "domoticz/out/#", Decode: domoticzDevice},
	},
	Keys: map[string]Key{
		"idx": {Class: ClassHidden}, "unit": {Class: ClassHidden}, "id": {Class: ClassText}, "hwid": {Class: ClassText}, "org_hwid": {Class: ClassText},
		"LastUpdate": {Class: ClassHidden}, "name": {Class: ClassText}, "description": {Class: ClassText}, "Battery": {Unit: "%"},
	},
}

// domoticzDevice reads a device's values. A text of several, parted by semicolons, is kept besides.
func domoticzDevice(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	idx := scalar(member(in.Payload, "idx"))
	if idx == "" {
		return true, nil
	}
	s.SetDevice(out, "domoticz/"+idx)
	if member(in.Payload, "command") != nil {
		out.Command = true
		return true, nil
	}
	understood, err := JSON{}.Decode(s, in, out)
	if err != nil || !understood {
		return understood, err
	}
	out.Name, out.Kind = scalar(member(in.Payload, "name")), scalar(member(in.Payload, "stype"))
	const noBattery, noSignal = 255, 12 // what stands for a device that has none
	out.Readings = slices.DeleteFunc(out.Readings, func(r Reading) bool {
		return r.Name == "Battery" && r.Value == noBattery || r.Name == "RSSI" && r.Value >= noSignal
	})
	parts := bytes.Split([]byte(scalar(member(in.Payload, "svalue"))), []byte(";"))
	if len(parts) < 2 || len(parts) > MaxTexts {
		return true, nil
	}
	for i, part := range parts {
		if value, ok := plainNumber(part); ok {
			s.Add(out, appendIndex([]byte("svalue."), i), "", value)
		}
	}
	return true, nil
}

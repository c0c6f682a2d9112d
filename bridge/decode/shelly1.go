package decode

// shelly1 are Shelly's devices of the first generation: https://shelly-api-docs.shelly.cloud/gen1/#mqtt-support. The device
// id may be set to one that begins with "shellies/" again.
var shelly1 = &Scheme{
	Name: "shelly-gen1",
	Rules: []Rule{
		{Topic: "shellies/announce", Decode: shelly1Announce},
		{Topic: "shellies/command", Role: RoleCommand},
		{Topic: "shellies/shellies/{device}/online", Role: RoleStatus},
		{Topic: "shellies/shellies/{device}/announce", Decode: shelly1Announce},
		{Topic: "shellies/shellies/{device}/command|set", Role: RoleCommand},
		{Topic: "shellies/shellies/{device}/+/+/command|set|settings", Role: RoleCommand},
		{Topic: "shellies/shellies/{device}/info"},
		{Topic: "shellies/shellies/{device}/{subject...}"},
		{Topic: "shellies/{device}/online", Role: RoleStatus},
		{Topic: "shellies/{device}/announce", Decode: shelly1Announce},
		{Topic: "shellies/{device}/command|set", Role: RoleCommand},
		{Topic: "shellies/{device}/+/command|set|settings", Role: RoleCommand},
		{Topic: "shellies/{device}/+/+/command|set|settings", Role: RoleCommand},
		{Topic: "shellies/{device}/+/+/command|set|settings/+", Role: RoleCommand},
		{Topic: "shellies/{device}/info"},
		{Topic: "shellies/{device}/{subject:relay|roller|light|color|white|emeter|meter|input|input_event|longpush}/{subject...}"},
		{Topic: "shellies/{device}/{subject:sensor|thermostat|adc|ext_*|settings|self_test}/{subject...}"},
		{Topic: "shellies/{device}/{subject:temperature*|overtemperature|voltage|loaderror|self_test|operation}"},
	},
	Keys: map[string]Key{
		"power": {Unit: "W"}, "reactive_power": {Unit: "var"}, "voltage": {Unit: "V"}, "current": {Unit: "A"},
		"temperature_f": {Unit: "°F"}, "tC": {Unit: "°C"}, "tF": {Unit: "°F"}, "hum.value": {Unit: "%"},
		"temperature": {Unit: "°C"}, "ext_temperature.0": {Unit: "°C"}, "ext_temperature.1": {Unit: "°C"}, "ext_temperature.2": {Unit: "°C"},
		"ext_humidity.0": {Unit: "%"}, "ext_humidity.1": {Unit: "%"}, "ext_humidity.2": {Unit: "%"},
		"sensor.humidity": {Unit: "%"}, "sensor.battery": {Unit: "%"}, "sensor.lux": {Unit: "lx"}, "sensor.tilt": {Unit: "°"},
		"emeter.0.total": {Unit: "Wh"}, "emeter.1.total": {Unit: "Wh"}, "emeter.2.total": {Unit: "Wh"},
		"emeters.0.total": {Unit: "Wh"}, "emeters.1.total": {Unit: "Wh"}, "emeters.2.total": {Unit: "Wh"},
		"total_returned": {Unit: "Wh"}, "energy": {Unit: wattMinutes}, "returned_energy": {Unit: wattMinutes},
		"meters.0.total": {Unit: wattMinutes}, "meters.1.total": {Unit: wattMinutes}, "meters.2.total": {Unit: wattMinutes},
		"meters.3.total": {Unit: wattMinutes}, "bat.value": {Unit: "%"}, "bat.voltage": {Unit: "V"},
		"unixtime": {Class: ClassTime}, "time": {Class: ClassHidden}, "timestamp": {Class: ClassHidden}, "event": {Class: ClassText},
		"timer_started": {Class: ClassHidden}, "mac": {Class: ClassText}, "hwID": {Class: ClassText}, "source": {Class: ClassText},
		// They are in the unit that is set, which the topic does not say.
		"sensor.temperature": {},
	},
}

// wattMinutes is the unit in which these devices count energy beside Wh.
const wattMinutes = "W·min"

// shelly1Announce reads what a device tells of itself when it is asked or begins; its id is in the payload.
func shelly1Announce(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	s.SetDevice(out, scalar(member(in.Payload, "id")))
	out.Kind = scalar(member(in.Payload, "model"))
	return JSON{}.Decode(s, in, out)
}

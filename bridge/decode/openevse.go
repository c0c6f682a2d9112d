package decode

import (
	"slices"
	"strings"

	"pulso/bridge/event"
)

// openEVSE are charging stations with OpenEVSE's WiFi gateway: https://github.com/OpenEVSE/openevse_esp32_firmware. Their
// base topic can be chosen; it is known where a level of it begins with "openevse", or by the announcement. Currents
// are in milliamperes and temperatures in tenths of a degree, and stay so.
var openEVSE = &Scheme{
	Name: "openevse",
	Rules: []Rule{
		{Topic: "openevse/announce/{device}", Role: RoleStatus, Kind: "charging station", Decode: openEVSEAnnounce},
	},
	Topic: openEVSETopic,
	Keys: map[string]Key{
		"amp": {Unit: "mA"}, "voltage": {Unit: "V"}, "pilot": {Unit: "A"}, "max_current": {Unit: "A"}, "charge_rate": {Unit: "A"},
		"available_current": {Unit: "A"}, "smoothed_available_current": {Unit: "A"}, "shaper_cur": {Unit: "A"},
		"shaper_live_pwr": {Unit: "W"}, "shaper_max_pwr": {Unit: "W"}, "power": {Unit: "W"}, "solar": {Unit: "W"}, "grid_ie": {Unit: "W"},
		"wh": {Unit: "Wh"}, "watthour": {Unit: "Wh"}, "wattsec": {Unit: "Ws"}, "session_energy": {Unit: "Wh"}, "total_energy": {Unit: "kWh"},
		"total_day": {Unit: "kWh"}, "total_week": {Unit: "kWh"}, "total_month": {Unit: "kWh"}, "total_year": {Unit: "kWh"},
		"temp": {Unit: tenthCelsius}, "temp1": {Unit: tenthCelsius}, "temp2": {Unit: tenthCelsius}, "temp3": {Unit: tenthCelsius},
		"temp4": {Unit: tenthCelsius}, "temp_max": {Unit: tenthCelsius}, "elapsed": {Unit: "s"}, "session_elapsed": {Unit: "s"},
		"uptime": {Unit: "s"}, "srssi": {Unit: "dBm"}, "freeram": {Unit: "B"}, "free_heap": {Unit: "B"}, "battery_level": {Unit: "%"},
		"battery_range": {Unit: "km"}, "time_to_full_charge": {Unit: "s"}, "vehicle_soc": {Unit: "%"}, "vehicle_range": {Unit: "km"},
		"vehicle_eta": {Unit: "s"}, "status": {Class: ClassText}, "override.state": {Class: ClassText},
	},
}

const tenthCelsius = "0.1 °C"

// openEVSETopic finds the station by the last level that is named after it.
func openEVSETopic(levels []string) (Address, bool) {
	at := -1
	for i, level := range levels[:len(levels)-1] {
		if level == "openevse" || strings.HasPrefix(level, "openevse-") || strings.HasPrefix(level, "openevse_") {
			at = i
		}
	}
	if at < 0 {
		return Address{}, false
	}
	rest := levels[at+1:]
	a := Address{Device: levels[at], Subject: strings.Join(rest, "."), Kind: "charging station"}
	if rest[0] == "rapi" || rest[len(rest)-1] == "set" || slices.Contains(rest, "cmd") {
		a.Role = RoleCommand
	}
	return a, true
}

// openEVSEAnnounce reads the announcement, which is also the will: the name and the base topic.
func openEVSEAnnounce(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	base := strings.Trim(scalar(member(in.Payload, "mqtt")), "/")
	out.Name = scalar(member(in.Payload, "name"))
	device := out.Name
	if levels := splitLevels(base); len(levels) > 0 {
		device = shortDevice(levels)
	}
	s.SetDevice(out, device)
	if filter := base + "/#"; base != "" && event.CheckTopic(base) == nil && event.CheckFilter(filter) == nil {
		s.Tell(filter, Told{Device: out.Device, Weak: true, Name: out.Name})
	}
	understood, err := JSON{}.Decode(s, in, out)
	out.Readings = out.Readings[:0]
	if out.Status == event.StatusUnknown {
		out.Status = statusOfWord([]byte(scalar(member(in.Payload, "state"))), surelyStatus)
	}
	return understood, err
}

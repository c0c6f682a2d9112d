package decode

import "strings"

// shelly2 are Shelly's devices from the second generation on: https://shelly-api-docs.shelly.cloud/gen2/. What their topics
// begin with is the device id unless it was chosen; notifications name the id besides.
var shelly2 = &Scheme{
	Name: "shelly-gen2",
	Rules: []Rule{
		{Topic: "{device}/rpc", Decode: shelly2Call},
		{Topic: "shellies/{device}/rpc", Decode: shelly2Call},
		{Topic: "{device:shelly*}/online", Role: RoleStatus},
		{Topic: "{device:shelly*}/announce", Role: RoleRegistry},
		{Topic: "{device:shelly*}/debug/log", Role: RoleQuiet, Decode: verbatim},
	},
	Topic: shelly2Topic,
	Keys: map[string]Key{
		"apower": {Unit: "W"}, "aprtpower": {Unit: "VA"}, "voltage": {Unit: "V"}, "current": {Unit: "A"}, "freq": {Unit: "Hz"},
		"aenergy.total": {Unit: "Wh"}, "ret_aenergy.total": {Unit: "Wh"}, "aenergy.by_minute": {Unit: "mWh"},
		"ret_aenergy.by_minute": {Unit: "mWh"}, "minute_ts": {Class: ClassHidden}, "tC": {Unit: "°C"}, "tF": {Unit: "°F"},
		"rh": {Unit: "%"}, "lux": {Unit: "lx"}, "percent": {Unit: "%"}, "brightness": {Unit: "%"}, "current_pos": {Unit: "%"},
		"target_pos": {Class: ClassHidden}, "battery.V": {Unit: "V"}, "battery": {Unit: "%"},
		"rssi": {Unit: "dBm"}, "uptime": {Unit: "s"}, "ram_size": {Unit: "B"}, "ram_free": {Unit: "B"}, "ram_min_free": {Unit: "B"},
		"fs_size": {Unit: "B"}, "fs_free": {Unit: "B"}, "target_C": {Unit: "°C"}, "current_C": {Unit: "°C"},
		"a_current": {Unit: "A"}, "b_current": {Unit: "A"}, "c_current": {Unit: "A"}, "n_current": {Unit: "A"}, "total_current": {Unit: "A"},
		"a_voltage": {Unit: "V"}, "b_voltage": {Unit: "V"}, "c_voltage": {Unit: "V"},
		"a_act_power": {Unit: "W"}, "b_act_power": {Unit: "W"}, "c_act_power": {Unit: "W"}, "total_act_power": {Unit: "W"}, "act_power": {Unit: "W"},
		"a_aprt_power": {Unit: "VA"}, "b_aprt_power": {Unit: "VA"}, "c_aprt_power": {Unit: "VA"}, "total_aprt_power": {Unit: "VA"},
		"aprt_power": {Unit: "VA"}, "a_freq": {Unit: "Hz"}, "b_freq": {Unit: "Hz"}, "c_freq": {Unit: "Hz"},
		"a_total_act_energy": {Unit: "Wh"}, "b_total_act_energy": {Unit: "Wh"}, "c_total_act_energy": {Unit: "Wh"},
		"a_total_act_ret_energy": {Unit: "Wh"}, "b_total_act_ret_energy": {Unit: "Wh"}, "c_total_act_ret_energy": {Unit: "Wh"},
		"total_act_energy": {Unit: "Wh"}, "total_act_ret_energy": {Unit: "Wh"}, "total_act": {Unit: "Wh"}, "total_act_ret": {Unit: "Wh"},
		"ts": {Class: ClassTime}, "unixtime": {Class: ClassTime}, "time": {Class: ClassHidden}, "last_sync_ts": {Class: ClassHidden},
		"last_updated_ts": {Class: ClassHidden}, "started_at": {Class: ClassHidden}, "timer_started_at": {Class: ClassHidden},
		"move_started_at": {Class: ClassHidden}, "cfg_rev": {Class: ClassText}, "kvs_rev": {Class: ClassText},
		"schedule_rev": {Class: ClassText}, "webhook_rev": {Class: ClassText}, "btrelay_rev": {Class: ClassText},
		"pid": {Class: ClassText}, "packet_id": {Class: ClassText}, "obj_id": {Class: ClassText}, "component": {Class: ClassText},
		"data.temperature": {Unit: "°C"}, "data.humidity": {Unit: "%"}, "event": {Class: ClassText},
		"utc_offset": {Class: ClassHidden}, "reset_reason": {Class: ClassText}, "wakeup_period": {Unit: "s"},
	},
}

// shelly2Parts are components that a device has only one of; the others are numbered ("switch:0").
var shelly2Parts = words("sys wifi cloud mqtt ws eth ble bthome ui matter knx modbus serial script zigbee devicepower plugs_ui plug_ui")

// shelly2Topic takes apart what stands behind a prefix of any length.
func shelly2Topic(levels []string) (Address, bool) {
	last := len(levels) - 1
	if last < 2 {
		return Address{}, false
	}
	a := Address{Device: shortDevice(levels[:last-1])}
	kind, part := levels[last-1], levels[last]
	switch isPart := shelly2Part(part); {
	case kind == "events" && part == "rpc":
		a.Decode = shelly2Notification
	case kind == "status" && isPart:
		a.Subject = part
	case kind == "command" && isPart:
		a.Role = RoleCommand
	default:
		return Address{}, false
	}
	return a, true
}

func shelly2Part(level string) bool {
	kind, number, numbered := strings.Cut(level, ":")
	if numbered {
		return kind != "" && isDigits(number)
	}
	return has(shelly2Parts, level)
}

// shelly2Call knows calls of a device's methods, which are commands, and replies to them, which are on the caller's topic
// and have no readings: what they are of stands in the call alone.
func shelly2Call(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	isReply, sender := false, ""
	for key, value := range members(in.Payload) {
		switch string(key) {
		case "method":
			out.Command = true
		case "result", "error":
			isReply = true
		case "src":
			sender = scalar(value)
		}
	}
	if isReply && !out.Command {
		s.SetDevice(out, sender)
	}
	return out.Command || isReply, nil
}

// shelly2Notification reads a notification of JSON-RPC: NotifyStatus, NotifyFullStatus and NotifyEvent have the components
// in their params. What a script hears of a BLU device is that device's.
func shelly2Notification(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	var method, params []byte
	for key, value := range members(in.Payload) {
		switch string(key) {
		case "src":
			s.SetDevice(out, s.word(value))
		case "method":
			method = value
		case "params":
			params = value
		}
	}
	if params == nil {
		return true, nil
	}
	if string(method) == `"NotifyEvent"` {
		if events := member(params, "events"); len(events) > 0 && events[0] == '[' {
			s.SetDevice(out, s.word(member(events[1:], "data", "address")))
		}
	}
	return true, s.part(in, out, "", params)
}

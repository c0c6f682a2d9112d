package decode

import "bytes"

// rtl433 is rtl_433, which hears sensors by radio: https://triq.org/rtl_433/INTEGRATION.html. All of them share the topic
// "events"; model and id in the payload tell them apart.
var rtl433 = &Scheme{
	Name: "rtl_433",
	Rules: []Rule{
		{Topic: "rtl_433*/events", Decode: rtl433Event},
		{Topic: "rtl_433*/+/events", Decode: rtl433Event},
		{Topic: "rtl_433*/devices/{device...}/{subject}"},
		{Topic: "rtl_433*/+/devices/{device...}/{subject}"},
		{Topic: "rtl_433*/{device}/states", Role: RoleQuiet},
		{Topic: "rtl_433*/{device}/availability|status|LWT", Role: RoleStatus},
	},
	Keys: map[string]Key{
		"time": {Class: ClassTime}, "id": {Class: ClassText}, "sensor_id": {Class: ClassText}, "protocol": {Class: ClassText},
		"channel": {Class: ClassText}, "subtype": {Class: ClassText}, "sid": {Class: ClassText}, "code": {Class: ClassText},
		"data": {Class: ClassText}, "raw_msg": {Class: ClassText}, "mic": {Class: ClassText}, "mod": {Class: ClassText},
		"type": {Class: ClassText}, "model": {Class: ClassText}, "house_id": {Class: ClassText}, "unit": {Class: ClassText},
		"button": {Class: ClassText}, "cmd": {Class: ClassText}, "command": {Class: ClassText}, "flags": {Class: ClassText},
		"sequence_num": {Class: ClassText}, "msg_type": {Class: ClassText}, "codes": {Class: ClassText},
		"humidity": {Unit: "%"}, "moisture": {Unit: "%"}, "freq": {Unit: "MHz"}, "freq1": {Unit: "MHz"}, "freq2": {Unit: "MHz"},
		"rssi": {Unit: "dB"}, "snr": {Unit: "dB"}, "noise": {Unit: "dB"}, "wind_dir_deg": {Unit: "°"}, "wind_avg_m_s": {Unit: "m/s"},
		"wind_max_m_s": {Unit: "m/s"}, "wind_avg_km_h": {Unit: kmPerHour}, "wind_max_km_h": {Unit: kmPerHour}, "rain_mm": {Unit: "mm"},
		"rain_rate_mm_h": {Unit: "mm/h"}, "light_lux": {Unit: "lx"}, "wind_avg_mi_h": {Unit: "mph"}, "rain_in": {Unit: "in"},
		"depth_cm": {Unit: "cm"}, "pressure_PSI": {Unit: "psi"}, "battery_mV": {Unit: "mV"}, "battery_V": {Unit: "V"},
	},
}

// rtl433Event reads what has been heard of a sensor.
func rtl433Event(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	s.SetDevice(out, s.rtl433Device(in.Payload))
	return JSON{}.Decode(s, in, out)
}

// rtl433Device names a sensor by its model and id; by its model and channel where it has no id.
func (s *Scope) rtl433Device(payload []byte) string {
	var model, id, channel []byte
	for key, value := range members(payload) {
		switch string(key) {
		case "model":
			model = value
		case "id":
			id = value
		case "channel":
			channel = value
		}
	}
	if id == nil {
		id = channel
	}
	s.scratch = append(s.scratch[:0], s.word(model)...)
	if len(s.scratch) > 0 && id != nil {
		s.scratch = append(s.scratch, '/')
	}
	s.scratch = append(s.scratch, bytes.Trim(id, `"`)...)
	return s.intern(s.scratch)
}

package decode

// teslamate are cars as TeslaMate tells of them: https://docs.teslamate.org/docs/integrations/mqtt. With MQTT_NAMESPACE
// there is a level more. A car's state "online" is that it is awake: no presence of the link.
var teslamate = &Scheme{
	Name: "teslamate",
	Rules: []Rule{
		{Topic: "{device:teslamate}/{device:cars}/{device}/{subject:display_name}", Kind: "car", Decode: namesDevice},
		{Topic: "{device:teslamate}/{device}/{device:cars}/{device}/{subject:display_name}", Kind: "car", Decode: namesDevice},
		{Topic: "{device:teslamate}/{device:cars}/{device}/{subject...}", Kind: "car"},
		{Topic: "{device:teslamate}/{device}/{device:cars}/{device}/{subject...}", Kind: "car"},
	},
	Keys: map[string]Key{
		"state": {Class: ClassText}, "since": {Class: ClassText}, "version": {Class: ClassText}, "update_version": {Class: ClassText},
		"display_name": {Class: ClassText}, "model": {Class: ClassText}, "trim_badging": {Class: ClassText},
		"exterior_color": {Class: ClassText}, "wheel_type": {Class: ClassText}, "spoiler_type": {Class: ClassText},
		"geofence": {Class: ClassText}, "shift_state": {Class: ClassText}, "charging_state": {Class: ClassText},
		"climate_keeper_mode": {Class: ClassText}, "center_display_state": {Class: ClassText}, "sentry_mode": {Class: ClassMetric},
		"scheduled_charging_start_time": {Class: ClassText}, "active_route_destination": {Class: ClassText},
		"active_route_latitude": {Class: ClassText}, "active_route_longitude": {Class: ClassText}, "destination": {Class: ClassText},
		"location.latitude": {Class: ClassHidden}, "location.longitude": {Class: ClassHidden}, // where a route leads to
		"latitude": {Unit: "°"}, "longitude": {Unit: "°"}, "heading": {Unit: "°"}, "elevation": {Unit: "m"}, "speed": {Unit: kmPerHour},
		"power": {Unit: "kW"}, "charger_power": {Unit: "kW"}, "charge_energy_added": {Unit: "kWh"}, "charger_voltage": {Unit: "V"},
		"charger_actual_current": {Unit: "A"}, "charge_current_request": {Unit: "A"}, "charge_current_request_max": {Unit: "A"},
		"time_to_full_charge": {Unit: "h"}, "battery_level": {Unit: "%"}, "usable_battery_level": {Unit: "%"},
		"charge_limit_soc": {Unit: "%"}, "odometer": {Unit: "km"}, "est_battery_range_km": {Unit: "km"},
		"rated_battery_range_km": {Unit: "km"}, "ideal_battery_range_km": {Unit: "km"}, "inside_temp": {Unit: "°C"},
		"outside_temp": {Unit: "°C"}, "driver_temp_setting": {Unit: "°C"}, "passenger_temp_setting": {Unit: "°C"},
		"tpms_pressure_fl": {Unit: "bar"}, "tpms_pressure_fr": {Unit: "bar"}, "tpms_pressure_rl": {Unit: "bar"},
		"tpms_pressure_rr": {Unit: "bar"}, "miles_to_arrival": {Unit: "mi"}, "minutes_to_arrival": {Unit: "min"},
		"traffic_minutes_delay": {Unit: "min"}, "energy_at_arrival": {Unit: "%"},
	},
}

// namesDevice reads a bare text that is the device's name for people.
func namesDevice(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	if len(b) == 0 || b[0] == '{' || b[0] == '[' || string(b) == "null" {
		return false, nil
	}
	if unprintable(b) >= 0 {
		return false, nil
	}
	if err := s.checkJSON(in, out); err == nil && b[0] == '"' {
		b = []byte(scalar(b))
	}
	out.Name = s.intern(cut(b, MaxTextBytes))
	s.text(out, s.bare(), b)
	return true, nil
}

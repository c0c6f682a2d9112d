package decode

import "strings"

// esphome are devices with firmware made by ESPHome: https://esphome.io/components/mqtt/. Their topics begin with the
// node's name, or a prefix that was chosen.
var esphome = &Scheme{
	Name: "esphome",
	Rules: []Rule{
		{Topic: "esphome/discover/{device}", Role: RoleRegistry},
		{Topic: "esphome/discover|ping", Role: RoleCommand},
		{Topic: "esphome/ping/{device}", Role: RoleCommand},
		{Topic: "{device}/debug", Role: RoleQuiet, Decode: verbatim},
	},
	Topic: esphomeTopic,
}

// The components and what stands behind the id, if anything does: "climate/living/mode/state".
var (
	esphomeParts = words(`sensor binary_sensor text_sensor switch light fan cover climate number select button lock text
		datetime date time valve media_player alarm_control_panel event update water_heater humidifier`)
	esphomeAspects = words(`mode action current_temperature target_temperature target_temperature_low target_temperature_high
		current_humidity target_humidity fan_mode swing_mode preset away oscillation speed speed_level direction preset_mode
		position tilt`)
)

// esphomeTopic finds …/<component>/<id>/state and …/<component>/<id>/<aspect>/state, and the same with "command".
func esphomeTopic(levels []string) (Address, bool) {
	const part, aspect = 3, 4 // levels from the end
	n := len(levels)
	if n <= part {
		return Address{}, false
	}
	verb, at := levels[n-1], n-part
	if n > aspect && has(esphomeAspects, levels[n-2]) && has(esphomeParts, levels[n-aspect]) {
		at = n - aspect
	}
	if !has(esphomeParts, levels[at]) || verb != "state" && verb != "command" || levels[0] == "homeassistant" {
		return Address{}, false
	}
	a := Address{Device: shortDevice(levels[:at]), Subject: strings.Join(levels[at+1:n-1], ".")}
	if verb == "command" {
		a.Role = RoleCommand
	}
	switch levels[at] {
	case "select", "text", "text_sensor", "event":
		a.Decode = verbatim
	}
	return a, true
}

package decode

// airGradient are AirGradient's monitors, by their local API's keys:
// https://github.com/airgradienthq/arduino/blob/master/docs/local-server.md.
var airGradient = &Scheme{
	Name:  "airgradient",
	Rules: []Rule{{Topic: "airgradient/readings/{device}", Kind: "air quality monitor"}},
	Keys: map[string]Key{
		"wifi": {Unit: "dBm"}, "rco2": {Unit: "ppm"}, "atmp": {Unit: "°C"}, "atmpCompensated": {Unit: "°C"}, "rhum": {Unit: "%"},
		"rhumCompensated": {Unit: "%"}, "pm01": {Unit: microgram}, "pm02": {Unit: microgram}, "pm10": {Unit: microgram},
		"pm01Standard": {Unit: microgram}, "pm02Standard": {Unit: microgram}, "pm10Standard": {Unit: microgram},
		"pm02Compensated": {Unit: microgram}, "serialno": {Class: ClassText}, "model": {Class: ClassText}, "firmware": {Class: ClassText},
		"ledMode": {Class: ClassText},
	},
}

const microgram = "µg/m³"

package decode

// valetudo are vacuum robots with Valetudo: https://valetudo.cloud/pages/integrations/mqtt.html. Their topics are those of
// Homie 4 below a root of their own.
var valetudo = &Scheme{
	Name: "valetudo",
	Rules: append([]Rule{
		{Topic: "valetudo/{device}/MapData/#", Role: RoleQuiet, Decode: quietly},
		{Topic: "valetudo/{device}/+/{subject}/set", Role: RoleCommand},
		{Topic: "valetudo/{device}/{subject:hass}/{subject...}"},
	}, homieRules("valetudo")...),
	Keys: map[string]Key{
		"BatteryStateAttribute.level": {Unit: "%"}, "CurrentStatisticsCapability.area": {Unit: "cm²"},
		"CurrentStatisticsCapability.time":   {Class: ClassMetric, Unit: "s"},
		"WifiConfigurationCapability.signal": {Unit: "dBm"}, "WifiConfigurationCapability.ssid": {Class: ClassText},
		"ConsumableMonitoringCapability.brush-main": {Unit: "s"}, "ConsumableMonitoringCapability.brush-side_right": {Unit: "s"},
		"ConsumableMonitoringCapability.brush-side_left": {Unit: "s"}, "ConsumableMonitoringCapability.filter-main": {Unit: "s"},
		"ConsumableMonitoringCapability.cleaning-sensor": {Unit: "s"},
	},
}

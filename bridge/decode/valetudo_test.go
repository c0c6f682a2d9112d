package decode_test

import "testing"

func TestValetudo(t *testing.T) {
	listen(t, []heard{
		{"valetudo/robo/$state", "ready", "[robo, online] ;"},
		{"valetudo/robo/StatusStateAttribute/status", "cleaning", "[robo] ;StatusStateAttribute.status:cleaning"},
		{"valetudo/robo/MapData/map-data-hass", "\x01\x02", "[robo] ;"},
		{
			"valetudo/robo/BatteryStateAttribute/level/$unit",
			"%",
			"[robo] ;BatteryStateAttribute.level.$unit:% unit BatteryStateAttribute.level:%",
		},
		{"valetudo/robo/BatteryStateAttribute/level", "42", "[robo] BatteryStateAttribute.level=42 %;"},
		{"valetudo/robo/BasicControlCapability/operation/set", "START", "[robo, command] ;"},
		{"valetudo/robo/AttachmentStateAttribute/mop", "true", "[robo] AttachmentStateAttribute.mop=1;"},
		{"valetudo/robo/WifiConfigurationCapability/signal", "-55", "[robo] WifiConfigurationCapability.signal=-55 dBm;"},
		{"valetudo/robo/MapData/segments", `{"1":"Kitchen"}`, "[robo] ;"},
		{"valetudo/robo/$name", "Robo", "[robo, Robo] ;$name:Robo"},
		{"valetudo/robo/StatusStateAttribute/error", "No error", "[robo, Robo] ;StatusStateAttribute.error:No error"},
		{"valetudo/robo/CurrentStatisticsCapability/time", "1200", "[robo, Robo] CurrentStatisticsCapability.time=1200 s;"},
		{"valetudo/robo/BasicControlCapability/operation", "START", "[robo, Robo] ;BasicControlCapability.operation:START"},
	})
}

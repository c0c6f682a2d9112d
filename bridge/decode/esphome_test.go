package decode_test

import "testing"

func TestESPHome(t *testing.T) {
	listen(t, []heard{
		{"espnode/climate/hvac/current_temperature/state", "21.5", "[espnode] hvac.current_temperature=21.5;"},
		{"espnode/climate/hvac/mode/state", "heat", "[espnode] ;hvac.mode:heat"},
		{"espnode/climate/hvac/target_temperature/command", "20", "[espnode, command] ;"},
		{"espnode/light/l/command", `{"state":"ON"}`, "[espnode, command] ;"},
		{"espnode/switch/r/state", "OFF", "[espnode] r=0;"},
		{"espnode/cover/c/position/state", "0.5", "[espnode] c.position=0.5;"},
		{"esphome/kitchen/sensor/co2/state", "600", "[kitchen] co2=600;"},
		{"espnode/select/mode/state", "off", "[espnode] ;mode:off"},
		{
			"esphome/discover/espnode",
			`{"ip":"1.2.3.4","name":"espnode","port":6053,"version":"2024.4.0","mac":"a8","platform":"ESP32","board":"esp32dev",` +
				`"network":"wifi"}`,
			"[espnode] ;ip:1.2.3.4 name:espnode port:6053 version:2024.4.0 mac:a8 platform:ESP32 board:esp32dev network:wifi",
		},
		{"espnode/sensor/uptime/state", "1234", "[espnode] uptime=1234;"},
		{"espnode/fan/f/speed_level/state", "3", "[espnode] f.speed_level=3;"},
		{"espnode/status", "offline", "[espnode, offline] ;"},
	})
}

package decode_test

import "testing"

func TestHomeAssistantDiscovery(t *testing.T) {
	listen(t, []heard{
		{"homeassistant/status", "online", "[homeassistant, online] ;"},
		{
			"homeassistant/sensor/sensorBedroomT/config",
			`{"name":"Temperature","device_class":"temperature","state_topic":"~/state","~":"foo/bedroom","unit_of_measurement":"°C",` +
				`"value_template":"{{ value_json.t | float | round(1) }}","availability":[{"topic":"~/avail","payload_available":"up",` +
				`"payload_not_available":"down"}],"device":{"identifiers":["bed1"],"name":"Bedroom","model":"X1"}}`,
			"[bed1, Bedroom, X1] ;name:Temperature device_class:temperature state_topic:~/state ~:foo/bedroom value_template:{{ " +
				"value_json.t | float | round(1) }} availability.0.topic:~/avail availability.0.payload_available:up " +
				"availability.0.payload_not_available:down device.identifiers.0:bed1 device.name:Bedroom device.model:X1 unit t:°C",
		},
		{
			"homeassistant/sensor/sensorBedroomH/config",
			`{"name":"Humidity","stat_t":"foo/bedroom/state","unit_of_meas":"%","val_tpl":"{{ value_json['h']['a'] }}",` +
				`"dev":{"ids":["bed1"],"name":"Bedroom","mdl":"X1"}}`,
			"[bed1, Bedroom, X1] ;name:Humidity stat_t:foo/bedroom/state unit_of_meas:% val_tpl:{{ value_json['h']['a'] }} " +
				"dev.ids.0:bed1 dev.name:Bedroom dev.mdl:X1 unit h.a:%",
		},
		{
			"homeassistant/switch/bed/relay/config",
			`{"name":"Relay","stat_t":"foo/bedroom/relay","cmd_t":"foo/bedroom/do","dev":{"ids":"bed1","name":"Bedroom"}}`,
			"[bed1, Bedroom, X1] ;name:Relay stat_t:foo/bedroom/relay cmd_t:foo/bedroom/do dev.ids:bed1 dev.name:Bedroom",
		},
		{"foo/bedroom/state", `{"t":21.5,"h":{"a":50}}`, "[bed1, Bedroom, X1] t=21.5 °C h.a=50 %;"},
		{"foo/bedroom/avail", "up", "[bed1, Bedroom, X1, online] ;"},
		{"foo/bedroom/avail", "down", "[bed1, Bedroom, X1, offline] ;"},
		{"foo/bedroom/do", "ON", "[bed1, Bedroom, X1, command] ;"},
		{"foo/bedroom/relay", "ON", "[bed1, Bedroom, X1] relay=1;"},
		{"homeassistant/sensor/sensorBedroomH/config", "", "[c1] ;"},
		{"foo/bedroom/state", `{"t":21.5,"h":{"a":50}}`, "[bed1, Bedroom, X1] t=21.5 °C h.a=50;"},
		{
			"homeassistant/sensor/x/config",
			`{"state_topic":"bar/x","unit_of_measurement":"W","name":"Power"}`,
			"[x, Power] ;state_topic:bar/x name:Power unit x:W",
		},
		{"bar/x", "21", "[x, Power] x=21 W;"},
		{
			"homeassistant/sensor/A/config",
			`{"stat_t":"+/+/BTtoMQTT/AABBCC001133","unit_of_meas":"°F","val_tpl":"{{ value_json.zzz | is_defined }}",` +
				`"device":{"ids":["A"],"name":"NN","mdl":"MM"}}`,
			"[A, NN, MM] ;stat_t:+/+/BTtoMQTT/AABBCC001133 unit_of_meas:°F val_tpl:{{ value_json.zzz | is_defined }} device.ids.0:A " +
				"device.name:NN device.mdl:MM unit zzz:°F",
		},
		{
			"home/G/BTtoMQTT/AABBCC001133",
			`{"id":"AA:BB:CC:00:11:33","zzz":3,"rssi":-3,"mac_type":1}`,
			"[AA:BB:CC:00:11:33, NN, MM] zzz=3 °F rssi=-3 dBm;id:AA:BB:CC:00:11:33 mac_type:1",
		},
		{"homeassistant/binary_sensor/garden/state", "ON", "[garden] state=1;"},
		{
			"homeassistant/binary_sensor/garden/config",
			`{"name":null,"stat_t":"homeassistant/binary_sensor/garden/state","dev":{"ids":["01ad"],"name":"Garden"}}`,
			"[01ad, Garden] ;stat_t:homeassistant/binary_sensor/garden/state dev.ids.0:01ad dev.name:Garden",
		},
		{"homeassistant/binary_sensor/garden/state", "OFF", "[01ad, Garden] state=0;"},
		{"homeassistant/light/kitchen/set", "ON", "[kitchen, command] ;"},
		{"homeassistant/sensor/kitchen_temp/friendly_name", "Kitchen", "[kitchen_temp] ;friendly_name:Kitchen"},
		{"homeassistant/sensor/kitchen_temp/last_changed", "2024-05-01T12:00:00+00:00", "[kitchen_temp] ;last_changed:2024-05-01T12:00:00+00:00"},
	})
}

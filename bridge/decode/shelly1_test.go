package decode_test

import "testing"

func TestShellyGen1(t *testing.T) {
	listen(t, []heard{
		{"shellies/shelly1/relay/0/power", "12.5", "[shelly1] relay.0.power=12.5 W;"},
		{"shellies/shelly1/relay/0/energy", "1200", "[shelly1] relay.0.energy=1200 W·min;"},
		{"shellies/shelly1/relay/0/command", "on", "[shelly1, command] ;"},
		{"shellies/shelly1/temperature", "45.2", "[shelly1] temperature=45.2 °C;"},
		{"shellies/shelly1/temperature_f", "113.3", "[shelly1] temperature_f=113.3 °F;"},
		{"shellies/shelly1/overtemperature", "0", "[shelly1] overtemperature=0;"},
		{"shellies/shelly1/temperature_status", "Normal", "[shelly1] ;temperature_status:Normal"},
		{"shellies/ht/sensor/temperature", "21.5", "[ht] sensor.temperature=21.5;"},
		{"shellies/ht/sensor/humidity", "50", "[ht] sensor.humidity=50 %;"},
		{"shellies/ht/sensor/battery", "90", "[ht] sensor.battery=90 %;"},
		{"shellies/ht/sensor/act_reasons", `["sensor"]`, "[ht] ;sensor.act_reasons.0:sensor"},
		{"shellies/em/emeter/0/total", "1200.5", "[em] emeter.0.total=1200.5 Wh;"},
		{"shellies/em/emeter/0/total_returned", "0.5", "[em] emeter.0.total_returned=0.5 Wh;"},
		{"shellies/em/emeter/0/pf", "0.9", "[em] emeter.0.pf=0.9;"},
		{"shellies/roller/roller/0", "open", "[roller] ;roller.0:open"},
		{"shellies/roller/roller/0/pos", "55", "[roller] roller.0.pos=55;"},
		{"shellies/roller/roller/0/command/pos", "40", "[roller, command] ;"},
		{
			"shellies/rgbw/color/0/status",
			`{"ison":true,"mode":"color","red":255,"green":0,"blue":0,"white":0,"gain":100,"effect":0,"power":4.2,"overpower":false}`,
			"[rgbw] color.0.status.ison=1 color.0.status.red=255 color.0.status.green=0 color.0.status.blue=0 color.0.status.white=0 " +
				"color.0.status.gain=100 color.0.status.effect=0 color.0.status.power=4.2 W " +
				"color.0.status.overpower=0;color.0.status.mode:color",
		},
		{"shellies/rgbw/color/0/set", `{"turn":"on"}`, "[rgbw, command] ;"},
		{"shellies/rgbw/white/0/set", `{"turn":"on"}`, "[rgbw, command] ;"},
		{"shellies/s/longpush/0", "1", "[s] longpush.0=1;"},
		{"shellies/s/input/0", "1", "[s] input.0=1;"},
		{"shellies/s/ext_temperature/0", "21.3", "[s] ext_temperature.0=21.3 °C;"},
		{
			"shellies/s/ext_temperatures",
			`{"0":{"hwID":"28ff","tC":21.3,"tF":70.3}}`,
			"[s] ext_temperatures.0.tC=21.3 °C ext_temperatures.0.tF=70.3 °F;ext_temperatures.0.hwID:28ff",
		},
		{"shellies/s/ext_humidity/0", "51", "[s] ext_humidity.0=51 %;"},
		{
			"shellies/s/info",
			`{"wifi_sta":{"connected":true,"ssid":"x","ip":"1.2.3.4","rssi":-55},"cloud":{"enabled":false,"connected":false},` +
				`"mqtt":{"connected":true},"time":"12:00","unixtime":1714564800,"serial":5,"has_update":false,"mac":"8CAAB5",` +
				`"cfg_changed_cnt":1,"relays":[{"ison":true,"has_timer":false,"timer_started":0,"source":"http"}],` +
				`"meters":[{"power":12.1,"overpower":0,"is_valid":true,"timestamp":1714572000,"counters":[1.1,2.2,3.3],"total":500}],` +
				`"tmp":{"value":22.5,"units":"C","tC":22.5,"tF":72.5,"is_valid":true},"temperature":45.2,"ram_total":50000,` +
				`"uptime":12345}`,
			"[s, 12:00:00] wifi_sta.connected=1 wifi_sta.rssi=-55 cloud.enabled=0 cloud.connected=0 mqtt.connected=1 has_update=0 " +
				"cfg_changed_cnt=1 relays.0.ison=1 relays.0.has_timer=0 meters.0.power=12.1 W meters.0.overpower=0 meters.0.is_valid=1 " +
				"meters.0.counters.0=1.1 meters.0.counters.1=2.2 meters.0.counters.2=3.3 meters.0.total=500 W·min tmp.value=22.5 °C " +
				"tmp.tC=22.5 °C tmp.tF=72.5 °F tmp.is_valid=1 temperature=45.2 °C ram_total=50000 uptime=12345;wifi_sta.ssid:x " +
				"wifi_sta.ip:1.2.3.4 serial:5 mac:8CAAB5 relays.0.source:http",
		},
		{"shellies/trv/thermostat/0/command/target_t", "20", "[trv, command] ;"},
	})
}

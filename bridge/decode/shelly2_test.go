package decode_test

import "testing"

func TestShellyGen2(t *testing.T) {
	listen(t, []heard{
		{
			"shellyplus1-a/events/rpc",
			`{"src":"shellyplus1-a","dst":"shellyplus1-a/events","method":"NotifyFullStatus","params":{"ts":1714564800.5,"ble":{},` +
				`"switch:0":{"id":0,"source":"MQTT","output":true,"apower":8.9,"voltage":230.1,"aenergy":{"total":6.532,` +
				`"by_minute":[45.199,47.141],"minute_ts":1714564740},"temperature":{"tC":23.5,"tF":74.4}},"sys":{"mac":"A8",` +
				`"restart_required":false,"time":"12:00","unixtime":1714564800,"uptime":11,"cfg_rev":12},"wifi":{"sta_ip":"1.2.3.4",` +
				`"status":"got ip","ssid":"x","rssi":-60}}}`,
			"[shellyplus1-a, 12:00:00] switch:0.output=1 switch:0.apower=8.9 W switch:0.voltage=230.1 V switch:0.aenergy.total=6.532 " +
				"Wh switch:0.aenergy.by_minute.0=45.199 mWh switch:0.aenergy.by_minute.1=47.141 mWh switch:0.temperature.tC=23.5 °C " +
				"switch:0.temperature.tF=74.4 °F sys.restart_required=0 sys.uptime=11 s wifi.rssi=-60 dBm;switch:0.id:0 " +
				"switch:0.source:MQTT sys.mac:A8 sys.cfg_rev:12 wifi.sta_ip:1.2.3.4 wifi.status:got ip wifi.ssid:x",
		},
		{
			"home/kitchen/em/status/em:0",
			`{"id":0,"a_current":4.029,"a_voltage":236.1,"a_act_power":951.2,"a_pf":0.98,"a_freq":50,"total_act_power":2413.8,` +
				`"user_calibrated_phase":[]}`,
			"[em] em:0.a_current=4.029 A em:0.a_voltage=236.1 V em:0.a_act_power=951.2 W em:0.a_pf=0.98 em:0.a_freq=50 Hz " +
				"em:0.total_act_power=2413.8 W;em:0.id:0",
		},
		{"shellyplus1-a/rpc", `{"id":1,"src":"user","method":"Switch.Set","params":{"id":0,"on":true}}`, "[shellyplus1-a, command] ;"},
		{"user_1/rpc", `{"id":1,"src":"shellyplus1-a","dst":"user_1","result":{"was_on":false}}`, "[shellyplus1-a] ;"},
		{"shellyplus1-a/command/switch:0", "on", "[shellyplus1-a, command] ;"},
		{
			"shellyplus1-a/status/bthomesensor:200",
			`{"id":200,"value":21.5,"last_updated_ts":1714564800}`,
			"[shellyplus1-a] bthomesensor:200=21.5;bthomesensor:200.id:200",
		},
		{
			"shellyplus1-a/events/rpc",
			`{"src":"shellyplus1-a","dst":"x","method":"NotifyEvent","params":{"ts":1714564800.5,"events":[{"component":"script:1",` +
				`"id":1,"event":"shelly-blu","data":{"encryption":false,"BTHome_version":2,"pid":9,"battery":100,"temperature":21.2,` +
				`"rssi":-57,"address":"bc:02:6e:c3:aa:bb"},"ts":1714564800.5}]}}`,
			"[bc:02:6e:c3:aa:bb, 12:00:00] events.0.data.encryption=0 events.0.data.battery=100 % events.0.data.temperature=21.2 °C " +
				"events.0.data.rssi=-57 dBm;events.0.component:script:1 events.0.id:1 events.0.event:shelly-blu " +
				"events.0.data.BTHome_version:2 events.0.data.pid:9 events.0.data.address:bc:02:6e:c3:aa:bb",
		},
	})
}

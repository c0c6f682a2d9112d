package decode_test

import "testing"

func TestZigbee2MQTT(t *testing.T) {
	listen(t, []heard{
		{
			"zigbee2mqtt/bridge/devices",
			`[{"ieee_address":"0x1","type":"Router","friendly_name":"hall/plug","definition":{"model":"ZN","vendor":"Xiaomi",` +
				`"exposes":[{"type":"numeric","property":"voltage","unit":"mV"},{"type":"light","features":[{"type":"binary",` +
				`"property":"state"},{"type":"composite","property":"color","features":[{"type":"numeric","property":"x","unit":"q"}]}]},` +
				`{"type":"enum","property":"power_on_behavior"}]}}]`,
			"[bridge] ;0.ieee_address:0x1 0.type:Router 0.friendly_name:hall/plug 0.definition.model:ZN 0.definition.vendor:Xiaomi " +
				"0.definition.exposes.0.type:numeric 0.definition.exposes.0.property:voltage 0.definition.exposes.1.type:light " +
				"0.definition.exposes.1.features.0.type:binary 0.definition.exposes.1.features.0.property:state " +
				"0.definition.exposes.1.features.1.type:composite 0.definition.exposes.1.features.1.property:color " +
				"0.definition.exposes.1.features.1.features.0.type:numeric 0.definition.exposes.1.features.1.features.0.property:x " +
				"0.definition.exposes.2.type:enum 0.definition.exposes.2.property:power_on_behavior",
		},
		{
			"zigbee2mqtt/hall/plug",
			`{"voltage":3000,"state":"ON","color":{"x":0.3,"y":0.2},"power_on_behavior":"on","last_seen":"2024-05-01T12:00:00+00:00",` +
				`"linkquality":88}`,
			"[hall/plug, Xiaomi ZN, 12:00:00] voltage=3000 mV state=1 color.x=0.3 q color.y=0.2 linkquality=88 " +
				"lqi;power_on_behavior:on",
		},
		{"zigbee2mqtt/hall/plug/availability", `{"state":"online"}`, "[hall/plug, online] ;state:online"},
		{"zigbee2mqtt/hall/plug/availability", "offline", "[hall/plug, offline] ;"},
		{"zigbee2mqtt/hall/plug/brightness", "55", "[hall/plug] brightness=55;"},
		{"zigbee2mqtt/hall/plug/set/brightness", "55", "[hall/plug, command] ;"},
		{"zigbee2mqtt/hall/plug/get", `{"state":""}`, "[hall/plug, command] ;"},
		{
			"zigbee2mqtt/bridge/info",
			`{"version":"1.40.0","commit":"abc","coordinator":{"ieee_address":"0x0","meta":{"revision":20230507},"type":"zStack3x0"},` +
				`"network":{"channel":11,"pan_id":6754},"log_level":"info","permit_join":false,"config":{}}`,
			"[bridge] ;version:1.40.0 commit:abc coordinator.ieee_address:0x0 coordinator.meta.revision:20230507 coordinator.type:zStack3x0 " +
				"network.pan_id:6754 log_level:info",
		},
		{"zigbee2mqtt/bridge/request/permit_join", `{"value":true}`, "[bridge, command] ;"},
		{"zigbee2mqtt/bridge/response/permit_join", `{"data":{"value":true},"status":"ok"}`, "[bridge] ;status:ok"},
		{
			"zigbee2mqtt/bridge/groups",
			`[{"id":1,"friendly_name":"g","scenes":[],"members":[{"ieee_address":"0x1","endpoint":1}]}]`,
			"[bridge] ;0.id:1 0.friendly_name:g 0.members.0.ieee_address:0x1 0.members.0.endpoint:1",
		},
		{"zigbee2mqtt/bridge/config", `{"version":"1.1","commit":"a","permit_join":false}`, "[bridge] ;version:1.1 commit:a"},
		{"zigbee2mqtt/bridge/state", `{"state":"offline"}`, "[bridge, offline] ;state:offline"},
		{
			"zigbee2mqtt/bridge/health",
			`{"response_time":1714564800000,"os":{"load_average":[0.1,0.2,0.3],"memory_used_mb":100.5,"memory_percent":10.5},` +
				`"process":{"uptime_sec":100,"memory_used_mb":90},"mqtt":{"connected":true,"queued":0,"received":5,"published":6},` +
				`"devices":{"0x1":{"messages":4,"messages_per_sec":0.1}}}`,
			"[bridge, 12:00:00] os.load_average.0=0.1 os.load_average.1=0.2 os.load_average.2=0.3 os.memory_used_mb=100.5 MB " +
				"os.memory_percent=10.5 % process.uptime_sec=100 s process.memory_used_mb=90 MB mqtt.connected=1 mqtt.queued=0 " +
				"mqtt.received=5 mqtt.published=6 devices.0x1.messages=4 devices.0x1.messages_per_sec=0.1;",
		},
		{
			"zigbee2mqtt/remote",
			`{"action":"brightness_step_up","action_step_size":32,"battery":80,"linkquality":20,"device":{"networkAddress":29159,` +
				`"model":"x","manufacturerID":4476,"dateCode":"20170228"}}`,
			"[remote] action_step_size=32 battery=80 % linkquality=20 lqi;action:brightness_step_up device.networkAddress:29159 " +
				"device.model:x device.manufacturerID:4476 device.dateCode:20170228",
		},
		{
			"home/zb/bridge/devices", `[{"friendly_name":"hall/lamp","definition":{"exposes":[{"property":"power","unit":"W"}]}}]`,
			"[bridge] ;0.friendly_name:hall/lamp 0.definition.exposes.0.property:power",
		},
		{"home/zb/hall/lamp", `{"power":3}`, "[hall/lamp] power=3 W;"},
		{"home/zb/hall/lamp/availability", "offline", "[hall/lamp, offline] ;"},
	})
}

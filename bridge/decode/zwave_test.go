package decode_test

import "testing"

func TestZWave(t *testing.T) {
	listen(t, []heard{
		{
			"zwave/kitchen/lamp/switch_multilevel/endpoint_0/currentValue",
			`{"time":1714564800000,"value":99}`,
			"[kitchen/lamp, 12:00:00] switch_multilevel.endpoint_0.currentValue=99;",
		},
		{"zwave/lamp/switch_multilevel/endpoint_0/targetValue", `{"time":1714564800000,"value":99}`, "[lamp] ;"},
		{"zwave/lamp/switch_binary/endpoint_0/targetValue/set", "true", "[lamp, command] ;"},
		{"zwave/lamp/switch_binary/endpoint_0/currentValue", "true", "[lamp] switch_binary.endpoint_0.currentValue=1;"},
		{"zwave/nodeID_5/49/0/Air_temperature", "21.5", "[nodeID_5] 49.0.Air_temperature=21.5;"},
		{"zwave/lamp/status", `{"time":1714564800000,"value":true,"status":"Asleep","nodeId":5}`, "[lamp, online, 12:00:00] ;status:Asleep"},
		{"zwave/lamp/status", `{"time":1714564800000,"value":false,"status":"Dead","nodeId":5}`, "[lamp, offline, 12:00:00] ;status:Dead"},
		{"zwave/lamp/status", "true", "[lamp, online] ;"},
		{
			"zwave/lamp/nodeinfo",
			`{"id":5,"name":"lamp","loc":"kitchen","manufacturer":"Aeotec","productLabel":"ZW100","deviceId":"134-100-2",` +
				`"ready":true,"values":{}}`,
			"[lamp, lamp, Aeotec ZW100] ;id:5 name:lamp loc:kitchen manufacturer:Aeotec productLabel:ZW100 deviceId:134-100-2",
		},
		{"zwave/_CLIENTS/ZWAVE_GATEWAY-x/status", `{"time":1714564800000,"value":true}`, "[ZWAVE_GATEWAY-x, online, 12:00:00] ;"},
		{"zwave/_CLIENTS/ZWAVE_GATEWAY-x/api/getNodes/set", `{"args":[]}`, "[ZWAVE_GATEWAY-x, command] ;"},
		{"zwave/_CLIENTS/ZWAVE_GATEWAY-x/version", `{"time":1714564800000,"value":"1.0"}`, "[ZWAVE_GATEWAY-x] ;"},
		{"zwave/_EVENTS/ZWAVE_GATEWAY-x/node/node_value_updated", `{"data":[]}`, "[ZWAVE_GATEWAY-x] ;"},
		{
			"zwave/lamp/meter/endpoint_0/value/65537",
			`{"id":"5-50-0-value-65537","nodeId":5,"commandClass":50,"endpoint":0,"property":"value","propertyKey":65537,` +
				`"type":"number","readable":true,"writeable":false,"label":"Electric Consumption [kWh]","unit":"kWh","value":12.5,` +
				`"lastUpdate":1714564800000,"min":0}`,
			"[lamp, lamp, Aeotec ZW100, 12:00:00] meter.endpoint_0.value.65537=12.5 kWh;",
		},
		{"zwave/lamp/meter/endpoint_0/value/66561", "230.1", "[lamp, lamp, Aeotec ZW100] meter.endpoint_0.value.66561=230.1 V;"},
		{"zwave/lamp/lastActive", "1714564800000", "[lamp, lamp, Aeotec ZW100, 12:00:00] ;"},
		{
			"zwave/lock/notification/endpoint_0/Access_Control/Lock_state",
			`{"time":1714564800000,"value":6}`,
			"[lock, 12:00:00] notification.endpoint_0.Access_Control.Lock_state=6;",
		},
	})
}

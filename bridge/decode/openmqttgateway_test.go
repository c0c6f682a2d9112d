package decode_test

import "testing"

func TestOpenMQTTGateway(t *testing.T) {
	listen(t, []heard{
		{
			"home/OpenMQTTGateway/SYStoMQTT",
			`{"uptime":120,"version":"v1.7","freemem":120000,"mqttport":"1883","rssi":-70,"SSID":"x","ip":"1.2.3.4","mac":"AA",` +
				`"modules":["BT","RTL"],"disc":true}`,
			"[OpenMQTTGateway] uptime=120 s freemem=120000 B rssi=-70 dBm disc=1;version:v1.7 mqttport:1883 SSID:x ip:1.2.3.4 mac:AA " +
				"modules.0:BT modules.1:RTL",
		},
		{
			"home/OpenMQTTGateway/RTL_433toMQTT/Acurite-Tower/A/1234",
			`{"model":"Acurite-Tower","id":1234,"channel":"A","battery_ok":1,"temperature_C":26.5,"humidity":72,"protocol":"Acurite",` +
				`"rssi":-70,"duration":100}`,
			"[Acurite-Tower/1234, Acurite-Tower] battery_ok=1 temperature_C=26.5 °C humidity=72 % rssi=-70 dBm " +
				"duration=100;model:Acurite-Tower id:1234 channel:A protocol:Acurite",
		},
		{
			"home/OpenMQTTGateway/433toMQTT",
			`{"value":5571,"protocol":1,"length":24,"delay":350,"tre_state":"x","binary":"0101","raw":"1,2"}`,
			"[OpenMQTTGateway] ;value:5571 protocol:1 length:24 delay:350 tre_state:x binary:0101 raw:1,2",
		},
		{
			"home/OpenMQTTGateway/IRtoMQTT",
			`{"value":551489775,"protocol":3,"bits":32,"hex":"0x20DF10EF","protocol_name":"NEC"}`,
			"[OpenMQTTGateway] ;value:551489775 protocol:3 bits:32 hex:0x20DF10EF protocol_name:NEC",
		},
		{
			"home/OpenMQTTGateway/LORAtoMQTT",
			`{"rssi":-30,"snr":9.25,"pferror":-3598,"packetSize":3,"message":"abc"}`,
			"[OpenMQTTGateway] rssi=-30 dBm snr=9.25 pferror=-3598 packetSize=3;message:abc",
		},
		{"home/OpenMQTTGateway/version", "v1.7", "[OpenMQTTGateway] ;version:v1.7"},
		{"home/OpenMQTTGateway/commands/MQTTtoBT/config", `{"interval":1000}`, "[OpenMQTTGateway, command] ;"},
		{"home/OpenMQTTGateway/CLIMAtoMQTT/bme", `{"tempc":21.1,"hum":40,"pa":1000}`, "[OpenMQTTGateway] tempc=21.1 °C hum=40 % pa=1000;"},
		{"home/TheengsGateway/LWT", "offline", "[TheengsGateway, offline] ;"},
		{"home/OMG/433toMQTT/5571", `{"value":5571}`, "[OMG] ;value:5571"},
		{
			"home/OMG/BTtoMQTT/AABBCCDDEEFF",
			`{"id":"AA:BB:CC:DD:EE:FF","mac_type":1,"adv_type":0,"name":"x","manufacturerdata":"4c001005","rssi":-70,` +
				`"servicedata":"30585b05"}`,
			"[AA:BB:CC:DD:EE:FF, x] rssi=-70 dBm;id:AA:BB:CC:DD:EE:FF mac_type:1 adv_type:0 name:x manufacturerdata:4c001005 " +
				"servicedata:30585b05",
		},
	})
}

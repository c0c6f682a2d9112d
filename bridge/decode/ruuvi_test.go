package decode_test

import "testing"

func TestRuuvi(t *testing.T) {
	listen(t, []heard{
		{"ruuvi/GW/gw_status", `{"state":"online"}`, "[GW, online] ;state:online"},
		{
			"ruuvi/GW/AA:BB:CC:DD:EE:FF",
			`{"gw_mac":"GW","rssi":-26,"aoa":[],"gwts":"1714564802","ts":"1714564800",` +
				`"data":"0201061BFF99040512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F","coords":""}`,
			"[AA:BB:CC:DD:EE:FF, 12:00:00] rssi=-26 dBm temperature=24.3 °C humidity=53.49 % pressure=100044 Pa accelerationX=0.004 " +
				"g accelerationY=-0.004 g accelerationZ=1.036 g batteryVoltage=2.977 V txPower=4 dBm movementCounter=66 " +
				"measurementSequenceNumber=205;gw_mac:GW coords:",
		},
		{
			"ruuvi/GW/AA:BB:CC:DD:EE:FF",
			`{"gw_mac":"GW","rssi":-26,"aoa":[],"gwts":1714564802,"ts":1714564800,` +
				`"data":"02010611FF990403291A1ECE1EFC18F94202CA0B53","coords":""}`,
			"[AA:BB:CC:DD:EE:FF, 12:00:00] rssi=-26 dBm humidity=20.5 % temperature=26.3 °C pressure=102766 Pa accelerationX=-1 g " +
				"accelerationY=-1.726 g accelerationZ=0.714 g batteryVoltage=2.899 V;gw_mac:GW coords:",
		},
		{
			"ruuvi/GW/AA:BB:CC:DD:EE:FF",
			`{"gw_mac":"GW","rssi":-26,"ts":1714564800,"data":"02010617FF990406170C5668C79E007000C90501D900CD004C884F"}`,
			"[AA:BB:CC:DD:EE:FF, 12:00:00] rssi=-26 dBm temperature=29.5 °C humidity=55.3 % pressure=101102 Pa pm25=11.2 µg/m³ " +
				"co2=201 ppm voc=10 nox=2 measurementSequenceNumber=205 luminosity=13026.67 lx;gw_mac:GW",
		},
		{
			"ruuvi/GW/AA:BB:CC:DD:EE:FF",
			`{"gw_mac":"GW","rssi":-26,"ts":1714564800,` +
				`"data":"2BFF9904E1170C5668C79E0065007004BD11CA00C90A0213E0AC000000DECDEE100000000000CBB8334C884F"}`,
			"[AA:BB:CC:DD:EE:FF, 12:00:00] rssi=-26 dBm temperature=29.5 °C humidity=55.3 % pressure=101102 Pa pm1=10.1 µg/m³ " +
				"pm25=11.2 µg/m³ pm4=121.3 µg/m³ pm10=455.4 µg/m³ co2=201 ppm voc=20 nox=4 luminosity=13027 lx " +
				"measurementSequenceNumber=1.460171e+07;gw_mac:GW",
		},
	})
}

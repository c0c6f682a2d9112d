package decode_test

import "testing"

func TestTasmota(t *testing.T) {
	listen(t, []heard{
		{
			"tele/kitchen/plug/SENSOR",
			`{"Time":"2024-05-01T11:59:50","ENERGY":{"TotalStartTime":"2018-11-14T18:39:40","Total":[6.4,1],"Power":[2629,3],` +
				`"Factor":0.99,"Voltage":226},"TempUnit":"C","ESP32":{"Temperature":53.3}}`,
			"[kitchen/plug] ENERGY.Total.0=6.4 kWh ENERGY.Total.1=1 kWh ENERGY.Power.0=2629 W ENERGY.Power.1=3 W ENERGY.Factor=0.99 " +
				"ENERGY.Voltage=226 V ESP32.Temperature=53.3 °C;ENERGY.TotalStartTime:2018-11-14T18:39:40",
		},
		{
			"home/plug/tele/STATE",
			`{"Time":"2024-05-01T12:00:00","POWER1":"ON","Dimmer":42,"Color":"123456","HSBColor":"0,100,50","CT":300,` +
				`"Wifi":{"RSSI":80,"Signal":-60}}`,
			"[plug] POWER1=1 Dimmer=42 CT=300 Wifi.RSSI=80 % Wifi.Signal=-60 dBm;Color:123456 HSBColor:0,100,50",
		},
		{"home/tele/plug/LWT", "Offline", "[plug, offline] ;"},
		{"plug/stat/POWER", "OFF", "[plug] POWER=0;"},
		{"stat/plug/RESULT", `{"POWER":"ON"}`, "[plug] POWER=1;"},
		{"stat/plug/RESULT", `{"Command":"Unknown"}`, "[plug] ;Command:Unknown"},
		{
			"stat/plug/STATUS",
			`{"Status":{"Module":1,"DeviceName":"Washer","FriendlyName":["Washer"],"Topic":"plug","ButtonTopic":"0","Power":1,` +
				`"PowerOnState":3}}`,
			"[plug, Washer] ;Status.DeviceName:Washer Status.FriendlyName.0:Washer Status.Topic:plug",
		},
		{
			"stat/plug/STATUS5",
			`{"StatusNET":{"Hostname":"plug-1","IPAddress":"192.168.1.2","Webserver":2}}`,
			"[plug] ;StatusNET.Hostname:plug-1 StatusNET.IPAddress:192.168.1.2",
		},
		{"stat/plug/STATUS11", `{"StatusSTS":{"Time":"2024-05-01T12:00:00","POWER":"ON","Wifi":{"RSSI":80}}}`, "[plug] POWER=1 Wifi.RSSI=80 %;"},
		{
			"stat/plug/STATUS10",
			`{"StatusSNS":{"Time":"2024-05-01T12:00:00","DS18B20":{"Id":"01131","Temperature":20.1},"TempUnit":"F"}}`,
			"[plug] DS18B20.Temperature=20.1 °F;DS18B20.Id:01131",
		},
		{"stat/plug/LOGGING", `12:00:00.123 MQT: tele/plug/STATE = {"x":1}`, `[plug] ;LOGGING:12:00:00.123 MQT: tele/plug/STATE = {"x":1}`},
		{"cmnd/plug/POWER", "ON", "[plug, command] ;"},
		{"plug/cmnd/Power", "TOGGLE", "[plug, command] ;"},
		{"tele/plug/INFO3", `{"Info3":{"RestartReason":"Power On","BootCount":12}}`, "[plug] Info3.BootCount=12;Info3.RestartReason:Power On"},
		{
			"tele/zb/SENSOR",
			`{"ZbReceived":{"0x8F20":{"Device":"0x8F20","Name":"Kitchen","Occupancy":1,"Endpoint":1,"LinkQuality":8}}}`,
			"[0x8F20] Occupancy=1 LinkQuality=8;Device:0x8F20 Name:Kitchen Endpoint:1",
		},
		{
			"tele/rf/RESULT",
			`{"Time":"2024-05-01T12:00:00","RfReceived":{"Sync":12220,"Low":380,"High":1180,"Data":"702812","RfKey":"None"}}`,
			"[rf] RfReceived.Sync=12220 RfReceived.Low=380 RfReceived.High=1180;RfReceived.Data:702812 RfReceived.RfKey:None",
		},
		{"tele/plug/UPTIME", `{"Time":"2024-05-01T12:00:00","Uptime":"1T00:00:00"}`, "[plug] ;Uptime:1T00:00:00"},
		{
			"tasmota/discovery/A4E57C000001/config",
			`{"ip":"192.168.1.2","dn":"Washer","fn":["Washer",null],"hn":"plug-1","mac":"A4E57C000001","md":"Sonoff S31","ty":0,` +
				`"if":0,"ofln":"Weg","onln":"Da","state":["OFF","ON"],"sw":"12.4.0","t":"plugx","ft":"%prefix%/%topic%/","tp":["cmnd",` +
				`"stat","tele"],"rl":[1,0],"lk":1,"ver":1}`,
			"[plugx, Washer, Sonoff S31] ;ip:192.168.1.2 dn:Washer fn.0:Washer hn:plug-1 mac:A4E57C000001 md:Sonoff S31 ofln:Weg " +
				"onln:Da sw:12.4.0 t:plugx ft:%prefix%/%topic%/ tp.0:cmnd tp.1:stat tp.2:tele ver:1",
		},
		{"tasmota/discovery/A4E57C000001/sensors", `{"sn":{"Time":"2024-05-01T12:00:00","ENERGY":{"Power":0}},"ver":1}`, "[plugx, Washer, Sonoff S31] ;ver:1"},
		{"tele/plugx/LWT", "Weg", "[plugx, Washer, Sonoff S31, offline] ;"},
		{"tele/plugx/LWT", "Online", "[plugx, Washer, Sonoff S31, online] ;"},
	})
}

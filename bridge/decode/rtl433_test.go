package decode_test

import "testing"

func TestRTL433(t *testing.T) {
	listen(t, []heard{
		{
			"rtl_433/hub/events",
			`{"time":"2024-05-01T12:00:00+0000","model":"Nexus-TH","id":12,"channel":1,"battery_ok":1,"temperature_C":20.5,` +
				`"humidity":50,"freq":433.9,"rssi":-1.2}`,
			"[Nexus-TH/12, 12:00:00] battery_ok=1 temperature_C=20.5 °C humidity=50 % freq=433.9 MHz rssi=-1.2 dB;model:Nexus-TH " +
				"id:12 channel:1",
		},
		{
			"rtl_433/hub/events",
			`{"time":"2024-05-01 12:00:00","model":"Fineoffset-WHx080","subtype":0,"id":12,"battery_ok":1,"wind_avg_km_h":3.6,` +
				`"wind_dir_deg":90,"rain_mm":20.5,"mic":"CRC","unit":3}`,
			"[Fineoffset-WHx080/12] battery_ok=1 wind_avg_km_h=3.6 km/h wind_dir_deg=90 ° rain_mm=20.5 mm;model:Fineoffset-WHx080 " +
				"subtype:0 id:12 mic:CRC unit:3",
		},
		{"rtl_433/hub/states", `{"enabled":[1],"since":"2024","frames":{"count":1}}`, "[hub] ;"},
		{"rtl_433/devices/Nexus-TH/1/12/humidity", "50", "[Nexus-TH/1/12] humidity=50 %;"},
	})
}

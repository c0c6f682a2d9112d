package decode_test

import "testing"

// TestWhatPeopleWrite has one payload for each common rule about spelling.
func TestWhatPeopleWrite(t *testing.T) {
	listen(t, []heard{
		{"line1/cell/v", "1.234,5", "[cell] v=1234.5;"},
		{"line1/cell/v", "1.234.567,8", "[cell] v=1.2345678e+06;"},
		{"line1/cell/v", "21.5\x00", "[cell] v=21.5;"},
		{"line1/cell/v", "1\x00\x00\x00", "[cell] ;payload is neither text in UTF-8 nor of a known binary format: byte 0x00 at offset 1"},
		{"line1/cell/v", "21,5 \xb0C", "[cell] v=21.5 °C;"},
		{"line1/cell/v", "{\"name\":\"K\xfcche\",\"t\":1}", "[cell] v.t=1;v.name:Küche"},
		{"line1/cell/v", `{"t":"21,5","h":"45 %"}`, "[cell] v.t=21.5 v.h=45 %;"},
		{"line1/cell/v", `{"c":"1,234","l":"1,2,3","s":"5 apples","ip":"10.0.0.1"}`, "[cell] ;v.c:1,234 v.l:1,2,3 v.s:5 apples v.ip:10.0.0.1"},
		{"line1/cell/command/led", "1", "[cell, command] ;"},
		{"line1/cell/v", `{"crc":5,"hw_rev":3,"vbat_mv":3600}`, "[cell] v.vbat_mv=3600 mV;v.crc:5 v.hw_rev:3"},
		{"upload", `{"sn":"A1B2","t":1.5}`, "[A1B2] upload.t=1.5;upload.sn:A1B2"},
		{"$aws/events/presence/connected/b", `{"clientId":"b","timestamp":1714564800000}`, "[b, online, 12:00:00] ;"},
	})
}

func TestTimesWithZones(t *testing.T) {
	t.Parallel()
	for text, trusted := range map[string]bool{
		"Wed, 01 May 2024 12:00:00 GMT": true, "Wed, 01 May 2024 14:00:00 +0200": true, "Wed, 01 May 2024 12:00:00 PST": false,
		"2024-05-01 14:00:00+02:00": true, "2024-05-01 14:00:00 +0200": true, "2024-05-01 12:00:00 UTC": true,
		"20240501T120000Z": true, "20240501T140000+0200": true, "2024-05-01 12:00:00": false, "20240501T120000": false,
		"05/01/2024 12:00:00 PM": false,
	} {
		out := decodeOne(t, "a/b", `{"v":1,"time":"`+text+`"}`)
		if got := out.DeviceTime == noon.UnixNano(); got != trusted {
			t.Errorf("%s: %d, want it trusted: %t", text, out.DeviceTime, trusted)
		}
	}
}

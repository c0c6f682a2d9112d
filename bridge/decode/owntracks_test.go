package decode_test

import "testing"

func TestOwnTracks(t *testing.T) {
	listen(t, []heard{
		{
			"owntracks/jane/phone/event",
			`{"_type":"transition","wtst":1714560000,"lat":1.5,"lon":2.5,"tst":1714564800,"acc":10,"tid":"12","event":"enter",` +
				`"desc":"Home","t":"c"}`,
			"[jane/phone, 12:00:00] lat=1.5 ° lon=2.5 ° acc=10 m;_type:transition tid:12 event:enter desc:Home t:c",
		},
		{
			"owntracks/jane/phone/waypoint",
			`{"_type":"waypoint","desc":"Home","lat":1.5,"lon":2.5,"rad":50,"tst":1714564800}`,
			"[jane/phone] ;_type:waypoint desc:Home",
		},
		{
			"owntracks/jane/phone/waypoints",
			`{"_type":"waypoints","waypoints":[{"_type":"waypoint","desc":"Home","lat":1.5,"lon":2.5,"rad":50,"tst":1714564800}]}`,
			"[jane/phone] ;_type:waypoints waypoints.0._type:waypoint waypoints.0.desc:Home",
		},
		{"owntracks/jane/phone", `{"_type":"lwt","tst":1714564800}`, "[jane/phone, offline] ;"},
		{"owntracks/jane/phone/cmd", `{"_type":"cmd","action":"reportLocation"}`, "[jane/phone, command] ;"},
		{
			"owntracks/jane/phone/info",
			`{"_type":"card","name":"Jane","tid":"JJ","face":"aGVsbG8="}`,
			"[jane/phone, Jane] ;_type:card name:Jane tid:JJ",
		},
		{
			"owntracks/jane/phone/step",
			`{"_type":"steps","tst":1714564800,"steps":1200,"from":1714500000,"to":1714564700}`,
			"[jane/phone, 12:00:00] steps=1200;_type:steps",
		},
		{
			"owntracks/jane/phone/status",
			`{"_type":"status","iOS":{"version":"1","localeUsesMetricSystem":true}}`,
			"[jane/phone] ;_type:status iOS.version:1",
		},
		{
			"owntracks/jane/phone/beacon",
			`{"_type":"beacon","desc":"b","uuid":"u","major":1,"minor":2,"tst":1714564800,"acc":0.5,"rssi":-50,"prox":1}`,
			"[jane/phone, 12:00:00] acc=0.5 m rssi=-50 dBm;_type:beacon desc:b uuid:u major:1 minor:2 prox:1",
		},
		{
			"owntracks/jane/phone",
			`{"_type":"location","created_at":1714564810,"tst":1714564800,"lat":1,"lon":2,"vel":50,"alt":3,"inregions":["Home"],` +
				`"inrids":["6d"],"m":1,"bs":2,"SSID":"x"}`,
			"[jane/phone, 12:00:00] lat=1 ° lon=2 ° vel=50 km/h alt=3 m;_type:location inregions.0:Home inrids.0:6d m:1 bs:2 SSID:x",
		},
	})
}

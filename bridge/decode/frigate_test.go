package decode_test

import "testing"

func TestFrigate(t *testing.T) {
	listen(t, []heard{
		{"frigate/available", "online", "[frigate, online] ;"},
		{
			"frigate/stats",
			`{"cameras":{"front":{"camera_fps":5.1,"process_fps":5,"skipped_fps":0,"detection_fps":0.1,"detection_enabled":1,` +
				`"pid":1234,"capture_pid":1235,"ffmpeg_pid":2}},"detectors":{"coral":{"inference_speed":8.9,"detection_start":0.0,` +
				`"pid":44}},"detection_fps":0.1,"service":{"uptime":100,"version":"0.13","latest_version":"0.13",` +
				`"storage":{"/media/frigate/clips":{"total":1000.1,"used":10.1,"free":990,"mount_type":"ext4"}},"temperatures":{},` +
				`"last_updated":1714564800},"cpu_usages":{"1":{"cpu":"1.0","mem":"0.2"}},"processes":{"a":{"pid":3}}}`,
			"[frigate, 12:00:00] cameras.front.camera_fps=5.1 fps cameras.front.process_fps=5 fps cameras.front.skipped_fps=0 fps " +
				"cameras.front.detection_fps=0.1 fps cameras.front.detection_enabled=1 detectors.coral.inference_speed=8.9 ms " +
				"detection_fps=0.1 fps service.uptime=100 s service.storage./media/frigate/clips.total=1000.1 " +
				"service.storage./media/frigate/clips.used=10.1 service.storage./media/frigate/clips.free=990;service.version:0.13 " +
				"service.latest_version:0.13 service.storage./media/frigate/clips.mount_type:ext4",
		},
		{"frigate/front/detect/set", "ON", "[front, command] ;"},
		{"frigate/front/motion", "ON", "[front] motion=1;"},
		{"frigate/front/person/active", "1", "[front] person.active=1;"},
		{"frigate/front/all", "3", "[front] all=3;"},
		{"frigate/front/audio/rms", "12.1", "[front] audio.rms=12.1;"},
		{"frigate/front/motion_threshold/state", "30", "[front] motion_threshold.state=30;"},
		{"frigate/front/ptz", "LEFT", "[front, command] ;"},
		{"frigate/front/review_status", "ALERT", "[front] ;review_status:ALERT"},
		{
			"frigate/reviews",
			`{"type":"new","before":{"id":"1-a","camera":"front"},"after":{"id":"1718987129.308396-fqk5ka","camera":"front",` +
				`"start_time":1714564800.1,"end_time":null,"severity":"alert","thumb_path":"/x","data":{"detections":["1"],` +
				`"objects":["person"],"sub_labels":[],"zones":[],"audio":[]}}}`,
			"[front] ;type:new after.id:1718987129.308396-fqk5ka after.camera:front after.severity:alert after.thumb_path:/x " +
				"after.data.detections.0:1 after.data.objects.0:person",
		},
		{"frigate/notifications/state", "ON", "[frigate] notifications.state=1;"},
		{
			"frigate/tracked_object_update",
			`{"type":"description","id":"1607-a","description":"a car"}`,
			"[frigate] ;type:description id:1607-a description:a car",
		},
		{"frigate/camera_activity", `{"front":{"config":{"detect":true},"motion":true}}`, "[frigate] ;"},
	})
}

package decode

import "strings"

// frigate is the video recorder Frigate: https://docs.frigate.video/integrations/mqtt/. Events and reviews name the camera
// in the payload; counts and states have it in the topic.
var frigate = &Scheme{
	Name: "frigate",
	Rules: []Rule{
		{Topic: "frigate/events|reviews|tracked_object_update", Decode: frigateEvent},
		{Topic: "{device:frigate}/stats", Decode: frigateStats},
		{Topic: "{device:frigate}/available", Role: RoleStatus},
		{Topic: "{device:frigate}/restart|onConnect", Role: RoleCommand},
		{Topic: "{device:frigate}/camera_activity|job_state|model_state|embeddings_reindex_progress|birdseye_layout", Role: RoleQuiet},
		{Topic: "{device:frigate}/{subject:notifications}/{subject:state}"},
		{Topic: "{device:frigate}/notifications/set", Role: RoleCommand},
		{Topic: "frigate/{device}/+/set|suspend", Role: RoleCommand},
		{Topic: "frigate/{device}/ptz|set", Role: RoleCommand},
		{Topic: "frigate/{device}/+/snapshot", Role: RoleQuiet, Decode: quietly},
		{Topic: "frigate/{device}/latest|snapshot|thumbnail", Role: RoleQuiet, Decode: quietly},
		{Topic: "frigate/{device}/{subject}"},
		{Topic: "frigate/{device}/{subject}/{subject...}"},
	},
	Keys: map[string]Key{
		"frame_time": {Class: ClassTime}, "last_updated": {Class: ClassTime}, "snapshot_time": {Class: ClassHidden},
		"start_time": {Class: ClassHidden}, "end_time": {Class: ClassHidden}, "detection_start": {Class: ClassHidden},
		"thumbnail": {Class: ClassHidden}, "timestamp": {Class: ClassTime}, "pid": {Class: ClassHidden}, "capture_pid": {Class: ClassHidden},
		"ffmpeg_pid": {Class: ClassHidden}, "path_data": {Class: ClassHidden}, "id": {Class: ClassText}, "label": {Class: ClassText},
		"inference_speed": {Unit: "ms"}, "uptime": {Unit: "s"}, "audio.dBFS": {Unit: "dBFS"},
		"camera_fps": {Unit: "fps"}, "process_fps": {Unit: "fps"}, "detection_fps": {Unit: "fps"}, "skipped_fps": {Unit: "fps"},
		"recognized_license_plate": {Class: ClassText}, "detections": {Class: ClassText},
	},
}

// frigateEvent reads what has become of an object, a review or a description: what it was before has been said before.
func frigateEvent(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	camera := first(scalar(member(in.Payload, "after", "camera")), scalar(member(in.Payload, "camera")))
	s.SetDevice(out, first(first(camera, scalar(member(in.Payload, "before", "camera"))), "frigate"))
	for key, value := range members(in.Payload) {
		if string(key) == "before" {
			continue
		}
		if err := s.part(in, out, string(unescape(nil, key)), value); err != nil {
			return true, err
		}
	}
	return true, nil
}

// frigateStats reads how the recorder does, but for its processes, whose names are numbers that change.
func frigateStats(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	for key, value := range members(in.Payload) {
		name := string(unescape(nil, key))
		if name == "cpu_usages" || name == "processes" || strings.HasSuffix(name, "_pids") {
			continue
		}
		if err := s.part(in, out, name, value); err != nil {
			return true, err
		}
	}
	return true, nil
}

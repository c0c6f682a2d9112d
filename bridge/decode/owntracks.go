package decode

import "pulso/bridge/event"

// owntracks are people's telephones with OwnTracks: https://owntracks.org/booklet/tech/json/. The device is the user and
// the device; what a message is, its _type says.
var owntracks = &Scheme{
	Name: "owntracks",
	Rules: []Rule{
		{Topic: "owntracks/{device}/{device}/cmd|request", Role: RoleCommand},
		{Topic: "owntracks/{device}/{device}", Decode: owntracksMessage},
		{Topic: "owntracks/{device}/{device}/#", Decode: owntracksMessage},
	},
	Keys: map[string]Key{
		"lat": {Unit: "°"}, "lon": {Unit: "°"}, "acc": {Unit: "m"}, "vac": {Unit: "m"}, "alt": {Unit: "m"}, "vel": {Unit: kmPerHour},
		"cog": {Unit: "°"}, "p": {Unit: "kPa"}, "batt": {Unit: "%"}, "rad": {Unit: "m"}, "rssi": {Unit: "dBm"},
		"tst": {Class: ClassTime}, "created_at": {Class: ClassHidden}, "wtst": {Class: ClassHidden}, "from": {Class: ClassHidden},
		"to": {Class: ClassHidden}, "tid": {Class: ClassText}, "t": {Class: ClassText}, "conn": {Class: ClassText}, "desc": {Class: ClassText},
		"event": {Class: ClassText}, "inregions": {Class: ClassText}, "inrids": {Class: ClassText}, "rid": {Class: ClassText},
		"SSID": {Class: ClassText}, "BSSID": {Class: ClassText}, "major": {Class: ClassText}, "minor": {Class: ClassText},
		"uuid": {Class: ClassText}, "topic": {Class: ClassText}, "poi": {Class: ClassText}, "tag": {Class: ClassText},
		"image": {Class: ClassHidden}, "face": {Class: ClassHidden}, "_id": {Class: ClassText}, "m": {Class: ClassText},
		"bs": {Class: ClassText}, "prox": {Class: ClassText}, "imagename": {Class: ClassText}, "isotst": {Class: ClassHidden},
	},
}

// owntracksMessage reads a message by its type. Only where the device is and what it measures is a reading: a waypoint is
// where somebody may go.
func owntracksMessage(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	switch kind := scalar(member(in.Payload, "_type")); kind {
	case "encrypted":
		s.Becausef("it is encrypted")
		return true, nil
	case "lwt":
		out.Status = event.StatusOffline
		return true, nil
	case "cmd", "request":
		out.Command = true
		return true, nil
	case "waypoint", "waypoints", "configuration", "dump", "status", "card":
		s.Becausef("a %s tells of the device, not what it measures", kind)
		_, err := JSON{}.Decode(s, in, out)
		out.unread()
		if kind == "card" {
			out.Name = scalar(member(in.Payload, "name"))
		}
		return true, err
	default:
		return JSON{}.Decode(s, in, out)
	}
}

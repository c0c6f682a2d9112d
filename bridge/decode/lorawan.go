package decode

import (
	"slices"
	"strings"
)

// thingsStack is The Things Stack: https://www.thethingsindustries.com/docs/integrations/other-integrations/mqtt/. The
// tenant stands behind the application's id. The units of a normalized payload are those of its schema:
// https://github.com/TheThingsNetwork/lorawan-devices/blob/master/lib/payload.json.
var thingsStack = &Scheme{
	Name: "the-things-stack",
	Rules: []Rule{
		{Topic: "v3/+/devices/{device}/down/push|replace", Role: RoleCommand},
		{Topic: "v3/+/devices/{device}/down/queued|sent|ack|nack|failed", Decode: thingsStackEvent},
		{Topic: "v3/+/devices/{device}/join", Decode: thingsStackEvent},
		{Topic: "v3/+/devices/{device}/up|location", Decode: thingsStackUp},
		{Topic: "v3/+/devices/{device}/{subject:service|location}/{subject...}", Decode: thingsStackUp},
	},
	Keys: map[string]Key{
		"frm_payload": {Class: ClassText}, "session_key_id": {Class: ClassText}, "f_port": {Class: ClassText}, "dev_addr": {Class: ClassText},
		"dev_eui": {Class: ClassText}, "join_eui": {Class: ClassText}, "eui": {Class: ClassText}, "device_id": {Class: ClassText},
		"application_id": {Class: ClassText}, "gateway_id": {Class: ClassText}, "correlation_ids": {Class: ClassHidden},
		"uplink_token": {Class: ClassHidden}, "last_a_f_cnt_down": {Class: ClassHidden}, "gps_time": {Class: ClassHidden},
		"settings.time": {Class: ClassHidden}, "settings.timestamp": {Class: ClassHidden}, "channel_index": {Class: ClassHidden},
		"net_id": {Class: ClassText}, "tenant_id": {Class: ClassText}, "cluster_id": {Class: ClassText},
		"cluster_address": {Class: ClassText}, "ns_id": {Class: ClassText}, "coding_rate": {Class: ClassText},
		"rssi": {Unit: "dBm"}, "channel_rssi": {Unit: "dBm"}, "signal_rssi": {Unit: "dBm"}, "snr": {Unit: "dB"},
		"lora.bandwidth": {Unit: "Hz"}, "settings.frequency": {Unit: "Hz"}, "frequency_offset": {Unit: "Hz"},
		"last_battery_percentage.value": {Unit: "%"}, "last_battery_percentage.f_cnt": {Class: ClassHidden},
		"air.temperature": {Unit: "°C"}, "air.relativeHumidity": {Unit: "%"}, "air.pressure": {Unit: "hPa"}, "air.co2": {Unit: "ppm"},
		"air.lightIntensity": {Unit: "lx"}, "soil.temperature": {Unit: "°C"}, "soil.moisture": {Unit: "%"}, "soil.ec": {Unit: "dS/m"},
		"soil.depth": {Unit: "cm"}, "wind.speed": {Unit: "m/s"}, "wind.direction": {Unit: "°"}, "rain.intensity": {Unit: "mm/h"},
		"rain.cumulative": {Unit: "mm"}, "water.temperature.current": {Unit: "°C"}, "normalized_payload.battery": {Unit: "V"},
	},
}

// thingsStackUp reads what a device sent. The time is when the network received it.
func thingsStackUp(s *Scope, in *Input, out *Result) (bool, error) {
	return s.lorawan(in, out, func(r Reading) bool {
		return !strings.Contains(r.Name, "rx_metadata.") || !strings.Contains(r.Name, ".location.")
	}, "received_at")
}

// thingsStackEvent reads what the network tells of a device: texts and a time.
func thingsStackEvent(s *Scope, in *Input, out *Result) (bool, error) {
	return s.lorawan(in, out, func(Reading) bool { return false }, "received_at")
}

// lorawan reads a JSON object whose time stands under one of the given keys, the first that is there, and keeps the
// readings that keep says. Where a gateway stands and what has been written on a device's label are none.
func (s *Scope) lorawan(in *Input, out *Result, keep func(Reading) bool, times ...string) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	for _, key := range times {
		s.time(in, out, timeOfText([]byte(scalar(member(in.Payload, key)))))
	}
	at := out.DeviceTime
	if kind := scalar(member(in.Payload, "uplink_message", "version_ids", "model_id")); kind != "" {
		out.Kind = kind
	}
	understood, err := JSON{}.Decode(s, in, out)
	if err == nil && at != 0 {
		out.DeviceTime = at
	}
	out.Readings = slices.DeleteFunc(out.Readings, func(r Reading) bool { return !keep(r) || strings.Contains(r.Name, ".history.") })
	if err == nil {
		s.lorawanHistory(in, out, "uplink_message.decoded_payload")
		s.lorawanHistory(in, out, "object")
	}
	return understood, err
}

// lorawanHistory reads what a device sends later than it measured it, as the codecs of Milesight's have it:
// {"history":[{"timestamp":1714550000,"temperature":20}]}.
func (s *Scope) lorawanHistory(in *Input, out *Result, path string) {
	p := s.points(in, out)
	p.sent = out.DeviceTime
	for entry := range elements(member(member(in.Payload, strings.Split(path, ".")...), "history")) {
		at := timeOfNumber(numberOf(member(entry, "timestamp")))
		for key, value := range members(entry) {
			if v, ok := plainNumber(value); ok && at != 0 {
				p.numberThen(append(append([]byte(path), '.'), key...), "", v, at, true)
			}
		}
	}
	p.done()
}

// chirpStack is ChirpStack: https://www.chirpstack.io/docs/chirpstack/integrations/events.html, with the gateways' own topics,
// and its version 3: https://www.chirpstack.io/application-server/integrations/events/. A region may stand before the
// gateways' topics.
var chirpStack = &Scheme{
	Name: "chirpstack",
	Rules: []Rule{
		{Topic: "application/+/device/{device}/command/#", Role: RoleCommand},
		{Topic: "application/+/device/{device}/tx", Role: RoleCommand},
		{Topic: "application/+/device/{device}/event/up|location|integration|status", Decode: chirpStackUp},
		{Topic: "application/+/device/{device}/rx|location|integration|status", Decode: chirpStackUp},
		{Topic: "application/+/device/{device}/event/+", Decode: chirpStackEvent},
		{Topic: "application/+/device/{device}/join|ack|txack|error|log", Decode: chirpStackEvent},
		{Topic: "gateway/{device}/command/#", Role: RoleCommand},
		{Topic: "+/gateway/{device}/command/#", Role: RoleCommand},
		{Topic: "gateway/{device}/state/conn", Role: RoleStatus, Kind: "gateway"},
		{Topic: "+/gateway/{device}/state/conn", Role: RoleStatus, Kind: "gateway"},
		{Topic: "gateway/{device}/event/stats", Kind: "gateway"},
		{Topic: "+/gateway/{device}/event/stats", Kind: "gateway"},
		{Topic: "gateway/{device}/event/+", Kind: "gateway", Decode: chirpStackEvent},
		{Topic: "+/gateway/{device}/event/+", Kind: "gateway", Decode: chirpStackEvent},
	},
	Keys: map[string]Key{
		"data": {Class: ClassText}, "devAddr": {Class: ClassText}, "devEui": {Class: ClassText}, "devEUI": {Class: ClassText},
		"fPort": {Class: ClassText}, "gatewayId": {Class: ClassText}, "gatewayID": {Class: ClassText}, "uplinkId": {Class: ClassText},
		"uplinkID": {Class: ClassText}, "applicationID": {Class: ClassText}, "context": {Class: ClassText}, "phyPayload": {Class: ClassText},
		"name": {Class: ClassText}, "deviceName": {Class: ClassText}, "applicationName": {Class: ClassText}, "objectJSON": {Class: ClassHidden},
		"gwTime": {Class: ClassHidden}, "nsTime": {Class: ClassHidden}, "codeRate": {Class: ClassText}, "configVersion": {Class: ClassText},
		"timeSinceGpsEpoch": {Class: ClassHidden}, "timeSinceGPSEpoch": {Class: ClassHidden}, "publishedAt": {Class: ClassTime},
		"channel": {Class: ClassHidden}, "rfChain": {Class: ClassHidden}, "board": {Class: ClassHidden}, "antenna": {Class: ClassHidden},
		"rssi": {Unit: "dBm"}, "snr": {Unit: "dB"}, "loRaSNR": {Unit: "dB"}, "margin": {Unit: "dB"}, "batteryLevel": {Unit: "%"},
		"txInfo.frequency": {Unit: "Hz"}, "lora.bandwidth": {Unit: "Hz"}, "loRaModulationInfo.bandwidth": {Unit: "kHz"},
		"location.altitude": {Unit: "m"}, "location.latitude": {Unit: "°"}, "location.longitude": {Unit: "°"},
	},
}

// chirpStackUp reads what a device sent.
func chirpStackUp(s *Scope, in *Input, out *Result) (bool, error) {
	unknown := string(member(in.Payload, "batteryLevelUnavailable")) == "true"
	understood, err := s.lorawan(in, out, func(r Reading) bool {
		return !strings.HasPrefix(r.Name, "deviceInfo.") && !strings.HasPrefix(r.Name, "tags.") &&
			(!strings.HasPrefix(r.Name, "rxInfo.") || !strings.Contains(r.Name, ".location.")) && (!unknown || r.Name != "batteryLevel")
	}, "time", "publishedAt")
	if err != nil || !understood {
		return understood, err
	}
	chirpStackNames(in, out)
	if object := scalar(member(in.Payload, "objectJSON")); strings.HasPrefix(object, "{") {
		return true, s.part(in, out, "object", []byte(object))
	}
	return true, nil
}

// chirpStackEvent reads what the network tells of a device: texts, a time, and what became of a downlink.
func chirpStackEvent(s *Scope, in *Input, out *Result) (bool, error) {
	understood, err := s.lorawan(in, out, func(r Reading) bool {
		return r.Name == "acknowledged" || r.Name == "fCntDown" || r.Name == "fCnt"
	}, "time", "publishedAt")
	if err == nil && understood {
		chirpStackNames(in, out)
	}
	return understood, err
}

func chirpStackNames(in *Input, out *Result) {
	info := member(in.Payload, "deviceInfo")
	out.Name = first(scalar(member(info, "deviceName")), scalar(member(in.Payload, "deviceName")))
	out.Kind = first(first(scalar(member(info, "deviceProfileName")), scalar(member(in.Payload, "deviceProfileName"))), out.Kind)
}

package decode

import (
	"encoding/json"
	"strings"

	"pulso/bridge/event"
)

// zigbee2mqtt is Zigbee2MQTT: https://www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html. A device is what stands
// behind the base topic, slashes included; the registry on bridge/devices gives units.
var zigbee2mqtt = &Scheme{
	Name: "zigbee2mqtt",
	Rules: []Rule{
		{Topic: zigbeeBase + "/{device:bridge}/state", Role: RoleStatus},
		{Topic: zigbeeBase + "/{device:bridge}/devices", Role: RoleRegistry, Decode: zigbeeDevices},
		{Topic: zigbeeBase + "/{device:bridge}/health"},
		{Topic: zigbeeBase + "/{device:bridge}/request/#", Role: RoleCommand},
		{Topic: zigbeeBase + "/{device:bridge}/config/+", Role: RoleCommand},
		{Topic: zigbeeBase + "/{device:bridge}/logging|log", Role: RoleQuiet},
		{Topic: zigbeeBase + "/{device:bridge}/#", Role: RoleRegistry},
		{Topic: zigbeeBase + "/{device...}/availability", Role: RoleStatus},
		{Topic: zigbeeBase + "/{device...}/set|get", Role: RoleCommand},
		{Topic: zigbeeBase + "/{device...}/set|get/+", Role: RoleCommand},
		{Topic: zigbeeBase + "/{device...}", Decode: zigbeeDevice},
	},
	Topic: zigbeeTopic,
	Keys: map[string]Key{
		"linkquality": {Unit: "lqi"}, "temperature": {Unit: "°C"}, "device_temperature": {Unit: "°C"}, "local_temperature": {Unit: "°C"},
		"occupied_heating_setpoint": {Unit: "°C"}, "current_heating_setpoint": {Unit: "°C"}, "humidity": {Unit: "%"},
		"soil_moisture": {Unit: "%"}, "battery": {Unit: "%"}, "power": {Unit: "W"}, "energy": {Unit: "kWh"}, "current": {Unit: "A"},
		"ac_frequency": {Unit: "Hz"}, "illuminance": {Unit: "lx"}, "illuminance_lux": {Unit: "lx"}, "co2": {Unit: "ppm"},
		"pm25": {Unit: "µg/m³"}, "pressure": {Unit: "hPa"}, "color_temp": {Unit: "mired"},
		"networkAddress": {Class: ClassText}, "dateCode": {Class: ClassText}, "action_group": {Class: ClassText}, "hex": {Class: ClassText},
		"action_transaction": {Class: ClassText}, "last_seen": {Class: ClassTime}, "installed_version": {Class: ClassText},
		"latest_version": {Class: ClassText}, "friendly_name": {Class: ClassText}, "date_code": {Class: ClassText},
		"memory_used_mb": {Unit: "MB"}, "memory_percent": {Unit: "%"}, "uptime_sec": {Unit: "s"}, "response_time": {Class: ClassTime},
	},
}

// zigbeeBase are base topics in use; it is a setting, and where it is another, the registry tells which topics are devices'.
const zigbeeBase = "zigbee2mqtt*|z2m*|zigbee2MQTT*|Zigbee2MQTT*"

// zigbeeTopic knows the bridge below other base topics.
func zigbeeTopic(levels []string) (Address, bool) {
	const least = 3
	n := len(levels)
	if n < least || levels[n-2] != "bridge" {
		return Address{}, false
	}
	a := Address{Device: "bridge", Role: RoleRegistry}
	switch levels[n-1] {
	case "devices":
		a.Decode = zigbeeDevices
	case "info", "groups", "definitions", "extensions", "converters":
	case "logging":
		a.Role = RoleQuiet
	default:
		return Address{}, false
	}
	return a, true
}

// zigbeeDevice reads what a device says: an object, or with the setting "attribute" a bare value on a level of its own.
func zigbeeDevice(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	parent := strings.LastIndexByte(out.Device, '/')
	if parent > 0 && len(b) > 0 && b[0] != '{' {
		s.SetDevice(out, out.Device[:parent])
	}
	return false, nil
}

// maxZigbee bounds the devices of one registry.
const maxZigbee = 2000

// A zigbeeEntry is an entry of the registry.
type zigbeeEntry struct {
	Name       string `json:"friendly_name"`
	Definition struct {
		Model   string         `json:"model"`
		Vendor  string         `json:"vendor"`
		Exposes []zigbeeExpose `json:"exposes"`
	} `json:"definition"`
}

// A zigbeeExpose is one property of a device, or several that belong together.
type zigbeeExpose struct {
	Type     string         `json:"type"`
	Property string         `json:"property"`
	Unit     string         `json:"unit"`
	Features []zigbeeExpose `json:"features"`
}

// zigbeeDevices reads the registry and tells of the devices' topics.
func zigbeeDevices(s *Scope, in *Input, out *Result) (bool, error) {
	understood, err := JSON{}.Decode(s, in, out)
	if !understood || err != nil {
		return understood, err
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(in.Payload, &entries); err != nil {
		s.Becausef("it is no list: %s", err)
	}
	base := strings.TrimSuffix(in.Topic, "/bridge/devices")
	known := level{forms: newForms(zigbeeBase)}
	isKnown := known.fits(base)
	for _, raw := range entries[:min(len(entries), maxZigbee)] {
		var e zigbeeEntry
		if err := json.Unmarshal(raw, &e); err != nil {
			s.Becausef("a part of an entry is not as it should be: %s", err)
		}
		topic := base + "/" + e.Name
		if e.Name == "" || event.CheckTopic(topic) != nil {
			continue
		}
		told := Told{Kind: strings.TrimSpace(e.Definition.Vendor + " " + e.Definition.Model), Keys: make(map[string]Key)}
		zigbeeKeys(told.Keys, "", e.Definition.Exposes)
		if !isKnown {
			told.Device = e.Name
			s.tellMore(topic+"/availability", Told{Device: e.Name, Role: RoleStatus})
		}
		s.tellMore(topic, told)
		s.Becausef("%s is %s, and %d of its values are described", topic, told.Kind, len(told.Keys))
	}
	return true, nil
}

// zigbeeKeys gathers what is known of properties, by their paths in the payload.
func zigbeeKeys(keys map[string]Key, path string, exposes []zigbeeExpose) {
	for _, e := range exposes {
		at := path + e.Property
		if len(keys) >= maxUnits || len(at) > MaxNameBytes {
			return
		}
		if len(e.Features) > 0 {
			if e.Property != "" {
				at += "."
			}
			zigbeeKeys(keys, at, e.Features)
			continue
		}
		k := Key{Unit: readUnit(e.Unit)}
		if e.Type == "enum" || e.Type == "text" {
			k.Class = ClassText
		}
		if k != (Key{}) {
			keys[at] = k
		}
	}
}

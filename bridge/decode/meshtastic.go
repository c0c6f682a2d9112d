package decode

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// meshtastic are the topics of Meshtastic gateways, https://meshtastic.org/docs/software/integrations/mqtt/:
// msh/<region>/2/<kind>/<channel>/<gateway>. A message is of the node that it is from.
var meshtastic = &Scheme{
	Name:  "meshtastic",
	Topic: meshtasticTopic,
	Keys: map[string]Key{
		"id": {Class: ClassHidden}, "from": {Class: ClassHidden}, "to": {Class: ClassHidden}, "channel": {Class: ClassHidden},
		"sender": {Class: ClassText}, "payload.id": {Class: ClassText}, "payload.hardware": {Class: ClassText}, "payload.role": {Class: ClassText},
		"payload.time": {Class: ClassTime}, "payload.expire": {Class: ClassTime}, "payload.text": {Class: ClassText},
		"rssi": {Unit: "dBm"}, "snr": {Unit: "dB"}, "payload.voltage": {Unit: "V"}, "payload.current": {Unit: "A"},
		"payload.battery_level": {Unit: "%"}, "payload.channel_utilization": {Unit: "%"}, "payload.air_util_tx": {Unit: "%"},
		"payload.uptime_seconds": {Unit: "s"}, "payload.temperature": {Unit: "°C"}, "payload.relative_humidity": {Unit: "%"},
		"payload.barometric_pressure": {Unit: "hPa"}, "payload.altitude": {Unit: "m"}, "payload.lux": {Unit: "lx"},
		"payload.wind_speed": {Unit: "m/s"}, "payload.wind_direction": {Unit: "°"}, "payload.ground_speed": {Unit: "m/s"},
		"payload.latitude": {Unit: "°"}, "payload.longitude": {Unit: "°"}, "payload.pm25_standard": {Unit: "µg/m³"},
	},
}

func meshtasticTopic(levels []string) (Address, bool) {
	at := slices.IndexFunc(levels, func(level string) bool {
		return level == "json" || level == "e" || level == "c" || level == "stat" || level == "map"
	})
	if levels[0] != "msh" || at < 1 {
		return Address{}, false
	}
	a := Address{Device: levels[len(levels)-1]}
	switch kind := levels[at]; {
	case kind == "json" && at+1 < len(levels) && levels[at+1] == "mqtt":
		a.Role, a.Decode = RoleCommand, quietly
	case kind == "json":
		a.Decode = decodeMeshtastic
	case kind == "stat":
		a.Role = RoleStatus
	default:
		a.Decode = decodeMeshtasticEnvelope
	}
	return a, true
}

// decodeMeshtastic reads a packet in JSON.
func decodeMeshtastic(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	if from, err := strconv.ParseInt(scalar(member(in.Payload, "from")), 10, 64); err == nil {
		s.SetDevice(out, meshtasticNode(uint32(from)))
	}
	if err := s.part(in, out, "", in.Payload); err != nil {
		return true, err
	}
	p := s.points(in, out)
	payload := member(in.Payload, "payload")
	for _, axis := range []string{"latitude", "longitude"} {
		if raw := member(payload, axis+"_i"); raw != nil {
			const perDegree = 1e7
			p.number([]byte("payload."+axis), "", floatOf(raw)/perDegree, 0)
		}
	}
	p.done()
	if scalar(member(in.Payload, "type")) == "nodeinfo" {
		out.Name = scalar(member(payload, "longname"))
	}
	return true, nil
}

// meshtasticNode is how a node's number is written.
func meshtasticNode(number uint32) string { return fmt.Sprintf("!%08x", number) }

// decodeMeshtasticEnvelope reads a ServiceEnvelope in protobuf: who has sent the packet, and how well it was heard. What is
// in it is mostly encrypted; of what is not, telemetry and positions are read.
func decodeMeshtasticEnvelope(s *Scope, in *Input, out *Result) (bool, error) {
	p := s.points(in, out)
	var port uint64
	var data []byte
	err := wireFields(in.Payload, func(f *wireField) error {
		if f.number != 1 || !f.isBytes() {
			return nil
		}
		return wireFields(f.bytes, func(f *wireField) error {
			switch {
			case f.number == 1 && f.isFixed32():
				s.SetDevice(out, meshtasticNode(uint32(f.bits)))
			case f.number == 4 && f.isBytes():
				return wireFields(f.bytes, func(f *wireField) error {
					switch {
					case f.number == 1 && f.isVarint():
						port = f.bits
					case f.number == 2 && f.isBytes():
						data = f.bytes
					}
					return nil
				})
			case f.number == 7 && f.isFixed32():
				p.sent = timeOfNumber(float64(uint32(f.bits)))
			case f.number == 8 && f.isFixed32():
				p.number([]byte("snr"), "dB", f.float32(), 0)
			case f.number == 12 && f.isVarint() && f.bits != 0:
				p.number([]byte("rssi"), "dBm", float64(int32(f.bits)), 0)
			}
			return nil
		})
	})
	if err != nil {
		return true, err
	}
	p.meshtasticData(port, data)
	p.done()
	return true, nil
}

// The ports of what is read.
const (
	meshtasticPosition  = 3
	meshtasticNodeInfo  = 4
	meshtasticTelemetry = 67
)

// meshtasticData reads what a packet carries. A payload that is broken has nothing.
func (p *points) meshtasticData(port uint64, data []byte) {
	_ = wireFields(data, func(f *wireField) error {
		switch {
		case port == meshtasticPosition && f.isFixed32() && (f.number == 1 || f.number == 2):
			name := [...]string{"payload.latitude", "payload.longitude"}[f.number-1]
			p.number([]byte(name), "", float64(int32(f.bits))/1e7, 0)
		case port == meshtasticPosition && f.isVarint() && f.number == 3:
			p.number([]byte("payload.altitude"), "", float64(int32(f.bits)), 0)
		case port == meshtasticNodeInfo && f.isBytes() && (f.number == 2 || f.number == 3):
			name := [...]string{"payload.longname", "payload.shortname"}[f.number-2]
			p.text([]byte(name), f.bytes, 0)
		case port == meshtasticTelemetry && f.isBytes() && (f.number == 2 || f.number == 3):
			names := [...]string{meshtasticDevice, meshtasticEnvironment}[f.number-2]
			p.meshtasticMetrics(f.bytes, strings.Fields(names))
		}
		return nil
	})
}

// The fields of DeviceMetrics and EnvironmentMetrics, from number 1.
const (
	meshtasticDevice      = "battery_level voltage channel_utilization air_util_tx uptime_seconds"
	meshtasticEnvironment = "temperature relative_humidity barometric_pressure gas_resistance voltage current iaq distance lux"
)

func (p *points) meshtasticMetrics(message []byte, names []string) {
	_ = wireFields(message, func(f *wireField) error {
		if f.number > len(names) {
			return nil
		}
		path := []byte("payload." + names[f.number-1])
		switch {
		case f.isFixed32():
			p.number(path, "", f.float32(), 0)
		case f.isVarint():
			p.number(path, "", float64(min(f.bits, math.MaxUint32)), 0)
		}
		return nil
	})
}

// teltonika are Teltonika's trackers, which publish what they know by the numbers of their protocol, on <IMEI>/data, and
// routers, on router/<serial>/<quantity>.
var teltonika = &Scheme{
	Name:  "teltonika",
	Topic: teltonikaTopic,
	Keys: map[string]Key{
		"latlng": {Class: ClassText}, "ts": {Class: ClassTime}, "evt": {Class: ClassText}, "pr": {Class: ClassText},
		"alt": {Unit: "m"}, "ang": {Unit: "°"}, "sp": {Unit: "km/h"}, "66": {Unit: "mV"}, "67": {Unit: "mV"}, "68": {Unit: "mA"},
		"24": {Unit: "km/h"}, "16": {Unit: "m"}, "199": {Unit: "m"}, "113": {Unit: "%"}, "11": {Class: ClassText}, "14": {Class: ClassText},
		"241": {Class: ClassText}, "78": {Class: ClassText}, "latitude": {Unit: "°"}, "longitude": {Unit: "°"},
	},
}

func teltonikaTopic(levels []string) (Address, bool) {
	const imei = 15
	switch {
	case len(levels) == 2 && len(levels[0]) == imei && isDigits(levels[0]):
		a := Address{Device: levels[0], Decode: decodeTeltonika}
		if levels[1] == "commands" {
			a.Role, a.Decode = RoleCommand, quietly
		}
		return a, levels[1] == "data" || levels[1] == "commands"
	case len(levels) >= 3 && levels[0] == "router" && isDigits(levels[1]):
		return Address{Device: levels[1], Subject: strings.Join(levels[2:], ".")}, true
	case len(levels) == 2 && levels[0] == "router" && (levels[1] == "get" || levels[1] == "set"):
		return Address{Role: RoleCommand, Decode: quietly}, true
	default:
		return Address{}, false
	}
}

// decodeTeltonika reads {"state":{"reported":{…}}}, as for a shadow. The place is a text of two numbers there.
func decodeTeltonika(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	reported := member(in.Payload, "state", "reported")
	if reported == nil {
		return false, nil
	}
	if err := s.part(in, out, "", reported); err != nil {
		return true, err
	}
	latitude, longitude, found := strings.Cut(scalar(member(reported, "latlng")), ",")
	north, err := strconv.ParseFloat(latitude, 64)
	east, other := strconv.ParseFloat(longitude, 64)
	if found && err == nil && other == nil && (north != 0 || east != 0) {
		s.Add(out, []byte("latitude"), "", north)
		s.Add(out, []byte("longitude"), "", east)
	}
	return true, nil
}

package decode

import (
	"pulso/bridge/event"
)

// thingsboard are the topics of ThingsBoard's MQTT API, https://thingsboard.io/docs/reference/mqtt-api/. On v1/devices/me the
// client is the device; a gateway's messages name its devices. A message with readings of several is the last one's, and
// has those of the others besides, see [Result.Earlier].
var thingsboard = &Scheme{
	Name: "thingsboard",
	Rules: []Rule{
		{Topic: "v1/devices/me/telemetry", Decode: thingsboardTelemetry},
		{Topic: "v2/t", Decode: thingsboardTelemetry},
		{Topic: "v2/t/j", Decode: thingsboardTelemetry},
		{Topic: "v1/devices/me/attributes"},
		{Topic: "v2/a"},
		{Topic: "v2/a/j"},
		{Topic: "v1/devices/me/attributes/request|response/#", Role: RoleCommand},
		{Topic: "v1/devices/me/rpc/#", Role: RoleCommand},
		{Topic: "v1/devices/me/claim", Role: RoleQuiet, Decode: quietly},
		{Topic: "v1/gateway/telemetry", Decode: thingsboardGateway},
		{Topic: "v1/gateway/attributes", Decode: thingsboardGateway},
		{Topic: "v1/gateway/connect", Role: RoleRegistry, Decode: thingsboardLife(event.StatusOnline)},
		{Topic: "v1/gateway/disconnect", Role: RoleRegistry, Decode: thingsboardLife(event.StatusOffline)},
		{Topic: "v1/gateway/attributes/request|response", Role: RoleCommand},
		{Topic: "v1/gateway/rpc", Role: RoleCommand},
		{Topic: "v1/gateway/claim", Role: RoleQuiet, Decode: quietly},
	},
}

// thingsboardTelemetry reads {"key":…}, {"ts":…,"values":{…}}, or a list of either.
func thingsboardTelemetry(s *Scope, in *Input, out *Result) (bool, error) {
	if err := s.structured(in, out); err != nil || !out.JSON {
		return false, err
	}
	p := s.points(in, out)
	p.thingsboard(trim(in.Payload))
	p.done()
	return true, nil
}

// structured checks a payload that is an object or an array, which it says by out.JSON.
func (s *Scope) structured(in *Input, out *Result) error {
	if b := trim(in.Payload); len(b) == 0 || b[0] != '{' && b[0] != '[' {
		return nil
	}
	return s.checkJSON(in, out)
}

// thingsboard adds points: each at its own time, or now.
func (p *points) thingsboard(list []byte) {
	for entry := range elements(list) {
		at, values := int64(0), entry
		if inner := member(entry, "values"); inner != nil {
			at, values = timeOfNumber(floatOf(member(entry, "ts"))), inner
		}
		for key, value := range members(values) {
			p.json(unescape(nil, key), "", value, at)
		}
	}
}

// thingsboardGateway reads {"device":[…],…}.
func thingsboardGateway(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	last := ""
	for key := range members(in.Payload) {
		last = string(unescape(nil, key))
	}
	s.SetDevice(out, last)
	p := s.points(in, out)
	for key, list := range members(in.Payload) {
		if p.device = string(unescape(nil, key)); p.device == last {
			p.device = ""
		}
		p.thingsboard(list)
	}
	p.done()
	return true, nil
}

// thingsboardLife reads that one of a gateway's devices is there, or gone: {"device":…,"type":…}.
func thingsboardLife(status event.Status) Func {
	return func(s *Scope, in *Input, out *Result) (bool, error) {
		if ok, err := s.object(in, out); !ok {
			return false, err
		}
		device := scalar(member(in.Payload, "device"))
		if device == "" {
			return false, nil
		}
		s.SetDevice(out, device)
		out.Kind, out.Status = scalar(member(in.Payload, "type")), status
		return true, nil
	}
}

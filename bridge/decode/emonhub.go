package decode

import "bytes"

// emonHub are the nodes that emonHub receives: https://docs.openenergymonitor.org/emonhub/. "values" are theirs in the
// order of their frame, parted by commas, also where there are but two.
var emonHub = &Scheme{
	Name: "emonhub",
	Rules: []Rule{
		{Topic: "{device:emonhub}/{device:rx}/{device}/{subject:values}", Decode: emonHubValues},
		{Topic: "{device:emonhub}/{device:rx}/{device}/{subject...}"},
		{Topic: "{device:emonhub}/{device:tx}/{device}/#", Role: RoleCommand},
	},
	Keys: map[string]Key{"rssi": {Unit: "dBm"}},
}

func emonHubValues(s *Scope, in *Input, out *Result) (bool, error) {
	fields := bytes.Split(trim(in.Payload), []byte(","))
	if len(fields) > MaxReadings {
		return false, nil
	}
	_ = s.checkJSON(in, out) // only notes whether it is, as a single number is
	for i, field := range fields {
		value, ok := looseNumber(trim(field))
		if !ok {
			out.nothing()
			return false, nil
		}
		s.Add(out, appendIndex(s.scratch[:0], i), "", value)
	}
	return true, nil
}

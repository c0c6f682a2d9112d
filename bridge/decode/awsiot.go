package decode

import (
	"slices"

	"pulso/bridge/event"
)

// awsShadow are the device shadows of AWS IoT,
// https://docs.aws.amazon.com/iot/latest/developerguide/reserved-topics.html. What is reported is a reading, what is desired a
// wish. A named shadow's name stands before the names.
var awsShadow = &Scheme{
	Name: "aws-iot-shadow",
	Rules: slices.Concat(
		awsRules("$aws/things/{device}/shadow/name/{subject}/"),
		awsRules("$aws/things/{device}/shadow/"),
		[]Rule{
			{Topic: "$aws/things/{device}/jobs/#", Role: RoleCommand, Decode: quietly},
			{Topic: "$aws/things/{device}/tunnels/#", Role: RoleCommand, Decode: quietly},
			{Topic: "$aws/things/{device}/defender/#", Role: RoleQuiet},
			{Topic: "$aws/events/presence/connected/{device}", Role: RoleStatus, Decode: awsLife(event.StatusOnline)},
			{Topic: "$aws/events/presence/disconnected/{device}", Role: RoleStatus, Decode: awsLife(event.StatusOffline)},
			{Topic: "$aws/events/#", Role: RoleQuiet},
			{Topic: "$aws/rules/+/#", Role: RoleReading},
		},
	),
	Keys: map[string]Key{"clientToken": {Class: ClassHidden}, "code": {Class: ClassText}},
}

func awsRules(shadow string) []Rule {
	return []Rule{
		{Topic: shadow + "update", Decode: decodeAWSShadow},
		{Topic: shadow + "update/accepted|documents", Decode: decodeAWSShadow},
		{Topic: shadow + "get/accepted", Decode: decodeAWSShadow},
		{Topic: shadow + "update/delta", Role: RoleCommand, Decode: quietly},
		{Topic: shadow + "update|get|delete/rejected", Role: RoleQuiet},
		{Topic: shadow + "get|delete", Role: RoleCommand, Decode: quietly},
		{Topic: shadow + "delete/accepted", Role: RoleQuiet, Decode: quietly},
	}
}

// decodeAWSShadow reads a shadow document: {"state":{"reported":…},"timestamp":…}, or the one that is now of
// {"previous":…,"current":…}.
func decodeAWSShadow(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	document := in.Payload
	if current := member(document, "current"); current != nil {
		document = current
	}
	reported := member(document, "state", "reported")
	if len(reported) == 0 || reported[0] != '{' {
		out.Command = member(document, "state", "desired") != nil
		s.Becausef("nothing is reported: no reading")
		return true, nil
	}
	s.time(in, out, timeOfNumber(floatOf(member(in.Payload, "timestamp"))))
	return true, s.part(in, out, "state.reported", reported)
}

// awsLife reads a lifecycle event, https://docs.aws.amazon.com/iot/latest/developerguide/life-cycle-events.html.
func awsLife(status event.Status) Func {
	return func(s *Scope, in *Input, out *Result) (bool, error) {
		if ok, err := s.object(in, out); !ok {
			return false, err
		}
		out.Status = status
		s.time(in, out, timeOfNumber(floatOf(member(in.Payload, "timestamp"))))
		return true, nil
	}
}

// azureIoT are the topics of Azure's IoT Hub, https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub. The last level
// of a message's is its properties.
var azureIoT = &Scheme{
	Name: "azure-iot",
	Rules: []Rule{
		{Topic: "devices/{device}/modules/+/messages/events/#"},
		{Topic: "devices/{device}/messages/events/#"},
		{Topic: "devices/{device}/messages/devicebound/#", Role: RoleCommand, Decode: quietly},
		{Topic: "devices/{device}/modules/+/inputs/#", Role: RoleCommand, Decode: quietly},
		{Topic: "$iothub/twin/PATCH/properties/reported/#", Decode: decodeAzureTwin},
		{Topic: "$iothub/twin/PATCH/properties/desired/#", Role: RoleCommand, Decode: quietly},
		{Topic: "$iothub/twin/res/#", Decode: decodeAzureTwin},
		{Topic: "$iothub/twin/GET/#", Role: RoleCommand, Decode: quietly},
		{Topic: "$iothub/methods/POST/#", Role: RoleCommand, Decode: quietly},
		{Topic: "$iothub/methods/res/#", Role: RoleQuiet, Decode: quietly},
	},
	Keys: map[string]Key{"$version": {Class: ClassHidden}, "$metadata": {Class: ClassHidden}},
}

// decodeAzureTwin reads the reported properties of a twin: a patch of them, or the whole as an answer has it.
func decodeAzureTwin(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	reported := in.Payload
	if inner := member(reported, "properties"); inner != nil {
		reported = inner
	}
	switch inner := member(reported, "reported"); {
	case inner != nil:
		reported = inner
	case member(reported, "desired") != nil:
		out.Command = true
		s.Becausef("nothing is reported: no reading")
		return true, nil
	}
	p := s.points(in, out)
	for key, value := range members(reported) {
		if string(key) != "$version" && string(key) != "$metadata" {
			p.json(unescape(nil, key), "", value, 0)
		}
	}
	p.done()
	return true, nil
}

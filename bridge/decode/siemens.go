package decode

import (
	"strconv"
	"strings"

	"pulso/bridge/event"
)

// siemensEdge is the common payload of Siemens' Industrial Edge connectors (databus): a device is a connector and one of its
// connections. The metadata names the data points whose ids the data has.
var siemensEdge = &Scheme{
	Name: "siemens-industrial-edge",
	Rules: []Rule{
		{Topic: "ie/m/j/simatic/v1/{device}/dp", Role: RoleRegistry, Decode: siemensMetadata},
		{Topic: "ie/d/j/simatic/v1/{device}/dp/r/{device}/+", Decode: siemensData},
		{Topic: "ie/d/j/simatic/v1/{device}/dp/r/{device}", Decode: siemensData},
		{Topic: "ie/d/j/simatic/v1/{device}/dp/w/{device}/#", Role: RoleCommand, Decode: quietly},
		{Topic: "ie/c/j/simatic/v1/{device}/#", Role: RoleCommand, Decode: quietly},
		{Topic: "ie/s/j/simatic/v1/{device}/status", Role: RoleStatus, Decode: siemensStatus},
	},
}

// siemensNames are the names of data points by their ids, by the topic that their data comes on.
var siemensNames = Facts[map[string]siemensPoint]{Kind: "siemens"}

type siemensPoint struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"`
}

func siemensMetadata(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	connector, connections := out.Device, 0
	for connection := range elements(member(in.Payload, "connections")) {
		connections++
		for set := range elements(member(connection, "dataPoints")) {
			names := make(map[string]siemensPoint)
			for definition := range elements(member(set, "dataPointDefinitions")) {
				id, name := scalar(member(definition, "id")), scalar(member(definition, "name"))
				if id != "" && name != "" && len(names) < MaxReadings {
					unit := readUnit(scalar(member(definition, "unit")))
					names[id] = siemensPoint{name, unit}
					s.announceUnit(out, name, unit)
				}
			}
			if topic := scalar(member(set, "topic")); topic != "" && len(names) > 0 {
				siemensNames.Remember(s, topic, names)
			}
		}
		if name := scalar(member(connection, "name")); name != "" && connections == 1 {
			s.SetDevice(out, connector+"/"+name)
		} else {
			s.SetDevice(out, connector)
		}
	}
	return true, nil
}

func siemensData(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	names, found := siemensNames.RecallThen(s, in.Topic)
	if !found { // it was published before what names it
		names, _ = siemensNames.Recall(s, in.Topic)
	}
	p := s.points(in, out)
	p.siemensValues(in.Payload, names)
	for record := range elements(member(in.Payload, "records")) {
		p.siemensValues(record, names)
	}
	p.done()
	return true, nil
}

// siemensValues adds a list of values; those of bad quality are none.
func (p *points) siemensValues(list []byte, names map[string]siemensPoint) {
	start := timeOfText([]byte(scalar(member(list, "ts"))))
	for v := range elements(member(list, "vals")) {
		id := scalar(member(v, "id"))
		if id == "" || string(member(v, "qc")) == "0" {
			continue
		}
		at := timeOfText([]byte(scalar(member(v, "ts"))))
		if at == 0 {
			at = start
		}
		known := names[id]
		p.json([]byte(first(known.Name, id)), known.Unit, member(v, "val"), at)
	}
}

// siemensStatus reads how a connector and its connections are.
func siemensStatus(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	p := s.points(in, out)
	if word := scalar(member(in.Payload, "connector", "status")); word != "" {
		p.text([]byte("connector.status"), []byte(word), 0)
		out.Status = siemensWord(word)
	}
	i := 0
	for connection := range elements(member(in.Payload, "connections")) {
		name := first(scalar(member(connection, "name")), strconv.Itoa(i))
		p.text([]byte(name+".status"), []byte(scalar(member(connection, "status"))), 0)
		i++
	}
	p.sent = timeOfText([]byte(scalar(member(in.Payload, "ts"))))
	p.done()
	return true, nil
}

// siemensWord reads a status as presence.
func siemensWord(word string) event.Status {
	switch strings.ToLower(word) {
	case "good", "online", "available", "ok":
		return event.StatusOnline
	case "bad", "offline", "unavailable", "down", "dead":
		return event.StatusOffline
	default:
		return event.StatusUnknown
	}
}

package decode

import (
	"slices"
	"strings"
)

// isDitto reports whether a payload is of Eclipse Ditto's protocol, by its topic and path.
func isDitto(payload []byte) bool {
	topic, path := strings.Split(scalar(member(payload, "topic")), "/"), scalar(member(payload, "path"))
	const least = 5
	return len(topic) >= least && topic[2] == "things" && strings.HasPrefix(path, "/")
}

// decodeDitto reads the Ditto protocol, https://eclipse.dev/ditto/protocol-overview.html: a thing's features and attributes
// as they are set or have changed. What is desired, asked for or answered is no reading; nor is a live command, which is
// for the device. A name is the feature's and the property's.
func decodeDitto(s *Scope, in *Input, out *Result) (bool, error) {
	topic := strings.Split(scalar(member(in.Payload, "topic")), "/")
	namespace, name, channel, criterion, action := topic[0], topic[1], topic[3], topic[4], ""
	if len(topic) > 5 {
		action = topic[5]
	}
	if namespace != "_" && name != "_" {
		s.SetDevice(out, namespace+":"+name)
	}
	if channel == "live" && (criterion == "commands" || criterion == "messages") {
		out.Command = true
		s.Becausef("it is a live command or message, for the device: no reading")
		return true, nil
	}
	value := member(in.Payload, "value")
	if criterion != "commands" && criterion != "events" || action == "retrieve" || action == "delete" || action == "deleted" ||
		value == nil || floatOf(member(in.Payload, "status")) >= 300 {
		return true, nil
	}
	p := s.points(in, out)
	p.sent = timeOfText([]byte(scalar(member(in.Payload, "timestamp"))))
	p.ditto(dittoPath(scalar(member(in.Payload, "path"))), value)
	p.done()
	return true, nil
}

// dittoPath parts a path (a JSON pointer, RFC 6901) into its keys.
func dittoPath(path string) []string {
	if path = strings.Trim(path, "/"); path == "" {
		return nil
	}
	keys := strings.Split(path, "/")
	for i, key := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
	}
	return keys
}

// ditto adds the value at a path of a thing.
func (p *points) ditto(path []string, value []byte) {
	switch {
	case len(path) == 0:
		p.dittoEach(path, value, "features", "attributes")
	case path[0] == "attributes":
		p.json([]byte(strings.Join(path[1:], ".")), "", value, 0)
	case path[0] != "features":
	case len(path) == 1:
		for key, feature := range members(value) {
			p.ditto([]string{"features", string(unescape(nil, key))}, feature)
		}
	case len(path) == 2:
		p.dittoEach(path, value, "properties")
	case path[2] == "properties":
		p.json([]byte(strings.Join(append([]string{path[1]}, path[3:]...), ".")), "", value, 0)
	}
}

// dittoEach adds the members of these keys.
func (p *points) dittoEach(path []string, value []byte, keys ...string) {
	for _, key := range keys {
		if inner := member(value, key); inner != nil {
			p.ditto(append(slices.Clip(path), key), inner)
		}
	}
}

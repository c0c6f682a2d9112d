package decode

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"pulso/bridge/event"
)

// haDiscovery is Home Assistant's MQTT discovery: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery. What it
// describes are other topics: whose they are, which units their values have, which of them are commands.
var haDiscovery = &Scheme{
	Name: "homeassistant-discovery",
	Rules: []Rule{
		{Topic: "{device:homeassistant}/status", Role: RoleStatus},
		{Topic: "homeassistant/+/+/config", Role: RoleRegistry, Decode: haConfig},
		{Topic: "homeassistant/+/+/+/config", Role: RoleRegistry, Decode: haConfig},
	},
	Topic: haTopic,
}

// haTopic knows topics below the prefix that are no configurations: devices that keep their state beside it do so, and so
// does Home Assistant, of what it knows itself.
func haTopic(levels []string) (Address, bool) {
	const least, object = 4, 2
	if len(levels) < least || levels[0] != "homeassistant" {
		return Address{}, false
	}
	a := Address{Device: levels[object], Role: RoleState, Vague: true}
	switch rest := levels[object+1:]; {
	case has(commandWords, rest[len(rest)-1]):
		a.Role = RoleCommand
	case rest[0] == "last_updated", rest[0] == "last_changed":
		a.Role = RoleQuiet
	case statusLevels[rest[0]] == surelyStatus:
		a.Role = RoleStatus
	case rest[0] != "state" && rest[0] != "attributes":
		a.Subject = strings.Join(rest, ".")
	}
	return a, true
}

// A haPart is what one configuration tells of one topic.
type haPart struct {
	Topic string `json:"topic"`
	Told  Told   `json:"told"`
}

// haFacts are what a configuration has told, by its topic, so that it can be taken back.
var haFacts = Facts[[]haPart]{Kind: "homeassistant"}

// haConfig reads a configuration; an empty one takes it back.
func haConfig(s *Scope, in *Input, out *Result) (bool, error) {
	if len(in.Payload) == 0 {
		s.haReplace(in.Topic, nil)
		s.Becausef("it takes back what was described")
		return false, nil
	}
	understood, err := JSON{}.Decode(s, in, out)
	if !understood || err != nil {
		return understood, err
	}
	var config haObject
	if err := json.Unmarshal(in.Payload, &config); err != nil {
		s.Becausef("it is no object: %s", err)
	}
	levels := splitLevels(in.Topic)
	device := config.object("device", "dev")
	id := first(device.first("identifiers", "ids"), device.first("connections", "cns"))
	s.SetDevice(out, first(id, levels[2]))
	out.Name = first(device.text("name", "name"), config.text("name", "name"))
	out.Kind = device.text("model", "mdl")
	d := haDevice{told: Told{Device: out.Device, Name: device.text("name", "name"), Kind: out.Kind}}
	if parts := config.object("components", "cmps"); parts != nil {
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			part := maps.Clone(config)
			maps.Copy(part, parts.object(name, name))
			d.entity(part, part.text("platform", "p"))
		}
	} else {
		d.entity(config, levels[1])
	}
	for _, p := range d.parts {
		for _, path := range slices.Sorted(maps.Keys(p.Told.Keys)) {
			s.announceUnit(out, first(path, p.Topic[strings.LastIndexByte(p.Topic, '/')+1:]), p.Told.Keys[path].Unit)
		}
	}
	s.haReplace(in.Topic, d.parts)
	s.Becausef("it describes %d topics of %q", len(d.parts), out.Device)
	return true, nil
}

// haReplace tells what a configuration says now in the place of what it said before.
func (s *Scope) haReplace(config string, parts []haPart) {
	before, found := haFacts.Recall(s, config)
	if !found && parts == nil || found && reflect.DeepEqual(before, parts) {
		return
	}
	for _, p := range before {
		told, _ := s.Told(p.Topic)
		told.Keys = maps.Clone(told.Keys)
		for path := range p.Told.Keys {
			delete(told.Keys, path)
		}
		if len(told.Keys) == 0 {
			told = Told{}
		}
		s.Tell(p.Topic, told)
	}
	haFacts.Remember(s, config, parts)
	for _, p := range parts {
		s.tellMore(p.Topic, p.Told)
	}
}

// A haDevice gathers what a configuration tells.
type haDevice struct {
	// told is what is told of all topics.
	told  Told
	parts []haPart
}

// maxHAParts bounds the topics that one configuration describes.
const maxHAParts = 256

// tell adds what is said of a topic; "~" stands for the base topic.
func (d *haDevice) tell(base, topic string, told Told) {
	if rest, before := strings.CutPrefix(topic, "~"); before {
		topic = base + rest
	} else if rest, behind := strings.CutSuffix(topic, "~"); behind {
		topic = rest + base
	}
	if event.CheckFilter(topic) != nil || len(d.parts) >= maxHAParts {
		return
	}
	told.Device, told.Name, told.Kind, told.Weak = d.told.Device, d.told.Name, d.told.Kind, true
	if i := slices.IndexFunc(d.parts, func(p haPart) bool { return p.Topic == topic }); i >= 0 {
		d.parts[i].Told = d.parts[i].Told.with(told)
		return
	}
	d.parts = append(d.parts, haPart{topic, told})
}

// entity reads one entity's topics.
func (d *haDevice) entity(e haObject, component string) {
	base := e.text("~", "~")
	if topic := e.text("state_topic", "stat_t"); topic != "" {
		told := Told{}
		if path, simple := templatePath(e.text("value_template", "val_tpl")); simple {
			if k := e.key(component); k != (Key{}) {
				told.Keys = map[string]Key{path: k}
			}
		}
		d.tell(base, topic, told)
	}
	for _, name := range slices.Sorted(maps.Keys(e)) {
		topic, isText := e[name].(string)
		switch {
		case !isText:
		case strings.HasSuffix(name, "command_topic"), strings.HasSuffix(name, "cmd_t"):
			d.tell(base, topic, Told{Role: RoleCommand})
		case strings.HasSuffix(name, "state_topic"), strings.HasSuffix(name, "stat_t"), strings.HasSuffix(name, "attributes_topic"),
			strings.HasSuffix(name, "json_attr_t"), strings.HasPrefix(name, "current_") && strings.HasSuffix(name, "_topic"):
			d.tell(base, topic, Told{})
		}
	}
	d.availability(base, e, e.text("availability_topic", "avty_t"))
	for _, each := range e.list("availability", "avty") {
		if a, isObject := each.(map[string]any); isObject {
			d.availability(base, a, haObject(a).text("topic", "t"))
		}
	}
}

func (d *haDevice) availability(base string, of haObject, topic string) {
	if topic == "" {
		return
	}
	d.tell(base, topic, Told{
		Role: RoleStatus, Online: of.text("payload_available", "pl_avail"), Offline: of.text("payload_not_available", "pl_not_avail"),
	})
}

// A haObject is an object of a configuration, whose keys may be abbreviated.
type haObject map[string]any

func (o haObject) get(name, short string) any {
	if v, found := o[name]; found {
		return v
	}
	return o[short]
}

func (o haObject) text(name, short string) string {
	text, _ := o.get(name, short).(string)
	return text
}

func (o haObject) object(name, short string) haObject {
	object, _ := o.get(name, short).(map[string]any)
	return object
}

// list returns a list, or the only element where there is no list around it.
func (o haObject) list(name, short string) []any {
	switch v := o.get(name, short).(type) {
	case []any:
		return v
	case nil:
		return nil
	default:
		return []any{v}
	}
}

// first returns the first text of a list, or the last of the first pair of a list of pairs.
func (o haObject) first(name, short string) string {
	list := o.list(name, short)
	if len(list) == 0 {
		return ""
	}
	if pair, isPair := list[0].([]any); isPair && len(pair) > 0 {
		list = pair[len(pair)-1:]
	}
	text, _ := list[0].(string)
	return text
}

// key is what an entity says of its value.
func (o haObject) key(component string) Key {
	k := Key{Unit: readUnit(o.text("unit_of_measurement", "unit_of_meas"))}
	switch class := o.text("device_class", "dev_cla"); {
	case class == "enum", class == "timestamp", class == "date", component == "select", component == "text":
		k.Class = ClassText
	case k.Unit != "" && component != "light":
		k.Class = ClassMetric
	}
	return k
}

// templatePath returns the path in the payload that a template takes its value from, where it does no more than that and
// rounding: "{{ value_json.a['b'] | float | round(1) }}". The payload itself is the empty path.
func templatePath(template string) (path string, simple bool) {
	if template == "" {
		return "", true
	}
	inner, opened := strings.CutPrefix(strings.TrimSpace(template), "{{")
	inner, closed := strings.CutSuffix(inner, "}}")
	if !opened || !closed {
		return "", false
	}
	filters := strings.Split(strings.Trim(inner, "- "), "|")
	for _, f := range filters[1:] {
		name, _, _ := strings.Cut(strings.TrimSpace(f), "(")
		switch strings.TrimSpace(name) {
		case "float", "int", "round", "is_defined", "default":
		default:
			return "", false
		}
	}
	expression := strings.TrimSpace(filters[0])
	if expression == "value" {
		return "", true
	}
	rest, isJSON := strings.CutPrefix(expression, "value_json")
	var keys []string
	for rest != "" {
		var key string
		if key, rest, isJSON = templateKey(rest); !isJSON {
			return "", false
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, "."), isJSON && len(keys) > 0
}

// templateKey takes one key off: ".a", "['a']", "[0]" or ".get('a')".
func templateKey(s string) (key, rest string, ok bool) {
	var end string
	switch {
	case strings.HasPrefix(s, ".get("):
		s, end = s[len(".get("):], ")"
	case s[0] == '[':
		s, end = s[1:], "]"
	case s[0] == '.':
		at := strings.IndexFunc(s[1:], func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if at < 0 {
			at = len(s) - 1
		}
		return s[1 : at+1], s[at+1:], at > 0
	default:
		return "", "", false
	}
	key, rest, ok = strings.Cut(s, end)
	key, _, _ = strings.Cut(key, ",") // a default
	bare := strings.Trim(key, "'\"")
	return bare, rest, ok && bare != "" && (bare != key || isDigits(key))
}

package decode

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
)

// smartREST is Cumulocity's CSV protocol, https://cumulocity.com/docs/smartrest/mqtt-static-templates/. The client is the
// device; a level behind the topic is a child device.
var smartREST = &Scheme{
	Name: "cumulocity-smartrest",
	Rules: []Rule{
		{Topic: "s|t|q|c/us", Decode: decodeSmartREST},
		{Topic: "s|t|q|c/us/{device}", Decode: decodeSmartREST},
		{Topic: "s|t|q|c/us/+/{device}", Decode: decodeSmartREST},
		{Topic: "s|t|q|c/us/+/+/{device}", Decode: decodeSmartREST},
		{Topic: "s/ds", Role: RoleCommand, Decode: quietly},
		{Topic: "s/ds/{device}", Role: RoleCommand, Decode: quietly},
		{Topic: "s/dc|dt|dcr|ud|ut|ucr|e|dat|uat/#", Role: RoleQuiet, Decode: quietly},
		{Topic: "s/dc|dt|dcr|ud|ut|ucr|e|dat|uat", Role: RoleQuiet, Decode: quietly},
	},
}

// A smartField is a column of a static template with what it becomes.
type smartField struct {
	column     int
	name, unit string
	isText     bool
}

// A smartTemplate is a static template: its columns, and which has the time; 0: none.
type smartTemplate struct {
	fields []smartField
	at     int
}

// smartTemplates are those that measure or describe, but 100 to 102, 200 and 201, which are code. Column 0 is the template's
// number.
var smartTemplates = map[string]smartTemplate{
	"104": {fields: []smartField{{1, "status", "", true}}},
	"110": {fields: []smartField{{1, "c8y_Hardware.serialNumber", "", true}, {2, "c8y_Hardware.model", "", true}, {3, "c8y_Hardware.revision", "", true}}},
	"111": {fields: []smartField{
		{1, "c8y_Mobile.imei", "", true}, {2, "c8y_Mobile.cellId", "", true}, {3, "c8y_Mobile.iccid", "", true},
	}},
	"112": {fields: smartPosition},
	"115": {fields: []smartField{{1, "c8y_Firmware.name", "", true}, {2, "c8y_Firmware.version", "", true}, {3, "c8y_Firmware.url", "", true}}},
	"210": {fields: []smartField{{1, "c8y_SignalStrength.rssi", "dBm", false}, {2, "c8y_SignalStrength.ber", "%", false}}, at: 3},
	"211": {fields: []smartField{{1, "c8y_TemperatureMeasurement.T", "°C", false}}, at: 2},
	"212": {fields: []smartField{{1, "c8y_Battery.level", "%", false}}, at: 2},
	"301": smartAlarm("CRITICAL"), "302": smartAlarm("MAJOR"), "303": smartAlarm("MINOR"), "304": smartAlarm("WARNING"),
	"400": {fields: []smartField{{1, "event", "", true}, {2, "event.text", "", true}}, at: 3},
	"401": {fields: smartPosition, at: 5},
	"402": {fields: smartPosition, at: 5},
	"407": {fields: []smartField{{1, "event", "", true}, {2, "event.text", "", true}}, at: 3},
}

var smartPosition = []smartField{
	{1, "c8y_Position.lat", "°", false},
	{2, "c8y_Position.lng", "°", false},
	{3, "c8y_Position.alt", "m", false},
	{4, "c8y_Position.accuracy", "m", false},
}

// smartAlarm is an alarm of a severity, which stands for the column before the first.
func smartAlarm(severity string) smartTemplate {
	return smartTemplate{fields: []smartField{{-1, severity, "", true}, {1, "alarm", "", true}, {2, "alarm.text", "", true}}, at: 3}
}

// decodeSmartREST reads messages of static templates, a line each. Those about operations (5xx) and requests are no
// readings.
func decodeSmartREST(s *Scope, in *Input, out *Result) (bool, error) {
	if kind, rest, found := strings.Cut(in.Client, ":"); found && kind == "d" && s.topic.byClient {
		device, _, _ := strings.Cut(rest, ":")
		s.SetDevice(out, device)
	}
	r := csv.NewReader(bytes.NewReader(in.Payload))
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, true
	p := s.points(in, out)
	row, err := r.Read()
	for lines := 0; err == nil && lines < MaxReadings; lines++ { // its end: with lazy quotes, nothing is broken
		if len(row[0]) > 4 || !isDigits(row[0]) {
			return false, nil
		}
		p.smartREST(row)
		row, err = r.Read()
	}
	p.done()
	return true, nil
}

// column returns a column; empty: there is none.
func column(row []string, i int) string {
	if i < 0 || i >= len(row) {
		return ""
	}
	return strings.TrimSpace(row[i])
}

func (p *points) smartREST(row []string) {
	switch row[0] {
	case "100":
		p.out.Name, p.out.Kind = column(row, 1), column(row, 2)
	case "102":
		p.text([]byte(first(column(row, 3), "service")+".status"), []byte(column(row, 4)), 0)
	case "200":
		at := p.smartTime(column(row, 5))
		p.smartNumber(column(row, 1)+"."+column(row, 2), column(row, 4), column(row, 3), at)
	case "201":
		at := p.smartTime(column(row, 2))
		for i := 3; i+2 < len(row); i += 4 {
			p.smartNumber(column(row, i)+"."+column(row, i+1), column(row, i+3), column(row, i+2), at)
		}
	default:
		p.smartStatic(row)
	}
}

// smartTime reads a time. The last is when the message was made.
func (p *points) smartTime(text string) int64 {
	at := timeOfText([]byte(text))
	p.sent = max(p.sent, at)
	return at
}

func (p *points) smartNumber(name, unit, text string, at int64) {
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		p.number([]byte(name), readUnit(unit), v, at)
	}
}

func (p *points) smartStatic(row []string) {
	template := smartTemplates[row[0]]
	at := int64(0)
	if template.at > 0 {
		at = p.smartTime(column(row, template.at))
	}
	for _, f := range template.fields {
		value := column(row, f.column)
		switch {
		case f.column < 0:
			p.text([]byte("alarm.severity"), []byte(f.name), at)
		case value == "":
		case f.isText:
			p.text([]byte(f.name), []byte(value), at)
		default:
			p.smartNumber(f.name, f.unit, value, at)
		}
	}
}

// cumulocity is Cumulocity's JSON over MQTT, https://cumulocity.com/docs/device-integration/mqtt/#json-via-mqtt. The device is
// the message's source.
var cumulocity = &Scheme{
	Name:  "cumulocity",
	Rules: append(cumulocityRules(""), cumulocityRules("c8y/")...),
}

// cumulocityRules are the topics, below what a gateway puts before them.
func cumulocityRules(prefix string) []Rule {
	return []Rule{
		{Topic: prefix + "measurement/measurements/create|createBulk/#", Decode: decodeCumulocity},
		{Topic: prefix + "event/events/create|createBulk/#", Decode: decodeCumulocity},
		{Topic: prefix + "alarm/alarms/create|createBulk/#", Role: RoleRegistry, Decode: decodeCumulocity},
		{Topic: prefix + "measurement|event|alarm/measurements|events|alarms/update/#", Role: RoleRegistry, Decode: decodeCumulocity},
		{Topic: prefix + "inventory/managedObjects/create|createBulk|update/#", Role: RoleRegistry, Decode: decodeCumulocity},
		{Topic: prefix + "devicecontrol/#", Role: RoleCommand, Decode: quietly},
	}
}

// decodeCumulocity reads an entity or several: {"measurements":[…]}. Of several devices' the last is the message's.
func decodeCumulocity(s *Scope, in *Input, out *Result) (bool, error) {
	if err := s.structured(in, out); err != nil || !out.JSON {
		return false, err
	}
	p := s.points(in, out)
	list := trim(in.Payload)
	for _, key := range []string{"measurements", "events", "alarms", "managedObjects"} {
		if inner := member(list, key); len(inner) > 0 && inner[0] == '[' {
			list = inner
		}
	}
	last := ""
	for entity := range elements(list) {
		last = cumulocitySource(entity)
	}
	s.SetDevice(out, last)
	for entity := range elements(list) {
		if p.device = cumulocitySource(entity); p.device == last {
			p.device = ""
		}
		p.cumulocity(entity)
	}
	p.done()
	return true, nil
}

// cumulocitySource is the device that an entity is of; empty: the client.
func cumulocitySource(entity []byte) string {
	return first(scalar(member(entity, "source", "id")), scalar(member(entity, "externalSource", "externalId")))
}

func (p *points) cumulocity(entity []byte) {
	at := timeOfText([]byte(scalar(member(entity, "time"))))
	p.sent = max(p.sent, at)
	for key, value := range members(entity) {
		switch name := string(unescape(nil, key)); name {
		case "source", "externalSource", "time", "id", "self", "creationTime", "lastUpdated", "owner":
		case "type", "text", "severity", "status", "name":
			n := p.name([]byte(name))
			if text := scalar(value); text != "" && p.device == "" && n != nil {
				p.s.text(p.out, n, []byte(text))
			}
		default:
			p.json([]byte(name), "", value, at)
		}
	}
}

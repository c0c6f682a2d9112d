package decode

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"pulso/bridge/event"
)

// sparkplug is Sparkplug B: https://sparkplug.eclipse.org/specification/. A device's id is group/node/device, a node's
// group/node.
var sparkplug = &Scheme{
	Name: "sparkplug",
	Rules: []Rule{
		{Topic: "spBv1.0/STATE/{device...}", Role: RoleStatus, Decode: sparkplugState},
		{Topic: "STATE/{device...}", Role: RoleStatus, Decode: sparkplugState},
		{Topic: "spBv1.0/{device}/NBIRTH/{device}", Decode: sparkplugBirth},
		{Topic: "spBv1.0/{device}/NDATA/{device}", Decode: sparkplugData},
		{Topic: "spBv1.0/{device}/NDEATH/{device}", Decode: sparkplugDeath},
		{Topic: "spBv1.0/{device}/NCMD/{device}", Role: RoleCommand, Decode: quietly},
		{Topic: "spBv1.0/{device}/DBIRTH/{device}/{device}", Decode: sparkplugBirth},
		{Topic: "spBv1.0/{device}/DDATA/{device}/{device}", Decode: sparkplugData},
		{Topic: "spBv1.0/{device}/DDEATH/{device}/{device}", Decode: sparkplugDeath},
		{Topic: "spBv1.0/{device}/DCMD/{device}/{device}", Role: RoleCommand, Decode: quietly},
	},
	Keys: map[string]Key{"bdSeq": {Class: ClassHidden}},
}

// maxTemplates bounds how deep templates may be nested.
const maxTemplates = 8

// A sparkplugName is what a birth announces of a metric.
type sparkplugName struct {
	Name string `json:"name,omitempty"`
	Kind uint64 `json:"kind,omitempty"`
	Unit string `json:"unit,omitempty"`
}

// A sparkplugBorn is what a birth announces. Aliases are by their number, names those of metrics without.
type sparkplugBorn struct {
	Aliases map[uint64]sparkplugName `json:"aliases,omitempty"`
	Names   map[string]sparkplugName `json:"names,omitempty"`
	// Session is the node's bdSeq; nil: it has told none.
	Session *uint64 `json:"session,omitempty"`
}

// sparkplugBirths are by device id.
var sparkplugBirths = Facts[sparkplugBorn]{Kind: "sparkplug"}

// A sparkplugReader reads one message.
type sparkplugReader struct {
	*points

	born sparkplugBorn
	// birth reports that it is a birth: its metrics are all as of now, whenever they have changed last.
	birth bool
	// unknown counts the aliases that no birth has announced.
	unknown int
}

// sparkplugOpen reads the payload, unpacked if it is packed ("SPBV1.0_COMPRESSED").
func sparkplugOpen(payload []byte) (*sparkplugPayload, error) {
	p, err := readSparkplug(payload)
	if err != nil || p.uuid != "SPBV1.0_COMPRESSED" {
		return p, err
	}
	plain, err := inflate(p.body)
	if err != nil {
		return nil, err
	}
	inner, err := readSparkplug(plain)
	if err == nil && inner.timestamp == 0 {
		inner.timestamp = p.timestamp
	}
	return inner, err
}

func sparkplugBirth(s *Scope, in *Input, out *Result) (bool, error) {
	p, err := sparkplugOpen(in.Payload)
	if err != nil {
		return true, err
	}
	r := &sparkplugReader{points: s.points(in, out), birth: true}
	r.sent = sparkplugTime(p.timestamp)
	r.learn(p.metrics)
	sparkplugBirths.Remember(s, out.Device, r.born)
	out.Status = event.StatusOnline
	err = r.metrics("", p.metrics, 0)
	for i := range p.metrics {
		if m := &p.metrics[i]; m.unit != "" && !isSparkplugControl(string(m.name)) {
			s.announceUnit(out, string(r.path(m.name)), m.unit)
		}
	}
	r.done()
	return true, err
}

// learn notes what a birth announces.
func (r *sparkplugReader) learn(metrics []sparkplugMetric) {
	r.born = sparkplugBorn{Aliases: make(map[uint64]sparkplugName), Names: make(map[string]sparkplugName)}
	for i := range metrics {
		m := &metrics[i]
		name := strings.ToValidUTF8(string(cut(m.name, MaxNameBytes)), "\uFFFD")
		switch {
		case name == "bdSeq":
			r.born.Session = new(m.bits)
		case m.aliased:
			r.born.Aliases[m.alias] = sparkplugName{Name: name, Kind: m.kind, Unit: string(cut([]byte(m.unit), MaxNameBytes))}
		case m.unit != "" || m.kind != 0:
			r.born.Names[name] = sparkplugName{Kind: m.kind, Unit: string(cut([]byte(m.unit), MaxNameBytes))}
		}
	}
}

func sparkplugData(s *Scope, in *Input, out *Result) (bool, error) {
	p, err := sparkplugOpen(in.Payload)
	if err != nil {
		return true, err
	}
	r := &sparkplugReader{points: s.points(in, out)}
	r.sent = sparkplugTime(p.timestamp)
	r.born, _ = sparkplugBirths.RecallThen(s, out.Device)
	if err := r.metrics("", p.metrics, 0); err != nil {
		return true, err
	}
	r.done()
	if r.unknown > 0 {
		s.Becausef("%d metrics have an alias that no birth has announced: the node is to be born again", r.unknown)
		out.Request = sparkplugRebirth(in)
	}
	return true, nil
}

// sparkplugDeath ends a device or node. A node's death is its will: it was written when the node connected, so that it has
// no time, and counts only if it is of the life that the last birth began.
func sparkplugDeath(s *Scope, in *Input, out *Result) (bool, error) {
	p, err := sparkplugOpen(in.Payload)
	if err != nil {
		return true, err
	}
	out.Status = event.StatusOffline
	if !strings.Contains(in.Topic, "/NDEATH/") {
		s.time(in, out, sparkplugTime(p.timestamp))
		return true, nil
	}
	born, found := sparkplugBirths.RecallThen(s, out.Device)
	for i := range p.metrics {
		m := &p.metrics[i]
		if found && born.Session != nil && string(m.name) == "bdSeq" && m.bits != *born.Session {
			s.Becausef("the death of life %d does not end life %d", m.bits, *born.Session)
			out.Status = event.StatusUnknown
		}
	}
	out.Below = out.Status == event.StatusOffline
	return true, nil
}

// sparkplugState reads what a host application tells of itself: a word (2.2), or {"online":…,"timestamp":…} (3.0). The time
// of its will is that of its birth and does not count.
func sparkplugState(s *Scope, in *Input, out *Result) (bool, error) {
	object, err := s.object(in, out)
	if err != nil || !object {
		return false, err
	}
	switch string(member(in.Payload, "online")) {
	case "true":
		out.Status = event.StatusOnline
		s.time(in, out, timeOfNumber(floatOf(member(in.Payload, "timestamp"))))
	case "false":
		out.Status = event.StatusOffline
	}
	return true, nil
}

// sparkplugRebirth asks the message's node to announce everything again.
func sparkplugRebirth(in *Input) *Request {
	levels := strings.Split(in.Topic, "/")
	const group, node = 1, 3
	if len(levels) <= node {
		return nil
	}
	now := uint64(in.Time / int64(time.Millisecond))
	number := func(b []byte, field protowire.Number, value uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
	}
	const boolean = 11
	metric := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "Node Control/Rebirth")
	metric = number(number(number(metric, 3, now), 4, boolean), sparkplugBool, 1)
	payload := protowire.AppendTag(number(nil, 1, now), 2, protowire.BytesType)
	return &Request{
		Topic: strings.Join([]string{levels[0], levels[group], "NCMD", levels[node]}, "/"), Payload: protowire.AppendBytes(payload, metric),
	}
}

// isSparkplugControl reports whether a metric is a button of the node or device, or a number of the protocol's.
func isSparkplugControl(name string) bool {
	return name == "bdSeq" || strings.HasPrefix(name, "Node Control/") || strings.HasPrefix(name, "Device Control/")
}

// metrics adds metrics, below a template's name where prefix is not empty.
func (r *sparkplugReader) metrics(prefix string, metrics []sparkplugMetric, depth int) error {
	for i := range metrics {
		m := &metrics[i]
		known, found := r.born.Aliases[m.alias]
		switch {
		case m.named && !m.aliased:
			known = r.born.Names[string(m.name)]
		case m.named && !found:
			known = sparkplugName{}
		case !m.named && (!m.aliased || !found):
			r.unknown++
			continue
		}
		if !m.named {
			m.name = []byte(known.Name)
		}
		if m.kind == 0 {
			m.kind = known.Kind
		}
		if m.unit == "" {
			m.unit = known.Unit
		}
		if m.null || m.isBad || isSparkplugControl(string(m.name)) {
			continue
		}
		if prefix != "" {
			m.name = fmt.Appendf(nil, "%s.%s", prefix, m.name)
		}
		if err := r.metric(m, depth); err != nil {
			return fmt.Errorf("metric %.40q: %w", m.name, err)
		}
	}
	return nil
}

func (r *sparkplugReader) metric(m *sparkplugMetric, depth int) error {
	at := sparkplugTime(m.timestamp)
	if r.birth || at == 0 {
		at = r.sent
	}
	switch {
	case m.kind == sparkplugDateTime && m.of == sparkplugLong:
		if t := sparkplugTime(m.bits); t != 0 {
			r.text(m.name, time.Unix(0, t).UTC().AppendFormat(nil, time.RFC3339Nano), at)
		}
	case m.of == sparkplugString:
		r.text(m.name, m.bytes, at)
	case m.of == sparkplugBytes:
		for i, v := range sparkplugArray(m.kind, m.bytes) {
			r.number(strconv.AppendInt(append(bytes.Clone(m.name), '.'), int64(i), 10), readUnit(m.unit), v, at)
		}
	case m.of == sparkplugDataSet:
		return r.table(m, at)
	case m.of == sparkplugTemplate:
		return r.template(m, depth)
	default:
		switch value, ok := m.number(); {
		case !ok:
		case bytes.HasPrefix(m.name, []byte("Properties/")): // what the device is: "Properties/Serial Number"
			r.text(m.name, strconv.AppendFloat(nil, value, 'f', -1, 64), at)
		default:
			r.numberThen(m.name, readUnit(m.unit), value, at, m.historical)
		}
	}
	return nil
}

// table adds the cells of a table: by the row's text, or else its number where there are several, and the column's name.
func (r *sparkplugReader) table(m *sparkplugMetric, at int64) error {
	t, err := readSparkplugTable(m.bytes)
	if err != nil {
		return err
	}
	for i, row := range t.rows {
		path := append(bytes.Clone(m.name), '.')
		key := slicesIndexText(row)
		switch {
		case key >= 0:
			path = append(append(path, row[key].text...), '.')
		case len(t.rows) > 1:
			path = append(strconv.AppendInt(path, int64(i), 10), '.')
		}
		for column := range min(len(row), len(t.columns)) {
			name := append(bytes.Clone(path), t.columns[column]...)
			kind := uint64(0)
			if column < len(t.kinds) {
				kind = t.kinds[column]
			}
			c := row[column]
			value, isNumber := sparkplugNumber(c.of, c.bits, kind)
			switch {
			case column == key, kind == sparkplugDateTime:
			case isNumber:
				r.numberThen(name, "", value, at, m.historical)
			case c.of == sparkplugString:
				r.text(name, c.text, at)
			}
		}
	}
	return nil
}

// slicesIndexText returns the first cell of a row that is a text; -1 if none is.
func slicesIndexText(row []sparkplugCell) int {
	for i := range row {
		if row[i].of == sparkplugString && len(row[i].text) > 0 {
			return i
		}
	}
	return -1
}

// template adds the metrics of an instance of a template.
func (r *sparkplugReader) template(m *sparkplugMetric, depth int) error {
	if depth >= maxTemplates {
		return fmt.Errorf("templates nested deeper than %d levels", maxTemplates)
	}
	var metrics []sparkplugMetric
	definition := false
	err := wireFields(m.bytes, func(f *wireField) error {
		switch {
		case f.number == 2 && f.isBytes() && len(metrics) < maxAsked:
			inner, err := readSparkplugMetric(f.bytes)
			if inner.timestamp == 0 {
				inner.timestamp = m.timestamp
			}
			metrics = append(metrics, inner)
			return err
		case f.number == 5:
			definition = f.bits != 0
		}
		return nil
	})
	if err != nil || definition {
		return err
	}
	return r.metrics(string(m.name), metrics, depth+1)
}

package decode

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Influx understands InfluxDB's line protocol, a point a line:
// https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/. Time stamps are told apart by their magnitude.
type Influx struct{}

// Name implements [Format].
func (Influx) Name() string { return "influx" }

// An influxLine is a point: its keys and values without their escapes.
type influxLine struct {
	measurement string
	tags        [][2]string
	fields      []influxField
	at          int64
}

type influxField struct {
	key string
	// kind is 'f' for a float, 'i' for an integer, 'b' for a truth, 's' for a text.
	kind  byte
	value float64
	text  []byte
}

// influxDevices are the tags that name a device, the best first; influxHosts name one where none of them is there.
var influxDevices = []string{"device", "device_id", "deviceid", "deviceId", "dev_id", "thing", "sensor_id", "sensor", "node", "host", "hostname"}

// Decode implements [Format]. It claims a payload of which every line is a point.
func (Influx) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	if !looksLikeInflux(b) {
		return false, nil
	}
	var lines []influxLine
	for rest := b; len(rest) > 0; {
		if rest = bytes.TrimLeft(rest, " \t\r\n"); len(rest) == 0 {
			break
		}
		if rest[0] == '#' {
			if _, rest, _ = bytes.Cut(rest, []byte("\n")); len(rest) == 0 {
				break
			}
			continue
		}
		l, n, ok := readInfluxLine(rest)
		if !ok {
			return false, nil
		}
		if rest = rest[n:]; len(lines) >= maxAsked {
			s.left++
			break
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return false, nil
	}
	s.influx(in, out, lines)
	return true, nil
}

// looksLikeInflux takes a quick look: it begins with a name, and has an equals sign behind a space.
func looksLikeInflux(b []byte) bool {
	if len(b) == 0 || b[0] == '{' || b[0] == '[' || b[0] == '"' || b[0] == '=' || b[0] == ',' {
		return false
	}
	equals, space := bytes.LastIndexByte(b, '='), bytes.IndexByte(b, ' ')
	return space > 0 && equals > space && utf8.Valid(b)
}

// influx adds the points. One device is the message's; where the lines are of several, it is the last's.
func (s *Scope) influx(in *Input, out *Result, lines []influxLine) {
	p := s.points(in, out)
	last := lines[len(lines)-1].device()
	if last != "" {
		s.SetDevice(out, last)
	}
	for i := range lines {
		l := &lines[i]
		if p.device = l.device(); p.device == last {
			p.device = ""
		}
		prefix := l.prefix(lines)
		for _, f := range l.fields {
			path := append(bytes.Clone(prefix), f.key...)
			if f.kind == 's' {
				p.text(path, f.text, l.at)
			} else {
				p.number(path, l.unit(), f.value, l.at)
			}
		}
	}
	p.done()
}

func (l *influxLine) tag(key string) string {
	for _, t := range l.tags {
		if t[0] == key {
			return t[1]
		}
	}
	return ""
}

func (l *influxLine) device() string {
	for _, key := range influxDevices {
		if value := l.tag(key); value != "" {
			return value
		}
	}
	return ""
}

// unit is that of the line's only number, where a tag says it.
func (l *influxLine) unit() string {
	numbers := 0
	for _, f := range l.fields {
		if f.kind == 'f' || f.kind == 'i' {
			numbers++
		}
	}
	if numbers != 1 {
		return ""
	}
	return readUnit(first(l.tag("unit"), l.tag("units")))
}

// prefix stands before a field's key: the measurement, and the tags by which this line differs from another of the same
// measurement and device ("cpu.cpu0.").
func (l *influxLine) prefix(lines []influxLine) []byte {
	path := append([]byte(l.measurement), '.')
	const few = 64
	for _, t := range l.tags {
		for i := range lines[:min(len(lines), few)] {
			other := &lines[i]
			if other.measurement != l.measurement || other.device() != l.device() || len(t[1]) > MaxTexts {
				continue
			}
			if value := other.tag(t[0]); value != "" && value != t[1] {
				path = append(append(path, t[1]...), '.')
				break
			}
		}
	}
	return path
}

// readInfluxLine reads one point and returns where the next line begins.
func readInfluxLine(b []byte) (l influxLine, n int, ok bool) {
	name, i := influxWord(b, 0, ", ")
	if name == "" || i >= len(b) || len(name) > MaxNameBytes {
		return l, 0, false
	}
	l.measurement = name
	if i, ok = l.readTags(b, i); !ok {
		return l, 0, false
	}
	for i--; ; {
		var f influxField
		if f, i, ok = readInfluxField(b, i+1); !ok || len(l.fields) >= MaxReadings {
			return l, 0, false
		}
		l.fields = append(l.fields, f)
		if i >= len(b) || b[i] != ',' {
			break
		}
	}
	end := len(b)
	if newline := bytes.IndexByte(b[i:], '\n'); newline >= 0 {
		end = i + newline
	}
	if stamp := trim(b[i:end]); len(stamp) > 0 {
		v, err := strconv.ParseInt(string(stamp), 10, 64)
		if err != nil {
			return l, 0, false
		}
		l.at = influxTime(v)
	}
	return l, end, true
}

// readTags reads the tags and the space behind them.
func (l *influxLine) readTags(b []byte, i int) (end int, ok bool) {
	for i < len(b) && b[i] == ',' {
		var t [2]string
		if t[0], i = influxWord(b, i+1, ",= "); i >= len(b) || b[i] != '=' || t[0] == "" {
			return 0, false
		}
		if t[1], i = influxWord(b, i+1, ", "); t[1] == "" || len(l.tags) >= MaxTexts {
			return 0, false
		}
		l.tags = append(l.tags, t)
	}
	if i >= len(b) || b[i] != ' ' {
		return 0, false
	}
	for i < len(b) && b[i] == ' ' {
		i++
	}
	return i, true
}

// influxTime reads a time stamp of any precision, exactly.
func influxTime(v int64) int64 {
	switch {
	case v >= 1e18:
		return v
	case v >= 1e15 && v < 1e17:
		return v * 1e3
	case v >= 1e12 && v < 1e14:
		return v * 1e6
	case v >= 1e9 && v < 1e11:
		return v * 1e9
	default:
		return 0
	}
}

// influxWord reads up to one of the ends that is not escaped, or a line's end, and takes the escapes away.
func influxWord(b []byte, i int, ends string) (word string, end int) {
	var w []byte
	for ; i < len(b) && b[i] != '\n'; i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) && strings.IndexByte(`,= \`, b[i+1]) >= 0 {
			i++
			w = append(w, b[i])
			continue
		}
		if strings.IndexByte(ends, c) >= 0 {
			break
		}
		w = append(w, c)
	}
	return string(bytes.TrimRight(w, "\r")), i
}

// readInfluxField reads key=value, and returns what stands behind it.
func readInfluxField(b []byte, i int) (f influxField, end int, ok bool) {
	if f.key, i = influxWord(b, i, ",= "); f.key == "" || i+1 >= len(b) || b[i] != '=' || len(f.key) > MaxNameBytes {
		return f, 0, false
	}
	i++
	if b[i] == '"' {
		f.kind = 's'
		for i++; i < len(b) && b[i] != '"'; i++ {
			if b[i] == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\') {
				i++
			}
			f.text = append(f.text, b[i])
		}
		return f, i + 1, i < len(b) && (i+1 == len(b) || strings.IndexByte(", \r\n", b[i+1]) >= 0)
	}
	end = i
	for end < len(b) && strings.IndexByte(", \r\n", b[end]) < 0 {
		end++
	}
	ok = f.number(string(b[i:end]))
	return f, end, ok
}

// number reads a value that is no text. It reports whether it is one.
func (f *influxField) number(word string) bool {
	switch word {
	case "t", "T", "true", "True", "TRUE":
		f.kind, f.value = 'b', 1
		return true
	case "f", "F", "false", "False", "FALSE":
		f.kind, f.value = 'b', 0
		return true
	case "":
		return false
	}
	f.kind = 'f'
	if last := word[len(word)-1]; last == 'i' || last == 'u' {
		f.kind, word = 'i', word[:len(word)-1]
		if !isDigits(trimSign(word)) {
			return false
		}
	}
	if c := trimSign(word); c == "" || (c[0] < '0' || c[0] > '9') && c[0] != '.' {
		return false
	}
	v, err := strconv.ParseFloat(word, 64)
	f.value = v
	return err == nil
}

func trimSign(word string) string {
	if word != "" && (word[0] == '-' || word[0] == '+') {
		return word[1:]
	}
	return word
}

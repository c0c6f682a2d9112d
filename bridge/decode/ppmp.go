package decode

import "time"

// decodePPMP reads the Production Performance Management Protocol of Eclipse Unide, versions 2 and 3: measurement, machine
// and process messages, https://www.eclipse.org/unide/specification/. A series is columns, one of which is the time since
// the measurement began.
func decodePPMP(s *Scope, in *Input, out *Result) (bool, error) {
	device := member(in.Payload, "device")
	s.SetDevice(out, first(scalar(member(device, "deviceID")), scalar(member(device, "id"))))
	p := s.points(in, out)
	for _, key := range []string{"operationalStatus", "mode", "state"} {
		if word := scalar(member(device, key)); word != "" {
			p.text([]byte(key), []byte(word), 0)
		}
	}
	for m := range elements(member(in.Payload, "measurements")) {
		p.ppmpMeasurement(m)
	}
	if process := member(in.Payload, "process"); process != nil {
		p.ppmpProcess(process)
	}
	for m := range elements(member(in.Payload, "messages")) {
		p.ppmpMessage(m)
	}
	p.done()
	return true, nil
}

// ppmpMeasurement adds the series of a measurement. Times are in milliseconds, but where version 3's context says else.
func (p *points) ppmpMeasurement(m []byte) {
	start := timeOfText([]byte(scalar(member(m, "ts"))))
	series, context := member(m, "series"), member(m, "context")
	unit := time.Millisecond
	switch scalar(member(context, "time", "unit")) {
	case "s":
		unit = time.Second
	case "us", "µs":
		unit = time.Microsecond
	}
	var offsets []float64
	for _, key := range []string{"$_time", "time"} {
		for v := range elements(member(series, key)) {
			if offsets = append(offsets, floatOf(v)); len(offsets) >= maxAsked {
				break
			}
		}
	}
	for key, values := range members(series) {
		if string(key) == "$_time" || string(key) == "time" {
			continue
		}
		name, i := unescape(nil, key), 0
		of := readUnit(scalar(member(context, string(name), "unit")))
		for v := range elements(values) {
			at := start
			if i < len(offsets) && start != 0 {
				at += int64(offsets[i] * float64(unit))
			}
			p.json(name, of, v, at)
			i++
		}
	}
	for _, key := range []string{"result", "code", "phase"} {
		if word := scalar(member(m, key)); word != "" {
			p.text([]byte(key), []byte(word), 0)
		}
	}
}

// ppmpProcess adds what a process ended with. Its limits are no readings.
func (p *points) ppmpProcess(process []byte) {
	start := timeOfText([]byte(scalar(member(process, "ts"))))
	p.sent = start
	if result := scalar(member(process, "result")); result != "" {
		p.text([]byte("result"), []byte(result), 0)
	}
	for key, value := range members(member(process, "shutoffValues")) {
		at := timeOfText([]byte(scalar(member(value, "ts"))))
		if at == 0 {
			at = start
		}
		p.json(below([]byte("shutoffValues"), unescape(nil, key)), readUnit(scalar(member(value, "unit"))), member(value, "value"), at)
	}
}

// ppmpMessage adds a machine's message: what happened, in words.
func (p *points) ppmpMessage(m []byte) {
	if at := timeOfText([]byte(scalar(member(m, "ts")))); at > p.sent {
		p.sent = at
	}
	for _, key := range []string{"code", "title", "description", "severity", "type", "state", "source", "hint"} {
		if word := scalar(member(m, key)); word != "" {
			n := p.name([]byte(key))
			if n != nil {
				p.s.text(p.out, n, []byte(word))
			}
		}
	}
}

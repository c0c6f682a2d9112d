package decode

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// ruuvi is the Ruuvi Gateway: https://docs.ruuvi.com/gw-data-formats/mqtt-time-stamped-data-from-gateway. A message is
// what a tag has sent by Bluetooth, in hexadecimal digits; the formats inside are at https://docs.ruuvi.com/communication/.
var ruuvi = &Scheme{
	Name: "ruuvi",
	Rules: []Rule{
		{Topic: "ruuvi/{device}/gw_status", Role: RoleStatus},
		{Topic: "ruuvi/{device}/gw_cmd|gw_command|command/#", Role: RoleCommand},
		{Topic: "ruuvi/+/{device}", Decode: ruuviHeard},
	},
	Keys: map[string]Key{
		"rssi": {Unit: "dBm"}, "ts": {Class: ClassTime}, "gwts": {Class: ClassHidden}, "gw_mac": {Class: ClassText},
		"data": {Class: ClassHidden}, "id": {Class: ClassText}, "coords": {Class: ClassText}, "chan": {Class: ClassText},
		"ble_phy": {Class: ClassText}, "dataFormat": {Class: ClassText}, sequenceNumber: {Class: ClassMetric},
		"temperature": {Unit: "°C"}, "humidity": {Unit: "%"}, "pressure": {Unit: "Pa"}, "accelerationX": {Unit: "g"}, "accelerationY": {Unit: "g"},
		"accelerationZ": {Unit: "g"}, "batteryVoltage": {Unit: "V"}, "voltage": {Unit: "V"}, "txPower": {Unit: "dBm"}, "tx_power": {Unit: "dBm"},
		"accelX": {Unit: "g"}, "accelY": {Unit: "g"}, "accelZ": {Unit: "g"}, "co2": {Unit: "ppm"}, "pm1": {Unit: "µg/m³"}, "pm25": {Unit: "µg/m³"},
		"pm4": {Unit: "µg/m³"}, "pm10": {Unit: "µg/m³"}, "luminosity": {Unit: "lx"},
	},
}

const sequenceNumber = "measurementSequenceNumber"

// ruuviHeard reads the gateway's message and the advertisement in it.
func ruuviHeard(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	if _, err := (JSON{}).Decode(s, in, out); err != nil {
		return true, err
	}
	data := bytes.Trim(member(in.Payload, "data"), `"`)
	var advertisement [255]byte // an extended one has no more
	if len(data) > 2*len(advertisement) {
		return true, nil
	}
	n, err := hex.Decode(advertisement[:], data)
	if err != nil {
		s.Becausef("the data are not hexadecimal digits: %s", err)
	}
	s.ruuviData(out, ruuviPart(advertisement[:n]))
	return true, nil
}

// ruuviPart returns what the advertisement has of Ruuvi: an element is a length, a type and as much data (Bluetooth Core
// Specification, volume 3, part C, section 11); manufacturer data begin with the company's number.
func ruuviPart(advertisement []byte) []byte {
	const manufacturer, ruuviInnovations, head = 0xff, 0x0499, 3
	for rest := advertisement; len(rest) > 1; {
		size := int(rest[0])
		if size == 0 || size >= len(rest) {
			return nil
		}
		element := rest[1 : 1+size]
		if element[0] == manufacturer && size > head && binary.LittleEndian.Uint16(element[1:]) == ruuviInnovations {
			return element[head:]
		}
		rest = rest[1+size:]
	}
	return nil
}

// ruuviData reads the data of a tag by their format, the first byte.
func (s *Scope) ruuviData(out *Result, b []byte) {
	const raw1, raw2, air, extended = 0x03, 0x05, 0x06, 0xe1
	const raw1Size, raw2Size, airSize, extendedSize = 14, 18, 20, 40
	switch {
	case len(b) >= raw1Size && b[0] == raw1:
		s.ruuviRaw1(out, b)
	case len(b) >= raw2Size && b[0] == raw2:
		s.ruuviRaw2(out, b)
	case len(b) >= airSize && b[0] == air:
		s.ruuviClimate(out, b)
		s.ruuviAdd(out, "pm25", u16(b, 7), 0xffff, 0.1, 0)
		s.ruuviAdd(out, "co2", u16(b, 9), 0xffff, 1, 0)
		s.ruuviIndexes(out, b[11], b[12], b[16])
		s.ruuviAdd(out, sequenceNumber, int(b[15]), -1, 1, 0)
		if code := float64(b[13]); code < 255 {
			s.Add(out, []byte("luminosity"), "", math.Round(100*(math.Exp(code*math.Log(65536)/254)-1))/100)
		}
	case len(b) >= extendedSize && b[0] == extended:
		s.ruuviClimate(out, b)
		for i, name := range [...]string{"pm1", "pm25", "pm4", "pm10"} {
			s.ruuviAdd(out, name, u16(b, 7+2*i), 0xffff, 0.1, 0)
		}
		s.ruuviAdd(out, "co2", u16(b, 15), 0xffff, 1, 0)
		s.ruuviIndexes(out, b[17], b[18], b[28])
		s.ruuviAdd(out, "luminosity", int(b[19])<<16|u16(b, 20), 0xffffff, 0.01, 0)
		s.ruuviAdd(out, sequenceNumber, int(b[25])<<16|u16(b, 26), 0xffffff, 1, 0)
	case len(b) > 0:
		s.Becausef("the tag's data are of format %d, which is not known", b[0])
	}
}

func (s *Scope) ruuviRaw1(out *Result, b []byte) {
	s.ruuviAdd(out, "humidity", int(b[1]), -1, 0.5, 0)
	degrees := float64(b[2]&0x7f) + float64(b[3])/100
	if b[2]&0x80 != 0 {
		degrees = -degrees
	}
	s.Add(out, []byte("temperature"), "", degrees)
	s.ruuviAdd(out, "pressure", u16(b, 4), -1, 1, 50_000)
	for i, name := range [...]string{"accelerationX", "accelerationY", "accelerationZ"} {
		s.ruuviAdd(out, name, i16(b, 6+2*i), math.MinInt16, 0.001, 0)
	}
	s.ruuviAdd(out, "batteryVoltage", u16(b, 12), -1, 0.001, 0)
}

func (s *Scope) ruuviRaw2(out *Result, b []byte) {
	s.ruuviClimate(out, b)
	for i, name := range [...]string{"accelerationX", "accelerationY", "accelerationZ"} {
		s.ruuviAdd(out, name, i16(b, 7+2*i), math.MinInt16, 0.001, 0)
	}
	power := u16(b, 13)
	s.ruuviAdd(out, "batteryVoltage", power>>5, 0x7ff, 0.001, 1.6)
	s.ruuviAdd(out, "txPower", power&0x1f, 0x1f, 2, -40)
	s.ruuviAdd(out, "movementCounter", int(b[15]), 0xff, 1, 0)
	s.ruuviAdd(out, sequenceNumber, u16(b, 16), 0xffff, 1, 0)
}

// ruuviClimate reads what all but the first format begin with.
func (s *Scope) ruuviClimate(out *Result, b []byte) {
	s.ruuviAdd(out, "temperature", i16(b, 1), math.MinInt16, 0.005, 0)
	s.ruuviAdd(out, "humidity", u16(b, 3), 0xffff, 0.0025, 0)
	s.ruuviAdd(out, "pressure", u16(b, 5), 0xffff, 1, 50_000)
}

// ruuviIndexes reads the two indexes of nine bits, the lowest of which are among the flags.
func (s *Scope) ruuviIndexes(out *Result, voc, nox, flags byte) {
	s.ruuviAdd(out, "voc", int(voc)<<1|int(flags>>6&1), 0x1ff, 1, 0)
	s.ruuviAdd(out, "nox", int(nox)<<1|int(flags>>7&1), 0x1ff, 1, 0)
}

// ruuviAdd adds a reading unless it is the number that stands for none. It is rounded to the digits that the step has.
func (s *Scope) ruuviAdd(out *Result, name string, value, none int, step, offset float64) {
	if value == none {
		return
	}
	const digits = 1e4
	s.Add(out, []byte(name), "", math.Round((float64(value)*step+offset)*digits)/digits)
}

func u16(b []byte, at int) int { return int(binary.BigEndian.Uint16(b[at:])) }

func i16(b []byte, at int) int { return int(int16(binary.BigEndian.Uint16(b[at:]))) }

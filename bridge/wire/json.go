package wire

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"pulso/bridge/event"
)

// The functions of this file append JSON to dst and return the extended slice. Rows and events come without commas: the
// caller sets them.

// appendEventJSON appends one event as an object. count is how many it stands for.
func appendEventJSON(dst []byte, e *event.Decoded, count uint32) []byte {
	dst = append(dst, `{"topic":`...)
	dst = AppendString(dst, e.Topic)
	if e.Device != "" {
		dst = append(dst, `,"device":`...)
		dst = AppendString(dst, e.Device)
	}
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendInt(dst, Millis(e.Time), 10)
	switch {
	case e.JSON:
		dst = append(dst, `,"payload":`...)
		dst = append(dst, e.Payload...)
	case utf8.Valid(e.Payload):
		dst = append(dst, `,"payload_text":`...)
		dst = AppendString(dst, string(e.Payload))
	default:
		dst = append(dst, `,"payload_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, e.Payload)
		dst = append(dst, '"')
	}
	if e.Problem != "" {
		dst = append(dst, `,"error":`...)
		dst = AppendString(dst, e.Problem)
	}
	if e.Kind == event.KindWill {
		dst = append(dst, `,"will":true`...)
	}
	if count > 1 {
		dst = append(dst, `,"count":`...)
		dst = strconv.AppendUint(dst, uint64(count), 10)
	}
	return append(dst, '}')
}

// appendSeriesJSON appends the row that announces a series.
func appendSeriesJSON(dst []byte, s *event.Series) []byte {
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(s.ID), 10)
	for _, text := range [...]string{s.Device, s.Name, s.Unit, s.Topic} {
		dst = append(dst, ',')
		dst = AppendString(dst, text)
	}
	return append(dst, ']')
}

// appendValueJSON appends a row of values: three members where it stands for one value, six where it stands for several.
func appendValueJSON(dst []byte, a *Value) []byte {
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(a.Series.ID), 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, Millis(a.Time), 10)
	dst = append(dst, ',')
	dst = AppendFloat(dst, a.Last)
	if a.Count > 1 {
		dst = append(dst, ',')
		dst = AppendFloat(dst, a.Min)
		dst = append(dst, ',')
		dst = AppendFloat(dst, a.Max)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, uint64(a.Count), 10)
	}
	return append(dst, ']')
}

// AppendFloat appends the shortest JSON number that reads back as v; null for what JSON has no number for.
func AppendFloat(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string; invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			start = i
			continue
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

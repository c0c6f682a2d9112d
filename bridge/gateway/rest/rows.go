package rest

import (
	"strconv"
	"strings"
	"time"

	"pulso/bridge/view/history"
	"pulso/bridge/wire"
)

// csvHead is the first line of samples as CSV.
const csvHead = "time,device,topic,field,name,unit,kind,value\r\n"

// csvTime is RFC 3339 in UTC, to the millisecond.
const csvTime = "2006-01-02T15:04:05.000Z07:00"

// appendSampleCSV appends a sample as a line of CSV (RFC 4180).
func appendSampleCSV(dst []byte, p *history.Point) []byte {
	dst = time.UnixMilli(p.Time).UTC().AppendFormat(dst, csvTime)
	s := p.Series
	for _, text := range [...]string{s.Device, s.Topic, s.Field, s.Name, s.Unit, s.Kind} {
		dst = appendTextCSV(append(dst, ','), text)
	}
	return append(wire.AppendFloat(append(dst, ','), p.Value), "\r\n"...)
}

// appendTextCSV appends a text. What a spreadsheet would take for a formula, as it begins with =, +, -, @, a tab or a line's end,
// comes with an apostrophe in front: by a device's name nobody should be able to make somebody's spreadsheet do
// something.
func appendTextCSV(dst []byte, s string) []byte {
	guarded := s != "" && strings.IndexByte("=+-@\t\r\n", s[0]) >= 0
	if !guarded && !strings.ContainsAny(s, "\",\r\n") && s == strings.TrimSpace(s) {
		return append(dst, text(s)...)
	}
	dst = append(dst, '"')
	if guarded {
		dst = append(dst, '\'')
	}
	dst = append(dst, strings.ReplaceAll(text(s), `"`, `""`)...)
	return append(dst, '"')
}

// appendSampleJSON appends a sample as a line of JSON.
func appendSampleJSON(dst []byte, p *history.Point) []byte {
	dst = appendNames(dst, p.Series)
	dst = strconv.AppendInt(append(dst, `,"time":`...), p.Time, 10)
	return append(wire.AppendFloat(append(dst, `,"value":`...), p.Value), "}\n"...)
}

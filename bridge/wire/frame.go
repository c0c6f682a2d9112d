package wire

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"pulso/bridge/event"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// Field numbers of the messages that are written by hand, because they are written often.
const (
	messageRoom     protowire.Number = 2
	messageSnapshot protowire.Number = 9
	messageFrame    protowire.Number = 10

	framePosition  protowire.Number = 1
	frameEvents    protowire.Number = 2
	frameSeries    protowire.Number = 3
	frameValues    protowire.Number = 4
	frameTruncated protowire.Number = 11
	frameArrived   protowire.Number = 13
)

// Frame is a frame of a room: what happened up to pos. fields are what AppendEvents, AppendSeries, AppendValues and
// AppendView have appended to one slice; none is a frame that tells the position alone.
func (e Encoding) Frame(room uint64, pos event.Position, fields []byte) *Message {
	if e == Proto {
		return e.message(appendFrameProto(begin(len(fields)+64), messageFrame, room, pos, fields, false), pos)
	}
	buf := append(begin(len(fields)+64), `{"room":`...)
	buf = strconv.AppendUint(buf, room, 10)
	buf = append(buf, `,"position":"`...)
	buf = append(pos.Append(buf), '"')
	return e.message(append(appendFieldsJSON(buf, fields), '}'), pos)
}

// Snapshot is what stands at the beginning of a room. truncated reports that it holds less than was asked for.
func (e Encoding) Snapshot(room uint64, pos event.Position, fields []byte, truncated bool) *Message {
	if e == Proto {
		return e.message(appendFrameProto(begin(len(fields)+64), messageSnapshot, room, pos, fields, truncated), pos)
	}
	buf := append(begin(len(fields)+96), `{"room":`...)
	buf = strconv.AppendUint(buf, room, 10)
	buf = append(buf, `,"snapshot":{"position":"`...)
	buf = appendFieldsJSON(append(pos.Append(buf), '"'), fields)
	if truncated {
		buf = append(buf, `,"truncated":true`...)
	}
	return e.message(append(buf, "}}"...), pos)
}

// Gap says what was left out, between two positions: how many events, 0 where that is not to be told, and why.
func (e Encoding) Gap(room uint64, from, to event.Position, events uint64, reason string) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Room: room, Message: &pulsov1.Message_Gap{Gap: &pulsov1.Gap{
			From: from.String(), To: to.String(), Events: events, Reason: reason,
		}}}, to)
	}
	buf := append(begin(160), `{"room":`...)
	buf = strconv.AppendUint(buf, room, 10)
	buf = append(buf, `,"gap":{"from":"`...)
	buf = from.Append(buf)
	buf = append(buf, `","to":"`...)
	buf = to.Append(buf)
	buf = append(buf, `","events":`...)
	buf = strconv.AppendUint(buf, events, 10)
	buf = append(buf, `,"reason":`...)
	buf = AppendString(buf, reason)
	return e.message(append(buf, "}}"...), to)
}

// Viewers says who watches what a room shows.
func (e Encoding) Viewers(room uint64, v *pulsov1.Viewers) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Room: room, Message: &pulsov1.Message_Viewers{Viewers: v}}, event.Position{})
	}
	buf := append(begin(128), `{"room":`...)
	buf = strconv.AppendUint(buf, room, 10)
	buf = append(buf, `,"viewers":{"count":`...)
	buf = strconv.AppendUint(buf, uint64(v.GetCount()), 10)
	if v.GetSampled() {
		buf = append(buf, `,"sampled":true`...)
	}
	buf = appendViewersJSON(buf, `,"present":[`, v.GetPresent())
	buf = appendViewersJSON(buf, `,"joined":[`, v.GetJoined())
	if len(v.GetLeft()) > 0 {
		buf = append(buf, `,"left":[`...)
		for i, session := range v.GetLeft() {
			buf = AppendString(appendComma(buf, i), session)
		}
		buf = append(buf, ']')
	}
	return e.message(append(buf, "}}"...), event.Position{})
}

// appendViewersJSON appends a list of rows [session, name, transport, since], unless it is empty.
func appendViewersJSON(dst []byte, key string, list []*pulsov1.Viewer) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(dst, key...)
	for i, v := range list {
		dst = append(appendComma(dst, i), '[')
		dst = AppendString(dst, v.GetSession())
		dst = AppendString(append(dst, ','), v.GetName())
		dst = AppendString(append(dst, ','), v.GetTransport())
		dst = strconv.AppendInt(append(dst, ','), v.GetSince(), 10)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

func appendComma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

// appendFieldsJSON puts the members of a frame behind its position.
func appendFieldsJSON(dst, fields []byte) []byte {
	if len(fields) == 0 {
		return dst
	}
	return append(append(dst, ','), fields...)
}

// AppendEvent appends one event to rows, which AppendEvents makes a field of a frame. count is how many it stands for.
func (e Encoding) AppendEvent(rows []byte, d *event.Decoded, count uint32) []byte {
	if e == Proto {
		return appendEventProto(rows, d, count)
	}
	return appendEventJSON(appendComma(rows, len(rows)), d, count)
}

// AppendEvents appends the field of the events in rows, even if there are none.
func (e Encoding) AppendEvents(fields, rows []byte) []byte {
	if e == Proto {
		return append(fields, rows...)
	}
	fields = append(appendComma(fields, len(fields)), `"events":[`...)
	return append(append(fields, rows...), ']')
}

// AppendSeries appends the field that announces series, if there are any.
func (e Encoding) AppendSeries(fields []byte, series []*event.Series) []byte {
	if e == Proto {
		for _, s := range series {
			fields = appendSeriesProto(fields, s)
		}
		return fields
	}
	if len(series) == 0 {
		return fields
	}
	fields = append(appendComma(fields, len(fields)), `"series":[`...)
	for i, s := range series {
		fields = appendSeriesJSON(appendComma(fields, i), s)
	}
	return append(fields, ']')
}

// AppendValues appends the field of values, even if there are none.
func (e Encoding) AppendValues(fields []byte, values []Value) []byte {
	if e == Proto {
		return appendValuesProto(fields, values)
	}
	fields = append(appendComma(fields, len(fields)), `"values":[`...)
	for i := range values {
		fields = appendValueJSON(appendComma(fields, i), &values[i])
	}
	return append(fields, ']')
}

// AppendArrived appends the field that tells when the newest message arrived that values are of, in nanoseconds since the Unix
// epoch; none where that is 0.
func (e Encoding) AppendArrived(fields []byte, arrived int64) []byte {
	switch {
	case arrived == 0:
		return fields
	case e == Proto:
		return protowire.AppendVarint(protowire.AppendTag(fields, frameArrived, protowire.VarintType), uint64(Millis(arrived)))
	}
	return appendIntJSON(appendComma(fields, len(fields)), `"arrived":`, Millis(arrived))
}

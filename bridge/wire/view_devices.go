package wire

import (
	"strconv"

	"pulso/bridge/event"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// appendDevicesJSON appends the members "removed", "devices" and "status", each if there is something in it.
func appendDevicesJSON(dst []byte, f *pulsov1.Frame) []byte {
	if removed := f.GetRemoved(); len(removed) > 0 {
		dst = appendKey(dst, len(dst), `"removed":[`)
		for i, number := range removed {
			dst = strconv.AppendUint(appendComma(dst, i), uint64(number), 10)
		}
		dst = append(dst, ']')
	}
	if devices := f.GetDevices(); len(devices) > 0 {
		dst = appendKey(dst, len(dst), `"devices":[`)
		for i, d := range devices {
			dst = appendDeviceJSON(appendComma(dst, i), d)
		}
		dst = append(dst, ']')
	}
	if status := f.GetStatus(); len(status) > 0 {
		dst = appendKey(dst, len(dst), `"status":[`)
		for i, s := range status {
			dst = appendStatusJSON(appendComma(dst, i), s)
		}
		dst = append(dst, ']')
	}
	return dst
}

// appendDeviceJSON appends an object, with its metrics and texts as rows.
func appendDeviceJSON(dst []byte, d *pulsov1.Device) []byte {
	dst = append(dst, `{"device":`...)
	dst = strconv.AppendUint(dst, uint64(d.GetDevice()), 10)
	dst = appendText(dst, `,"id":`, d.GetId())
	dst = appendText(dst, `,"kind":`, d.GetKind())
	dst = appendText(dst, `,"name":`, d.GetName())
	dst = append(dst, `,"first":`...)
	dst = strconv.AppendInt(dst, d.GetFirst(), 10)
	dst = append(dst, `,"topics":[`...)
	for i, t := range d.GetTopics() {
		dst = AppendString(appendComma(dst, i), t)
	}
	dst = appendText(dst, `],"client":`, d.GetClient())
	dst = append(dst, `,"metrics":[`...)
	for i, m := range d.GetMetrics() {
		dst = appendSeriesJSON(appendComma(dst, i), &event.Series{
			ID: m.GetSeries(), Device: m.GetDevice(), Name: m.GetName(), Unit: m.GetUnit(), Topic: m.GetTopic(),
		})
	}
	dst = append(dst, `],"texts":[`...)
	for i, t := range d.GetTexts() {
		dst = AppendString(append(appendComma(dst, i), '['), t.GetName())
		dst = append(AppendString(append(dst, ','), t.GetValue()), ']')
	}
	return append(dst, "]}"...)
}

// appendStatusJSON appends [device, status, time, rate, events, interval, value, undecodable].
func appendStatusJSON(dst []byte, s *pulsov1.DeviceStatus) []byte {
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(s.GetDevice()), 10)
	dst = AppendString(append(dst, ','), s.GetStatus())
	dst = strconv.AppendInt(append(dst, ','), s.GetTime(), 10)
	dst = AppendFloat(append(dst, ','), s.GetRate())
	dst = strconv.AppendUint(append(dst, ','), s.GetEvents(), 10)
	dst = strconv.AppendInt(append(dst, ','), s.GetInterval(), 10)
	dst = appendOptionalJSON(append(dst, ','), s.Value != nil, s.GetValue())
	dst = strconv.AppendUint(append(dst, ','), s.GetUndecodable(), 10)
	return append(dst, ']')
}

// appendOptionalJSON appends a number, or null where there is none.
func appendOptionalJSON(dst []byte, there bool, f float64) []byte {
	if !there {
		return append(dst, "null"...)
	}
	return AppendFloat(dst, f)
}

package devices

import (
	"slices"
	"strings"

	"pulso/bridge/event"
)

// Of a device that measures much, one value stands in the lists: the one that tells most, and of several such, the first
// that the device named. Less is more telling.
const (
	tellsPower = iota
	tellsTemperature
	tellsQuantity // anything with a unit
	tellsNumber   // without one, or an angle: a coordinate, a direction
	tellsItself   // how the device is, not what it is for
)

// housekeeping are parts of the last key of what devices say of themselves.
var housekeeping = []string{
	"rssi", "snr", "linkquality", "lqi", "link_quality", "signal", "wifi", "uptime", "heap", "memory", "battery", "vcc", "reconnect",
	"mqttcount", "loadavg", "sleep", "heartbeat", "restart", "errors", "channel", "counter", "sequence",
}

func telling(s *event.Series) int {
	key := strings.ToLower(s.Name[strings.LastIndexByte(s.Name, '.')+1:])
	if strings.HasPrefix(s.Unit, "dB") && strings.HasSuffix(s.Unit, "m") ||
		slices.ContainsFunc(housekeeping, func(part string) bool { return strings.Contains(key, part) }) {
		return tellsItself
	}
	switch s.Unit {
	case "", "°":
		return tellsNumber
	case "W", "kW", "MW":
		return tellsPower
	case "°C", "°F":
		return tellsTemperature
	default:
		return tellsQuantity
	}
}

// retell finds the most telling of the values.
func (d *device) retell() {
	d.lead = 0
	least := tellsItself + 1
	for i := range d.values {
		if t := telling(d.values[i].Series); t < least {
			d.lead, least = i, t
		}
	}
}

// inOrder is the index of the value that is to be shown at a place: the most telling first, the others as they came.
func (d *device) inOrder(place int) int {
	switch {
	case place == 0:
		return d.lead
	case place <= d.lead:
		return place - 1
	default:
		return place
	}
}

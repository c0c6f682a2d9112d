package bridge

import (
	"cmp"
	"strings"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// replayChunk is how many events of the past are decoded before what has just been committed may go first.
const replayChunk = 64

// Decode understands events that were read from the log again, for views and rooms. It may be called from any goroutine.
// However many call it, what is new waits for one of them at most, and for few events.
func (b *Bridge) Decode(events []event.Event) []event.Decoded {
	b.replaying.Lock()
	defer b.replaying.Unlock()
	return b.decode(events, replayChunk)
}

// decode understands events, chunk at a time under the lock.
func (b *Bridge) decode(events []event.Event, chunk int) []event.Decoded {
	out := make([]event.Decoded, len(events))
	// All metrics of a batch share one array. It may move while it grows, so the pieces are cut at the end.
	metrics := make([]event.Metric, 0, 4*len(events))
	ends := make([]int, len(events))
	for from := 0; from < len(events); from += chunk {
		b.decoding.Lock()
		for i := from; i < min(from+chunk, len(events)); i++ {
			d := &out[i]
			d.Event = events[i]
			if d.Kind.IsMessage() && !strings.HasPrefix(d.Topic, event.Dead) {
				metrics = b.understand(d, metrics)
			}
			ends[i] = len(metrics)
		}
		b.decoding.Unlock()
	}
	start := 0
	for i, end := range ends {
		out[i].Metrics = metrics[start:end:end]
		start = end
	}
	return out
}

// understand decodes one message and appends its readings to metrics.
func (b *Bridge) understand(d *event.Decoded, metrics []event.Metric) []event.Metric {
	r := &b.result
	b.cfg.Decoder.Decode(decode.Input{Topic: d.Topic, Ref: d.Ref, Client: d.Client, Payload: d.Payload, Retain: d.Retain, Time: d.Time}, r)
	d.Device, d.DeviceKind, d.DeviceName = r.Device, r.Kind, r.Name
	d.Format, d.Problem, d.JSON, d.Command = r.Format, r.Problem, r.JSON, r.Command
	d.Registry, d.Below = r.Registry, r.Below
	d.DeviceTime, d.Status = r.DeviceTime, r.Status
	if r.Request != nil {
		b.ask(r.Request, d.Time)
	}
	if len(r.Texts) > 0 {
		d.Texts = append([]event.Text(nil), r.Texts...)
	}
	if len(r.Readings) == 0 && len(r.Earlier) == 0 {
		return metrics
	}
	known := b.series.of(d.Topic, d.Ref)
	for i, reading := range r.Readings {
		s := b.series.intern(known, i, d.Device, named(reading.Name), reading.Unit, d.Time)
		if s == nil {
			b.metrics.seriesRefused.Inc()
			continue
		}
		metrics = append(metrics, event.Metric{Series: s, Value: reading.Value, Time: reading.Time})
	}
	for _, reading := range r.Earlier {
		if s := b.series.intern(known, 0, cmp.Or(reading.Device, d.Device), named(reading.Name), reading.Unit, d.Time); s != nil {
			d.Earlier = append(d.Earlier, event.Sample{Metric: event.Metric{Series: s, Value: reading.Value}, Time: reading.Time})
		} else {
			b.metrics.seriesRefused.Inc()
		}
	}
	return metrics
}

// named is what a reading is called whose whole name is its device's.
func named(reading string) string { return cmp.Or(reading, "value") }

// Intern returns the series of these names, numbering it if it is new, or nil if there are as many as there may be. A
// unit from a message, however old, counts for more than the one given here.
func (b *Bridge) Intern(device, name, unit, topic string) *event.Series {
	b.decoding.Lock()
	defer b.decoding.Unlock()
	return b.series.intern(b.series.of(topic, nil), 0, device, name, unit, 0)
}

package event

import "time"

// Status is what a message says of its device, in so many words (an "online" topic, a will), not what is concluded from
// silence.
type Status uint8

// The statuses. StatusUnknown is said by most messages: nothing.
const (
	StatusUnknown Status = iota
	StatusOnline
	StatusOffline
)

// A Series is one numeric quantity of one device as it comes on one topic. Equal series are the same pointer within one
// node's life, and so are their numbers.
type Series struct {
	// ID is the series' number on this node, from 1.
	ID uint32
	// Device is the device id.
	Device string
	// Name is the path of the value inside the payload ("BME280.Temperature"), or the topic's last level where the
	// payload is a bare value.
	Name string
	// Unit as a person reads it ("°C"); empty when the device does not say.
	Unit string
	// Topic is the topic that the series arrives on.
	Topic string
}

// A Metric is one reading: a series and its value. Value is finite.
type Metric struct {
	Series *Series
	Value  float64
	// Time is when it was taken, by the device's clock, where that is not the event's DeviceTime, in nanoseconds since the
	// Unix epoch; else 0.
	Time int64
}

// A Sample is a reading that was taken at another time than its message's others.
type Sample struct {
	Metric

	// Time is when it was taken, by the device's clock, in nanoseconds since the Unix epoch.
	Time int64
}

// A Text is one textual state: an enumeration, a version, an address.
type Text struct {
	Name, Value string
}

// A Decoded event is an Event with what was understood of it. Batches of them are shared by all rooms and views: nobody
// writes to one.
type Decoded struct {
	Event

	// Device is the id of the device that the event belongs to; empty where neither topic, payload nor client names one.
	Device string
	// DeviceKind is the kind of device where the message tells ("thermostat"); mostly empty.
	DeviceKind string
	// DeviceName is what the device calls itself, for people, where the message tells; mostly empty.
	DeviceName string
	// Format names the decoder that understood the payload ("json", "number", "boolean", "text"); empty if none did.
	Format string
	// Problem says why the payload could not be decoded; empty if it could.
	Problem string
	// Metrics are the readings, in the payload's order.
	Metrics []Metric
	// Earlier are readings that the message has besides the newest of their series; mostly none.
	Earlier []Sample
	Texts   []Text
	// DeviceTime is the device's own time stamp in nanoseconds since the Unix epoch, 0 where there is none worth
	// trusting.
	DeviceTime int64
	Status     Status
	// Command reports that the message is addressed to the device, not said by it: it is no sign of life.
	Command bool
	// Below reports that Status is also that of the devices whose ids begin with Device and a slash.
	Below bool
	// Registry reports that the message tells what the device is and may be said by somebody else: it is no sign of life.
	Registry bool
	// JSON reports whether Payload is valid JSON in valid UTF-8, so that it can stand in a frame as it is.
	JSON bool
}

// maxAhead is how far ahead of the arrival a device's clock is believed, in nanoseconds: what it says of a later time would
// stand alone at the end of every chart.
const maxAhead = int64(10 * time.Minute)

// Taken is when the readings were taken: by the device's clock where it is to be trusted, else when the event arrived, in
// nanoseconds since the Unix epoch. Live values and the history count by it, so that they are one line.
func (d *Decoded) Taken() int64 {
	if d.DeviceTime == 0 || d.DeviceTime > d.Time+maxAhead {
		return d.Time
	}
	return d.DeviceTime
}

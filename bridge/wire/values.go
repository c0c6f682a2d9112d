package wire

import "pulso/bridge/event"

// An Aggregate is what one number on the wire stands for.
type Aggregate struct {
	// Time of the last value, in nanoseconds since the Unix epoch.
	Time           int64
	Last, Min, Max float64
	Count          uint32
}

// Add takes one more value in. One that is older than the newest, by its device's clock, changes only what is between.
func (a *Aggregate) Add(time int64, v float64) {
	if a.Count == 0 {
		a.Min, a.Max = v, v
	}
	if time >= a.Time || a.Count == 0 {
		a.Time, a.Last = time, v
	}
	a.Min, a.Max = min(a.Min, v), max(a.Max, v)
	a.Count++
}

// A Value is a number of a series on the wire.
type Value struct {
	Aggregate

	Series *event.Series
}

// Millis turns nanoseconds into the wire's milliseconds.
func Millis(ns int64) int64 { return ns / 1e6 }

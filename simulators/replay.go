package simulators

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"pulso/simulators/recording"
)

// ReplayConfig describes the replay of a recording.
type ReplayConfig struct {
	Broker Broker
	// Path of the CSV file; its first row is the header.
	Path string
	// Recording says what the columns mean; the zero value finds out.
	Recording recording.Options
	// Speed is how many seconds of the recording pass in one second; 0 means as fast as the broker acknowledges.
	Speed float64
	// MaxGap is the longest pause of the recording that is kept, in the recording's time; longer ones are shortened to
	// it. 0 means that all are kept. It has no effect at Speed 0.
	MaxGap time.Duration
	// Interval is the time between rows instead of the recording's own, before Speed; 0 means the recording's own.
	Interval time.Duration
	// Loop begins again at the end, until the context ends.
	Loop bool
	// Stamp adds the row's time to each payload: "ts", milliseconds since 1970.
	Stamp bool
	// QoS is 0 or 1. At QoS 1 every row arrives, in order: exactly once, unless a connection is lost on the way.
	QoS byte
	// Prefix is the topic above the devices; empty means "devices".
	Prefix string
	// Topic is where a row goes, "{device}" standing for the device; empty means Prefix/{device}/telemetry.
	Topic string
	// Quiet leaves out the retained status and info messages, and the will.
	Quiet bool
	// Units announces units: metric to unit.
	Units map[string]string
	// Window is how many messages of a device may be unacknowledged; 0 means 64.
	Window int
}

func (c ReplayConfig) withDefaults() ReplayConfig {
	c.Prefix = cmp.Or(c.Prefix, "devices")
	c.Topic = cmp.Or(c.Topic, c.Prefix+"/"+devicePlace+"/telemetry")
	c.Window = cmp.Or(c.Window, 64)

	return c
}

// devicePlace stands for the device's id in a topic.
const devicePlace = "{device}"

// maxReplayDevices bounds the devices of one recording, each of which is a connection.
const maxReplayDevices = 10_000

func (c ReplayConfig) check() error {
	switch {
	case !(c.Speed >= 0):
		return fmt.Errorf("speed: want 0 or more, have %g", c.Speed)
	case c.MaxGap < 0 || c.Interval < 0:
		return errors.New("max gap and interval: want 0 or more")
	case c.QoS > 1:
		return fmt.Errorf("qos: want 0 or 1, have %d", c.QoS)
	case c.Window < 1 || c.Window > maxWindow:
		return fmt.Errorf("window: want 1 to %d, have %d", maxWindow, c.Window)
	case strings.ContainsAny(c.Topic, "+#\x00"):
		return fmt.Errorf("topic %q: want no wildcards", c.Topic)
	}

	return checkPrefix(c.Prefix)
}

// A Replay plays a recording, each of its devices on a connection of its own.
type Replay struct {
	config  ReplayConfig
	group   group
	file    *recording.Recording
	names   []string // devices in the order of group.links
	links   map[string]*link
	rows    int64
	played  atomic.Int64
	metrics []recording.Message
}

// NewReplay opens the recording and reads it once from end to end, so that a broken row is an error here, before
// anything is sent. The replay must be Run, or closed.
func NewReplay(config ReplayConfig) (*Replay, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}

	end, err := newEndpoint(config.Broker)
	if err != nil {
		return nil, err
	}

	file, err := recording.Open(config.Path, config.Recording)
	if err != nil {
		return nil, err
	}

	r := &Replay{
		config: config, file: file, group: group{counters: &counters{}},
		links: make(map[string]*link), metrics: file.Devices(),
	}

	if err := r.survey(); err != nil {
		return nil, errors.Join(err, file.Close())
	}

	if err := r.connectAll(end); err != nil {
		return nil, errors.Join(err, file.Close())
	}

	return r, nil
}

// survey reads all rows, counts them and learns the devices.
func (r *Replay) survey() error {
	timed := len(r.file.TimeColumns()) > 0
	if !timed && (r.config.Stamp || r.config.Speed > 0 && r.config.Interval == 0) {
		return fmt.Errorf("%s has no time column that is known: name it, or give an interval", r.config.Path)
	}

	seen := make(map[string]bool)

	for {
		row, err := r.file.Next()
		if errors.Is(err, io.EOF) {
			break
		}

		if err != nil {
			return err
		}

		r.rows++

		for _, m := range row.Messages {
			if !seen[m.Device] {
				seen[m.Device] = true
				r.names = append(r.names, m.Device)
			}
		}

		if len(r.names) > maxReplayDevices {
			return fmt.Errorf("%s, line %d: more than %d devices", r.config.Path, row.Line, maxReplayDevices)
		}
	}

	if len(r.names) > 1 && !strings.Contains(r.config.Topic, devicePlace) {
		return fmt.Errorf("topic %q: want %s in it, for the recording has %d devices", r.config.Topic, devicePlace, len(r.names))
	}

	return errors.Join(checkDescriptors(len(r.names)), r.file.Rewind())
}

// connectAll makes a link for each device.
func (r *Replay) connectAll(end *endpoint) error {
	pace := newPacer(500)

	for i, name := range r.names {
		config := linkConfig{
			endpoint: end, counters: r.group.counters, pacer: pace, index: i, id: name,
			window: r.config.Window, queue: true,
		}

		if !r.config.Quiet {
			info, err := r.info(name)
			if err != nil {
				return err
			}

			config.will = new(r.status(name, "offline"))
			config.announce = []message{info, r.status(name, "online")}
		}

		l := newLink(config)
		r.links[name] = l
		r.group.links = append(r.group.links, l)
	}

	return nil
}

func (r *Replay) info(name string) (message, error) {
	payload, err := json.Marshal(struct {
		Kind   string            `json:"kind"`
		Name   string            `json:"name"`
		Source string            `json:"source"`
		Units  map[string]string `json:"units,omitempty"`
	}{"recording", name, filepath.Base(r.config.Path), r.config.Units})
	if err != nil {
		return message{}, fmt.Errorf("info of %s: %w", name, err)
	}

	return message{
		topic: r.config.Prefix + "/" + name + "/info", payload: payload, qos: 1, retain: true, announcement: true,
	}, nil
}

func (r *Replay) status(name, text string) message {
	return message{
		topic: r.config.Prefix + "/" + name + "/status", payload: []byte(text), qos: 1, retain: true, announcement: true,
	}
}

// Close closes the file of a replay that is not run.
func (r *Replay) Close() error { return r.file.Close() }

// Stats returns what the replay has done so far.
func (r *Replay) Stats() Stats { return r.group.counters.snapshot() }

// Rows returns how many rows have been handed to the connections, and how many the file has.
func (r *Replay) Rows() (int64, int64) { return r.played.Load(), r.rows }

// Devices returns the devices.
func (r *Replay) Devices() []string { return slices.Clone(r.names) }

// LeftOut returns the columns that are not sent.
func (r *Replay) LeftOut() []string { return r.file.LeftOut() }

// Run plays the recording and returns when every message has been acknowledged, or when ctx ends. It may be called
// once, and closes the file.
func (r *Replay) Run(ctx context.Context) error {
	farewell := func(i int) message { return r.status(r.names[i], "offline") }
	if r.config.Quiet {
		farewell = nil
	}

	err := r.group.run(ctx, farewell, r.play)

	return errors.Join(err, r.file.Close())
}

// play sends all rows and waits for the last acknowledgement.
func (r *Replay) play(ctx context.Context) error {
	rhythm := rhythm{speed: r.config.Speed, maxGap: r.config.MaxGap, interval: r.config.Interval}

	for {
		row, err := r.file.Next()
		if errors.Is(err, io.EOF) && r.config.Loop && ctx.Err() == nil {
			if err := r.file.Rewind(); err != nil {
				return err
			}

			continue
		}

		if errors.Is(err, io.EOF) {
			r.drain(ctx)

			return nil
		}

		if err != nil {
			return err
		}

		rhythm.wait(ctx, row.Time)

		if !r.send(ctx, row) {
			return nil
		}

		r.played.Add(1)
	}
}

// send publishes a row's messages and reports whether it could before ctx ended.
func (r *Replay) send(ctx context.Context, row *recording.Row) bool {
	if ctx.Err() != nil {
		return false
	}

	for _, m := range row.Messages {
		l := r.links[m.Device]
		out := message{
			topic:   strings.ReplaceAll(r.config.Topic, devicePlace, m.Device),
			payload: r.payload(row.Time, m.Readings),
			qos:     r.config.QoS,
		}

		for err := l.publish(out); err != nil; err = l.publish(out) {
			if l.wait(ctx) != nil {
				return false
			}
		}
	}

	return true
}

// payload returns the readings as a JSON object, numbers in the digits of the file.
func (r *Replay) payload(at time.Time, readings []recording.Reading) []byte {
	payload := []byte{'{'}
	if r.config.Stamp {
		payload = strconv.AppendInt(append(payload, `"ts":`...), at.UnixMilli(), 10)
	}

	for _, reading := range readings {
		if len(payload) > 1 {
			payload = append(payload, ',')
		}

		payload = append(appendString(payload, reading.Metric), ':')
		payload = append(payload, reading.JSON...)
	}

	return append(payload, '}')
}

// appendString appends text as a JSON string. Encoding a string cannot fail.
func appendString(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(b, `""`...)
	}

	return append(b, quoted...)
}

// drain waits until everything is acknowledged or ctx ends.
func (r *Replay) drain(ctx context.Context) {
	for _, l := range r.group.links {
		for l.unacknowledged() > 0 {
			if l.wait(ctx) != nil {
				return
			}
		}
	}
}

// rhythm says when the next row is due.
type rhythm struct {
	speed            float64
	maxGap, interval time.Duration
	due              time.Time // when the last row was due; zero before the first
	last             time.Time // its time in the recording
}

// wait returns when the row with the time at is due, or when ctx ends. Where the recording's time goes backwards, as it does when a file
// holds one recording after another, it waits for nothing.
func (r *rhythm) wait(ctx context.Context, at time.Time) {
	if r.speed == 0 {
		return
	}

	if r.due.IsZero() {
		r.due, r.last = time.Now(), at

		return
	}

	gap := at.Sub(r.last)
	if r.interval > 0 {
		gap = r.interval
	} else if r.maxGap > 0 {
		gap = min(gap, r.maxGap)
	}

	r.due, r.last = r.due.Add(time.Duration(float64(max(gap, 0))/r.speed)), at

	_ = sleep(ctx, time.Until(r.due))
}

// Broker returns the address of the broker, without a password.
func (r *Replay) Broker() string { return r.group.links[0].endpoint.url.Redacted() }

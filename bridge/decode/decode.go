// Package decode turns payloads into readings, texts, presence and time: what a device said, as far as it can be known
// without configuration.
//
// A [Decoder] tries its formats in turn; the first that understands a payload wins. A format is one file. It keeps no
// state: what devices announce of themselves (kind, name, units) is kept by the Decoder, bounded, and nothing else is.
//
// What may be charted is decided conservatively: identifiers, clocks, versions and commands become texts or nothing, and a
// unit is taken from the message, the key's name or an announcement, never guessed.
//
// A Decoder starts no goroutine. Its methods may be called from any number of goroutines; they take turns.
package decode

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
)

// Bounds of one message; what is beyond them is left out and counted.
const (
	// MaxDepth bounds nested objects and arrays; a deeper payload is not decoded at all.
	MaxDepth = 32
	// MaxReadings bounds the readings of one message.
	MaxReadings = 1000
	// MaxTexts bounds the texts of one message.
	MaxTexts = 64
	// MaxNameBytes bounds the name of a reading or text.
	MaxNameBytes = 256
	// MaxTextBytes bounds a text's value; longer ones are cut between characters.
	MaxTextBytes = 256
)

// Input is what a format may look at.
type Input struct {
	// Topic is a valid topic name, Client the MQTT client id or gateway session.
	Topic, Client string
	// Payload is never written to and never kept.
	Payload []byte
	// Retain is the publish's RETAIN flag: what is said so is meant to stay true.
	Retain bool
	// Time is the arrival in nanoseconds since the Unix epoch.
	Time int64
}

// Reading is one numeric value. Value is finite.
type Reading struct {
	// Name is what the topic says beyond the device, then the path inside the payload, joined by full stops.
	Name string
	// Unit as a person reads it; empty where nothing says it.
	Unit  string
	Value float64
}

// Result is what was understood of a message.
type Result struct {
	// Device is the id of the device that the message belongs to; empty where nothing names one, and then there are no
	// readings either.
	Device string
	// Kind and Name are what an announcement says of the device; mostly empty.
	Kind, Name string
	// Format names the format that understood the payload; empty if none did.
	Format string
	// Problem says why the payload could not be decoded, naming what and where; empty if it could.
	Problem  string
	Readings []Reading
	Texts    []event.Text
	Status   event.Status
	// DeviceTime is the device's own time stamp in nanoseconds since the Unix epoch; 0 where none is worth trusting.
	DeviceTime int64
	// JSON reports whether the payload is valid JSON (RFC 8259) in valid UTF-8, nested at most MaxDepth levels.
	JSON bool
	// Command reports that the message is addressed to the device, not said by it: it has no readings and is no sign
	// of life.
	Command bool
}

func (r *Result) reset() {
	*r = Result{Readings: r.Readings[:0], Texts: r.Texts[:0]}
}

// A Format understands one family of payloads.
type Format interface {
	// Name names the format in [Result.Format].
	Name() string
	// Decode adds what it understands to out by way of the scope. It returns false and no error for a payload that is
	// not its own, and an error for one that is by all signs but is broken; what it added then is discarded.
	Decode(s *Scope, in *Input, out *Result) (understood bool, problem error)
}

// Formats returns the formats that a Decoder uses by default, in the order in which they are tried.
func Formats() []Format {
	return []Format{Empty{}, JSON{}, Number{}, Boolean{}, Plain{}}
}

// Config configures a Decoder. The zero value is ready for use.
type Config struct {
	// Formats are tried in order; nil: [Formats].
	Formats []Format
	// MaxTopics bounds the topics whose device is remembered; 0: 100,000. Beyond it, the ones not seen for long are
	// worked out again.
	MaxTopics int
	// MaxNames bounds the names of readings and texts that are remembered; 0: 100,000.
	MaxNames int
	// MaxAnnounced bounds the devices whose announcements are remembered; 0: 100,000. At the bound, announcements of
	// further devices are not kept, and counted.
	MaxAnnounced int
	// Metrics registers the decoder's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c *Config) setDefaults() {
	if c.Formats == nil {
		c.Formats = Formats()
	}
	const many = 100_000
	if c.MaxTopics == 0 {
		c.MaxTopics = many
	}
	if c.MaxNames == 0 {
		c.MaxNames = many
	}
	if c.MaxAnnounced == 0 {
		c.MaxAnnounced = many
	}
}

// A Decoder decodes messages. See the package comment.
type Decoder struct {
	formats      []Format
	maxAnnounced int
	metrics      *metrics

	mu        sync.Mutex
	topics    cache[*topicInfo]
	names     cache[*nameInfo]
	values    cache[string]
	announced map[string]*announcement
	scope     Scope
	input     Input
	sequence  uint64
}

// New returns a Decoder. Its error says that a metric could not be registered or that a bound is negative.
func New(c Config) (*Decoder, error) {
	if c.MaxTopics < 0 || c.MaxNames < 0 || c.MaxAnnounced < 0 {
		return nil, fmt.Errorf("decoder: negative bound: MaxTopics %d, MaxNames %d, MaxAnnounced %d",
			c.MaxTopics, c.MaxNames, c.MaxAnnounced)
	}
	c.setDefaults()
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, fmt.Errorf("decoder: register metrics: %w", err)
	}
	const maxValues = 8192
	return &Decoder{
		formats:      c.Formats,
		maxAnnounced: c.MaxAnnounced,
		metrics:      m,
		topics:       newCache[*topicInfo](c.MaxTopics),
		names:        newCache[*nameInfo](c.MaxNames),
		values:       newCache[string](maxValues),
		announced:    make(map[string]*announcement),
	}, nil
}

// Decode decodes in into out, which it resets first and whose slices it uses again. The strings in out own their memory
// or share the topic's or client's; none shares the payload's.
func (d *Decoder) Decode(in Input, out *Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out.reset()
	d.sequence++
	topic := d.topic(in.Topic)
	s := &d.scope
	*s = Scope{
		decoder: d, topic: topic, subject: topic.subject, sequence: d.sequence,
		name: append(s.name[:0], topic.subject...), scratch: s.scratch[:0],
	}
	out.Device = topic.device
	if out.Device == "" && topic.byClient {
		out.Device = clientDevice(in.Client, topic.fallback)
	}
	if a := d.announced[out.Device]; a != nil {
		s.units = a.units
	}
	out.Command = topic.command
	d.input = in
	d.run(s, &d.input, out)
	d.interpret(s, &d.input, out)
	d.input = Input{}
	d.metrics.left.Add(float64(s.left))
}

// run lets the formats try.
func (d *Decoder) run(s *Scope, in *Input, out *Result) {
	for _, f := range d.formats {
		understood, err := f.Decode(s, in, out)
		if err != nil {
			out.Readings, out.Texts, out.DeviceTime = out.Readings[:0], out.Texts[:0], 0
			out.Problem = err.Error()
			d.metrics.problems.Inc()
			return
		}
		if understood {
			out.Format = f.Name()
			return
		}
	}
	out.Problem = "no format understands the payload"
	d.metrics.problems.Inc()
}

// interpret draws from the topic what the payload alone does not tell.
func (d *Decoder) interpret(s *Scope, in *Input, out *Result) {
	switch {
	case s.topic.describes:
		out.Readings, out.DeviceTime = out.Readings[:0], 0
		out.Status = statusOf(s.topic.status, in, out)
	case s.topic.command, out.Device == "":
		out.Readings, out.Texts, out.DeviceTime = out.Readings[:0], out.Texts[:0], 0
	case s.topic.status != notStatus:
		out.Status = statusOf(s.topic.status, in, out)
	case s.topic.announces && in.Retain && out.Format == jsonName:
		d.announce(out)
	}
}

// Package decode turns payloads into readings, texts, presence and time: what a device said, as far as it can be known
// without configuration, and as far as an [Override] says otherwise.
//
// A [Decoder] reads the topic first: a [Scheme] is a family of devices that its topics tell, mostly a table; where none
// fits, common rules find the device. Then the payload: the scheme's own [Func], or the [Format]s in turn, the first
// of which that understands it wins. A format or scheme is one file.
//
// They keep no state. What devices announce of themselves and of others (kinds, names, units, aliases) are facts, see
// [Facts], which the Decoder keeps, bounded, and which can be saved and restored.
//
// What may be charted is decided conservatively: identifiers, clocks, versions and commands become texts or nothing, and a
// unit is taken from the message, the key's name or an announcement, never guessed.
//
// A Decoder starts no goroutine. Its methods may be called from any number of goroutines; they take turns.
package decode

import (
	"errors"
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
	// Ref is the topic's place in memory; nil: it has none.
	Ref *event.Ref
	// Payload is never written to and never kept.
	Payload []byte
	// Retain is the publish's RETAIN flag: what is said so is meant to stay true.
	Retain bool
	// Time is the arrival in nanoseconds since the Unix epoch; 0: it is not known, and then any clock that is set is trusted.
	Time int64
}

// Reading is one numeric value. Value is finite.
type Reading struct {
	// Name is what the topic says beyond the device, then the path inside the payload, joined by full stops.
	Name string
	// Unit as a person reads it; empty where nothing says it.
	Unit  string
	Value float64
	// Time is when it was taken where the message says so and it is not the Result's DeviceTime, in nanoseconds since the
	// Unix epoch; else 0.
	Time int64
}

// An EarlierReading is a reading of a message that has several of the same name, of which it is not the newest, or several
// devices, of which it is not the Result's.
type EarlierReading struct {
	Reading

	// Device is whose it is; empty: the Result's.
	Device string
	// Time is when it was taken, by the device's clock, in nanoseconds since the Unix epoch. It is 0 only where Device is
	// named and the message does not say when.
	Time int64
}

// A Request is a message that should be sent to a device because what it said cannot be understood without: see
// [Result.Request].
type Request struct {
	Topic   string
	Payload []byte
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
	Problem string
	// Readings are the newest of each name. Earlier are the others, in any order.
	Readings []Reading
	Earlier  []EarlierReading
	Texts    []event.Text
	// Units are those that a message announces of readings to come, by the reading's name.
	Units  []event.Text
	Status event.Status
	// DeviceTime is the device's own time stamp in nanoseconds since the Unix epoch; 0 where none is worth trusting.
	DeviceTime int64
	// Request is what to publish so that later messages can be understood (Sparkplug's rebirth); nil: nothing. It is asked
	// for with each message that needs it: who publishes it sees to it that it is not sent too often, and only for what
	// has just arrived.
	Request *Request
	// JSON reports whether the payload is valid JSON (RFC 8259) in valid UTF-8, nested at most MaxDepth levels.
	JSON bool
	// Command reports that the message is addressed to the device, not said by it: it has no readings and is no sign
	// of life.
	Command bool
	// Below reports that Status is also that of the devices whose ids begin with Device and a slash.
	Below bool
	// Registry reports that the message tells what the device is and may be said by somebody else: it is no sign of life.
	Registry bool
}

func (r *Result) reset() {
	*r = Result{Readings: r.Readings[:0], Earlier: r.Earlier[:0], Texts: r.Texts[:0], Units: r.Units[:0]}
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
	return []Format{Empty{}, SenML{}, Envelope{}, JSON{}, Number{}, Boolean{}, CSV{}, Influx{}, Kura{}, CBOR{}, MessagePack{}, Plain{}}
}

// Config configures a Decoder. The zero value is ready for use.
type Config struct {
	// Formats are tried in order; nil: [Formats].
	Formats []Format
	// Schemes are asked in order; nil: [Schemes].
	Schemes []*Scheme
	// Overrides say what is known better; see [Decoder.Override].
	Overrides []Override
	// MaxTopics bounds the topics whose device is remembered; 0: 100,000. Beyond it, the ones not seen for long are
	// worked out again.
	MaxTopics int
	// MaxNames bounds the names of readings and texts that are remembered; 0: 100,000.
	MaxNames int
	// MaxFacts bounds the facts that are remembered, and MaxFactBytes their bytes; 0: 100,000 and 64 MiB. At the bound,
	// further ones are not kept, and counted.
	MaxFacts, MaxFactBytes int
	// Metrics registers the decoder's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c *Config) setDefaults() {
	if c.Formats == nil {
		c.Formats = Formats()
	}
	if c.Schemes == nil {
		c.Schemes = Schemes()
	}
	const many = 100_000
	if c.MaxTopics == 0 {
		c.MaxTopics = many
	}
	if c.MaxNames == 0 {
		c.MaxNames = many
	}
	if c.MaxFacts == 0 {
		c.MaxFacts = many
	}
	if c.MaxFactBytes == 0 {
		c.MaxFactBytes = 64 << 20
	}
}

// A Decoder decodes messages. See the package comment.
type Decoder struct {
	formats []Format
	schemes []*scheme
	metrics *metrics

	mu        sync.Mutex
	overrides []Override
	// namespaces are first levels of topics whose devices have them in their ids.
	namespaces map[string]bool
	topics     cache[*topicInfo]
	names      cache[*nameInfo]
	values     cache[string]
	spaces     map[spaceKey]*space
	numbered   uint32 // spaces that were numbered, ever
	epoch      uint64 // grows when what is known of topics is forgotten
	facts      facts
	trying     bool // nothing is learned
	scope      Scope
	input      Input
	sequence   uint64
}

// New returns a Decoder. Its error says that a metric could not be registered, that a bound is negative, or what is wrong
// with a scheme or an override.
func New(c Config) (*Decoder, error) {
	if c.MaxTopics < 0 || c.MaxNames < 0 || c.MaxFacts < 0 || c.MaxFactBytes < 0 {
		return nil, fmt.Errorf("decoder: negative bound: MaxTopics %d, MaxNames %d, MaxFacts %d, MaxFactBytes %d",
			c.MaxTopics, c.MaxNames, c.MaxFacts, c.MaxFactBytes)
	}
	c.setDefaults()
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, fmt.Errorf("decoder: register metrics: %w", err)
	}
	const maxValues = 8192
	d := &Decoder{
		formats: c.Formats, metrics: m,
		topics: newCache[*topicInfo](c.MaxTopics), names: newCache[*nameInfo](c.MaxNames), values: newCache[string](maxValues),
		spaces: make(map[spaceKey]*space), facts: newFacts(c.MaxFacts, c.MaxFactBytes),
	}
	for _, s := range c.Schemes {
		made, err := newScheme(s)
		if err != nil {
			return nil, fmt.Errorf("decoder: %w", err)
		}
		d.schemes = append(d.schemes, made)
	}
	if err := d.Override(c.Overrides); err != nil {
		return nil, err
	}
	return d, nil
}

// Decode decodes in into out, which it resets first and whose slices it uses again. The strings in out own their memory
// or share the topic's or client's; none shares the payload's.
func (d *Decoder) Decode(in Input, out *Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decode(in, out, d.topic(in.Topic, in.Ref), nil)
}

// Explain is Decode and says besides, in sentences, why the result is what it is.
func (d *Decoder) Explain(in Input, out *Result) (why []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.explain(in, out)
}

func (d *Decoder) explain(in Input, out *Result) []string {
	why := []string{}
	d.decode(in, out, d.newTopicInfo(in.Topic, &why), &why)
	return why
}

func (d *Decoder) decode(in Input, out *Result, topic *topicInfo, why *[]string) {
	out.reset()
	d.sequence++
	s := &d.scope
	*s = Scope{decoder: d, topic: topic, sequence: d.sequence, why: why, name: s.name[:0], scratch: s.scratch[:0]}
	out.Kind, out.Name = topic.kind, topic.name
	out.Device = topic.device
	if out.Device == "" && topic.byClient {
		out.Device = topic.own(clientDevice(in.Client, topic.fallback))
		s.Becausef("no level of the topic names a device: it is %q, by its client id or else its topic", out.Device)
	}
	if topic.byClient || topic.factsAt != d.facts.changed {
		topic.units, topic.about, topic.factsAt = d.unitsOf(out.Device), d.aboutOf(out.Device), d.facts.changed
	}
	s.units, s.about = topic.units, topic.about
	out.Command, out.Registry = topic.role == RoleCommand, topic.role == RoleRegistry
	d.input = in
	d.run(s, &d.input, out)
	if topic.fallback != "" {
		s.nameByPayload(out)
	}
	d.interpret(s, &d.input, out)
	out.Kind, out.Name = cutName(out.Kind), cutName(out.Name)
	d.name(s, out)
	if topic.namespace != "" {
		for i := range out.Earlier {
			out.Earlier[i].Device = topic.own(out.Earlier[i].Device)
		}
	}
	d.input = Input{}
	d.metrics.left.Add(float64(s.left))
}

// run lets the topic's own way of decoding, then the formats try.
func (d *Decoder) run(s *Scope, in *Input, out *Result) {
	if own := s.topic.decode; own != nil {
		understood, err := own(s, in, out)
		if err != nil || understood {
			d.end(s, out, s.topic.space.formatName(), err)
			return
		}
	}
	s.Generic(in, out)
}

// Generic lets the formats try the payload of in, and fills in what becomes of it. It serves schemes that take a payload
// out of another.
func (s *Scope) Generic(in *Input, out *Result) {
	plain, how, err := unwrap(in.Payload)
	if how == "" {
		s.formats(in, out)
		return
	}
	if err != nil {
		s.decoder.end(s, out, "", err)
		return
	}
	s.Becausef("the payload is wrapped in %s", how)
	inside := *in
	inside.Payload = plain
	s.formats(&inside, out)
	out.JSON = false
}

// formats lets the formats try a payload that is not wrapped.
func (s *Scope) formats(in *Input, out *Result) {
	d := s.decoder
	if only := s.topic.space.override.format; only != nil {
		understood, err := only.Decode(s, in, out)
		if err == nil && !understood {
			err = fmt.Errorf("it is not %s, as an override says", only.Name())
		}
		d.end(s, out, only.Name(), err)
		return
	}
	for _, f := range d.formats {
		if understood, err := f.Decode(s, in, out); err != nil || understood {
			d.end(s, out, f.Name(), err)
			return
		}
	}
	d.end(s, out, "", errNoFormat)
}

var errNoFormat = errors.New("no format understands the payload")

// end notes which format understood the payload, or why none did.
func (d *Decoder) end(s *Scope, out *Result, format string, problem error) {
	if problem == nil {
		out.Format = format
		if s.why != nil { // the hot path allocates nothing
			s.Becausef("the payload is %s", format)
		}
		return
	}
	out.nothing()
	out.Problem = problem.Error()
	d.metrics.problems.Inc()
	s.Becausef("the payload cannot be decoded: %s", out.Problem)
}

// nothing takes back what was read.
func (r *Result) nothing() {
	r.unread()
	r.Texts, r.Units = r.Texts[:0], r.Units[:0]
}

// unread takes back the readings and their time.
func (r *Result) unread() { r.Readings, r.Earlier, r.DeviceTime = r.Readings[:0], r.Earlier[:0], 0 }

// interpret draws from the topic what the payload alone does not tell.
func (d *Decoder) interpret(s *Scope, in *Input, out *Result) {
	role := s.topic.role
	switch {
	case role == RoleCommand:
		out.nothing()
		s.Becausef("it is addressed to the device, or repeats what was asked of it: no reading")
	case out.Device == "":
		out.nothing()
		s.Becausef("nothing names a device")
	case role == RoleRegistry:
		out.unread()
		s.statusFrom(in, out)
		s.Becausef("it tells what the device is, not what it measures: no reading")
	case role == RoleQuiet:
		out.unread()
		s.Becausef("topics of this kind have no readings")
	case s.topic.status != notStatus:
		s.statusFrom(in, out)
	case s.topic.announces && in.Retain && out.Format == jsonName:
		d.announce(out)
		s.Becausef("it is what the device tells of itself: its kind, name and units")
	}
}

// statusFrom reads presence from a message on a topic about it, if the format has not yet.
func (s *Scope) statusFrom(in *Input, out *Result) {
	if out.Status == event.StatusUnknown {
		out.Status = statusOf(s.topic, in, out)
	}
}

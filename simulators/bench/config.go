package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrConfig is wrapped by the errors of [New] about its configuration; they name the flag.
var ErrConfig = errors.New("bench")

// Config is what to measure, and how.
type Config struct {
	Target   Target
	Workload Workload

	// Progress is called every Interval while the workload runs, from one goroutine; nil: nobody is told.
	Progress func(Progress)
	// Interval is how often; 0 is a second.
	Interval time.Duration
	// Log hears of connections that break; nil: nobody does.
	Log *slog.Logger
}

// Target says where the server is and how it is spoken to. Its tags are flags of the command line.
type Target struct {
	// MQTT is where the publishers connect, and subscribers over MQTT unless URL says otherwise: tcp://, ssl://, ws:// or wss://.
	MQTT string `name:"mqtt" env:"PULSO_BENCH_MQTT" placeholder:"URL" help:"Where messages are published: tcp://HOST:PORT, ssl://, ws:// or wss://." json:"mqtt,omitempty"`
	// HTTP is a Pulso hub's HTTP address: its stream, /ws, and its figures, /metrics, are below it.
	HTTP string `name:"http" env:"PULSO_BENCH_HTTP" placeholder:"URL" help:"A hub's HTTP address (http://HOST:PORT), for its stream and its metrics." json:"http,omitempty"`

	// Via is what subscribers speak: stream, mqtt or raw; auto is stream where there is an HTTP address, else mqtt.
	Via string `name:"via" default:"auto" enum:"auto,stream,mqtt,raw" help:"What subscribers speak: stream (a hub's own), mqtt, raw (any WebSocket that passes payloads on as they are), or auto: stream if --http is given, else mqtt." json:"via"`
	// URL is where they connect; empty is what follows from HTTP or MQTT.
	URL string `name:"url" placeholder:"URL" help:"Where subscribers connect, if it does not follow from --http or --mqtt." json:"url,omitempty"`

	Wire        string   `name:"wire" default:"json" enum:"json,proto" help:"Subprotocol of the stream: json or proto." json:"wire,omitempty"`
	Form        string   `name:"form" default:"events" enum:"events,values" help:"What the stream carries: events or values. Of values there is no latency." json:"form,omitempty"`
	Delivery    string   `name:"delivery" default:"every" enum:"every,latest" help:"Delivery of the stream: every or latest. What latest merges is not counted as lost." json:"delivery,omitempty"`
	FrameRate   float64  `name:"frame-rate" placeholder:"N" help:"Frames a second that the stream sends at most; 0: the hub chooses." json:"frame_rate,omitempty"`
	Subprotocol string   `name:"subprotocol" placeholder:"NAME" help:"Sec-WebSocket-Protocol of raw subscribers." json:"subprotocol,omitempty"`
	Hello       []string `name:"hello" sep:"none" placeholder:"TEXT" help:"Text frame that raw subscribers send first; may be repeated." json:"hello,omitempty"`
	Compress    bool     `name:"compress" help:"Offer permessage-deflate on WebSockets that are not MQTT." json:"compress,omitempty"`

	// Prefix is the topic above the devices: PREFIX/d7/telemetry.
	Prefix string `name:"prefix" default:"bench" help:"Topic above the devices." json:"prefix"`

	Username string `name:"username" env:"PULSO_BENCH_USERNAME" help:"User name over MQTT." json:"-"`
	Password string `name:"password" env:"PULSO_BENCH_PASSWORD" help:"Password over MQTT." json:"-"`
	CA       string `name:"ca" placeholder:"FILE" help:"Certificates to trust (PEM) instead of the system's." json:"-"`

	// PID and Metrics are where the server's processor time and memory come from.
	PID     int    `name:"pid" placeholder:"N" help:"The server's process on this machine: its processor time and memory are read from /proc." json:"pid,omitempty"`
	Metrics string `name:"metrics" placeholder:"URL" help:"Its Prometheus metrics, for the same where there is no --pid; --http has them at /metrics." json:"metrics,omitempty"`
}

// What subscribers speak.
const (
	viaAuto   = "auto"
	viaStream = "stream"
	viaMQTT   = "mqtt"
	viaRaw    = "raw"

	wireProto   = "proto"
	formValues  = "values"
	delivEvery  = "every"
	delivLatest = "latest"
)

// Bounds of a load.
const (
	maxConnections = 60_000
	maxDevices     = 10_000_000
	maxSize        = 1 << 20
	maxWindow      = 65_535
	maxTime        = 24 * time.Hour
	maxDrain       = time.Minute // publishers say nothing meanwhile
	// maxTracked is how many sequence numbers receivers hold in all, 4 bytes each: devices times subscribers.
	maxTracked = 128 << 20
)

// check returns what is wrong with the configuration, and fills in what follows from the rest.
func (c *Config) check() error {
	if c.Interval <= 0 {
		c.Interval = time.Second
	}

	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}

	if err := errors.Join(c.Target.resolve(c.Workload.kind), c.Workload.Load.check(c.Workload.kind)); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}

	return nil
}

func (l *Load) check(k kind) error {
	var errs []error

	between := func(flag string, value, from, to int) {
		if value < from || value > to {
			errs = append(errs, fmt.Errorf("--%s %d is not between %d and %d", flag, value, from, to))
		}
	}

	between("subscribers", l.Subscribers, 0, maxConnections)
	between("devices", l.Devices, 1, maxDevices)

	for _, d := range []struct {
		flag              string
		value             Duration
		shortest, longest time.Duration
	}{{"seconds", l.Measure, time.Second, maxTime}, {"warmup", l.Warmup, 0, maxTime}, {"bunch", l.Bunch, 0, time.Second}, {"drain", l.Drain, 0, maxDrain}} {
		if time.Duration(d.value) < d.shortest || time.Duration(d.value) > d.longest {
			errs = append(errs, fmt.Errorf("--%s %v is not between %v and %v", d.flag, time.Duration(d.value), d.shortest, d.longest))
		}
	}

	if k == idle {
		between("subscribers", l.Subscribers, 1, maxConnections)

		return errors.Join(errs...)
	}

	between("rate", l.Rate, 0, 100_000_000)
	between("publishers", l.Publishers, 1, maxConnections)
	between("size", l.Size, smallestPayload, maxSize)
	between("qos", l.QoS, 0, 1)
	between("window", l.Window, 1, maxWindow)

	if l.Publishers > l.Devices {
		errs = append(errs, fmt.Errorf("--publishers %d is more than --devices %d: a device has one publisher", l.Publishers, l.Devices))
	}

	if l.Devices*l.Subscribers > maxTracked {
		errs = append(errs, fmt.Errorf("--devices %d times --subscribers %d is more than the %d sequence numbers that are kept",
			l.Devices, l.Subscribers, maxTracked))
	}

	if k == stalled {
		between("slow", l.Slow, 1, max(1, l.Subscribers-1))
	}

	return errors.Join(errs...)
}

// resolve checks the target and fills in what follows from the rest.
func (t *Target) resolve(k kind) error {
	t.MQTT, t.HTTP = withScheme(t.MQTT, "tcp"), withScheme(t.HTTP, "http")

	if t.MQTT == "" && (k != idle || t.HTTP == "" && t.URL == "") {
		return errNoTarget
	}

	if strings.ContainsAny(t.Prefix, "+#\x00") || t.Prefix == "" || strings.HasPrefix(t.Prefix, "$") {
		return fmt.Errorf("--prefix %q is no topic that devices may publish below", t.Prefix)
	}

	if t.Via == "" || t.Via == viaAuto {
		t.Via = viaMQTT
		if t.HTTP != "" {
			t.Via = viaStream
		}
	}

	if t.HTTP != "" {
		base, err := parseAddress("http", t.HTTP, "http", "https")
		if err != nil {
			return err
		}

		if t.URL == "" && t.Via == viaStream {
			t.URL = strings.Replace(base.JoinPath("ws").String(), "http", "ws", 1)
		}

		if t.Metrics == "" {
			t.Metrics = base.JoinPath("metrics").String()
		}
	}

	if t.URL == "" && t.Via == viaMQTT {
		t.URL = t.MQTT
	}

	return t.checkAddresses()
}

var errNoTarget = errors.New("nothing to measure: name a server with --mqtt tcp://HOST:PORT, and --http http://HOST:PORT if it is a hub; " +
	"or --self starts a hub of its own for it")

func (t *Target) checkAddresses() error {
	var errs []error

	need := func(flag, address string, schemes ...string) {
		if _, err := parseAddress(flag, address, schemes...); err != nil {
			errs = append(errs, err)
		}
	}

	if t.MQTT != "" {
		need("mqtt", t.MQTT, "tcp", "ssl", "ws", "wss")
	}

	switch t.Via {
	case viaMQTT:
		need("url", t.URL, "tcp", "ssl", "ws", "wss")
	default:
		if t.URL == "" {
			errs = append(errs, fmt.Errorf("--via %s needs --url ws://HOST:PORT/PATH, or --http", t.Via))
		} else {
			need("url", t.URL, "ws", "wss")
		}
	}

	if t.Metrics != "" {
		need("metrics", t.Metrics, "http", "https")
	}

	if t.FrameRate < 0 || t.PID < 0 {
		errs = append(errs, fmt.Errorf("--frame-rate %v, --pid %d: less than nothing", t.FrameRate, t.PID))
	}

	return errors.Join(errs...)
}

// withScheme is an address as a flag has it, with a scheme where it is but HOST:PORT.
func withScheme(address, scheme string) string {
	if address == "" || strings.Contains(address, "://") {
		return address
	}

	return scheme + "://" + address
}

// parseAddress reads an address that a flag holds.
func parseAddress(flag, text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("--%s %q is not like %s://HOST:PORT", flag, text, schemes[0])
	}

	if slices.Contains(schemes, u.Scheme) {
		return u, nil
	}

	return nil, fmt.Errorf("--%s %q: want %s://", flag, text, strings.Join(schemes, "://, "))
}

// hostPort is the address to dial, with the usual port of the scheme where none is named.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}

	port := map[string]int{"tcp": 1883, "ssl": 8883, "ws": 80, "http": 80, "wss": 443, "https": 443}[u.Scheme]

	return net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
}

// counted reports whether each event can be told apart at the subscribers.
func (t *Target) counted() bool { return t.Via != viaStream || t.Form != formValues }

// complete reports whether subscribers are to get every event.
func (t *Target) complete() bool {
	return t.counted() && (t.Via != viaStream || t.Delivery != delivLatest)
}

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// A Duration is seconds in JSON.
type Duration time.Duration

// MarshalJSON implements [json.Marshaler].
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).Seconds()) }

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Duration) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}

	*d = Duration(seconds * float64(time.Second))

	return nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]: a number of seconds, or a duration with its units.
func (d *Duration) UnmarshalText(text []byte) error {
	if seconds, err := strconv.ParseFloat(string(text), 64); err == nil && seconds >= 0 && seconds < maxTime.Seconds()*2 {
		*d = Duration(seconds * float64(time.Second))

		return nil
	}

	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is neither seconds nor a duration like 30s or 2m", text)
	}

	*d = Duration(parsed)

	return nil
}

// A Report is what a sitting has measured. Its JSON form only grows.
type Report struct {
	// Tool and Version say what has measured.
	Tool    string `json:"tool"`
	Version string `json:"version"`
	// Started is when.
	Started time.Time `json:"started"`
	Machine Machine   `json:"machine"`
	Target  Target    `json:"target"`
	// Results are the workloads', in the order in which they were run.
	Results []*Result `json:"results"`
}

// Machine is where the load came from.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"` // that the load generator may use
	Go   string `json:"go"`
}

// A Result is what one workload has measured. What is nil was not measured; NotMeasured says why.
type Result struct {
	Workload string `json:"workload"`
	Load     Load   `json:"load"`
	// Interrupted: it was ended before its time; the figures are those of the time until then.
	Interrupted bool `json:"interrupted,omitempty"`
	// Seconds is how long was measured.
	Seconds float64 `json:"seconds"`

	// Connect is how long a subscriber took to connect and subscribe, many of them at once.
	Connect *Latency `json:"connect_ms,omitempty"`

	Sent Sent `json:"sent"`
	// Received is nil where nothing was published.
	Received *Received `json:"received,omitempty"`

	// Latency counts from when a message should have been sent to when a subscriber had it; in the workload with receivers that stop
	// reading, it is the others' from then on, and Before what it was until then.
	Latency *Latency `json:"latency_ms,omitempty"`
	Before  *Latency `json:"latency_before_ms,omitempty"`
	// Acknowledgement counts from when a message should have been sent to its acknowledgement.
	Acknowledgement *Latency `json:"acknowledgement_ms,omitempty"`

	Server    *Server   `json:"server,omitempty"`
	Generator Generator `json:"generator"`

	// Samples are the course of it.
	Samples []Sample `json:"samples"`

	NotMeasured []Missing `json:"not_measured"`
	// Notes say what the reader of the figures has to know.
	Notes []string `json:"notes"`
}

// Sent is what the publishers did.
type Sent struct {
	// Messages were due and sent in the measured time, PerSecond of them a second.
	Messages  int64   `json:"messages"`
	PerSecond float64 `json:"per_second"`
	// Unsent were due in the measured time, but could not be sent in it.
	Unsent int64 `json:"unsent"`
	// AcknowledgedPerSecond is nil at QoS 0.
	AcknowledgedPerSecond *float64 `json:"acknowledged_per_second,omitempty"`
	// Unacknowledged is how many had no acknowledgement in the end.
	Unacknowledged *int64 `json:"unacknowledged,omitempty"`
	// Broken is how many publishers lost their connection.
	Broken int64 `json:"broken"`
}

// Received is what the subscribers got.
type Received struct {
	// Expected is messages times subscribers; Delivered are the different ones of them that came, until the drain's end.
	Expected  *int64   `json:"expected,omitempty"`
	Delivered *int64   `json:"delivered,omitempty"`
	Share     *float64 `json:"delivered_share,omitempty"`
	Missing   *int64   `json:"missing,omitempty"`
	// AcknowledgedLost are messages that the server had acknowledged and that a subscriber to whom all are promised never got.
	AcknowledgedLost *int64 `json:"acknowledged_lost,omitempty"`
	// Doublets came more than once, Disorder after one of the same topic that was sent later.
	Doublets *int64 `json:"doublets,omitempty"`
	Disorder *int64 `json:"out_of_order,omitempty"`
	// Gaps are how often the stream said that it left something out, GapEvents how many events that were.
	Gaps      int64 `json:"gaps"`
	GapEvents int64 `json:"gap_events"`
	// Behind is how many had not come yet when the measured time ended.
	Behind *int64 `json:"behind,omitempty"`

	// EventsPerSecond came in the measured time, BytesPerSecond on the wire, FramesPerSecond of WebSocket or MQTT packets.
	EventsPerSecond *float64 `json:"events_per_second,omitempty"`
	BytesPerSecond  float64  `json:"bytes_per_second"`
	FramesPerSecond float64  `json:"frames_per_second"`
	// ValuesPerSecond came of the values form, each of BytesPerValue on the wire; they stand for ValuesStandFor a second before merging.
	ValuesPerSecond *float64 `json:"values_per_second,omitempty"`
	ValuesStandFor  *float64 `json:"values_stand_for_per_second,omitempty"`
	BytesPerValue   *float64 `json:"bytes_per_value,omitempty"`
	// Broken is how many subscribers lost their connection.
	Broken int64 `json:"broken"`
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	Max   float64 `json:"max"`
	// Curve holds more of it: rows of quantile and milliseconds.
	Curve [][2]float64 `json:"curve,omitempty"`
}

// Server is what the server used.
type Server struct {
	// Source says where the figures come from.
	Source string `json:"source"`
	// CPUSeconds is its processor time in the measured time, Cores how many cores that kept busy.
	CPUSeconds float64 `json:"cpu_seconds"`
	Cores      float64 `json:"cores"`
	// PerMessage is microseconds of it a message sent, PerEvent one an event received, PerScreen one a message and subscriber.
	PerMessage *float64 `json:"cpu_us_per_message,omitempty"`
	PerEvent   *float64 `json:"cpu_us_per_event,omitempty"`
	PerScreen  *float64 `json:"cpu_us_per_message_and_subscriber,omitempty"`
	// RSSBase is its resident memory in bytes before anybody connected, RSS at the end of the measured time.
	RSSBase int64 `json:"rss_base_bytes"`
	RSS     int64 `json:"rss_bytes"`
	// PerConnection is KiB an idle connection.
	PerConnection *float64 `json:"kib_per_connection,omitempty"`
}

// Generator is what the load generator itself used, and whether it was the limit.
type Generator struct {
	// Cores is how many cores it kept busy in the measured time; nil where the system does not say.
	Cores *float64 `json:"cores,omitempty"`
	// Lag is how long after they were due messages went out.
	Lag *Latency `json:"lag_ms,omitempty"`
	// Limited: the figures say more about the load generator than about the server; Notes say why.
	Limited bool `json:"limited"`
}

// A Sample is an interval of the measured time.
type Sample struct {
	// Second is its end, from the beginning of the measured time.
	Second float64 `json:"s"`
	// Sent, Acknowledged and Received are a second.
	Sent         float64  `json:"sent"`
	Acknowledged float64  `json:"acknowledged,omitempty"`
	Received     float64  `json:"received"`
	P50          *float64 `json:"p50_ms,omitempty"`
	P99          *float64 `json:"p99_ms,omitempty"`
	Max          *float64 `json:"max_ms,omitempty"`
	// Cores and RSS are the server's.
	Cores *float64 `json:"server_cores,omitempty"`
	RSS   *int64   `json:"server_rss_bytes,omitempty"`
}

// Missing is a figure that was not measured.
type Missing struct {
	Figure string `json:"figure"`
	Why    string `json:"why"`
}

// Lost returns an error that wraps [ErrLost] if anything acknowledged was lost.
func (r *Result) Lost() error {
	if r.Received == nil || r.Received.AcknowledgedLost == nil || *r.Received.AcknowledgedLost <= 0 {
		return nil
	}

	return fmt.Errorf("%s: %w: %d", r.Workload, ErrLost, *r.Received.AcknowledgedLost)
}

func (r *Result) missing(figure, why string) {
	r.NotMeasured = append(r.NotMeasured, Missing{Figure: figure, Why: why})
}

func (r *Result) notef(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// WriteJSON writes the report.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")

	return e.Encode(r)
}

// ReadReport reads a report that WriteJSON has written.
func ReadReport(from io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(from).Decode(&r); err != nil {
		return nil, err
	}

	if r.Tool != tool {
		return nil, errNoReport
	}

	return &r, nil
}

// latencyOf returns a distribution, or nil if there was nothing.
func latencyOf(c *counts) *Latency {
	if c.total == 0 {
		return nil
	}

	l := &Latency{
		Count: c.total, P50: ms(c.at(.5)), P90: ms(c.at(.9)), P99: ms(c.at(.99)), P999: ms(c.at(.999)), Max: ms(c.at(1)),
	}

	// Evenly on a scale of nines, to where one in the count stands.
	const steps = 8 // a nine
	for i := 0; ; i++ {
		rest := math.Pow(10, -float64(i)/steps)
		if rest*float64(c.total) < 1 {
			break
		}

		l.Curve = append(l.Curve, [2]float64{round(1-rest, 8), ms(c.at(1 - rest))})
	}

	l.Curve = append(l.Curve, [2]float64{1, l.Max})

	return l
}

// ms is milliseconds, to a microsecond.
func ms(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 3) }

func round(f float64, decimals int) float64 {
	p := math.Pow(10, float64(decimals))

	return math.Round(f*p) / p
}

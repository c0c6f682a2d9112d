package bench

import (
	"strconv"
	"strings"
)

// charts are what a result can show.
func (r *Result) charts() []*chart {
	all := []*chart{r.throughput(), r.latencyOverTime(), r.latencyCurve(), r.processor(), r.memory()}

	var drawable []*chart

	for _, c := range all {
		if c.drawable() {
			drawable = append(drawable, c)
		}
	}

	return drawable
}

const acrossTime = "seconds"

// line takes one figure out of the samples, each of which stands for the interval before it.
func (r *Result) line(pick func(*Sample) *float64) [][2]float64 {
	var points [][2]float64

	for i := range r.Samples {
		if v := pick(&r.Samples[i]); v != nil {
			if i == 0 {
				points = append(points, [2]float64{0, *v})
			}

			points = append(points, [2]float64{r.Samples[i].Second, *v})
		}
	}

	return points
}

// marks say when the slow subscribers stop reading.
func (r *Result) marks() []mark {
	if r.Load.Slow == 0 {
		return nil
	}

	return []mark{{at: r.Load.Measure.seconds(), text: strconv.Itoa(r.Load.Slow) + " stop reading"}}
}

func (d Duration) seconds() float64 { return float64(d) / 1e9 }

func (r *Result) throughput() *chart {
	c := &chart{title: "Throughput", unit: "events a second", across: acrossTime, marks: r.marks()}
	if r.Load.Publishers == 0 {
		return c
	}

	sent := func(s *Sample) *float64 { return &s.Sent }

	if r.Received == nil || r.Received.EventsPerSecond == nil {
		c.unit = "messages a second"
		c.series = []series{{name: "sent", class: "s0", area: true, points: r.line(sent)}}

		return c
	}

	due := func(s *Sample) *float64 { return new(s.Sent * float64(r.Load.Subscribers)) }
	name := "sent"

	if r.Load.Subscribers > 1 {
		name = "sent × " + count(int64(r.Load.Subscribers)) + " subscribers"
	}

	c.series = []series{
		{name: "received", class: "s0", area: true, points: r.line(func(s *Sample) *float64 { return &s.Received })},
		{name: name, class: "quiet", dashed: true, points: r.line(due)},
	}

	return c
}

func (r *Result) latencyOverTime() *chart {
	return &chart{title: "Latency", unit: "ms, logarithmic", across: acrossTime, log: true, marks: r.marks(), series: []series{
		{name: "max", class: "quiet", points: r.line(func(s *Sample) *float64 { return s.Max })},
		{name: "p99", class: "s1", points: r.line(func(s *Sample) *float64 { return s.P99 })},
		{name: "p50", class: "s0", points: r.line(func(s *Sample) *float64 { return s.P50 })},
	}}
}

func (r *Result) latencyCurve() *chart {
	c := &chart{title: "Latency by percentile", unit: "ms, logarithmic", across: "share of the events that came sooner", log: true, nines: true}

	for _, l := range []struct {
		name, class string
		l           *Latency
		dashed      bool
	}{
		{"event at the subscriber", "s0", r.Latency, false},
		{"before any stopped reading", "s2", r.Before, false},
		{"acknowledgement", "s3", r.Acknowledgement, false},
		{"sent after due", "quiet", r.lag(), true},
	} {
		if l.l != nil {
			c.series = append(c.series, series{name: l.name, class: l.class, points: l.l.points(), dashed: l.dashed})
		}
	}

	return c
}

// lag is the load generator's own, where there is a schedule to be late for.
func (r *Result) lag() *Latency {
	if r.Load.Rate == 0 {
		return nil
	}

	return r.Generator.Lag
}

// points are the curve's. The longest, whose quantile is 1, stands where one of as many as were counted does.
func (l *Latency) points() [][2]float64 {
	points := make([][2]float64, 0, len(l.Curve))

	for _, p := range l.Curve {
		if p[0] >= 1 {
			p[0] = 1 - 1/float64(max(l.Count, 2))
		}

		points = append(points, p)
	}

	return points
}

func (r *Result) processor() *chart {
	return &chart{title: "Processor time of the server", unit: "cores", across: acrossTime, marks: r.marks(), series: []series{
		{name: "server", class: "s2", area: true, points: r.line(func(s *Sample) *float64 { return s.Cores })},
	}}
}

func (r *Result) memory() *chart {
	return &chart{title: "Memory of the server", unit: "MiB resident", across: acrossTime, marks: r.marks(), series: []series{
		{name: "server", class: "s3", area: true, points: r.line(func(s *Sample) *float64 {
			if s.RSS == nil {
				return nil
			}

			return new(float64(*s.RSS) / (1 << 20))
		})},
	}}
}

// A figure is a number that stands large.
type figure struct{ name, value, unit string }

// figures are what a result is about.
func (r *Result) figures() []figure {
	var f []figure

	add := func(name string, value *float64, unit string) {
		if value != nil {
			f = append(f, figure{name, number3(*value), unit})
		}
	}

	if l := r.Latency; l != nil {
		add("latency, median", &l.P50, "ms")
		add("latency, p99", &l.P99, "ms")
	}

	if r.Before != nil && r.Latency != nil && r.Before.P99 > 0 {
		add("p99 against before", new(r.Latency.P99/r.Before.P99), "×")
	}

	add("acknowledged", r.Sent.AcknowledgedPerSecond, "/s")

	if d := r.Received; d != nil {
		add("received", d.EventsPerSecond, "events/s")
		add("received", d.ValuesPerSecond, "values/s")
		add("on the wire, a value", d.BytesPerValue, "bytes")

		if d.Share != nil {
			f = append(f, figure{"delivered", percent(*d.Share), ""})
		}
	}

	if s := r.Server; s != nil {
		add("processor time, an event", s.PerEvent, "µs")

		if s.PerEvent == nil {
			add("processor time, a message and subscriber", s.PerScreen, "µs")
		}

		add("memory, a connection", s.PerConnection, "KiB")
	}

	return f
}

// percent writes a share so that what is missing shows.
func percent(f float64) string {
	text := strconv.FormatFloat(round(f*100, 3), 'f', -1, 64)
	if f < 1 && text == "100" {
		text = "99.999"
	}

	return text + " %"
}

// overlays are charts of several results of one workload, a line each.
func overlays(results []*Result, labels []string) []*chart {
	charts := []*chart{
		{title: "Latency by percentile", unit: "ms, logarithmic", across: "share of the events that came sooner", log: true, nines: true},
		{title: "Latency, p99", unit: "ms, logarithmic", across: acrossTime, log: true},
		{title: "Throughput", unit: "events a second", across: acrossTime},
		{title: "Processor time of the server", unit: "cores", across: acrossTime},
		{title: "Memory of the server", unit: "MiB resident", across: acrossTime},
	}

	for i, r := range results {
		if r == nil {
			continue
		}

		add := func(chart int, points [][2]float64) {
			charts[chart].series = append(charts[chart].series, series{name: labels[i], class: "s" + strconv.Itoa(i%6), points: points})
		}

		if r.Latency != nil {
			add(0, r.Latency.points())
		}

		add(1, r.line(func(s *Sample) *float64 { return s.P99 }))

		if t := r.throughput(); len(t.series) > 0 {
			add(2, t.series[0].points)
		}

		add(3, r.processor().series[0].points)
		add(4, r.memory().series[0].points)
	}

	var drawable []*chart

	for _, c := range charts {
		if c.drawable() {
			drawable = append(drawable, c)
		}
	}

	return drawable
}

// where says what was measured, from where, and when.
func (r *Report) where() string {
	return strings.Join([]string{
		r.Started.Format("2006-01-02 15:04 MST"), "pulso " + r.Version, r.Target.describe(),
		"from " + r.Machine.OS + "/" + r.Machine.Arch + " with " + strconv.Itoa(r.Machine.CPUs) + " processors",
	}, "  ·  ")
}

// describe says where and how the subscribers received.
func (t *Target) describe() string {
	switch t.Via {
	case viaStream:
		return "stream (" + t.Wire + ", " + t.Form + ", " + t.Delivery + ") at " + t.URL
	case viaMQTT:
		return "MQTT at " + t.URL
	default:
		return "WebSocket at " + t.URL
	}
}

package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// unmeasured stands in tables for what is not known.
const unmeasured = "–"

// write writes the result as a person reads it.
func (r *Result) write(out io.Writer) {
	fmt.Fprintf(out, "\n%s  (%s)\n", r.Workload, r.Load.describe())

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}

	if r.Connect != nil {
		row("subscribers", "%s connected, each in p50 %s ms, p99 %s ms", count(r.Connect.Count), number3(r.Connect.P50), number3(r.Connect.P99))
	}

	r.writeTraffic(row)

	for _, l := range []struct {
		name string
		l    *Latency
	}{
		{"latency before", r.Before}, {"latency", r.Latency}, {"acknowledged after", r.Acknowledgement}, {"sent after due", r.Generator.Lag},
	} {
		if l.l != nil {
			row(l.name, "p50 %s   p90 %s   p99 %s   p99.9 %s   max %s ms",
				number3(l.l.P50), number3(l.l.P90), number3(l.l.P99), number3(l.l.P999), number3(l.l.Max))
		}
	}

	if s := r.Server; s != nil {
		r.writeServer(row, s)
	}

	if g := r.Generator.Cores; g != nil {
		row("load generator", "%.2f cores", *g)
	}

	_ = w.Flush() // fails as out does, which has no outcome

	for _, m := range r.NotMeasured {
		fmt.Fprintf(out, "  not measured: %s: %s\n", m.Figure, m.Why)
	}

	for _, n := range r.Notes {
		fmt.Fprintf(out, "  note: %s\n", n)
	}
}

func (r *Result) writeTraffic(row func(name, format string, args ...any)) {
	if r.Load.Publishers > 0 {
		text := count(int64(r.Sent.PerSecond+.5)) + " a second"
		if a := r.Sent.AcknowledgedPerSecond; a != nil {
			text += fmt.Sprintf(", %s acknowledged", count(int64(*a+.5)))
		}

		row("in", "%s", text)
	}

	d := r.Received
	if d == nil {
		return
	}

	text := fmt.Sprintf("%.1f MB a second in %s frames", d.BytesPerSecond/1e6, count(int64(d.FramesPerSecond+.5)))
	if d.EventsPerSecond != nil {
		text = count(int64(*d.EventsPerSecond+.5)) + " events a second, " + text
	}

	if d.ValuesPerSecond != nil {
		text = count(int64(*d.ValuesPerSecond+.5)) + " values a second for " + count(int64(*d.ValuesStandFor+.5)) + ", " + text
	}

	if d.BytesPerValue != nil {
		text += fmt.Sprintf(", %.1f bytes a value", *d.BytesPerValue)
	}

	row("out", "%s", text)

	if d.Share != nil {
		row("delivered", "%s   missing %s   twice %s   out of order %s   %s",
			share(*d.Share), count(*d.Missing), count(*d.Doublets), count(*d.Disorder), d.losses())
	}
}

// losses says what came of what was acknowledged, and what the stream said it left out.
func (d *Received) losses() string {
	var parts []string
	if d.AcknowledgedLost != nil {
		parts = append(parts, "acknowledged and lost "+count(*d.AcknowledgedLost))
	}

	if d.Gaps > 0 {
		parts = append(parts, fmt.Sprintf("gaps %s (%s events)", count(d.Gaps), count(d.GapEvents)))
	}

	return strings.Join(parts, "   ")
}

func (r *Result) writeServer(row func(name, format string, args ...any), s *Server) {
	parts := []string{fmt.Sprintf("%.2f cores", s.Cores)}
	for _, f := range []struct {
		v    *float64
		what string
	}{{s.PerMessage, "µs a message"}, {s.PerEvent, "µs an event"}} {
		if f.v != nil {
			parts = append(parts, number3(*f.v)+" "+f.what)
		}
	}

	if s.PerEvent == nil && s.PerScreen != nil {
		parts = append(parts, number3(*s.PerScreen)+" µs a message and subscriber")
	}

	row("server", "%s", strings.Join(parts, "   "))
	row("its memory", "%s MiB, %s before", mib(s.RSS), mib(s.RSSBase))

	if s.PerConnection != nil {
		row("a connection", "%s KiB", number3(*s.PerConnection))
	}
}

func mib(b int64) string { return number3(float64(b) / (1 << 20)) }

// share writes a part of 1 so that what is missing shows.
func share(f float64) string {
	if f < 1 && f > .9995 {
		return fmt.Sprintf("%.6f", f)
	}

	return fmt.Sprintf("%.3f", f)
}

// describe says what a load is, in one line.
func (l *Load) describe() string {
	if l.Publishers == 0 {
		return fmt.Sprintf("%s subscribers, %v", count(int64(l.Subscribers)), time.Duration(l.Measure))
	}

	speed := "as fast as they are taken"
	if l.Rate > 0 {
		speed = count(int64(l.Rate)) + "/s"
	}

	text := fmt.Sprintf("%s, QoS %d, %d bytes, devices %s, publishers %s, subscribers %s",
		speed, l.QoS, l.Size, count(int64(l.Devices)), count(int64(l.Publishers)), count(int64(l.Subscribers)))
	if l.QoS > 0 {
		text += fmt.Sprintf(", window %d", l.Window)
	}

	if l.Slow > 0 {
		text += fmt.Sprintf(", slow %d", l.Slow)
	}

	return text + fmt.Sprintf(", %v", time.Duration(l.Measure))
}

// A column of the table of several results.
type column struct {
	head string
	cell func(*Result) *float64
}

// columns are those of the table, and what is compared.
func columns() []column {
	latency := func(pick func(*Latency) float64) func(*Result) *float64 {
		return func(r *Result) *float64 {
			if r.Latency == nil {
				return nil
			}

			return new(pick(r.Latency))
		}
	}
	received := func(pick func(*Received) *float64) func(*Result) *float64 {
		return func(r *Result) *float64 {
			if r.Received == nil {
				return nil
			}

			return pick(r.Received)
		}
	}
	server := func(pick func(*Server) *float64) func(*Result) *float64 {
		return func(r *Result) *float64 {
			if r.Server == nil {
				return nil
			}

			return pick(r.Server)
		}
	}

	return []column{
		{"in/s", func(r *Result) *float64 { return positive(r.Sent.PerSecond) }},
		{"acked/s", func(r *Result) *float64 { return r.Sent.AcknowledgedPerSecond }},
		{"out/s", received(func(d *Received) *float64 { return d.EventsPerSecond })},
		{"delivered", received(func(d *Received) *float64 { return d.Share })},
		{"p50 ms", latency(func(l *Latency) float64 { return l.P50 })},
		{"p99 ms", latency(func(l *Latency) float64 { return l.P99 })},
		{"p99.9 ms", latency(func(l *Latency) float64 { return l.P999 })},
		{"max ms", latency(func(l *Latency) float64 { return l.Max })},
		{"µs/message", server(func(s *Server) *float64 { return s.PerMessage })},
		{"µs/event", server(func(s *Server) *float64 { return s.PerEvent })},
		{"KiB/connection", server(func(s *Server) *float64 { return s.PerConnection })},
		{"MiB", server(func(s *Server) *float64 { return new(float64(s.RSS) / (1 << 20)) })},
	}
}

func positive(f float64) *float64 {
	if f <= 0 {
		return nil
	}

	return &f
}

// text is a cell's.
func (c *column) text(r *Result) string {
	v := c.cell(r)

	switch {
	case v == nil:
		return unmeasured
	case c.head == "delivered":
		return share(*v)
	default:
		return number3(*v)
	}
}

// writeTable writes all results as one table.
func (r *Report) writeTable(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	cols := columns()

	fmt.Fprint(w, "\nworkload\t")

	for _, c := range cols {
		fmt.Fprint(w, c.head, "\t")
	}

	for _, result := range r.Results {
		fmt.Fprintf(w, "\n%s\t", result.Workload)

		for _, c := range cols {
			fmt.Fprint(w, c.text(result), "\t")
		}
	}

	fmt.Fprintf(w, "\n\n")
	_ = w.Flush() // fails as out does, which has no outcome
	fmt.Fprintf(out, "%s: not measured, or not of this workload.\n", unmeasured)
}

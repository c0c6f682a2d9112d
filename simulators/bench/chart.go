package bench

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// A chart is lines over one horizontal axis. It draws as an SVG fragment whose colours are classes of the page's style.
type chart struct {
	title, unit string // of the vertical axis
	across      string // the horizontal axis in words
	log         bool   // the vertical axis is logarithmic
	nines       bool   // the horizontal axis is quantiles, as many of it to each further nine
	marks       []mark
	series      []series
}

// A series is one line. Its class is its colour: s0 to s5, or quiet.
type series struct {
	name   string
	class  string
	points [][2]float64 // x ascending
	dashed bool
	area   bool // what is below it is tinted
}

// A mark is a moment that is worth a vertical line.
type mark struct {
	at   float64
	text string
}

// Sizes of a chart in pixels, where it is drawn at its own size.
const (
	chartWidth   = 560
	chartHeight  = 250
	marginLeft   = 58
	marginRight  = 16
	marginTop    = 52
	marginBottom = 40
	plotWidth    = chartWidth - marginLeft - marginRight
	plotHeight   = chartHeight - marginTop - marginBottom
	legendStep   = 6.4 // width of a letter, about
	maxHints     = 120 // points of a line that say their value
)

// leastShown is the smallest value that a logarithmic axis shows.
const leastShown = 0.01

// scales are where the values of a chart lie.
type scales struct {
	x0, x1, y0, y1 float64
	log, nines     bool
}

func (s *scales) x(v float64) float64 {
	if s.nines {
		v = ninesOf(v)
	}

	return marginLeft + plotWidth*(v-s.x0)/(s.x1-s.x0)
}

func (s *scales) y(v float64) float64 {
	if s.log {
		v = math.Log10(max(v, leastShown))
	}

	return marginTop + plotHeight*(1-(v-s.y0)/(s.y1-s.y0))
}

// ninesOf says how many nines a quantile has: 1 for 0.9, 2 for 0.99.
func ninesOf(q float64) float64 { return -math.Log10(max(1-q, 1e-12)) }

// drawable reports whether there is a line to draw.
func (c *chart) drawable() bool {
	for _, s := range c.series {
		if len(s.points) > 1 {
			return true
		}
	}

	return false
}

// scales fits the axes to the values.
func (c *chart) scales() *scales {
	s := &scales{x0: math.Inf(1), x1: math.Inf(-1), log: c.log, nines: c.nines}
	low, high := math.Inf(1), math.Inf(-1)

	for _, line := range c.series {
		for _, p := range line.points {
			x := p[0]
			if c.nines {
				x = ninesOf(x)
			}

			s.x0, s.x1 = min(s.x0, x), max(s.x1, x)
			low, high = min(low, p[1]), max(high, p[1])
		}
	}

	if s.x1 <= s.x0 {
		s.x1 = s.x0 + 1
	}

	if !c.nines {
		s.x0 = 0
	}

	if !c.log {
		if len(c.marks) > 0 {
			high *= 1.15 // the line stays below the text
		}

		s.y1 = niceCeil(high)

		return s
	}

	// Whole halves of a decade, and not less than one decade.
	s.y0 = math.Floor(math.Log10(max(low, leastShown))*2) / 2
	s.y1 = max(math.Ceil(math.Log10(max(high, leastShown))*2+.01)/2, s.y0+1)

	return s
}

// niceCeil is a round number that is not less than v.
func niceCeil(v float64) float64 {
	if v <= 0 {
		return 1
	}

	step := niceStep(v * 1.05)

	return math.Ceil(v*1.02/step) * step
}

// niceStep divides a range into about four round steps.
func niceStep(span float64) float64 {
	raw := span / 4
	power := math.Pow(10, math.Floor(math.Log10(raw)))

	for _, m := range []float64{1, 2, 2.5, 5} {
		if raw <= m*power*1.001 {
			return m * power
		}
	}

	return 10 * power
}

// svg draws the chart as an svg element; at is what it is to have besides, its place for example.
func (c *chart) svg(at string) string {
	var b strings.Builder

	s := c.scales()
	label := html.EscapeString(c.title + ", " + c.unit + ", against " + c.across)
	fmt.Fprintf(&b, `<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s"%s>`,
		chartWidth, chartHeight, label, at)
	fmt.Fprintf(&b, `<text class="title" x="0" y="14">%s</text>`, html.EscapeString(c.title))
	fmt.Fprintf(&b, `<text class="soft" x="%d" y="14" text-anchor="end">%s</text>`, chartWidth-marginRight, html.EscapeString(c.unit))
	c.legend(&b)
	c.drawY(&b, s)
	c.drawX(&b, s)

	for _, m := range c.marks {
		x := s.x(m.at)
		fmt.Fprintf(&b, `<path class="mark" d="M%.1f %dV%d"/>`, x, marginTop, marginTop+plotHeight)
		fmt.Fprintf(&b, `<text class="soft" x="%.1f" y="%d">%s</text>`, x+5, marginTop+11, html.EscapeString(m.text))
	}

	for i := range c.series {
		c.series[i].draw(&b, s, c)
	}

	b.WriteString("</svg>\n")

	return b.String()
}

// legend names the lines.
func (c *chart) legend(b *strings.Builder) {
	x := 0.0

	for _, s := range c.series {
		if len(s.points) == 0 {
			continue
		}

		fmt.Fprintf(b, `<path class="line %s%s" d="M%.1f 30h16"/>`, s.class, dash(s.dashed), x)
		fmt.Fprintf(b, `<text class="name" x="%.1f" y="34">%s</text>`, x+22, html.EscapeString(s.name))
		x += 22 + legendStep*float64(len([]rune(s.name))) + 18
	}
}

func dash(dashed bool) string {
	if dashed {
		return " dashed"
	}

	return ""
}

func (c *chart) drawY(b *strings.Builder, s *scales) {
	for _, v := range s.ticksY() {
		y := s.y(v)
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fh%d"/>`, marginLeft, y, plotWidth)
		fmt.Fprintf(b, `<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`, marginLeft-9, y+4, tickText(v))
	}
}

func (s *scales) ticksY() []float64 {
	var ticks []float64

	if !s.log {
		step := niceStep(s.y1)
		for v := 0.0; v <= s.y1*1.001; v += step {
			ticks = append(ticks, v)
		}

		return ticks
	}

	// Between decades where there are few of them.
	within := []float64{1}
	if s.y1-s.y0 <= 2 {
		within = []float64{1, 2, 5}
	}

	for decade := math.Floor(s.y0); decade <= s.y1; decade++ {
		for _, m := range within {
			if at := decade + math.Log10(m); at >= s.y0-1e-9 && at <= s.y1+1e-9 {
				ticks = append(ticks, m*math.Pow(10, decade))
			}
		}
	}

	return ticks
}

// tickText writes a round number in few letters.
func tickText(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(round(v/1e6, 2), 'f', -1, 64) + " M"
	case v >= 10_000:
		return strconv.FormatFloat(round(v/1e3, 1), 'f', -1, 64) + " k"
	case v >= 1000:
		return count(int64(v + .5))
	default:
		return strconv.FormatFloat(round(v, 3), 'f', -1, 64)
	}
}

func (c *chart) drawX(b *strings.Builder, s *scales) {
	bottom := marginTop + plotHeight
	fmt.Fprintf(b, `<path class="axis" d="M%d %dh%d"/>`, marginLeft, bottom, plotWidth)

	tick := func(x float64, text string) {
		anchor := "middle"
		if x+legendStep/2*float64(len(text)) > chartWidth {
			anchor = "end"
		}

		fmt.Fprintf(b, `<path class="axis" d="M%.1f %dv4"/>`, x, bottom)
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%d" text-anchor="%s">%s</text>`, x, bottom+17, anchor, text)
	}

	if c.nines {
		for _, q := range []float64{.5, .9, .99, .999, .9999, .99999, .999999} {
			if ninesOf(q) <= s.x1 {
				tick(s.x(q), quantileText(q))
			}
		}
	} else {
		step := max(niceStep(s.x1), 1)
		for v := 0.0; v <= s.x1*1.001; v += step {
			tick(s.x(v), tickText(v))
		}
	}

	fmt.Fprintf(b, `<text class="soft" x="%d" y="%d" text-anchor="end">%s</text>`, chartWidth-marginRight, chartHeight-6, html.EscapeString(c.across))
}

func quantileText(q float64) string { return strconv.FormatFloat(round(q*100, 6), 'f', -1, 64) + "%" }

// draw draws the line, and points that say their value when they are pointed at.
func (l *series) draw(b *strings.Builder, s *scales, c *chart) {
	if len(l.points) == 0 {
		return
	}

	var path strings.Builder

	command := "M"

	for _, p := range l.points {
		fmt.Fprintf(&path, "%s%.1f %.1f", command, s.x(p[0]), s.y(p[1]))

		command = "L"
	}

	if l.area {
		first, last := l.points[0], l.points[len(l.points)-1]
		fmt.Fprintf(b, `<path class="area %s" d="%sL%.1f %dL%.1f %dZ"/>`, l.class, path.String(),
			s.x(last[0]), marginTop+plotHeight, s.x(first[0]), marginTop+plotHeight)
	}

	fmt.Fprintf(b, `<path class="line %s%s" d="%s"/>`, l.class, dash(l.dashed), path.String())

	for i := 0; i < len(l.points); i += 1 + len(l.points)/maxHints {
		p := l.points[i]

		at := strconv.FormatFloat(round(p[0], 1), 'f', -1, 64) + " s"
		if c.nines {
			at = quantileText(p[0])
		}

		fmt.Fprintf(b, `<circle class="hint %s" cx="%.1f" cy="%.1f" r="4"><title>%s: %s %s at %s</title></circle>`,
			l.class, s.x(p[0]), s.y(p[1]), html.EscapeString(l.name), number3(p[1]), html.EscapeString(c.shortUnit()), at)
	}
}

// shortUnit is the unit without what is said of the axis.
func (c *chart) shortUnit() string {
	unit, _, _ := strings.Cut(c.unit, ",")

	return unit
}

package bench

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// A page is an HTML document that needs nothing from elsewhere: no scripts, no fonts, no pictures. It is well-formed XML, too.
type page struct{ strings.Builder }

func (p *page) begin(title string) {
	fmt.Fprintf(p, `<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>%s</title><style>%s%s</style></head><body><main>
`, html.EscapeString(title), chartStyle, pageStyle)
}

func (p *page) end(w io.Writer) error {
	fmt.Fprint(p, "</main></body></html>\n")

	_, err := io.WriteString(w, p.String())

	return err
}

func (p *page) heading(title string, lines ...string) {
	fmt.Fprintf(p, "<header><h1>%s</h1>", html.EscapeString(title))

	for _, l := range lines {
		fmt.Fprintf(p, `<p class="soft">%s</p>`, html.EscapeString(l))
	}

	fmt.Fprint(p, "</header>\n")
}

func (p *page) charts(charts []*chart) {
	if len(charts) == 0 {
		return
	}

	fmt.Fprint(p, `<div class="charts">`)

	for _, c := range charts {
		fmt.Fprintf(p, "<div>%s</div>", c.svg(""))
	}

	fmt.Fprint(p, "</div>\n")
}

// HTML writes the report as a page.
func (r *Report) HTML(w io.Writer) error {
	p := &page{}
	p.begin("Pulso bench: " + strings.Join(workloadsOf([]*Report{r}), ", "))
	p.heading("Pulso bench", r.where())

	if len(r.Results) > 1 {
		p.summary(r)
	}

	for _, result := range r.Results {
		p.result(result)
	}

	return p.end(w)
}

func (p *page) result(r *Result) {
	fmt.Fprintf(p, `<section><h2>%s</h2><p class="soft">%s</p><dl class="figures">`,
		html.EscapeString(r.Workload), html.EscapeString(r.Load.describe()))

	for _, f := range r.figures() {
		fmt.Fprintf(p, "<div><dt>%s</dt><dd>%s", html.EscapeString(f.name), html.EscapeString(f.value))

		if f.unit != "" {
			fmt.Fprintf(p, "<small>%s</small>", html.EscapeString(f.unit))
		}

		fmt.Fprint(p, "</dd></div>")
	}

	fmt.Fprint(p, "</dl>\n")
	p.charts(r.charts())
	p.remarks(r)
	fmt.Fprint(p, "</section>\n")
}

// remarks are what has to be known of the figures.
func (p *page) remarks(r *Result) {
	items := [][2]string{}

	if err := r.Lost(); err != nil {
		items = append(items, [2]string{"bad", "Acknowledged and lost: " + count(*r.Received.AcknowledgedLost) + " messages."})
	}

	for _, n := range r.Notes {
		items = append(items, [2]string{"", n})
	}

	for _, m := range r.NotMeasured {
		items = append(items, [2]string{"", "Not measured: " + m.Figure + ": " + m.Why + "."})
	}

	if len(items) == 0 {
		return
	}

	fmt.Fprint(p, "<ul>")

	for _, i := range items {
		class := ""
		if i[0] != "" {
			class = ` class="` + i[0] + `"`
		}

		fmt.Fprintf(p, "<li%s>%s</li>", class, html.EscapeString(i[1]))
	}

	fmt.Fprint(p, "</ul>\n")
}

// summary is the table of all results, without the columns that none of them has.
func (p *page) summary(r *Report) {
	cols := knownColumns(r.Results)
	head := make([]string, 0, 1+len(cols))
	head = append(head, "workload")

	for _, c := range cols {
		head = append(head, c.head)
	}

	rows := make([][]string, len(r.Results))
	for i, result := range r.Results {
		rows[i] = []string{result.Workload}
		for _, c := range cols {
			rows[i] = append(rows[i], c.text(result))
		}
	}

	p.table(head, rows)
}

func (p *page) table(head []string, rows [][]string) {
	fmt.Fprint(p, `<div class="wide"><table><thead><tr>`)

	for _, h := range head {
		fmt.Fprintf(p, "<th>%s</th>", html.EscapeString(h))
	}

	fmt.Fprint(p, "</tr></thead><tbody>")

	for _, row := range rows {
		fmt.Fprint(p, "<tr>")

		for _, cell := range row {
			fmt.Fprintf(p, "<td>%s</td>", html.EscapeString(cell))
		}

		fmt.Fprint(p, "</tr>")
	}

	fmt.Fprint(p, "</tbody></table></div>\n")
}

// knownColumns are those that any of the results has a figure for.
func knownColumns(results []*Result) []column {
	var known []column

	for _, c := range columns() {
		for _, r := range results {
			if r != nil && c.cell(r) != nil {
				known = append(known, c)

				break
			}
		}
	}

	return known
}

func comparisonHTML(w io.Writer, reports []*Report, labels []string) error {
	p := &page{}
	p.begin("Pulso bench: " + strings.Join(labels, ", "))

	lines := make([]string, len(reports))
	for i, r := range reports {
		lines[i] = labels[i] + ": " + r.where()
	}

	p.heading(strings.Join(labels, "  ·  "), lines...)

	for _, name := range workloadsOf(reports) {
		results := resultsOf(reports, name)
		cols := knownColumns(results)
		rows := make([][]string, 0, len(cols))

		for _, c := range cols {
			rows = append(rows, append([]string{c.head}, ratios(&c, results)...))
		}

		head := make([]string, 1, 1+2*len(labels))
		for _, l := range labels {
			head = append(head, l, "")
		}

		fmt.Fprintf(p, "<section><h2>%s</h2>", html.EscapeString(name))
		p.table(head, rows)
		fmt.Fprint(p, "<p>&#160;</p>")
		p.charts(overlays(results, labels))
		fmt.Fprint(p, "</section>\n")
	}

	return p.end(w)
}

// Sizes of an SVG document that holds several charts.
const (
	svgMargin = 36
	svgGap    = 44
	svgHead   = 84 // of the document
	svgTitle  = 62 // of a group of charts
)

// A group is some charts under one title.
type group struct {
	title, text string
	charts      []*chart
}

// SVG writes the report's charts as one SVG document.
func (r *Report) SVG(w io.Writer) error {
	groups := make([]group, len(r.Results))
	for i, result := range r.Results {
		groups[i] = group{result.Workload, result.caption(), result.charts()}
	}

	return writeSVG(w, "Pulso bench", r.where(), groups)
}

// caption is the result's figures in a line.
func (r *Result) caption() string {
	figures := r.figures()
	parts := make([]string, len(figures))

	for i, f := range figures {
		parts[i] = strings.TrimSpace(f.name + " " + f.value + " " + f.unit)
	}

	return strings.Join(parts, "  ·  ")
}

func comparisonSVG(w io.Writer, reports []*Report, labels []string) error {
	names := workloadsOf(reports)
	groups := make([]group, len(names))

	for i, name := range names {
		groups[i] = group{title: name, charts: overlays(resultsOf(reports, name), labels)}
	}

	return writeSVG(w, strings.Join(labels, "  ·  "), reports[0].where(), groups)
}

// writeSVG lays charts out in two columns.
func writeSVG(w io.Writer, title, text string, groups []group) error {
	var b strings.Builder

	const width = 2*svgMargin + 2*chartWidth + svgGap

	y := svgHead

	for _, g := range groups {
		fmt.Fprintf(&b, `<text x="%d" y="%d" class="group">%s</text><text x="%d" y="%d" class="soft">%s</text>`+"\n",
			svgMargin, y+20, html.EscapeString(g.title), svgMargin, y+40, html.EscapeString(g.text))

		y += svgTitle

		for i, c := range g.charts {
			x := svgMargin + i%2*(chartWidth+svgGap)
			b.WriteString(c.svg(fmt.Sprintf(` x="%d" y="%d" width="%d" height="%d"`, x, y, chartWidth, chartHeight)))

			if i%2 == 1 || i == len(g.charts)-1 {
				y += chartHeight + svgGap/2
			}
		}

		y += svgGap / 2
	}

	_, err := fmt.Fprintf(w, `<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">
<style>%s.chart .head { font-size: 21px; font-weight: 600 } .chart .group { font-size: 16px; font-weight: 600 }</style>
<rect width="%d" height="%d" fill="var(--paper)"/>
<text x="%d" y="48" class="head">%s</text><text x="%d" y="70" class="soft">%s</text>
%s</svg>
`, width, y, width, y, chartStyle, width, y, svgMargin, html.EscapeString(title), svgMargin, html.EscapeString(text), b.String())

	return err
}

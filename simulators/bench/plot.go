package bench

import "io"

// HTML draws the report.
func (r *Report) HTML(w io.Writer) error { return nil }

// SVG draws the report.
func (r *Report) SVG(w io.Writer) error { return nil }

func comparisonHTML(w io.Writer, reports []*Report, labels []string) error { return nil }
func comparisonSVG(w io.Writer, reports []*Report, labels []string) error  { return nil }

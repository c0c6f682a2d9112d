package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// writeComparison writes the figures of reports beside each other, with the ratio of each to the first's.
func writeComparison(out io.Writer, reports []*Report, labels []string) {
	for _, name := range workloadsOf(reports) {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)

		fmt.Fprintf(w, "\n%s\t", name)

		for _, l := range labels {
			fmt.Fprint(w, l, "\t\t")
		}

		fmt.Fprintln(w)

		results := resultsOf(reports, name)

		for _, c := range columns() {
			writeRatios(w, &c, results)
		}

		_ = w.Flush() // fails as out does, which has no outcome
	}

	fmt.Fprintln(out, "\n× is the ratio to the first. Compare figures of one sitting on one machine only.")
}

// writeRatios writes one figure of each result, unless none has it.
func writeRatios(w io.Writer, c *column, results []*Result) {
	var first *float64

	known := false
	for _, r := range results {
		known = known || r != nil && c.cell(r) != nil
	}

	if !known {
		return
	}

	fmt.Fprint(w, c.head, "\t")

	for i, r := range results {
		text, ratio := unmeasured, ""

		if r != nil {
			v := c.cell(r)
			text = c.text(r)

			if i == 0 {
				first = v
			} else if v != nil && first != nil && *first > 0 {
				ratio = "× " + number3(*v / *first)
			}
		}

		fmt.Fprint(w, text, "\t", ratio, "\t")
	}

	fmt.Fprintln(w)
}

// workloadsOf are the names of the workloads that any of the reports has, in their order.
func workloadsOf(reports []*Report) []string {
	var names []string

	seen := make(map[string]bool)

	for _, r := range reports {
		for _, result := range r.Results {
			if !seen[result.Workload] {
				seen[result.Workload] = true

				names = append(names, result.Workload)
			}
		}
	}

	return names
}

// resultsOf are the results of the workload, nil where a report has none.
func resultsOf(reports []*Report, workload string) []*Result {
	results := make([]*Result, len(reports))

	for i, r := range reports {
		for _, result := range r.Results {
			if result.Workload == workload {
				results[i] = result
			}
		}
	}

	return results
}

package bench

import (
	"fmt"
	"io"
	"strings"
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

		for _, c := range knownColumns(results) {
			fmt.Fprintf(w, "%s\t%s\t\n", c.head, strings.Join(ratios(&c, results), "\t"))
		}

		_ = w.Flush() // fails as out does, which has no outcome
	}

	fmt.Fprintln(out, "\n× is the ratio to the first. Compare figures of one sitting on one machine only.")
}

// ratios are one figure of each result, each with its ratio to the first's.
func ratios(c *column, results []*Result) []string {
	var first *float64

	cells := make([]string, 0, 2*len(results))

	for i, r := range results {
		text, ratio := unmeasured, ""

		if r != nil {
			text = c.text(r)

			v := c.cell(r)
			if i == 0 {
				first = v
			} else if v != nil && first != nil && *first > 0 {
				ratio = "× " + number3(*v / *first)
			}
		}

		cells = append(cells, text, ratio)
	}

	return cells
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

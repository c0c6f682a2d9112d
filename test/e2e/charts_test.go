package e2e

import "testing"

// Charts share one range, and what is taken along of them is what was measured.
func TestCharts(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "charts.spec.ts", "http://"+h.http, h.mqtt)
}

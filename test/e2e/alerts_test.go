package e2e

import "testing"

// What needs attention, and what went wrong, is on the page, with its reason and its count.
func TestAlerts(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "alerts.spec.ts", "http://"+h.http, h.mqtt)
}

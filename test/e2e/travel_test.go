package e2e

import "testing"

// The page shows the past from the log, and says so.
func TestTravel(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "travel.spec.ts", "http://"+h.http, h.mqtt)
}

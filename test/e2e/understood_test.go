package e2e

import "testing"

// The past joins the live charts, the page says how messages were understood, and an override that is written there counts.
func TestUnderstood(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "understood.spec.ts", "http://"+h.http, h.mqtt)
}

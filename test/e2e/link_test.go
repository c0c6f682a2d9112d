package e2e

import "testing"

// The page stays true over ways to the hub that are blocked, break, or carry nonsense.
func TestLink(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "link.spec.ts", "http://"+h.http, h.mqtt)
}

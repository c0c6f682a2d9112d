package e2e

import "testing"

// PromQL is completed, asked and drawn.
func TestQuery(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "query.spec.ts", "http://"+h.http, h.mqtt)
}

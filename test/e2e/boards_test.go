package e2e

import "testing"

// People put charts of several devices beside each other, by keyboard and by mouse, and others see them.
func TestBoards(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "boards.spec.ts", "http://"+h.http, h.mqtt)
}

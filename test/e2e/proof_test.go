package e2e

import "testing"

// What the page costs with ten thousand devices stays within its budgets.
func TestBudget(t *testing.T) {
	h := serve(t, t.TempDir())
	playwright(t, "budget.spec.ts", "http://"+h.http, h.mqtt)
}

// Two hundred thousand values a second leave the page at rest.
func TestBudgetWide(t *testing.T) {
	h := serve(t, t.TempDir())
	playwright(t, "wide.spec.ts", "http://"+h.http, h.mqtt)
}

// Whatever devices, units, people and boards call themselves: it is shown, and nothing of it is executed.
func TestHostile(t *testing.T) {
	t.Parallel()
	h := serveOn(t, t.TempDir(), freePort(t), freePort(t), "--max-packet", "4MiB")
	playwright(t, "hostile.spec.ts", "http://"+h.http, h.mqtt)
}

// No number on the screen is wrong while devices, and the page's link, are cut off and come back.
func TestTruth(t *testing.T) {
	h := serve(t, t.TempDir())
	playwright(t, "truth.spec.ts", "http://"+h.http, h.mqtt)
}

// From a fresh start to the first value by what the screen says, and on by keyboard alone; and the hub is killed and comes back. The
// tests start their hubs themselves.
func TestFirstRun(t *testing.T) {
	t.Parallel()
	playwright(t, "firstrun.spec.ts", "http://"+freePort(t), freePort(t))
}

// What stands around the screens works by keyboard and without storage, and so do a hundred thousand topics.
func TestShell(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "shell.spec.ts", "http://"+h.http, h.mqtt)
}

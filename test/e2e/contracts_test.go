package e2e

import "testing"

// A contract is learned, tried, kept and made strict on its page, in a real browser.
func TestContractsInBrowser(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "contracts.spec.ts", "http://"+h.http, h.mqtt)
}

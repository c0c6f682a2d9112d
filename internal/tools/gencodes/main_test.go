package main

import (
	"os"
	"testing"

	"pulso/bridge/wire"
)

// TestDashboardHasTheTable fails when the table has changed and `make generate` has not been run.
func TestDashboardHasTheTable(t *testing.T) {
	t.Parallel()
	got, err := os.ReadFile("../../../dashboard/web/src/core/wire/codes.gen.ts")
	if err != nil {
		t.Fatal(err)
	}
	if want := typeScript(wire.CloseCodes()); string(got) != want {
		t.Errorf("codes.gen.ts is not what the table generates: run `make generate`\n got: %s\nwant: %s", got, want)
	}
}

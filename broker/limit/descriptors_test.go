package limit

import "testing"

func TestShare(t *testing.T) {
	for _, c := range []struct {
		files              Descriptors
		mqtt, http         int
		wantMQTT, wantHTTP int
	}{
		{0, 100_000, 12_000, 100_000, 12_000},
		{1 << 20, 100_000, 12_000, 100_000, 12_000},
		{20_000, 100_000, 12_000, 13_120, 6_560},
		{1024, 100_000, 12_000, 470, 234},
		{10, 100_000, 12_000, 4, 1},
		{1024, 100, 100, 100, 100},
	} {
		mqtt, http := c.files.Share(c.mqtt, c.http)
		if mqtt != c.wantMQTT || http != c.wantHTTP {
			t.Errorf("%d files for %d and %d: %d and %d, want %d and %d", c.files, c.mqtt, c.http, mqtt, http, c.wantMQTT, c.wantHTTP)
		}
	}
}

func TestRaiseDescriptors(t *testing.T) {
	first, err := RaiseDescriptors()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := RaiseDescriptors(); err != nil || again != first {
		t.Errorf("%d, then %d: %v", first, again, err)
	}
}

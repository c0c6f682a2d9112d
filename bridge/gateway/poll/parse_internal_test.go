package poll

import "testing"

// Whatever a request holds, it is refused or within its bounds.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"n":1}`, `{"n":1,"commands":[{"id":1,"ping":{}},1,"x"],"wait":25000}`, `{"n":1,"wait":-1}`,
		`{"n":1,"wait":1e99}`, `[1]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r, bad := parse([]byte(body))
		if bad == nil && (r.N == 0 || r.wait() < 0 || r.wait() > maxWait || len(r.Commands) > 64) {
			t.Errorf("%q: %+v", body, r)
		}
		if bad != nil && bad.Message == "" {
			t.Error("an error without a word")
		}
	})
}

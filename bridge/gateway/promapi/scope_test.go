package promapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/gateway/promapi"
)

type kitchen struct{}

func (kitchen) Key() string            { return "kitchen" }
func (kitchen) Sees(topic string) bool { return topic == "home/kitchen" }

// TestScope asks with a scope that sees the kitchen: limits are on what is seen, and what is found by other labels, or by none, is
// narrowed, too.
func TestScope(t *testing.T) {
	db, now := store(t)
	h, err := promapi.New(promapi.Config{Queryable: db})
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := promapi.New(promapi.Config{Queryable: db, Sees: func(event.Scope, string, string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(h http.Handler, path string, q url.Values) string {
		t.Helper()
		r := httptest.NewRequestWithContext(event.WithScope(t.Context(), kitchen{}), http.MethodGet, path+"?"+q.Encode(), http.NoBody)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != http.StatusOK {
			t.Errorf("%s: %d", path, rec.Code)
		}
		return rec.Body.String()
	}
	for _, c := range []struct {
		path string
		q    url.Values
		want string
	}{
		{"/api/v1/series", url.Values{"match[]": {"temperature"}, "limit": {"1"}}, `"device":"kitchen"`},
		{"/api/v1/series", url.Values{"match[]": {"temperature", `{unit="°C"}`}}, `"device":"kitchen"`},
		{"/api/v1/label/device/values", nil, `"data":["kitchen"]`},
		{"/api/v1/label/device/values", url.Values{"limit": {"1"}}, `"data":["kitchen"]`},
		{"/api/v1/label/device/values", url.Values{"match[]": {`temperature`, `{unit="°C"}`}}, `"data":["kitchen"]`},
		{"/api/v1/label/topic/values", url.Values{"match[]": {`{kind!="nothing",device!=""}`}}, `"data":["home/kitchen"]`},
		{"/api/v1/label/unit/values", url.Values{"match[]": {`{device=~"a.*"}`}}, `"data":[]`},
		{"/api/v1/labels", url.Values{"match[]": {`{device=~"a.*"}`}}, `"data":[]`},
		{"/api/v1/labels", nil, `"__name__","device","field"`},
		{"/api/v1/labels", url.Values{"limit": {"2"}}, `"data":["__name__","device"]`},
		{"/api/v1/query", url.Values{"query": {"count(temperature)"}}, `"1"]`},
		{"/api/v1/query", url.Values{"query": {"max(max_over_time(temperature[1h]))"}}, `"31.9"]`},
		{"/api/v1/query_range", url.Values{"query": {"count(temperature)"}, "start": {unix(now)}, "end": {unix(now)}, "step": {"1"}}, `"1"]`},
		{"/federate", url.Values{"match[]": {"temperature", "humidity"}}, `device="kitchen"`},
		{"/api/v1/metadata", url.Values{"limit": {"1"}}, `"humidity"`},
	} {
		got := ask(h, c.path, c.q)
		if !strings.Contains(got, c.want) || strings.Contains(got, "attic") {
			t.Errorf("%s %v: %s, want %s", c.path, c.q, got, c.want)
		}
		got = ask(nobody, c.path, c.q)
		for _, name := range []string{"kitchen", "attic", "temperature", "humidity"} {
			if strings.Contains(got, name) {
				t.Errorf("%s %v, who sees nothing: %s", c.path, c.q, got)
			}
		}
	}
}

package promapi

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/storage"
)

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"0", "1435781430.781", "2015-07-01T20:11:00.781Z", minTimeText, maxTimeText, "-1e400", "NaN", "inf", "0x1p3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ms, err := parseTime(s)
		if err == nil && (ms < minTime || ms > maxTime) {
			t.Fatalf("%q is %d", s, ms)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"15", "0.5", "1h30m", "5m", "1e300", "NaN", "-1", "1y2w3d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDuration(s)
		if n, is := strconv.ParseFloat(s, 64); is == nil && err == nil && math.Abs(n-d.Seconds()) > 1e-6*max(1, math.Abs(n)) {
			t.Fatalf("%q is %v", s, d)
		}
	})
}

// FuzzRequest asks what nobody would: the answer is always JSON of one of the API's kinds.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{"query=1", "query=up[5m]&time=3", "query=up&start=1&end=2&step=1", "match[]=up&limit=3", `match[]={a="é"}`} {
		for which := range byte(6) {
			f.Add(which, s)
		}
	}
	h, err := New(Config{Queryable: storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil })})
	if err != nil {
		f.Fatal(err)
	}
	paths := []string{"query", "query_range", "series", "labels", "label/a/values", "format_query"}
	f.Fuzz(func(t *testing.T, which byte, query string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/api/v1/" + paths[int(which)%len(paths)], RawQuery: query}, Body: http.NoBody}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(t.Context()))
		var answer struct {
			Status string `json:"status"`
		}
		err := json.Unmarshal(w.Body.Bytes(), &answer)
		if err != nil || (answer.Status == "success") != (w.Code == http.StatusOK) || w.Code == http.StatusInternalServerError {
			t.Fatalf("%d, %v: %s", w.Code, err, w.Body.Bytes())
		}
	})
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00"))
	f.Fuzz(func(_ *testing.T, body []byte) {
		if request, err := readRequest(httptest.NewRequest(http.MethodPost, "/api/v1/read", bytes.NewReader(body))); err == nil {
			for _, q := range request.Queries {
				_, _ = readMatchers(q.Matchers)
			}
		}
	})
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", -1.5: "-1.5", 1e20: "100000000000000000000", 1e21: "1e+21", 1e-7: "1e-07", math.Inf(-1): "-Inf", 31.900000000000002: "31.900000000000002",
	} {
		if got := string(appendFloat(nil, v)); got != want {
			t.Errorf("%v is %s", v, got)
		}
	}
	for ms, want := range map[int64]string{0: "0", 1001: "1.001", -1050: "-1.050", 1435781430781: "1435781430.781"} {
		var e encoder
		if e.time(ms); string(e.buf) != want {
			t.Errorf("%d is %s", ms, e.buf)
		}
	}
}

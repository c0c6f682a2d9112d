package promapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"go.uber.org/goleak"

	"pulso/bridge/gateway/promapi"
	"pulso/bridge/view/series"
	"pulso/internal/promtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// minutes is how many samples each series has, the last of them now.
const minutes = 120

// store makes a store of two devices: temperatures of 20 and 21 growing by a tenth a minute, and a humidity that is not always a
// number. It returns the time of the last sample.
func store(tb testing.TB) (*tsdb.DB, time.Time) {
	tb.Helper()
	o := tsdb.DefaultOptions()
	db, err := tsdb.Open(tb.TempDir(), nil, nil, o, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	now := time.Now().Truncate(time.Second)
	a := db.Appender(context.Background())
	add := func(l labels.Labels, minute int, v float64) {
		if _, err := a.Append(0, l, now.Add(time.Duration(minute-minutes+1)*time.Minute).UnixMilli(), v); err != nil {
			tb.Fatal(err)
		}
	}
	for minute := range minutes {
		for i, device := range []string{"kitchen", `attic "1" ü`} {
			l, _ := series.Labels(device, "home/"+device, "BME280.Temperature", "°C", "")
			add(l, minute, 20+float64(i)+float64(minute)/10)
		}
		l, _ := series.Labels("kitchen", "home/kitchen", "BME280.Humidity", "%", "thermostat")
		add(l, minute, [...]float64{math.NaN(), math.Inf(1), math.Inf(-1), 50}[minute%4])
	}
	if err := a.Commit(); err != nil {
		tb.Fatal(err)
	}
	return db, now
}

func serve(tb testing.TB, c promapi.Config) (string, *promapi.Handler) {
	tb.Helper()
	h, err := promapi.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	tb.Cleanup(http.DefaultClient.CloseIdleConnections)
	return server.URL, h
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// TestPromtool asks what people ask on the command line, by Prometheus' own tool.
func TestPromtool(t *testing.T) {
	db, now := store(t)
	base, _ := serve(t, promapi.Config{Queryable: db})
	from, to := now.Add(-10*time.Minute), now
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"instant", base, `temperature{device="kitchen"}`}, []string{`field="BME280.Temperature"`, `=> 31.9 @`}},
		{[]string{"instant", base, "max(temperature)"}, []string{"{} => 32.9 @"}},
		{[]string{"instant", base, "1+1"}, []string{"scalar: 2 @"}},
		{
			[]string{"range", "--start=" + unix(from), "--end=" + unix(to), "--step=5m", base, "sum(temperature)"},
			[]string{"62.8 @", "63.8 @", "64.8 @"},
		},
		{[]string{"series", "--match=humidity", base}, []string{`kind="thermostat"`, `unit="%"`}},
		{[]string{"labels", base, "device"}, []string{`attic "1" ü`, "kitchen"}},
		{[]string{"labels", base, "unit"}, []string{"%\n", "°C\n"}},
	} {
		out := promtest.Tool(t, append([]string{"query"}, test.args...)...)
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("promtool query %q does not say %q:\n%s", test.args, want, out)
			}
		}
	}
}

// TestFederation has a real Prometheus scrape present values, and read the past.
func TestFederation(t *testing.T) {
	db, now := store(t)
	base, _ := serve(t, promapi.Config{Queryable: db})
	host := strings.TrimPrefix(base, "http://")
	p := promtest.Start(t, fmt.Sprintf(`
scrape_configs:
  - job_name: pulso
    honor_labels: true
    scrape_interval: 1s
    metrics_path: /federate
    params: {"match[]": ['{device!=""}']}
    static_configs: [{targets: ['%s']}]
`, host))
	promtest.Eventually(t, "Prometheus has scraped a value", func() error {
		got, err := p.Query(`temperature{device="kitchen",unit="°C",instance=""}`)
		if err != nil || len(got) != 1 || got[0].Value[1] != "31.9" {
			return fmt.Errorf("%v, %w", got, err)
		}
		return nil
	})
	past := promtest.Start(t, fmt.Sprintf("remote_read: [{url: '%s/api/v1/read', read_recent: true}]\n", base))
	got, err := past.Query(fmt.Sprintf(`sum(max_over_time(temperature{device=~"kit.*"}[1h] @ %d))`, now.Add(-20*time.Minute).Unix()))
	if err != nil || len(got) != 1 || got[0].Value[1] != "29.9" {
		t.Errorf("read from afar: %v, %v", got, err)
	}
}

// TestGrafana makes the requests that Grafana's Prometheus data source makes, and reads the answers by Prometheus' own client.
func TestGrafana(t *testing.T) {
	db, now := store(t)
	base, _ := serve(t, promapi.Config{Queryable: db, Version: "1.2.3"})
	c, err := api.NewClient(api.Config{Address: base})
	if err != nil {
		t.Fatal(err)
	}
	client, ctx := v1.NewAPI(c), t.Context()
	from := now.Add(-time.Hour)

	health, _, _, err := client.Query(ctx, "1+1", now)
	if err != nil || health.String() != fmt.Sprintf("scalar: 2 @[%d]", now.Unix()) {
		t.Errorf("health: %v, %v", health, err)
	}
	build, err := client.Buildinfo(ctx)
	if err != nil || build.Revision != "1.2.3" || build.Version < "3." {
		t.Errorf("buildinfo: %+v, %v", build, err)
	}
	names, _, _, err := client.LabelNames(ctx, []string{`{__name__="humidity"}`}, from, now)
	if err != nil || names.String() != "__name__, device, field, kind, topic, unit" {
		t.Errorf("labels: %v, %v", names, err)
	}
	metrics, _, _, err := client.LabelValues(ctx, "__name__", nil, from, now)
	if err != nil || fmt.Sprint(metrics) != "[humidity temperature]" {
		t.Errorf("names: %v, %v", metrics, err)
	}
	devices, _, _, err := client.LabelValues(ctx, "device", []string{"humidity", "nothing"}, from, now)
	if err != nil || fmt.Sprint(devices) != "[kitchen]" {
		t.Errorf("devices: %v, %v", devices, err)
	}
	meta, err := client.Metadata(ctx, "", "")
	if err != nil || len(meta) != 2 || meta["temperature"][0].Unit != "°C" || meta["temperature"][0].Type != v1.MetricTypeUnknown {
		t.Errorf("metadata: %v, %v", meta, err)
	}
	one, err := client.Metadata(ctx, "humidity", "10")
	if err != nil || len(one) != 1 || one["humidity"][0].Unit != "%" {
		t.Errorf("metadata of one: %v, %v", one, err)
	}
	found, _, _, err := client.Series(ctx, []string{`{unit="°C"}`, "humidity"}, from, now)
	if err != nil || len(found) != 3 {
		t.Errorf("series: %v, %v", found, err)
	}
	some, warnings, _, err := client.Series(ctx, []string{`{unit="°C"}`, "humidity"}, from, now, v1.WithLimit(2))
	if err != nil || len(some) != 2 || len(warnings) != 1 {
		t.Errorf("two series: %v, %v, %v", some, warnings, err)
	}
	// The client posts a form, as Grafana does.
	quarters := v1.Range{Start: from, End: now, Step: 15 * time.Minute}
	values, _, _, err := client.QueryRange(ctx, `temperature{device="kitchen"}`, quarters, v1.WithTimeout(time.Minute))
	matrix, ok := values.(model.Matrix)
	if err != nil || !ok || len(matrix) != 1 || len(matrix[0].Values) != 5 || matrix[0].Values[4].Value != 31.9 ||
		!matrix[0].Values[4].Timestamp.Time().Equal(now) {
		t.Errorf("range: %v, %v", values, err)
	}
	odd, _, _, err := client.Query(ctx, "humidity[4m]", now)
	if err != nil || !strings.Contains(odd.String(), "NaN @") || !strings.Contains(odd.String(), "+Inf @") || !strings.Contains(odd.String(), "-Inf @") {
		t.Errorf("odd values: %v, %v", odd, err)
	}
	rules, err := client.Rules(ctx, nil)
	if err != nil || len(rules.Groups) != 0 {
		t.Errorf("rules: %v, %v", rules, err)
	}
	if _, err := client.Alerts(ctx); err != nil {
		t.Error(err)
	}
	exemplars, err := client.QueryExemplars(ctx, "humidity", from, now)
	if err != nil || len(exemplars) != 0 {
		t.Errorf("exemplars: %v, %v", exemplars, err)
	}
	_, _, remarks, err := client.Query(ctx, "rate(temperature[5m])", now)
	if err != nil {
		t.Errorf("rate: %v, %v", remarks, err)
	}
	half, _, _, err := client.Query(ctx, "sum(", now)
	if e := (*v1.Error)(nil); !errors.As(err, &e) || e.Type != v1.ErrBadData {
		t.Errorf("half an expression: %v, %v", half, err)
	}
	formatted, status, _ := get(t, base+"/api/v1/format_query?query="+url.QueryEscape("sum  by(device)( temperature )"))
	if status != http.StatusOK || formatted != `{"status":"success","data":"sum by (device) (temperature)"}` {
		t.Errorf("format: %d %s", status, formatted)
	}
}

func get(tb testing.TB, target string) (body string, status int, header http.Header) {
	tb.Helper()
	resp, err := http.Get(target)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text), resp.StatusCode, resp.Header
}

func TestErrors(t *testing.T) {
	db, now := store(t)
	base, _ := serve(t, promapi.Config{Queryable: db, MaxSamples: 1000, MaxAnswer: 20_000, MaxSeries: 2})
	at := strconv.FormatInt(now.Unix(), 10)
	deep := strings.Repeat("(", 30_000) + "1" + strings.Repeat(")", 30_000)
	long := `label_replace(vector(1),"x","` + strings.Repeat("y", 18_000) + `","","")`
	for _, test := range []struct {
		path   string
		status int
		kind   string
		text   string
	}{
		{"query", 400, "bad_data", `invalid parameter \"query\"`},
		{"query?query=" + url.QueryEscape(`{}`), 400, "bad_data", "at least one non-empty matcher"},
		{"query?query=1&time=NaN", 400, "bad_data", `invalid parameter \"time\": cannot parse`},
		{"query?query=1&timeout=-1", 400, "bad_data", "timeout must be positive"},
		{"query?query=1&limit=-1", 400, "bad_data", "limit must be non-negative"},
		{"query?query=" + url.QueryEscape(deep), 400, "bad_data", "more than 2000 operators"},
		{"query?query=" + strings.Repeat("1%2B", 40_000) + "1", 400, "bad_data", "bytes, at most"},
		{"query?query=" + url.QueryEscape("temperature[2h]") + "&time=" + at, 200, "", ""},
		{"query?query=" + url.QueryEscape("(temperature[20h:1s])") + "&time=" + at, 422, "execution", "too many samples"},
		{"query?query=" + url.QueryEscape("temperature * on() temperature"), 422, "execution", "many-to-many"},
		{"query?query=1&timeout=1e-9", 503, "timeout", ""},
		{"query_range?query=1&start=1&end=0&step=1", 400, "bad_data", "end timestamp must not be before start"},
		{"query_range?query=1&start=0&end=11001&step=1", 400, "bad_data", "maximum resolution of 11000 points"},
		{"query_range?query=1&start=0&end=1&step=0", 400, "bad_data", "zero or negative"},
		{"query_range?query=1&start=0&end=9e300&step=1", 400, "bad_data", "maximum resolution"},
		{"query_range?query=vector(1)&start=0&end=900&step=1", 200, "", ""},
		{"query_range?query=" + url.QueryEscape(long) + "&start=0&end=990&step=1", 422, "execution", "larger than"},
		{"series", 400, "bad_data", "no match[] parameter"},
		{"series?match[]=" + url.QueryEscape(`{a=~".*"}`), 400, "bad_data", "at least one non-empty"},
		{"series?match[]=up&start=yesterday", 400, "bad_data", `invalid parameter \"start\"`},
		{"label/U__a_/values", 200, "", ""},
		{"label/%FF/values", 400, "bad_data", "invalid label name"},
		{"label/ünit/values", 200, "", ""},
		{"query_range?query=%zz", 400, "bad_data", "error parsing form values"},
	} {
		body, status, header := get(t, base+"/api/v1/"+test.path)
		var answer struct {
			Status    string `json:"status"`
			ErrorType string `json:"errorType"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%.80s: %v: %.300s", test.path, err, body)
			continue
		}
		if status != test.status || answer.ErrorType != test.kind || (status == 200) != (answer.Status == "success") || !strings.Contains(body, test.text) {
			t.Errorf("%.80s: %d %.300s", test.path, status, body)
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "application/json" {
			t.Errorf("%.80s: %v", test.path, header)
		}
	}
	req, _ := http.NewRequest(http.MethodDelete, base+"/api/v1/query", http.NoBody)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
		t.Errorf("DELETE: %v, %v", resp, err)
	}
	resp.Body.Close()
	resp, err = http.Post(base+"/api/v1/query", "application/x-www-form-urlencoded", strings.NewReader("query="+strings.Repeat("1", 2<<20)))
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB: %v, %v", resp, err)
	}
	resp.Body.Close()
}

// TestQueue has more requests than slots: those that wait too long, and those that find the queue full, are told to come back.
func TestQueue(t *testing.T) {
	db, _ := store(t)
	slow := &gate{DB: db, entered: make(chan struct{}, 10), open: make(chan struct{})}
	reg := prometheus.NewPedanticRegistry()
	base, h := serve(t, promapi.Config{Queryable: slow, Concurrency: 1, Queue: 1, Metrics: reg})
	done := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/query?query=temperature", http.NoBody))
		done <- w.Code
	}()
	<-slow.entered
	body, status, header := get(t, base+"/api/v1/query?query=temperature&timeout=10ms")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"errorType":"timeout"`) || header.Get("Retry-After") == "" {
		t.Errorf("who waits too long: %d %s", status, body)
	}
	waiting := make(chan int, 1)
	go func() {
		_, status, _ := get(t, base+"/api/v1/query?query=temperature")
		waiting <- status
	}()
	promtest.Eventually(t, "one waits", func() error {
		if text := gathered(t, reg); !strings.Contains(text, "pulso_promapi_waiting 1") {
			return fmt.Errorf("%s", text)
		}
		return nil
	})
	if body, status, _ := get(t, base+"/api/v1/query?query=temperature"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"unavailable"`) {
		t.Errorf("who finds the queue full: %d %s", status, body)
	}
	if _, status, _ := get(t, base+"/api/v1/rules"); status != http.StatusOK {
		t.Errorf("who reads nothing: %d", status)
	}
	close(slow.open)
	if a, b := <-done, <-waiting; a != http.StatusOK || b != http.StatusOK {
		t.Errorf("the others got %d and %d", a, b)
	}
	if n := testutil.CollectAndCount(reg, "pulso_promapi_requests_total"); n != 4 {
		t.Errorf("%d kinds of results:\n%s", n, gathered(t, reg))
	}
}

func TestGzip(t *testing.T) {
	db, _ := store(t)
	_, h := serve(t, promapi.Config{Queryable: db})
	for accepts, want := range map[string]string{"gzip, br": "gzip", "": "", "br;q=1, gzip;q=0": "", "GZIP;q=0.5": "gzip"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/api/v1/query?query="+url.QueryEscape("temperature[1h]"), http.NoBody)
		r.Header.Set("Accept-Encoding", accepts)
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding"); got != want || w.Code != http.StatusOK {
			t.Errorf("%q: %q, %d", accepts, got, w.Code)
		}
	}
}

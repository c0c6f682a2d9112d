package remotewrite_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/prompb"
	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/disklog"
	"pulso/bridge/remotewrite"
	"pulso/internal/promtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is a log whose messages are numbers.
type bench struct {
	tb     testing.TB
	log    eventlog.Log
	dir    string
	series map[string]*event.Series
	mu     sync.Mutex
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	log, err := disklog.Open(disklog.Config{Dir: filepath.Join(tb.TempDir(), "log"), SegmentBytes: 64 << 10})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { log.Close() })
	return &bench{tb: tb, log: log, dir: filepath.Join(tb.TempDir(), "remote-write"), series: map[string]*event.Series{}}
}

// add appends readings of a device, the first at a time, the others a millisecond after one another; each tells its number.
func (b *bench) add(device string, from, count int, at time.Time) {
	b.tb.Helper()
	batch := make([]event.Event, 0, count)
	for i := range count {
		batch = append(batch, event.Event{
			Time: at.Add(time.Duration(i) * time.Millisecond).UnixNano(), Topic: device, Payload: []byte(strconv.Itoa(from + i)),
		})
	}
	if err := b.log.Append(batch, false); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) decode(events []event.Event) []event.Decoded {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]event.Decoded, len(events))
	for i, e := range events {
		s := b.series[e.Topic]
		if s == nil {
			s = &event.Series{ID: uint32(len(b.series) + 1), Device: e.Topic, Name: "Count", Topic: e.Topic, Unit: "W"}
			b.series[e.Topic] = s
		}
		v, err := strconv.ParseFloat(string(e.Payload), 64)
		if err != nil {
			b.tb.Error(err)
		}
		out[i] = event.Decoded{Event: e, Device: e.Topic, DeviceKind: "meter", Metrics: []event.Metric{{Series: s, Value: v}}}
	}
	return out
}

// start starts a Writer; stop ends it.
func (b *bench) start(c remotewrite.Config) (stop func()) {
	b.tb.Helper()
	c.Log, c.Decode, c.Dir = b.log, b.decode, b.dir
	c.FlushEvery, c.MinBackoff, c.MaxBackoff = 10*time.Millisecond, 10*time.Millisecond, 100*time.Millisecond
	w, err := remotewrite.New(c)
	if err != nil {
		b.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.tb.Error(err)
		}
	})
	b.tb.Cleanup(stop)
	return stop
}

const receiver = "--web.enable-remote-write-receiver"

// TestPrometheus writes to a real Prometheus, which is away for a while, and to which everything is sent again at the end: nothing
// is missing, and nothing is there twice.
func TestPrometheus(t *testing.T) {
	p := promtest.Start(t, "", receiver)
	b := newBench(t)
	reg := prometheus.NewPedanticRegistry()
	config := remotewrite.Config{
		Targets: []remotewrite.Target{{URL: p.URL + "/api/v1/write", Name: "far", Labels: map[string]string{"site": "plant 1", "device": "no"}}},
		Metrics: reg,
	}
	now := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	expect := func(count int) {
		t.Helper()
		promtest.Eventually(t, fmt.Sprintf("%d samples have arrived", count), func() error {
			got, err := p.Query(`count_over_time(count{device="meter1",kind="meter",topic="meter1",unit="W",field="Count",site="plant 1"}[1h])`)
			if err != nil {
				return err
			}
			if len(got) != 1 || got[0].Value[1] != strconv.Itoa(count) {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
		got, err := p.Query(fmt.Sprintf(`sum_over_time(count{device="meter1"}[1h]) - %d`, count*(count-1)/2))
		if err != nil || len(got) != 1 || got[0].Value[1] != "0" {
			t.Errorf("their sum is wrong: %v, %v", got, err)
		}
	}
	b.add("meter1", 0, 5000, now)
	// As many at one time: each gets a millisecond of its own.
	for i := range 100 {
		b.add("meter1", 5000+i, 1, now.Add(5*time.Second))
	}
	stop := b.start(config)
	expect(5100)

	p.Stop()
	b.add("meter1", 5100, 3000, now.Add(10*time.Second))
	promtest.Eventually(t, "requests fail", func() error {
		if testutil.CollectAndCount(reg, "pulso_remotewrite_failures_total") == 0 || value(t, reg, "pulso_remotewrite_failures_total") == 0 {
			return fmt.Errorf("none has")
		}
		return nil
	})
	if pending := value(t, reg, "pulso_remotewrite_pending_events"); pending != 3000 {
		t.Errorf("%v events are pending", pending)
	}
	stop()
	b.add("meter1", 8100, 900, now.Add(20*time.Second))
	p.Again()
	config.Metrics = nil
	stop = b.start(config)
	expect(9000)
	stop()

	// A sender that was killed between sending and saving sends again.
	position := filepath.Join(b.dir, "far.position")
	first, next := b.log.Bounds()
	if saved, err := os.ReadFile(position); err != nil || string(saved) != fmt.Sprintf("%s %d", next, next.Offset) {
		t.Errorf("the position is %q, %v", saved, err)
	}
	back := event.Position{Epoch: first.Epoch, Offset: 5050}
	if err := os.WriteFile(position, []byte(fmt.Sprintf("%s %d", back, next.Offset)), 0o600); err != nil {
		t.Fatal(err)
	}
	reg = prometheus.NewPedanticRegistry()
	config.Metrics = reg
	// What is new gets there although all before it is refused.
	b.add("meter1", 9000, 1, now.Add(30*time.Second))
	b.start(config)
	promtest.Eventually(t, "everything has been sent again", func() error {
		if n := value(t, reg, "pulso_remotewrite_pending_events"); n != 0 {
			return fmt.Errorf("%v are pending", n)
		}
		return nil
	})
	expect(9001)
	// This one takes nothing that is older than the newest it has; others take what they have already.
	taken, refused := value(t, reg, "pulso_remotewrite_samples_total"), value(t, reg, "pulso_remotewrite_dropped_samples_total")
	if taken+refused != 9000-5050+1 || taken < 1 {
		t.Errorf("%v samples were taken and %v refused", taken, refused)
	}
}

func value(tb testing.TB, g prometheus.Gatherer, name string) (sum float64) {
	tb.Helper()
	families, err := g.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// A far side answers as it is told to, and keeps what it took.
type farSide struct {
	*httptest.Server

	mu       sync.Mutex
	answers  []int // to be given first; then 204
	header   http.Header
	requests []*http.Request
	counts   []int
	values   []float64
}

func newFarSide(t *testing.T, answers ...int) *farSide {
	t.Helper()
	f := &farSide{answers: answers, header: http.Header{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *farSide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	data, err := snappy.Decode(nil, body)
	var request prompb.WriteRequest
	if err != nil || request.Unmarshal(data) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	f.requests = append(f.requests, r)
	count := 0
	for _, s := range request.Timeseries {
		count += len(s.Samples)
	}
	f.counts = append(f.counts, count)
	status := http.StatusNoContent
	if len(f.answers) > 0 {
		status, f.answers = f.answers[0], f.answers[1:]
	}
	maps.Copy(w.Header(), f.header)
	if status == http.StatusNoContent {
		for _, s := range request.Timeseries {
			for _, v := range s.Samples {
				f.values = append(f.values, v.Value)
			}
		}
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, "answer %d", status)
}

// took waits until so many values have been taken and returns them.
func (f *farSide) took(t *testing.T, count int) []float64 {
	t.Helper()
	var values []float64
	promtest.Eventually(t, fmt.Sprintf("%d values are taken", count), func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if values = slices.Clone(f.values); len(values) < count {
			return fmt.Errorf("%d values, %d requests", len(values), len(f.requests))
		}
		return nil
	})
	return values
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAnswers(t *testing.T) {
	secrets := t.TempDir()
	password := filepath.Join(secrets, "password")
	if err := os.WriteFile(password, []byte("geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log lockedBuilder
	for _, test := range []struct {
		name    string
		answers []int
		header  http.Header
		lost    int // of ten
		least   time.Duration
	}{
		{"trouble on the far side", []int{500, 503, 502, 504}, nil, 0, 0},
		{"asked to wait", []int{429}, http.Header{"Retry-After": {"1"}}, 0, time.Second},
		{"who are you", []int{401, 403, 404, 407}, nil, 0, 0},
		{"a redirect is not followed", []int{307, 301}, http.Header{"Location": {"http://192.0.2.1/"}}, 0, 0},
		{"one is refused", []int{400, 400}, nil, 1, 0},
		{"two are refused", []int{500, 422, 422, 422}, nil, 2, 0},
		{"too large", []int{413}, nil, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, far, reg := newBench(t), newFarSide(t, test.answers...), prometheus.NewPedanticRegistry()
			maps.Copy(far.header, test.header)
			for i := range 10 {
				b.add([...]string{"a", "b"}[i%2], i, 1, time.Now())
			}
			began := time.Now()
			b.start(remotewrite.Config{
				MaxSamples: 2, Metrics: reg, Version: "9", Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Targets: []remotewrite.Target{{
					URL: far.URL + "/push", Username: "me", PasswordFile: password, Headers: map[string]string{"X-Scope-Orgid": "plant"},
				}},
			})
			values := far.took(t, 10-test.lost)
			if !slices.IsSorted(values) || len(values) != 10-test.lost || values[len(values)-1] != 9 {
				t.Errorf("got %v", values)
			}
			promtest.Eventually(t, "what was refused is counted", func() error {
				if n := value(t, reg, "pulso_remotewrite_dropped_samples_total"); n != float64(test.lost) {
					return fmt.Errorf("%v", n)
				}
				return nil
			})
			if took := time.Since(began); took < test.least {
				t.Errorf("it took %v only", took)
			}
			r := far.requests[0]
			user, secret, _ := r.BasicAuth()
			if user != "me" || secret != "geheim" || r.Header.Get("X-Scope-Orgid") != "plant" || r.UserAgent() != "pulso/9" ||
				r.Header.Get("X-Prometheus-Remote-Write-Version") != "0.1.0" || r.Header.Get("Content-Type") != "application/x-protobuf" ||
				r.URL.Path != "/push" {
				t.Errorf("%v %v", r.URL, r.Header)
			}
		})
	}
	if text := log.String(); strings.Contains(text, "geheim") || !strings.Contains(text, "422 Unprocessable Entity: answer 422") {
		t.Error(text)
	}
}

// TestTrimmed lets retention pass by a target that is away: what is left is sent, the rest is counted.
func TestTrimmed(t *testing.T) {
	log, err := disklog.Open(disklog.Config{Dir: t.TempDir(), SegmentBytes: 64 << 10, RetainBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	b := newBench(t)
	b.log = log
	far, reg := newFarSide(t), prometheus.NewPedanticRegistry()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := remotewrite.Config{Targets: []remotewrite.Target{{URL: far.URL, Name: "far/1", BearerTokenFile: token}}}
	b.add("a", 0, 10, time.Now())
	stop := b.start(config)
	far.took(t, 10)
	stop()
	const more = 20_000
	for from := 10; from < more; from += 999 {
		b.add("a", from, 999, time.Now().Add(time.Duration(from)*time.Millisecond))
		if err := log.Trim(); err != nil {
			t.Fatal(err)
		}
	}
	first, next := log.Bounds()
	if first.Offset == 0 {
		t.Fatal("nothing was trimmed")
	}
	config.Metrics = reg
	b.start(config)
	far.took(t, 10+int(next.Offset-first.Offset))
	if n := value(t, reg, "pulso_remotewrite_missed_events_total"); n != float64(first.Offset-10) {
		t.Errorf("%v events are said to be missing, not %d", n, first.Offset-10)
	}
	if got := far.requests[0].Header.Get("Authorization"); got != "Bearer abc" {
		t.Error(got)
	}
	for _, n := range far.counts {
		if n > 2000 {
			t.Errorf("%d samples in a request", n)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		target remotewrite.Target
		want   string
	}{
		{remotewrite.Target{URL: "https://mimir.example/api/v1/push"}, ""},
		{remotewrite.Target{}, "url: no place"},
		{remotewrite.Target{URL: "https://me:geheim@example.org"}, "url: a URL is no place"},
		{remotewrite.Target{URL: "ftp://example.org"}, `url: "ftp://example.org" is not`},
		{remotewrite.Target{URL: "http://x", PasswordFile: "/nowhere"}, "username: it is needed"},
		{remotewrite.Target{URL: "http://x", Username: "u", PasswordFile: "/nowhere"}, "password-file: open /nowhere"},
		{remotewrite.Target{URL: "http://x", Username: "u", BearerTokenFile: os.DevNull}, "bearer-token-file: username"},
		{remotewrite.Target{URL: "http://x", Labels: map[string]string{"a-b": "c"}}, `labels: "a-b"`},
		{remotewrite.Target{URL: "http://x", Labels: map[string]string{"__name__": "c"}}, `labels: "__name__"`},
		{remotewrite.Target{URL: "http://x", Headers: map[string]string{"Authorization": "c"}}, `headers: "Authorization"`},
		{remotewrite.Target{URL: "http://x", Headers: map[string]string{"X": "a\r\nb: c"}}, `headers: "X"`},
		{remotewrite.Target{URL: "http://x", CAFile: "/nowhere"}, "ca-file: open /nowhere"},
	} {
		err := test.target.Check()
		if text := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(text, test.want) && test.want != "" || strings.Contains(text, "geheim") {
			t.Errorf("%+v: %v, want %q", test.target, err, test.want)
		}
	}
}

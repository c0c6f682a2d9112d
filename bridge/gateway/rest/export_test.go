package rest_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pulso/bridge/gateway/rest"
	"pulso/bridge/view/history"
)

type sample struct {
	Device, Topic, Field, Name, Unit, Kind string
	Time                                   int64
	Value                                  float64
}

func lines[T any](t *testing.T, body string) (out []T) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(body)); ; {
		var one T
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		out = append(out, one)
	}
}

func TestHistory(t *testing.T) {
	h := start(t, nil)
	for _, payload := range []string{`{"x":1,"y":-5}`, `{"x":3}`, `{"x":2}`} {
		h.says("devices/d1/telemetry", payload)
	}
	_, body := h.ask(http.MethodGet, "/api/v1/history?device=d1&field=x")
	want := `{"series":[{"device":"d1","topic":"devices/d1/telemetry","field":"x","name":"x","unit":"","kind":"","step":0,` +
		`"times":[1769864400000,1769864401000,1769864402000],"min":[1,3,2],"max":[1,3,2],"last":[1,3,2],"count":[1,1,1]}]}` + "\n"
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	type answer struct {
		Series []struct{ Min, Max, Last, Count []float64 }
	}
	a := get[answer](h, "/api/v1/history?device=d1&field=x&points=1")
	if len(a.Series) != 1 || len(a.Series[0].Min) > 2 || a.Series[0].Min[0] != 1 {
		t.Errorf("%+v", a)
	}
	if a := get[answer](h, "/api/v1/history?device=d1&field=x&field=y&from=2026-01-31T13:00:00Z&to=1769864400500"); len(a.Series) != 2 {
		t.Errorf("%+v", a)
	}
	for query, code := range map[string]string{
		"": "bad_command", "?field=x": "bad_command", "?device=d1&points=0": "bad_command", "?device=d1&points=2001": "bad_command",
		"?device=d1&field=x&points=20001": "bad_command", "?device=d1&from=yesterday": "bad_command", "?device=d1&from=2&to=1": "bad_command",
		"?topic=a/%23": "invalid_topic", "?device=d1&from=-1": "bad_command", "?device=d1" + strings.Repeat("&field=x", 65): "too_many",
		"?device=d1&to=99999999999999999": "bad_command",
	} {
		h.refused("/api/v1/history"+query, http.StatusBadRequest, code)
	}
}

func TestExport(t *testing.T) {
	h := start(t, nil)
	h.says("devices/d1/telemetry", `{"x":1.5,"y":-5}`)
	h.says("devices/d2/telemetry", `{"x":1e-7}`)
	h.says("devices/=1+1/telemetry", `{"a,\"b\"":2}`)
	response, body := h.ask(http.MethodGet, "/api/v1/export?format=csv")
	if got := response.Header.Get("Content-Type"); got != "text/csv; charset=utf-8; header=present" {
		t.Error(got)
	}
	if got := response.Header.Get("Content-Disposition"); got != `attachment; filename="pulso-samples.csv"` {
		t.Error(got)
	}
	if strings.Count(body, "\r\n") != strings.Count(body, "\n") {
		t.Errorf("lines do not end as RFC 4180 says: %q", body)
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%v in %s", err, body)
	}
	if got := strings.Join(rows[1], "|"); got != "2026-01-31T13:00:00.000Z|d1|devices/d1/telemetry|x|x|||1.5" {
		t.Error(got)
	}
	if rows[2][7] != "-5" || rows[3][7] != "1e-07" || rows[4][1] != "'=1+1" || rows[4][3] != `a,"b"` {
		t.Errorf("%q", rows)
	}
	_, body = h.ask(http.MethodGet, "/api/v1/export?device=d1&field=y&format=jsonl")
	if got := lines[sample](t, body); len(got) != 1 || got[0].Value != -5 || got[0].Time != began.UnixMilli() || got[0].Field != "y" {
		t.Errorf("%+v", got)
	}
	response, body = h.ask(http.MethodGet, "/api/v1/export?what=events&device=d2")
	if got := response.Header.Get("Content-Disposition"); got != `attachment; filename="pulso-events-d2.jsonl"` {
		t.Error(got)
	}
	if !strings.HasPrefix(body, `{"position":"`) || !strings.Contains(body, `"payload":{"x":1e-7}`) || strings.Count(body, "\n") != 1 {
		t.Error(body)
	}
	for query, want := range map[string]int{
		"": 3, "&filter=devices/d1/%23": 1, "&topic=devices/d2/telemetry": 1, "&from=2026-01-31T13:00:01Z": 2, "&to=2026-01-31T13:00:01Z": 2,
		"&device=nobody": 0,
	} {
		if _, body := h.ask(http.MethodGet, "/api/v1/export?what=events"+query); strings.Count(body, "\n") != want {
			t.Errorf("%s: %s, want %d", query, body, want)
		}
	}
	for _, query := range []string{
		"?format=parquet", "?what=secrets", "?what=events&format=csv", "?what=events&field=x", "?filter=a/%23", "?from=x", "?limit=5",
		"?what=events&topic=a&filter=b",
	} {
		h.refused("/api/v1/export"+query, http.StatusBadRequest, "bad_command")
	}
}

// slowHistory walks as a test lets it.
type slowHistory struct {
	rest.History

	walk func(ctx context.Context, visit func(history.Point) error) error
}

func (s slowHistory) Walk(ctx context.Context, _ history.Selection, visit func(history.Point) error) error {
	return s.walk(ctx, visit)
}

var errDisk = errors.New("the disk has failed")

// TestExportThatFails tells the client of a failure: in words while nothing was sent, by a connection that ends too early later.
func TestExportThatFails(t *testing.T) {
	samples := 0
	h := start(t, func(c *rest.Config) {
		c.History = slowHistory{walk: func(_ context.Context, visit func(history.Point) error) error {
			for range samples {
				if err := visit(history.Point{Series: &history.Info{Device: "d1"}}); err != nil {
					return err
				}
			}
			return errDisk
		}}
	})
	samples = 10
	h.refused("/api/v1/export", http.StatusServiceUnavailable, "unavailable")
	samples = 100_000
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL+"/api/v1/export", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := h.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes and %v: it looks whole", n, err)
	}
}

// TestExportsAreFew refuses exports beyond the bound, and has room again when one has ended.
func TestExportsAreFew(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	h := start(t, func(c *rest.Config) {
		c.Exports = 2
		c.History = slowHistory{walk: func(context.Context, func(history.Point) error) error {
			begun <- struct{}{}
			<-end
			return nil
		}}
	})
	done := make(chan string)
	for range 2 {
		go func() {
			response, _ := h.ask(http.MethodGet, "/api/v1/export")
			done <- response.Status
		}()
		<-begun
	}
	response, _ := h.ask(http.MethodGet, "/api/v1/export")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("a third: %s", response.Status)
	}
	close(end)
	for range 2 {
		if status := <-done; status != "200 OK" {
			t.Error(status)
		}
	}
	go func() { <-begun }()
	if response, _ := h.ask(http.MethodGet, "/api/v1/export"); response.StatusCode != http.StatusOK {
		t.Error(response.Status)
	}
}

// TestExportToNobody ends an export whose client takes nothing, and leaves its place to others.
func TestExportToNobody(t *testing.T) {
	ended := make(chan error, 1)
	h := start(t, func(c *rest.Config) {
		c.WriteTimeout = 100 * time.Millisecond
		c.History = slowHistory{walk: func(_ context.Context, visit func(history.Point) error) error {
			for {
				if err := visit(history.Point{Series: &history.Info{Device: "d1"}}); err != nil {
					ended <- err
					return err
				}
			}
		}}
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL+"/api/v1/export", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := h.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the export goes on for nobody")
	}
}

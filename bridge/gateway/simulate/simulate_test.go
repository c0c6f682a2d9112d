package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, h *Handler, method string, want int) state {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, Path, http.NoBody))
	if rec.Code != want {
		t.Errorf("%s: %d %s, want %d", method, rec.Code, rec.Body, want)
	}
	var s state
	if err := json.Unmarshal(rec.Body.Bytes(), &s); err != nil {
		t.Error(err)
	}
	return s
}

func TestOneFleetThatEndsWithTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goodbyes := 0
		h := New(Config{Metrics: prometheus.NewRegistry(), Fleet: func(ctx context.Context) error {
			<-ctx.Done()
			goodbyes++
			return ctx.Err()
		}})
		ask(t, h, http.MethodPost, http.StatusServiceUnavailable) // it does not run yet
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		synctest.Wait()

		if s := ask(t, h, http.MethodGet, http.StatusOK); s.Running {
			t.Errorf("nobody started it: %+v", s)
		}
		if s := ask(t, h, http.MethodPost, http.StatusAccepted); !s.Running || s.Since == 0 {
			t.Errorf("started: %+v", s)
		}
		ask(t, h, http.MethodPost, http.StatusConflict)
		if got := testutil.ToFloat64(h.metrics.running); got != 1 {
			t.Errorf("running: %v", got)
		}
		if s := ask(t, h, http.MethodDelete, http.StatusOK); s != (state{}) || goodbyes != 1 {
			t.Errorf("stopped: %+v, %d goodbyes", s, goodbyes)
		}
		ask(t, h, http.MethodDelete, http.StatusOK)
		ask(t, h, http.MethodPut, http.StatusMethodNotAllowed)

		ask(t, h, http.MethodPost, http.StatusAccepted)
		cancel()
		if err := <-ended; err != nil || goodbyes != 2 {
			t.Errorf("%v, %d goodbyes", err, goodbyes)
		}
		ask(t, h, http.MethodPost, http.StatusServiceUnavailable)
	})
}

func TestFleetThatFailsSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Fleet: func(context.Context) error { return errors.New("refused") }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		synctest.Wait()
		ask(t, h, http.MethodPost, http.StatusAccepted)
		synctest.Wait()
		if s := ask(t, h, http.MethodGet, http.StatusOK); s.Running || s.Failure != "refused" {
			t.Errorf("%+v", s)
		}
		ask(t, h, http.MethodPost, http.StatusAccepted) // another try
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestHubWithoutSimulator(t *testing.T) {
	ask(t, New(Config{}), http.MethodPost, http.StatusNotFound)
}

package rest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pulso/bridge"
	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/gateway/rest"
	"pulso/bridge/view/devices"
	"pulso/bridge/view/history"
	"pulso/bridge/view/topics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// began is when the first message of a test arrives.
var began = time.Date(2026, 1, 31, 13, 0, 0, 0, time.UTC)

// A hub is the real parts behind the requests: log, decoder and views, on a clock of its own.
type hub struct {
	t       testing.TB
	log     eventlog.Log
	bridge  *bridge.Bridge
	devices *devices.View
	topics  *topics.View
	history *history.View
	config  rest.Config
	now     time.Time
	server  *httptest.Server
}

// start makes a hub. change may change the Handler's Config.
func start(t testing.TB, change func(*rest.Config)) *hub {
	t.Helper()
	h := &hub{t: t, now: began}
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h.log = log
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h.bridge, err = bridge.New(bridge.Config{Log: h.log, Decoder: decoder})
	if err != nil {
		t.Fatal(err)
	}
	h.devices, err = devices.New(devices.Config{Intern: h.bridge.Intern})
	if err != nil {
		t.Fatal(err)
	}
	h.topics, err = topics.New(topics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h.history, err = history.New(history.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.history.Close(); err != nil {
			t.Error(err)
		}
	})
	h.config = rest.Config{
		Devices: h.devices, Topics: h.topics, Log: h.log, Decode: h.bridge.Decode, Decoder: decoder, History: h.history,
		Forget: func(_ context.Context, device string) error {
			//nolint:contextcheck // a view's Apply has none
			h.append(event.Event{Kind: event.KindForget, Payload: []byte(device), Source: event.SourceHub})
			return nil
		},
	}
	if change != nil {
		change(&h.config)
	}
	handler, err := rest.New(h.config)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, one := range handler.Routes() {
		mux.Handle(pattern, one)
	}
	h.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		h.server.Client().CloseIdleConnections()
		h.server.Close()
	})
	return h
}

// append stores events and has all views apply them. Each comes a second after the one before.
func (h *hub) append(events ...event.Event) {
	h.t.Helper()
	for i := range events {
		events[i].Time = h.now.UnixNano()
		h.now = h.now.Add(time.Second)
	}
	if err := h.log.Append(events, false); err != nil {
		h.t.Fatal(err)
	}
	decoded := h.bridge.Decode(events)
	h.devices.Apply(decoded)
	h.topics.Apply(decoded)
	h.history.Apply(decoded)
}

func (h *hub) says(topic, payload string) {
	h.t.Helper()
	h.append(event.Event{Topic: topic, Client: "c", Payload: []byte(payload)})
}

// A reply is the head of an answer.
type reply struct {
	StatusCode int
	Status     string
	Header     http.Header
}

// ask makes a request and returns its answer.
func (h *hub) ask(method, path string) (head reply, body string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := h.server.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Status, response.Header}, string(text)
}

// get asks for JSON, which must come.
func get[T any](h *hub, path string) (out T) {
	h.t.Helper()
	response, body := h.ask(http.MethodGet, path)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
		h.t.Fatalf("%s: %s %s", path, response.Status, body)
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		h.t.Fatalf("%s: %v in %s", path, err, body)
	}
	return out
}

// refused holds a request to being refused with a status and a code.
func (h *hub) refused(path string, status int, code string) {
	h.t.Helper()
	response, body := h.ask(http.MethodGet, path)
	var problem struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || response.StatusCode != status || problem.Code != code {
		h.t.Errorf("%s: %s %s, want %d %s", path, response.Status, body, status, code)
	}
}

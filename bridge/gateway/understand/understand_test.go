package understand_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/gateway/understand"
)

// memory is a Store that keeps nothing beyond its life.
type memory struct {
	decoder    *decode.Decoder
	kept       []decode.Override
	configured []decode.Override
	version    string
	full       bool
}

func (m *memory) Overrides() (kept, configured []decode.Override, version string) {
	return m.kept, m.configured, m.version
}

func (m *memory) Set(kept []decode.Override, version string) (string, error) {
	if version != m.version {
		return m.version, understand.ErrVersion
	}
	if m.full {
		return m.version, errors.Join(understand.ErrNotSaved, errors.New("disk is full"))
	}
	if err := m.decoder.Override(slices.Concat(kept, m.configured)); err != nil {
		return m.version, err
	}
	m.kept, m.version = kept, m.version+"'"
	return m.version, nil
}

func start(t *testing.T) (*memory, *httptest.Server) {
	t.Helper()
	d, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	store := &memory{decoder: d, version: "v", configured: []decode.Override{{Filter: "house/#", Name: "House"}}}
	h := understand.New(understand.Config{Store: store, Decoder: d})
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/overrides", h.ServeOverrides)
	mux.HandleFunc("/api/v1/decode", h.ServeDecode)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return store, server
}

func ask(t *testing.T, server *httptest.Server, method, path, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestOverridesAreReplaced(t *testing.T) {
	store, server := start(t)
	status, answer := ask(t, server, http.MethodGet, "/api/v1/overrides", "")
	if status != http.StatusOK || !strings.Contains(answer, `"version":"v"`) || !strings.Contains(answer, `"from":"configuration"`) {
		t.Errorf("%d %s", status, answer)
	}
	status, answer = ask(t, server, http.MethodPut, "/api/v1/overrides",
		`{"version":"v","overrides":[{"filter":"house/1/t","fields":{"t":{"unit":"°C"}},"from":"dashboard"},`+
			`{"filter":"house/#","name":"House","from":"configuration"}]}`)
	if status != http.StatusOK || len(store.kept) != 1 || store.kept[0].Fields["t"].Unit != "°C" || !strings.Contains(answer, `"version":"v'"`) {
		t.Errorf("%d %s, kept %+v", status, answer, store.kept)
	}
	for name, test := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"an old version":     {`{"version":"v","overrides":[]}`, http.StatusConflict, `"code":"conflict"`},
		"a bad filter":       {`{"version":"v'","overrides":[{"filter":"a/#/b"}]}`, http.StatusBadRequest, "filter"},
		"an unknown format":  {`{"version":"v'","overrides":[{"filter":"a","format":"cobol"}]}`, http.StatusBadRequest, "cobol"},
		"an unknown key":     {`{"version":"v'","overrides":[{"filter":"a","colour":"red"}]}`, http.StatusBadRequest, "colour"},
		"no JSON":            {`version`, http.StatusBadRequest, "bad_json"},
		"more than is taken": {`{"version":"` + strings.Repeat("x", understand.MaxBody) + `"}`, http.StatusRequestEntityTooLarge, "too_large"},
	} {
		if status, answer := ask(t, server, http.MethodPut, "/api/v1/overrides", test.body); status != test.status || !strings.Contains(answer, test.says) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	store.full = true
	if status, answer := ask(t, server, http.MethodPut, "/api/v1/overrides", `{"version":"v'","overrides":[]}`); status != http.StatusServiceUnavailable {
		t.Errorf("a full disk: %d %s", status, answer)
	}
	if len(store.kept) != 1 {
		t.Errorf("kept %+v", store.kept)
	}
	if status, _ := ask(t, server, http.MethodDelete, "/api/v1/overrides", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", status)
	}
}

func TestFormsOfForeignPagesAreRefused(t *testing.T) {
	_, server := start(t)
	response, err := server.Client().Post(server.URL+"/api/v1/decode", "text/plain", strings.NewReader(`{"topic":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnsupportedMediaType {
		t.Error(response.Status)
	}
}

func TestDecodeTriesOverrides(t *testing.T) {
	_, server := start(t)
	report := func(body string) (r decode.Report) {
		t.Helper()
		status, answer := ask(t, server, http.MethodPost, "/api/v1/decode", body)
		if err := json.Unmarshal([]byte(answer), &r); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, answer, err)
		}
		return r
	}
	const message = `"topic":"house/1/telemetry","payload":"{\"t\":215}"`
	if r := report(`{` + message + `}`); r.Metrics["t"] != 215 || r.Name != "House" || len(r.Why) == 0 {
		t.Errorf("%+v", r)
	}
	r := report(`{` + message + `,"overrides":[{"filter":"house/+/telemetry","fields":{"t":{"name":"temperature","unit":"°C","scale":0.1}}}]}`)
	if r.Metrics["temperature"] != 21.5 || r.Units["temperature"] != "°C" || r.Name != "House" {
		t.Errorf("%+v", r)
	}
	if r := report(`{` + message + `}`); r.Metrics["t"] != 215 {
		t.Errorf("after a trial: %+v", r)
	}
	if r := report(`{"topic":"a/b","payload_base64":"MjEuNQ=="}`); len(r.Metrics) != 1 {
		t.Errorf("%+v", r)
	}
	for _, body := range []string{`{"topic":"a/#"}`, `{"topic":"a","payload_base64":"?"}`, `{` + message + `,"overrides":[{"filter":""}]}`, `[]`} {
		if status, answer := ask(t, server, http.MethodPost, "/api/v1/decode", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

type telemetry struct{}

func (telemetry) Key() string            { return "telemetry" }
func (telemetry) Sees(topic string) bool { return strings.HasSuffix(topic, "/telemetry") }

// TestScopedQuestions: who reads with a scope is told of the topics that it sees, and nothing that was announced on others.
func TestScopedQuestions(t *testing.T) {
	d, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var out decode.Result
	d.Decode(decode.Input{Topic: "devices/d1/info", Retain: true, Payload: []byte(`{"units":{"t":"secret"}}`)}, &out)
	h := understand.New(understand.Config{Store: &memory{decoder: d, version: "v"}, Decoder: d})
	ask := func(scope event.Scope, serve http.HandlerFunc, method, body string) (status int, answer string) {
		r := httptest.NewRequestWithContext(event.WithScope(t.Context(), scope), method, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		serve(rec, r)
		return rec.Code, rec.Body.String()
	}
	question := `{"topic":"devices/d1/telemetry","payload":"{\"t\":1}"}`
	if status, answer := ask(nil, h.ServeDecode, http.MethodPost, question); status != http.StatusOK || !strings.Contains(answer, "secret") {
		t.Errorf("who sees everything: %d %s", status, answer)
	}
	status, answer := ask(telemetry{}, h.ServeDecode, http.MethodPost, question)
	if status != http.StatusOK || !strings.Contains(answer, `"t":1`) || strings.Contains(answer, "secret") {
		t.Errorf("by the message alone: %d %s", status, answer)
	}
	if status, answer := ask(nil, h.ServeDecode, http.MethodPost, question); status != http.StatusOK || !strings.Contains(answer, "secret") {
		t.Errorf("it was forgotten: %d %s", status, answer)
	}
	for _, c := range []struct {
		serve        http.HandlerFunc
		method, body string
	}{
		{h.ServeDecode, http.MethodPost, strings.Replace(question, "telemetry", "info", 1)},
		{h.ServeOverrides, http.MethodGet, ""},
		{h.ServeOverrides, http.MethodPut, `{"version":"v","overrides":[]}`},
	} {
		if status, answer := ask(telemetry{}, c.serve, c.method, c.body); status != http.StatusForbidden || !strings.Contains(answer, "forbidden") {
			t.Errorf("%s %s: %d %s", c.method, c.body, status, answer)
		}
	}
}

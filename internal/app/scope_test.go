package app

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"pulso/access/audit"
	"pulso/bridge/event"
	"pulso/bridge/gateway/boards"
	"pulso/bridge/gateway/commands"
	"pulso/bridge/gateway/rpc"
	"pulso/bridge/gateway/simulate"
	"pulso/bridge/view/hub"
	"pulso/contract/api"
)

// Two readers with a scope, and one who sees everything. Each scope sees the topics that have its mark, and those that both share;
// everything that is said there has the mark, too. Nobody but the last sees what is marked as hidden.
const (
	sideLeft, sideRight, sideAll = "left", "right", ""
	hiddenMark, sharedMark       = "zzhiddenz", "zzsharedz"
	// scopeHeader says with which scope a test asks.
	scopeHeader = "Test-Scope"
)

// mark has a number of bytes that base64 encodes by itself.
func mark(side string) string {
	return map[string]string{sideLeft: "zzleftyzz", sideRight: "zzrightzz"}[side]
}

// forbidden are the marks that a side must not meet, owned those that it must.
func forbidden(side string) []string {
	switch side {
	case sideLeft:
		return []string{mark(sideRight), hiddenMark}
	case sideRight:
		return []string{mark(sideLeft), hiddenMark}
	}
	return nil
}

func owned(side string) []string {
	if side == sideAll {
		return []string{mark(sideLeft), mark(sideRight)}
	}
	return []string{mark(side)}
}

type sideScope string

func (s sideScope) Key() string { return "side/" + string(s) }

func (s sideScope) Sees(topic string) bool {
	return strings.Contains(topic, mark(string(s))) || strings.Contains(topic, sharedMark)
}

// runScoped runs a hub whose requests may say with which scope they are to be answered.
func runScoped(t *testing.T) *Hub {
	t.Helper()
	return runHub(t, inMemory(t), func(h *Hub) {
		inner := h.server.Handler
		h.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if side := r.Header.Get(scopeHeader); side != "" {
				r = r.WithContext(event.WithScope(r.Context(), sideScope(side)))
			}
			inner.ServeHTTP(w, r)
		})
	})
}

// leaks reports what of text a side must not have, as it is or in base64.
func leaks(side string, text []byte) string {
	for _, m := range forbidden(side) {
		for _, form := range []string{m, base64.StdEncoding.EncodeToString([]byte(m))} {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				return string(text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
	return ""
}

func say(topic, client, payload string) event.Event {
	return event.Event{Topic: topic, Client: client, Payload: []byte(payload), Time: time.Now().UnixNano()}
}

// saidUnder is what is said under a mark: topics, devices, clients, names of readings, units, texts, chat.
func saidUnder(m string) []event.Event {
	own := func(topic, payload string) event.Event {
		return say(strings.ReplaceAll(topic, "OWN", m), m+"-client", strings.ReplaceAll(payload, "OWN", m))
	}
	return []event.Event{
		own("devices/OWN-dev/telemetry", `[{"n":"OWN_reading","u":"OWNU","v":21.5}]`),
		own("devices/OWN-dev/state", `{"note":"OWN is a text","x":7}`),
		own("OWN/plain", "OWN are words"),
		own("OWN/bytes", "OWN\xff\xfe"),
		own("chat/OWN", `{"v":1,"from":"OWN","text":"OWN in the chat"}`),
		own("homeassistant/sensor/OWN/config",
			`{"name":"OWN","stat_t":"OWN/ha","unit_of_meas":"OWN","dev":{"ids":["OWN"],"name":"OWN"}}`),
		own("devices/zzmixedzz/OWN", `{"mixed":3,"says":"OWN"}`),
	}
}

// seed says everything under all marks.
func seed(t *testing.T, h *Hub) {
	t.Helper()
	for _, m := range []string{mark(sideRight), hiddenMark, mark(sideLeft)} {
		keep(t, h, saidUnder(m)...)
		h.figures.Refused(hub.Refusal{Client: m, Remote: m, Reason: m})
		h.figures.Missed(hub.Missed{Client: m, Reason: m})
		board := strings.ReplaceAll(`{"name":"OWN","version":"","panels":[{"title":"OWN","width":1,"series":[`+
			`{"device":"OWN-dev","topic":"devices/OWN-dev/state","field":"x"}]}]}`, "OWN", m)
		if status, body := ask(t, h, sideAll, http.MethodPut, boards.Path+"/"+m, board); status != http.StatusCreated {
			t.Fatalf("board: %d %s", status, body)
		}
		promise := strings.ReplaceAll(`{"filter":"OWN/plain","mode":"observe","schema":{"title":"OWN","type":"string"}}`, "OWN", m)
		if status, body := ask(t, h, sideAll, http.MethodPut, api.Path+"/"+m, promise); status != http.StatusOK {
			t.Fatalf("contract: %d %s", status, body)
		}
		broken := event.Event{Topic: m + "/plain", Client: m, Payload: []byte(m + " breaks it"), Time: 1}
		if err := h.contracts.Admit(&broken, true); err != nil {
			t.Fatal(err)
		}
		command := strings.ReplaceAll(`{"device":"OWN-dev","topic":"devices/OWN-dev/set","payload_text":"OWN","timeout":1000,`+
			`"expect":{"topic":"OWN/answers"}}`, "OWN", m)
		if status, body := ask(t, h, sideAll, http.MethodPost, commands.Path, command); status != http.StatusAccepted {
			t.Fatalf("command: %d %s", status, body)
		}
	}
	keep(t, h, say("chat/"+sharedMark, "someone", "for all"))
}

// ask makes a request as a side does. A body that is JSON says so.
func ask(t *testing.T, h *Hub, side, method, path, body string) (status int, answer []byte) {
	t.Helper()
	return askWith(t, h, side, method, path, body, "application/json")
}

func askWith(t *testing.T, h *Hub, side, method, path, body, contentType string) (status int, answer []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.HTTPAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(scopeHeader, side)
	r.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

const formType = "application/x-www-form-urlencoded"

// A probe is a request whose answer a side is to find its own in, and nothing that it must not.
type probe struct {
	method, path, body string
	contentType        string
	// empty says that there is nothing of anybody's to be found; whole that it is for those who read everything.
	empty, whole bool
}

func gets(paths ...string) (out []probe) {
	for _, p := range paths {
		out = append(out, probe{path: p})
	}
	return out
}

// form is a request whose parameters are its body.
func form(path, parameters string) probe {
	return probe{method: http.MethodPost, path: path, body: parameters, contentType: formType}
}

// probes are the requests by the pattern of their route. Streams are looked at elsewhere.
func probes(t *testing.T) map[string][]probe {
	t.Helper()
	everything := url.Values{"query": {`{__name__=~".+"}`}, "match[]": {`{__name__=~".+"}`}, "start": {"0"}, "end": {"9999999999"}}.Encode()
	query := func(expressions ...string) (out []probe) {
		for _, e := range expressions {
			out = append(out, probe{path: "/api/v1/query?" + url.Values{"query": {e}}.Encode()})
		}
		return out
	}
	now := time.Now()
	values := url.Values{
		"query": {`{__name__=~".+"}`}, "step": {"5"},
		"start": {fmt.Sprint(now.Add(-time.Minute).Unix())}, "end": {fmt.Sprint(now.Add(time.Minute).Unix())},
	}.Encode()
	return map[string][]probe{
		"/api/v1/devices": gets("/api/v1/devices", "/api/v1/devices?q=zz", "/api/v1/devices?status=online&limit=1000"),
		"/api/v1/devices/{id...}": append(gets("/api/v1/devices/OWN-dev"),
			probe{path: "/api/v1/devices/zzmixedzz", empty: true}),
		"/api/v1/topics": gets("/api/v1/topics", "/api/v1/topics?filter=%23&limit=1000", "/api/v1/topics?filter=devices/%2B/%2B"),
		"/api/v1/events": gets("/api/v1/events?limit=1000", "/api/v1/events?filter=%23&limit=1000", "/api/v1/events?topic=OWN/plain"),
		"/api/v1/history": append(gets("/api/v1/history?device=OWN-dev", "/api/v1/history?topic=devices/OWN-dev/telemetry"),
			probe{path: "/api/v1/history?device=zzmixedzz", empty: true}),
		"/api/v1/export": gets("/api/v1/export", "/api/v1/export?format=csv", "/api/v1/export?what=events",
			"/api/v1/export?what=events&filter=%23", "/api/v1/export?what=events&device=OWN-dev", "/api/v1/export?device=OWN-dev"),
		commands.Path:         gets(commands.Path, commands.Path+"?device=OWN-dev"),
		boards.Path:           gets(boards.Path),
		boards.Path + "/{id}": gets(boards.Path + "/OWN"),
		"/api/v1/overrides": {
			{path: "/api/v1/overrides", whole: true},
			{method: http.MethodPut, path: "/api/v1/overrides", body: `{}`, whole: true},
		},
		"/api/v1/decode":  {{method: http.MethodPost, path: "/api/v1/decode", body: `{"topic":"devices/OWN-dev/state","payload":"{\"OWN\":1}"}`}},
		"/metrics":        {{path: "/metrics", whole: true}},
		"/api/v1/past":    {{path: "/api/v1/past", empty: true}},
		simulate.Path:     {{path: simulate.Path, empty: true}},
		"/api/v1/publish": {{method: http.MethodPost, path: "/api/v1/publish?topic=zz/any", body: "1", empty: true}},
		"/api/v1/query": append(
			query(`{__name__=~".+"}`, `count by (device, topic, field, unit) ({__name__=~".+"})`,
				`label_replace({field=~".+"}, "a", "$1", "device", "(.*)")`, `{__name__=~".+"}[10m]`,
				`sum by (topic) (max_over_time({__name__=~".+"}[1m:1s] offset -5s))`, `sort_desc({__name__=~".+"}) or absent(nothing)`),
			form("/api/v1/query", everything)),
		"/api/v1/query_range": append(gets("/api/v1/query_range?"+values), form("/api/v1/query_range", values)),
		"/api/v1/series": append(gets("/api/v1/series?"+everything, "/api/v1/series?match[]=%7Bdevice!=%22%22%7D&match[]=%7Btopic=~%22.%2B%22%7D"),
			form("/api/v1/series", everything)),
		"/api/v1/labels": {{path: "/api/v1/labels", empty: true}, {path: "/api/v1/labels?" + everything, empty: true}},
		"/api/v1/label/{name}/values": gets("/api/v1/label/device/values", "/api/v1/label/topic/values", "/api/v1/label/field/values",
			"/api/v1/label/unit/values", "/api/v1/label/__name__/values", "/api/v1/label/topic/values?"+everything,
			"/api/v1/label/device/values?match[]=%7Bkind!=%22nothing%22,field!=%22%22%7D"),
		"/api/v1/metadata":   gets("/api/v1/metadata", "/api/v1/metadata?limit=100000", "/api/v1/metadata?metric=OWN_reading"),
		"/api/v1/read":       {{method: http.MethodPost, path: "/api/v1/read", body: remoteRead(t), contentType: "application/x-protobuf"}},
		"/federate":          gets("/federate?"+everything, "/federate?match[]=%7Bdevice=~%22.%2B%22%7D&match[]=%7Btopic=~%22.%2B%22%7D"),
		api.Path:             gets(api.Path),
		api.Path + "/{name}": gets(api.Path + "/OWN"),
		api.LearnPath: {
			{path: api.LearnPath + "?filter=devices/zzleftyzz-dev/state", empty: true}, {path: api.LearnPath + "?filter=devices/%2B/state", empty: true},
		},
		api.TryPath: {
			{method: http.MethodPost, path: api.TryPath, body: `{"filter":"OWN/plain","schema":false}`},
			{method: http.MethodPost, path: api.TryPath, body: `{"filter":"devices/+/telemetry","schema":{"type":"string"}}`},
		},
		api.AsyncPath:              gets(api.AsyncPath),
		api.PagePath:               gets(api.PagePath, api.PagePath+"?learn=devices/%2B/%23"),
		api.PagePath + "/try":      {form(api.PagePath+"/try", "filter=OWN/plain&schema=false")},
		api.PagePath + "/{what}":   {form(api.PagePath+"/mode", "name=OWN&mode=observe")},
		audit.Path:                 {{path: audit.Path, whole: true}},
		"/api/v1/format_query":     {{path: "/api/v1/format_query?query=up", empty: true}},
		"/api/v1/query_exemplars":  {{path: "/api/v1/query_exemplars?query=up", empty: true}},
		"/api/v1/rules":            {{path: "/api/v1/rules", empty: true}},
		"/api/v1/alerts":           {{path: "/api/v1/alerts", empty: true}},
		"/api/v1/status/buildinfo": {{path: "/api/v1/status/buildinfo", empty: true}},
	}
}

// streamRoutes are looked at by TestNoStreamLeaks and TestThePastLeaksNothing.
var streamRoutes = []string{"/ws", "/ws/past", "/sse", "/api/v1/session", "/api/v1/poll", rpc.Path}

func remoteRead(t *testing.T) string {
	t.Helper()
	q := &prompb.ReadRequest{Queries: []*prompb.Query{{
		EndTimestampMs: 1e14, Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_RE, Name: "__name__", Value: ".+"}},
	}}}
	data, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, data))
}

// TestNoRouteLeaks asks every route that there is as two scopes and as one who sees everything.
func TestNoRouteLeaks(t *testing.T) {
	h := runScoped(t)
	seed(t, h)
	all := probes(t)
	for _, route := range h.guarded() {
		if _, known := all[route.pattern]; !known && !strings.Contains(strings.Join(streamRoutes, " "), route.pattern) {
			t.Errorf("%s: nobody has looked what it tells", route.pattern)
		}
	}
	for _, requests := range all {
		for _, p := range requests {
			t.Run(p.method+" "+p.path, func(t *testing.T) {
				for _, side := range []string{sideLeft, sideRight, sideAll} {
					p.check(t, h, side)
				}
			})
		}
	}
}

func (p *probe) check(t *testing.T, h *Hub, side string) {
	t.Helper()
	if p.method == "" {
		p.method = http.MethodGet
	}
	if p.contentType == "" {
		p.contentType = "application/json"
	}
	marks := owned(side)
	var answers []byte
	for _, m := range marks {
		own := strings.NewReplacer("OWN", m)
		status, answer := askWith(t, h, side, p.method, own.Replace(p.path), own.Replace(p.body), p.contentType)
		if (status == http.StatusForbidden) != (p.whole && side != sideAll) || status >= 500 {
			t.Errorf("%q: %d %.200s", side, status, answer)
		}
		if strings.HasSuffix(p.path, "/read") {
			var err error
			if answer, err = snappy.Decode(nil, answer); err != nil {
				t.Error(err)
			}
		}
		answers = append(answers, answer...)
	}
	if leak := leaks(side, answers); leak != "" {
		t.Errorf("%q is told …%s…", side, leak)
	}
	if p.empty || p.whole {
		if side != sideAll && bytes.Contains(answers, []byte("mixed")) {
			t.Errorf("%q is told of the device that speaks on both sides: %s", side, answers)
		}
		return
	}
	for _, m := range marks {
		if !bytes.Contains(answers, []byte(m)) {
			t.Errorf("%q is not told of %s: %.300s", side, m, answers)
		}
	}
}

// TestHiddenIsAsIfItWereNot asks for what a scope does not see by its name: the answer is that to the name of nothing.
func TestHiddenIsAsIfItWereNot(t *testing.T) {
	h := runScoped(t)
	seed(t, h)
	_, page := ask(t, h, sideAll, http.MethodGet, commands.Path+"?device="+mark(sideRight)+"-dev", "")
	id := string(page[bytes.Index(page, []byte(`"id":"`))+6:][:16])
	nothing, now := "zznothing", strconv.FormatInt(time.Now().Unix()+1, 10)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/devices/NAME-dev", ""},
		{http.MethodDelete, "/api/v1/devices/NAME-dev", ""},
		{http.MethodGet, "/api/v1/devices?q=NAME", ""},
		{http.MethodGet, "/api/v1/topics?filter=NAME/%23", ""},
		{http.MethodGet, "/api/v1/topics?filter=NAME/plain", ""},
		{http.MethodGet, "/api/v1/history?device=NAME-dev", ""},
		{http.MethodGet, "/api/v1/history?topic=devices/NAME-dev/state", ""},
		{http.MethodGet, "/api/v1/export?device=NAME-dev", ""},
		{http.MethodGet, "/api/v1/export?topic=NAME/plain&what=events", ""},
		{http.MethodGet, boards.Path + "/NAME", ""},
		{http.MethodPut, boards.Path + "/NAME", `{}`},
		{http.MethodDelete, boards.Path + "/NAME", ""},
		{http.MethodPost, "/api/v1/decode", `{"topic":"NAME/plain","payload":"x"}`},
		{http.MethodGet, commands.Path + "?device=NAME-dev", ""},
		{http.MethodGet, commands.Path + "?before=ID", ""},
		{http.MethodGet, `/api/v1/query?time=NOW&query={device%3D"NAME-dev"}`, ""},
		{http.MethodGet, `/api/v1/query?time=NOW&query=absent(NAME_reading)`, ""},
		{http.MethodGet, `/api/v1/series?match[]={device%3D"NAME-dev"}`, ""},
		{http.MethodGet, `/api/v1/labels?match[]={device%3D"NAME-dev"}`, ""},
		{http.MethodGet, `/api/v1/label/topic/values?match[]={device%3D"NAME-dev"}`, ""},
		{http.MethodGet, `/api/v1/metadata?metric=NAME_reading`, ""},
		{http.MethodGet, `/federate?match[]={device%3D"NAME-dev"}`, ""},
	} {
		answer := func(side, name, id string) string {
			with := strings.NewReplacer("NAME", name, "ID", id, "NOW", now)
			status, body := ask(t, h, side, c.method, with.Replace(c.path), with.Replace(c.body))
			return fmt.Sprint(status, " ", strings.ReplaceAll(string(body), name, "NAME"))
		}
		hidden, absent := answer(sideLeft, mark(sideRight), id), answer(sideLeft, nothing, "0123456789abcdef")
		if hidden != absent {
			t.Errorf("%s %s: what is hidden is answered %s, what is not there %s", c.method, c.path, hidden, absent)
		}
		if c.method == http.MethodGet && answer(sideAll, mark(sideRight), id) == answer(sideAll, nothing, "0123456789abcdef") {
			t.Errorf("%s: who sees everything is told nothing, so that this shows nothing", c.path)
		}
	}
	if _, found := h.devices.Device(mark(sideRight) + "-dev"); !found {
		t.Error("it was deleted by one who does not see it")
	}
}

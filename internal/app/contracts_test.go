package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/event"
	"pulso/contract"
	"pulso/contract/api"
	"pulso/test/conformance/wire"
)

const climate = `{"type":"object","properties":{"temperature":{"type":"number","maximum":85}},"required":["temperature"]}`

// promise makes a contract.
func promise(t *testing.T, h *Hub, name string, mode contract.Mode, filter, schema string) {
	t.Helper()
	body := fmt.Sprintf(`{"filter":%q,"mode":%q,"schema":%s}`, filter, mode, schema)
	if status, answer := exchange(t.Context(), t, http.MethodPut, "http://"+h.HTTPAddr()+api.Path+"/"+name, body); status != http.StatusOK {
		t.Fatalf("%s: %d %s", name, status, answer)
	}
}

// watched is what the hub tells of a contract.
func watched(t *testing.T, h *Hub, name string) contract.Watched {
	t.Helper()
	_, answer := exchange(t.Context(), t, http.MethodGet, "http://"+h.HTTPAddr()+api.Path+"/"+name, "")
	var k contract.Watched
	if err := json.Unmarshal(answer, &k); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	return k
}

// userProperties are the values of a message's user properties with a name.
func userProperties(p *wire.Received, name string) (values []string) {
	for _, u := range p.Props {
		if text := u.String(); strings.Contains(text, name) {
			values = append(values, text)
		}
	}
	return values
}

// What breaks a contract is counted, set aside or refused, by MQTT of either version and at each QoS.
func TestContractsOverMQTT(t *testing.T) {
	h := runHub(t, inMemory(t))
	promise(t, h, "observed", contract.Observe, "o/#", climate)
	promise(t, h, "aside", contract.Quarantine, "q/#", climate)
	promise(t, h, "strict", contract.Reject, "r/#", climate)
	all := wire.Open(t, h.MQTTAddr(), &wire.Connect{ClientID: "all"})
	all.Subscribe("#", 2)
	dead := wire.Open(t, h.MQTTAddr(), &wire.Connect{ClientID: "dead"})
	dead.Subscribe("$dead/#", 2)
	const good, bad = `{"temperature":21.5}`, `{"temperature":"warm"}`
	for _, version := range []byte{wire.V311, wire.V5} {
		c := wire.Open(t, h.MQTTAddr(), &wire.Connect{ClientID: fmt.Sprint("c", version), Version: version})
		for qos := range byte(3) {
			for _, kind := range []string{"o", "q", "r"} {
				topic := fmt.Sprintf("%s/%d/%d", kind, version, qos)
				if ack := c.TryPublish(&wire.Publish{Topic: topic, QoS: qos, Payload: good, Retain: true}); ack != nil && ack.Code >= 0x80 {
					t.Errorf("%s: a good message is refused: %v", topic, ack)
				}
				all.ReceiveMessage(topic, good)
				ack := c.TryPublish(&wire.Publish{Topic: topic, QoS: qos, Payload: bad, Retain: true})
				refused := ack != nil && ack.Code >= 0x80
				if want := kind == "r" && version == wire.V5 && qos > 0; refused != want || refused && ack.Code != 0x99 {
					t.Errorf("%s: %v", topic, ack)
				}
				switch {
				case kind == "o":
					all.ReceiveMessage(topic, bad)
				case kind == "q", version != wire.V5 && qos > 0: // what was acknowledged is kept
					p := dead.ReceiveMessage("$dead/"+topic, bad)
					if p.Retain || len(userProperties(p, contract.PropertyReason)) != 1 || len(userProperties(p, contract.PropertyContract)) != 1 {
						t.Errorf("%s: set aside as %v", topic, p)
					}
				}
			}
		}
		// Nobody was thrown out, and a packet id is free again.
		for range 3 {
			if ack := c.TryPublish(&wire.Publish{Topic: "r/again", QoS: 2, Payload: good}); ack.Code >= 0x80 {
				t.Errorf("refused: %v", ack)
			}
			all.ReceiveMessage("r/again", good)
		}
	}
	all.ExpectNoMessage()
	dead.ExpectNoMessage()
	late := wire.Open(t, h.MQTTAddr(), &wire.Connect{ClientID: "late"})
	late.Subscribe("r/5/+", 1)
	for range 3 {
		if p := late.Receive(); p.Payload != good {
			t.Errorf("retained: %v", p)
		}
	}
	warm := contract.Count{Kind: "/temperature: type", Count: 6}
	if seen := watched(t, h, "strict").Seen; seen.Checked != 18 || seen.Broken != 6 || seen.Faults[0] != warm || len(seen.Samples) != 6 {
		t.Errorf("seen: %+v", seen)
	}
	// What is set aside is nothing that a device said.
	_, devices := get(t, "http://"+h.HTTPAddr()+"/api/v1/devices?limit=1000", "")
	_, series := get(t, "http://"+h.HTTPAddr()+"/api/v1/label/topic/values", "")
	if strings.Contains(devices+series, "$dead") {
		t.Errorf("devices of what was set aside: %s, %s", devices, series)
	}
}

// A will cannot be refused to anybody: it is set aside.
func TestContractsOfWills(t *testing.T) {
	h := runHub(t, inMemory(t))
	promise(t, h, "strict", contract.Reject, "r/#", climate)
	dead := wire.Open(t, h.MQTTAddr(), &wire.Connect{ClientID: "dead"})
	dead.Subscribe("$dead/#", 1)
	c := wire.Open(t, h.MQTTAddr(), &wire.Connect{ClientID: "c", Will: &wire.Will{Topic: "r/will", Payload: "gone", QoS: 1, Retain: true}})
	c.Close()
	if p := dead.ReceiveMessage("$dead/r/will", "gone"); p.Retain {
		t.Errorf("retained: %v", p)
	}
}

// What comes over HTTP is judged as what comes by MQTT.
func TestContractsOverHTTP(t *testing.T) {
	h := runHub(t, inMemory(t))
	promise(t, h, "strict", contract.Reject, "r/#", climate)
	base := "http://" + h.HTTPAddr()
	status, answer := exchange(t.Context(), t, http.MethodPost, base+"/api/v1/publish?topic=r/x", "warm")
	if status != http.StatusUnprocessableEntity || !strings.Contains(string(answer), `"contract"`) || !strings.Contains(string(answer), "not JSON") {
		t.Errorf("publish: %d %s", status, answer)
	}
	if status, answer = exchange(t.Context(), t, http.MethodPost, base+"/api/v1/publish?topic=r/x", `{"temperature":1}`); status != http.StatusOK {
		t.Errorf("a good one: %d %s", status, answer)
	}
	status, answer = exchange(t.Context(), t, http.MethodPost, base+"/api/v1/commands", `{"device":"r","topic":"r/set","payload_text":"on"}`)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("command: %d %s", status, answer)
	}
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+h.HTTPAddr()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer func() { _ = ws.Close() }()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"id":7,"publish":{"topic":"r/x","payload":"warm"}}`)); err != nil {
		t.Fatal(err)
	}
	for {
		_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"error"`) {
			if !strings.Contains(string(text), `"contract"`) {
				t.Errorf("got %s", text)
			}
			break
		}
	}
}

// What another broker acknowledged cannot be refused.
func TestContractsOfOtherBrokers(t *testing.T) {
	h := runHub(t, inMemory(t))
	promise(t, h, "strict", contract.Reject, "r/#", climate)
	done := make(chan error, 1)
	m := event.Event{Topic: "r/x", Payload: []byte("warm"), QoS: 1, Time: time.Now().UnixNano()}
	if err := h.admitted(false).Ingest(t.Context(), m, func(_ event.Position, err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if found, err := h.log.Last("$dead/r/x", event.Position{}, 10); err != nil || len(found) != 1 {
		t.Errorf("%d are set aside: %v", len(found), err)
	}
}

// A schema is learned from the past and tried on it, and a restart keeps it.
func TestLearnTryKeep(t *testing.T) {
	cfg := inMemory(t)
	cfg.Data = filepath.Join(t.TempDir(), "data")
	h := runHub(t, cfg)
	base := "http://" + h.HTTPAddr()
	for i := range 30 {
		keep(t, h, say(fmt.Sprintf("plant/%d/climate", i%3), "c", fmt.Sprintf(`{"temperature":%d.5,"on":true}`, i)))
	}
	keep(t, h, say("plant/0/climate", "c", "warm"))
	var learned api.Learned
	eventually(t, "the topics are known", func() bool {
		_, answer := exchange(t.Context(), t, http.MethodGet, base+api.LearnPath+"?filter="+url.QueryEscape("plant/+/climate"), "")
		return json.Unmarshal(answer, &learned) == nil && learned.Messages == 30 && learned.Skipped == 1 && learned.Topics == 3 && learned.Complete
	})
	body := fmt.Sprintf(`{"filter":"plant/+/climate","schema":%s}`, learned.Schema)
	_, answer := exchange(t.Context(), t, http.MethodPost, base+api.TryPath, body)
	var tried api.Tried
	if err := json.Unmarshal(answer, &tried); err != nil || tried.Checked != 31 || tried.Broken != 1 || tried.Samples[0].Payload != "warm" {
		t.Fatalf("%v: %s", err, answer)
	}
	promise(t, h, "plant", contract.Observe, "plant/+/climate", string(learned.Schema))
	text, err := contract.Read(ContractsFile(cfg.Data))
	if err != nil || len(text.Contracts) != 1 || text.Contracts[0].Last().Number != 1 {
		t.Errorf("%v: %+v", err, text)
	}
	// Another process changes the mode.
	err = contract.Edit(ContractsFile(cfg.Data), func(c *contract.Content) error {
		c.Find("plant").Mode = contract.Reject
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change counts", func() bool { return watched(t, h, "plant").Mode == contract.Reject })
	if status, _ := exchange(t.Context(), t, http.MethodDelete, base+api.Path+"/plant", ""); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
	if status, _ := exchange(t.Context(), t, http.MethodGet, base+api.Path+"/plant", ""); status != http.StatusNotFound {
		t.Errorf("after it: %d", status)
	}
}

func TestAsyncAPI(t *testing.T) {
	h := runHub(t, inMemory(t))
	promise(t, h, "plant", contract.Observe, "plant/+/climate/#", `{"$defs":{"t":{"type":"number"}},"properties":{"temperature":{"$ref":"#/$defs/t"}}}`)
	keep(t, h, say("plant/1/climate", "c", `{"temperature":1}`), say("other/{x}/y", "c", `{"a":1}`), say("other/text", "c", "words"))
	if err := h.contracts.Admit(&event.Event{Topic: "plant/1/climate", Payload: []byte(`{"temperature":"x"}`), Time: 1}, true); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	eventually(t, "the topics are told", func() bool {
		_, answer := exchange(t.Context(), t, http.MethodGet, "http://"+h.HTTPAddr()+api.AsyncPath, "")
		doc = nil
		return json.Unmarshal(answer, &doc) == nil && len(at[map[string]any](doc, "channels")) == 3
	})
	for want, path := range map[string][]string{
		"3.0.0":                         {"asyncapi"},
		"plant/{level2}/climate/{rest}": {"channels", "plant", "address"},
		"urn:pulso:contract:plant:1":    {"components", "messages", "plant", "payload", "schema", "$id"},
		"#/components/messages/plant":   {"channels", "plant", "messages", "plant", "$ref"},
		"#/channels/topic-other-text":   {"operations", "receive-topic-other-text", "channel", "$ref"},
		"other/%7Bx%7D/y":               {"channels", "topic-other--x--y", "address"},
		"integer":                       {"components", "messages", "topic-other--x--y", "payload", "schema", "properties", "a", "type"},
	} {
		if got := at[string](doc, path...); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	if format := at[string](doc, "components", "messages", "plant", "payload", "schemaFormat"); !strings.HasSuffix(format, "draft-2020-12") {
		t.Errorf("format: %q", format)
	}
	if seen := at[float64](doc, "channels", "plant", "x-observed", "broken"); seen != 1 {
		t.Errorf("broken: %v", seen)
	}
	if seen := at[float64](doc, "channels", "topic-other-text", "x-observed", "messages"); seen != 1 {
		t.Errorf("seen: %v", seen)
	}
}

// at is what stands in JSON at a path; zero: nothing, or something else.
func at[T any](doc any, path ...string) (value T) {
	for _, name := range path {
		object, _ := doc.(map[string]any)
		doc = object[name]
	}
	value, _ = doc.(T)
	return value
}

// What is asked of contracts and is wrong is refused with words, and changes nothing.
func TestBadContracts(t *testing.T) {
	h := runHub(t, inMemory(t))
	base := "http://" + h.HTTPAddr()
	long := strings.Repeat("x", 100<<10)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"no JSON":           {http.MethodPut, api.Path + "/a", `{`, http.StatusBadRequest},
		"unknown member":    {http.MethodPut, api.Path + "/a", `{"filter":"#","mode":"observe","schema":{},"more":1}`, http.StatusBadRequest},
		"no schema":         {http.MethodPut, api.Path + "/a", `{"filter":"#","mode":"observe"}`, http.StatusBadRequest},
		"mode":              {http.MethodPut, api.Path + "/a", `{"filter":"#","mode":"allow","schema":{}}`, http.StatusBadRequest},
		"filter":            {http.MethodPut, api.Path + "/a", `{"filter":"a/#/b","mode":"observe","schema":{}}`, http.StatusBadRequest},
		"reserved":          {http.MethodPut, api.Path + "/a", `{"filter":"$SYS/#","mode":"observe","schema":{}}`, http.StatusBadRequest},
		"name":              {http.MethodPut, api.Path + "/a%20b", `{"filter":"#","mode":"observe","schema":{}}`, http.StatusBadRequest},
		"remote":            {http.MethodPut, api.Path + "/a", `{"filter":"#","mode":"observe","schema":{"$ref":"` + base + `/x"}}`, http.StatusBadRequest},
		"recursion":         {http.MethodPut, api.Path + "/a", `{"filter":"#","mode":"observe","schema":{"items":{"$ref":"#"}}}`, http.StatusBadRequest},
		"pattern":           {http.MethodPut, api.Path + "/a", `{"filter":"#","mode":"reject","schema":{"pattern":"((a{9}){99}){99}"}}`, http.StatusBadRequest},
		"too large":         {http.MethodPut, api.Path + "/a", `{"filter":"#","mode":"observe","schema":"` + long + `"}`, http.StatusRequestEntityTooLarge},
		"not there":         {http.MethodDelete, api.Path + "/a", ``, http.StatusNotFound},
		"method":            {http.MethodPatch, api.Path + "/a", ``, http.StatusMethodNotAllowed},
		"learn nothing":     {http.MethodGet, api.LearnPath + "?filter=none", ``, http.StatusBadRequest},
		"learn, no filter":  {http.MethodGet, api.LearnPath, ``, http.StatusBadRequest},
		"learn, filter":     {http.MethodGet, api.LearnPath + "?filter=%23/a", ``, http.StatusBadRequest},
		"try, no schema":    {http.MethodPost, api.TryPath, `{"filter":"#"}`, http.StatusBadRequest},
		"page, no such":     {http.MethodPost, api.PagePath + "/nothing", ``, http.StatusNotFound},
		"page, not there":   {http.MethodPost, api.PagePath + "/remove", ``, http.StatusBadRequest},
		"page, learn":       {http.MethodGet, api.PagePath + "?learn=%23/a", ``, http.StatusBadRequest},
		"page, other query": {http.MethodGet, api.PagePath + "?edit=none", ``, http.StatusOK},
	} {
		began := time.Now()
		status, answer := exchange(t.Context(), t, c.method, base+c.path, c.body)
		if status != c.status || len(answer) > 20_000 {
			t.Errorf("%s: %d %.300s", name, status, answer)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	if all := h.contracts.Content().Contracts; len(all) != 0 {
		t.Errorf("there are %+v", all)
	}
}

// Forms of other sites' pages change nothing, also on a hub without accounts.
func TestContractFormsOfOtherSites(t *testing.T) {
	h := runHub(t, inMemory(t))
	form := url.Values{"name": {"a"}, "filter": {"#"}, "mode": {"reject"}, "schema": {"false"}}.Encode()
	for name, header := range map[string]http.Header{
		"other site":       {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"http://evil.example"}},
		"other port":       {"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://127.0.0.1:1"}},
		"sandboxed":        {"Origin": {"null"}},
		"an older browser": {"Origin": {"http://evil.example"}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.HTTPAddr()+api.PagePath+"/keep", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		r.Header.Set("Content-Type", formType)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden || len(h.contracts.Content().Contracts) != 0 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

// What devices send is text on the page of contracts, whatever it looks like.
func TestContractPageShowsNoScript(t *testing.T) {
	h := runHub(t, inMemory(t))
	promise(t, h, "a", contract.Observe, "#", `{"title":"<script>alert(1)</script>","type":"number"}`)
	const nasty = `<script>alert(1)</script><img src=x onerror="alert(1)">`
	if err := h.contracts.Admit(&event.Event{Topic: nasty, Client: nasty, Payload: []byte(nasty), Time: 1}, true); err != nil {
		t.Fatal(err)
	}
	base := "http://" + h.HTTPAddr() + api.PagePath
	for _, page := range []string{base, base + "?edit=a", base + "?learn=" + url.QueryEscape(nasty)} {
		_, text := get(t, page, "")
		if strings.Contains(text, "<script") || strings.Contains(text, "<img") {
			t.Errorf("%s has markup of a device", page)
		}
	}
	if _, text := get(t, base, ""); !strings.Contains(text, "&lt;script&gt;") {
		t.Error("the page does not show what was sent")
	}
}

package rest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pulso/bridge/event"
)

type eventsPage struct {
	Events []struct {
		Position, Topic, Device, Error string
		Time                           int64
		Payload                        any
		Text                           string `json:"payload_text"`
		Base64                         []byte `json:"payload_base64"`
		Will                           bool
	}
	Before, After string
}

func (p *eventsPage) topics() string {
	var out []string
	for i := range p.Events {
		out = append(out, p.Events[i].Topic)
	}
	return strings.Join(out, " ")
}

func TestEvents(t *testing.T) {
	h := start(t, nil)
	h.append(event.Event{Kind: event.KindConnected, Client: "c"})
	h.says("devices/d1/telemetry", `{"x": 1}`)
	h.says("a/text", "hello <b>")
	h.says("a/bytes", "\xff")
	h.append(event.Event{Kind: event.KindWill, Topic: "devices/d1/status", Payload: []byte("offline")})
	h.append(event.Event{Kind: event.KindForget, Payload: []byte("d1")})
	p := get[eventsPage](h, "/api/v1/events")
	if p.topics() != "devices/d1/status a/bytes a/text devices/d1/telemetry" || p.Before != "" {
		t.Errorf("%s, before %q", p.topics(), p.Before)
	}
	if e := p.Events; !e[0].Will || string(e[1].Base64) != "\xff" || e[2].Text != "hello <b>" || e[3].Device != "d1" ||
		e[3].Time != began.UnixMilli()+1000 {
		t.Errorf("%+v", p.Events)
	}
	if _, body := h.ask(http.MethodGet, "/api/v1/events?topic=devices/d1/telemetry"); !strings.Contains(body, `"payload":{"x": 1}`) {
		t.Errorf("not byte for byte: %s", body)
	}
	second := strconv.FormatInt(began.UnixMilli()+2000, 10)
	for query, want := range map[string]string{
		"?to=" + second:               "a/text devices/d1/telemetry",
		"?topic=a/bytes&to=" + second: "",
		"?to=" + second + "&limit=1":  "a/text",
		"?to=1":                       "",
		"?to=9223372036853":           "devices/d1/status a/bytes a/text devices/d1/telemetry",
		"?before=" + p.Events[2].Position + "&to=" + second: "devices/d1/telemetry",
		"?topic=a/text":                                "a/text",
		"?topic=nothing":                               "",
		"?filter=a/%23":                                "a/bytes a/text",
		"?filter=devices/%2B/status":                   "devices/d1/status",
		"?limit=2":                                     "devices/d1/status a/bytes",
		"?filter=%23&limit=1":                          "devices/d1/status",
		"?topic=a/text&filter=":                        "a/text",
		"?after=" + p.Events[2].Position:               "devices/d1/status a/bytes a/text",
		"?before=" + p.Events[1].Position + "&limit=1": "a/text",
		"?topic=a/text&after=" + p.Events[1].Position:  "",
	} {
		p := get[eventsPage](h, "/api/v1/events"+query)
		if p.topics() != want {
			t.Errorf("%s: %s, want %s", query, p.topics(), want)
		}
	}
	newest := get[eventsPage](h, "/api/v1/events?after="+p.After)
	if len(newest.Events) != 0 || newest.Before != "" {
		t.Errorf("after the end: %+v", newest)
	}
	h.says("a/new", "1")
	if newest = get[eventsPage](h, "/api/v1/events?after="+p.After); newest.topics() != "a/new" {
		t.Errorf("after the end: %s", newest.topics())
	}
	for query, code := range map[string]string{
		"?topic=a/%23": "invalid_topic", "?filter=a/%23/b": "invalid_filter", "?topic=a&filter=b": "bad_command",
		"?before=x": "invalid_position", "?after=zzz.1": "invalid_position", "?before=1.99999": "invalid_position",
		"?limit=1001": "bad_command", "?to=x": "bad_command", "?to=9223372036854": "bad_command", "?unknown=1": "bad_command", "?topic=%00": "invalid_topic",
	} {
		h.refused("/api/v1/events"+query, http.StatusBadRequest, code)
	}
}

// TestPagesOfEventsAddUp pages backwards through a log of many topics, of which the asked-for ones are more or less rare.
func TestPagesOfEventsAddUp(t *testing.T) {
	h := start(t, nil)
	var all []event.Event
	for i := range 5000 {
		topic := "many/t"
		switch {
		case i%997 == 0:
			topic = "rare/t"
		case i%13 == 0:
			topic = fmt.Sprintf("some/t%d", i%7)
		}
		all = append(all, event.Event{Topic: topic, Payload: fmt.Append(nil, i)})
	}
	for batch := range slices.Chunk(all, 1000) {
		h.append(batch...)
	}
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.SampledFrom([]string{"rare/#", "some/+", "#", "some/t3", "many/t", "nothing"}).Draw(t, "filter")
		limit := rapid.SampledFrom([]int{3, 50, 999, 1000}).Draw(t, "limit")
		by := rapid.SampledFrom([]string{"filter", "topic"}).Draw(t, "by")
		if strings.ContainsAny(filter, "+#") {
			by = "filter"
		}
		var want, got []string
		for i := range slices.Backward(all) {
			if event.Match(filter, all[i].Topic) {
				want = append(want, string(all[i].Payload))
			}
		}
		want = want[:min(len(want), 3*limit)]
		before := ""
		for range 3 {
			p := get[eventsPage](h, fmt.Sprintf("/api/v1/events?%s=%s&limit=%d&before=%s", by, url.QueryEscape(filter), limit, before))
			for _, e := range p.Events {
				got = append(got, fmt.Sprint(e.Payload))
			}
			if before = p.Before; before == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d events, want %d: %.200v, want %.200v", len(got), len(want), got, want)
		}
	})
}

// TestLargeEventsMakeShortPages bounds an answer by its bytes, and loses nothing by that.
func TestLargeEventsMakeShortPages(t *testing.T) {
	h := start(t, nil)
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	for range 20 {
		h.says("a/large", large)
	}
	for _, by := range []string{"", "filter=a/%2B"} {
		count, pages := 0, 0
		for before := ""; ; pages++ {
			p := get[eventsPage](h, "/api/v1/events?limit=1000&before="+before+"&"+by)
			if count += len(p.Events); len(p.Events) > 8 {
				t.Errorf("%d large events on a page", len(p.Events))
			}
			if before = p.Before; before == "" || pages > 20 {
				break
			}
		}
		if count != 20 {
			t.Errorf("%d events, want 20", count)
		}
	}
}

package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// views are frames of views and what their members are in JSON, as docs/PROTOCOL.md has it.
func views() map[string]struct {
	frame *pulsov1.Frame
	json  string
} {
	return map[string]struct {
		frame *pulsov1.Frame
		json  string
	}{
		"nothing": {&pulsov1.Frame{}, ``},
		"devices": {
			&pulsov1.Frame{
				Devices: []*pulsov1.Device{{
					Device: 3, Id: "d1", Kind: "thermostat", Name: "Küche \"1\"", First: 1763830000000, Topics: []string{"a", "b"}, Client: "c1",
					Metrics: []*pulsov1.Series{{Series: 12, Device: "d1", Name: "temperature", Unit: "°C", Topic: "a"}},
					Texts:   []*pulsov1.Text{{Name: "mode", Value: "eco"}, {Name: "x", Value: ""}},
				}, {Device: 4}},
				Status: []*pulsov1.DeviceStatus{
					{
						Device: 3, Status: "online", Time: 1763830000123, Rate: 1.5, Events: 4711, Interval: 1000, Value: new(21.5), Undecodable: 7,
					},
					{Device: 4, Status: "stale"},
					{Device: 5, Value: new(0.0)},
				},
			},
			`"devices":[{"device":3,"id":"d1","kind":"thermostat","name":"Küche \"1\"","first":1763830000000,"topics":["a","b"],"client":"c1",` +
				`"metrics":[[12,"d1","temperature","°C","a"]],"texts":[["mode","eco"],["x",""]]},` +
				`{"device":4,"id":"","kind":"","name":"","first":0,"topics":[],"client":"","metrics":[],"texts":[]}],` +
				`"status":[[3,"online",1763830000123,1.5,4711,1000,21.5,7],[4,"stale",0,0,0,0,null,0],[5,"",0,0,0,0,0,0]]`,
		},
		"topics": {
			&pulsov1.Frame{
				Topics: []*pulsov1.Topic{{Topic: 1, Name: "a/b", Device: "d1"}, {Topic: 2, Name: "chat/c"}},
				Activity: []*pulsov1.TopicActivity{
					{Topic: 1, Time: 1763830000123, Events: 5, Rate: 0.2, Bytes: 300, Preview: "{\"x\":1}"}, {Topic: 2},
				},
			},
			`"topics":[[1,"a/b","d1"],[2,"chat/c",""]],"activity":[[1,1763830000123,5,0.2,300,"{\"x\":1}"],[2,0,0,0,0,""]]`,
		},
		"chat": {
			&pulsov1.Frame{Chat: &pulsov1.Chat{
				Channels: []string{"general", "other"},
				Messages: []*pulsov1.ChatMessage{{Position: "k3f.88", Channel: "general", From: "Ana", Text: "hello\n", Time: 5, Source: "mqtt"}},
				Present: []*pulsov1.ChatPresence{{
					Channel: "general", Members: []*pulsov1.Member{{Name: "Ana", Kind: "screen"}, {Name: "boiler-1", Kind: "device"}},
				}, {Channel: "other"}},
			}},
			`"chat":{"channels":["general","other"],` +
				`"messages":[{"position":"k3f.88","channel":"general","from":"Ana","text":"hello\n","time":5,"source":"mqtt"}],` +
				`"present":[{"channel":"general","members":[["Ana","screen"],["boiler-1","device"]]},{"channel":"other","members":[]}]}`,
		},
		"chat where somebody left": {
			&pulsov1.Frame{Chat: &pulsov1.Chat{Present: []*pulsov1.ChatPresence{{Channel: "c"}}}},
			`"chat":{"present":[{"channel":"c","members":[]}]}`,
		},
		"chat without channels": {&pulsov1.Frame{Chat: &pulsov1.Chat{Channels: []string{}}}, `"chat":{"channels":[]}`},
		"hub": {
			&pulsov1.Frame{Hub: &pulsov1.Hub{
				Time: 1, Started: 2, Version: "0.1", Devices: &pulsov1.DeviceCounts{Total: 6, Online: 1, Stale: 2, Offline: 3},
				Connections: 4, Screens: 5, Sessions: 6, Behind: 7, EventsPerS: 10.5, BytesPerS: 1e6, Latency: &pulsov1.Latency{P50: new(0.25)},
				Undecodable: 8, Drops: []*pulsov1.Count{{Reason: "quota", Count: 3}}, Gaps: 9,
				Log:       &pulsov1.Log{Events: 8, Bytes: 1, First: "5.1", Next: "5.9", Durable: "fsync"},
				Refused:   []*pulsov1.Refusal{{Time: 1, Remote: "r", Client: "c", Reason: "because"}},
				Missed:    []*pulsov1.Missed{{Time: 1, Client: "c", From: "5.2", To: "5.6", Events: 4, Reason: "retention"}},
				Problems:  []*pulsov1.Problem{{Since: 1, Kind: "log_full", Text: "no room"}, {}},
				Addresses: &pulsov1.Addresses{Mqtt: "m:1", Http: "h:1"},
				History:   []*pulsov1.HubSecond{{Time: 1, EventsPerS: 2, P50: new(0.5), P99: new(1.5), Online: 3, Total: 4, Errors: 5}, {Time: 2}},
			}},
			`"hub":{"time":1,"started":2,"version":"0.1","devices":{"total":6,"online":1,"stale":2,"offline":3},"connections":4,"screens":5,` +
				`"sessions":6,"behind":7,"events_per_s":10.5,"bytes_per_s":1000000,"frames_per_s":0,` +
				`"latency":{"p50":0.25,"p99":null,"device":{"p50":null,"p99":null},"screen":{"p50":null,"p99":null,"screens":0}},` +
				`"undecodable":8,"drops":[["quota",3]],"gaps":9,"log":{"events":8,"bytes":1,"first":"5.1","next":"5.9","durable":"fsync"},` +
				`"refused":[{"time":1,"remote":"r","client":"c","reason":"because"}],` +
				`"missed":[{"time":1,"client":"c","from":"5.2","to":"5.6","events":4,"reason":"retention"}],` +
				`"problems":[{"since":1,"kind":"log_full","text":"no room"},{"since":0,"kind":"","text":""}],` +
				`"addresses":{"mqtt":"m:1","http":"h:1"},"history":[[1,2,0.5,1.5,3,4,5,null,null,null,null],[2,0,null,null,0,0,0,null,null,null,null]]}`,
		},
		"hub that has just begun": {
			&pulsov1.Frame{Hub: &pulsov1.Hub{History: []*pulsov1.HubSecond{}}},
			`"hub":{"time":0,"started":0,"version":"","devices":{"total":0,"online":0,"stale":0,"offline":0},"connections":0,"screens":0,` +
				`"sessions":0,"behind":0,"events_per_s":0,"bytes_per_s":0,"frames_per_s":0,` +
				`"latency":{"p50":null,"p99":null,"device":{"p50":null,"p99":null},"screen":{"p50":null,"p99":null,"screens":0}},` +
				`"undecodable":0,"drops":[],"gaps":0,"log":{"events":0,"bytes":0,"first":"","next":"","durable":""},` +
				`"refused":[],"missed":[],"problems":[],"addresses":{"mqtt":"","http":""},"history":[]}`,
		},
	}
}

func TestViewsInJSON(t *testing.T) {
	t.Parallel()
	for name, test := range views() {
		got := wire.JSON.AppendView(nil, test.frame)
		if string(got) != test.json || !json.Valid([]byte("{"+string(got)+"}")) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, test.json)
		}
		if got = wire.JSON.AppendView([]byte(`"x":1`), test.frame); test.json != "" && string(got) != `"x":1,`+test.json {
			t.Errorf("%s behind another field: %s", name, got)
		}
	}
}

func TestViewsInProto(t *testing.T) {
	t.Parallel()
	for name, test := range views() {
		truncated := []byte{11 << 3, 1}
		got := &pulsov1.Frame{}
		if err := proto.Unmarshal(wire.Proto.AppendView(truncated, test.frame), got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		test.frame.Truncated = true // the other field
		if !proto.Equal(got, test.frame) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, test.frame)
		}
	}
}

// TestViewsOfAnyText gives both encodings text that may be no UTF-8, in a list, in a message of a list, and in a message: they
// write valid text, and leave the frame as it was.
func TestViewsOfAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "text"))
		f := &pulsov1.Frame{
			Devices: []*pulsov1.Device{{Id: "d1"}, {Id: text, Topics: []string{"a", text}, Texts: []*pulsov1.Text{{Name: "n", Value: text}}}},
			Hub:     &pulsov1.Hub{Log: &pulsov1.Log{Durable: text}},
		}
		members := wire.JSON.AppendView(nil, f)
		if !utf8.Valid(members) || !json.Valid([]byte("{"+string(members)+"}")) {
			t.Fatalf("%q: %s", text, members)
		}
		got := &pulsov1.Frame{}
		if err := proto.Unmarshal(wire.Proto.AppendView(nil, f), got); err != nil {
			t.Fatal(err)
		}
		want, d := strings.ToValidUTF8(text, "\ufffd"), got.GetDevices()[1]
		if got.GetDevices()[0].GetId() != "d1" || d.GetId() != want || d.GetTopics()[0] != "a" || d.GetTopics()[1] != want ||
			d.GetTexts()[0].GetValue() != want || got.GetHub().GetLog().GetDurable() != want {
			t.Fatalf("%q: %v", text, got)
		}
		if f.GetDevices()[1].GetId() != text || f.GetHub().GetLog().GetDurable() != text {
			t.Fatalf("the frame has changed: %v", f)
		}
	})
}

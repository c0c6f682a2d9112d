package wire_test

import (
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

func viewVectors() []vectorCase {
	hub := &pulsov1.Hub{
		Time: vectorNow, Started: vectorNow - 1000, Version: "0.4.0",
		Devices:     &pulsov1.DeviceCounts{Total: 6, Online: 3, Stale: 2, Offline: 1},
		Connections: 5, Screens: 4, EventsPerS: 1000.5, BytesPerS: 1e9 / 3, FramesPerS: 0.1,
		Latency: &pulsov1.Latency{
			P50: new(0.0), P99: new(1.25), Device: &pulsov1.DeviceLatency{P50: new(12.5)},
			Screen: &pulsov1.ScreenLatency{P50: new(20.75), P99: new(90.5), Screens: 3},
		},
		Undecodable: 1 << 40,
		Drops:       []*pulsov1.Count{{Reason: "slow", Count: 3}, {Reason: "full"}}, Gaps: 2,
		Log:       &pulsov1.Log{Events: 1 << 50, Bytes: 1 << 52, First: "k3f.0", Next: "k3f.1050", Durable: "fsync"},
		Refused:   []*pulsov1.Refusal{{Time: 1, Remote: "10.0.0.1:1", Client: "c", Reason: "why"}},
		Addresses: &pulsov1.Addresses{Mqtt: ":1883", Http: ":8080"},
		History: []*pulsov1.HubSecond{
			{Time: 1, EventsPerS: 2.5, P50: new(3.5), P99: new(4.5), Online: 5, Total: 6, Errors: 7},
			{Time: 2, DeviceP50: new(1.5), DeviceP99: new(2.5), ScreenP50: new(8.0), ScreenP99: new(9.5)},
			{Time: 3},
		},
		Missed:   []*pulsov1.Missed{{Time: 1, Client: "$share/g/a/#", From: "k3f.1", To: "k3f.9", Events: 8, Reason: "another log"}},
		Sessions: 9, Behind: 1, Problems: []*pulsov1.Problem{{Since: 5, Kind: "log_full", Text: "no space left"}},
	}
	idle := &pulsov1.Hub{
		Devices: &pulsov1.DeviceCounts{}, Latency: &pulsov1.Latency{}, Log: &pulsov1.Log{}, Addresses: &pulsov1.Addresses{},
	}
	view := func(f *pulsov1.Frame) func(e wire.Encoding) *wire.Message {
		return func(e wire.Encoding) *wire.Message { return e.Frame(9, vectorPos, e.AppendView(nil, f)) }
	}
	return []vectorCase{
		{"devices", view(&pulsov1.Frame{
			Devices: []*pulsov1.Device{
				{
					Device: 3, Id: "d1", Kind: "thermostat", Name: "Küche", First: vectorNow, Topics: []string{"a/b", ""}, Client: "c1",
					Metrics: []*pulsov1.Series{{Series: 12, Device: "d1", Name: "temperature", Unit: "°C", Topic: "a/b"}},
					Texts:   []*pulsov1.Text{{Name: "mode", Value: "eco"}, {Name: "empty"}},
				},
				{Device: 4, Id: "bare"},
			},
			Status: []*pulsov1.DeviceStatus{
				{Device: 3, Status: "online", Time: vectorNow, Rate: 1.5, Events: 4711, Interval: 1000, Value: new(21.5), Undecodable: 1},
				{Device: 4, Status: "stale"},
				{Device: 5, Status: "offline", Value: new(0.0)},
			},
		})},
		{"devices that are no more", view(&pulsov1.Frame{
			Removed: []uint32{3, 300}, Status: []*pulsov1.DeviceStatus{{Device: 4, Status: "online"}},
		})},
		{"topics", view(&pulsov1.Frame{
			Topics:   []*pulsov1.Topic{{Topic: 1, Name: "a/b", Device: "d1"}, {Topic: 2, Name: "$x"}},
			Activity: []*pulsov1.TopicActivity{{Topic: 1, Time: vectorNow, Events: 5, Rate: 0.25, Bytes: 900, Preview: "{\"é\":1}"}, {Topic: 2}},
		})},
		{"hub", view(&pulsov1.Frame{Hub: hub})},
		{"hub that has nothing to say", view(&pulsov1.Frame{Hub: idle})},
		{"chat", view(&pulsov1.Frame{Chat: &pulsov1.Chat{
			Channels: []string{"general", "ops"},
			Messages: []*pulsov1.ChatMessage{{Position: "k3f.88", Channel: "general", From: "Ana", Text: "hello 👋", Time: vectorNow, Source: "mqtt"}},
			Present: []*pulsov1.ChatPresence{
				{Channel: "general", Members: []*pulsov1.Member{{Name: "Ana", Kind: "screen"}, {Name: "boiler-1", Kind: "device"}}}, {Channel: "ops"},
			},
		}})},
	}
}

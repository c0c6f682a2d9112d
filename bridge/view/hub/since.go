package hub

import (
	"math"
	"time"

	"pulso/bridge/event"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// Since implements the rooms' Source: the field "hub" of a frame with the figures as they are, and their history with since
// 0. Filters select nothing. The frame is nil where nothing is new; nobody writes to it any more.
//
// Who reads with a scope gets the figures of what that sees, the latencies, and of problems the kinds: all else is of others, too.
func (v *View) Since(_ []string, scope event.Scope, since uint64) (*pulsov1.Frame, uint64) {
	if scope != nil {
		return v.partSince(scope, since)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.version == since || v.version == 0 {
		return nil, v.version
	}
	s := &v.now
	h := &pulsov1.Hub{
		Time: v.at.UnixMilli(), Started: v.started.UnixMilli(), Version: v.cfg.Version,
		Devices: &pulsov1.DeviceCounts{
			Total: uint64(s.Total), Online: uint64(s.Online), Stale: uint64(s.Stale), Offline: uint64(s.Offline),
		},
		Connections: uint64(s.Connections), Screens: uint64(s.Screens), Sessions: uint64(s.Sessions), Behind: uint64(s.Behind),
		EventsPerS: round(v.rates.events), BytesPerS: round(v.rates.bytes), FramesPerS: round(v.rates.frames),
		Latency:     s.latency(),
		Undecodable: s.Undecodable, Gaps: s.Gaps,
		Log: &pulsov1.Log{
			Events: s.Log.Next.Offset - s.Log.First.Offset, Bytes: s.Log.Bytes,
			First: s.Log.First.String(), Next: s.Log.Next.String(), Durable: s.Log.Durable,
		},
		Addresses: &pulsov1.Addresses{Mqtt: v.cfg.MQTT, Http: v.cfg.HTTP},
	}
	for _, d := range s.Drops {
		h.Drops = append(h.Drops, &pulsov1.Count{Reason: d.Reason, Count: d.Count})
	}
	v.name(h)
	if since == 0 {
		h.History = v.seconds()
	}
	return &pulsov1.Frame{Hub: h}, v.version
}

// partSince is Since for who sees a part.
func (v *View) partSince(scope event.Scope, since uint64) (*pulsov1.Frame, uint64) {
	if version := v.newest(); version == since || version == 0 {
		return nil, version
	}
	var p Part
	if v.cfg.Part != nil {
		p = v.cfg.Part(scope) // which asks other views
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h := &pulsov1.Hub{
		Time: v.at.UnixMilli(), Started: v.started.UnixMilli(), Version: v.cfg.Version,
		Devices: &pulsov1.DeviceCounts{
			Total: uint64(p.Total), Online: uint64(p.Online), Stale: uint64(p.Stale), Offline: uint64(p.Offline),
		},
		EventsPerS: round(p.Events), Latency: v.now.latency(), Log: &pulsov1.Log{Durable: v.now.Log.Durable},
		Addresses: &pulsov1.Addresses{Mqtt: v.cfg.MQTT, Http: v.cfg.HTTP},
	}
	h.Latency.Screen.Screens = 0
	for _, problem := range v.now.Problems {
		h.Problems = append(h.Problems, &pulsov1.Problem{Since: v.since[problem.Kind].UnixMilli(), Kind: string(problem.Kind)})
	}
	if since == 0 {
		h.History = []*pulsov1.HubSecond{}
	}
	return &pulsov1.Frame{Hub: h}, v.version
}

func (v *View) newest() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version
}

func (s *Sample) latency() *pulsov1.Latency {
	return &pulsov1.Latency{
		P50: millis(s.P50), P99: millis(s.P99),
		Device: &pulsov1.DeviceLatency{P50: millis(s.Device.P50), P99: millis(s.Device.P99)},
		Screen: &pulsov1.ScreenLatency{P50: millis(s.Screen.P50), P99: millis(s.Screen.P99), Screens: uint32(s.Painting)},
	}
}

// name adds what names somebody.
func (v *View) name(h *pulsov1.Hub) {
	for _, p := range v.now.Problems {
		h.Problems = append(h.Problems, &pulsov1.Problem{Since: v.since[p.Kind].UnixMilli(), Kind: string(p.Kind), Text: p.Text})
	}
	for i := range v.refused {
		h.Refused = append(h.Refused, v.refused[i].message())
	}
	for i := range v.missed {
		h.Missed = append(h.Missed, v.missed[i].message())
	}
}

func (r *Refusal) message() *pulsov1.Refusal {
	return &pulsov1.Refusal{Time: r.Time.UnixMilli(), Remote: r.Remote, Client: r.Client, Reason: r.Reason}
}

func (m *Missed) message() *pulsov1.Missed {
	return &pulsov1.Missed{
		Time: m.Time.UnixMilli(), Client: m.Client, From: m.From.String(), To: m.To.String(), Events: m.events(), Reason: m.Reason,
	}
}

// seconds is the history, oldest first; never nil.
func (v *View) seconds() []*pulsov1.HubSecond {
	all := make([]*pulsov1.HubSecond, len(v.history))
	for i := range all {
		row := &v.history[(v.next+i)%len(v.history)]
		all[i] = &pulsov1.HubSecond{
			Time: row.time, EventsPerS: round(row.events), P50: millis(row.p50), P99: millis(row.p99),
			Online: uint64(row.online), Total: uint64(row.total), Errors: row.errors,
			DeviceP50: millis(row.device.P50), DeviceP99: millis(row.device.P99),
			ScreenP50: millis(row.paint.P50), ScreenP99: millis(row.paint.P99),
		}
	}
	return all
}

// millis is a latency on the wire; nil where nothing was measured.
func millis(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	return new(float64(d.Microseconds()) / 1000)
}

// round keeps three decimals: more would only be bytes.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

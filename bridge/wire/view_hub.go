package wire

import (
	"cmp"
	"strconv"

	pulsov1 "pulso/internal/gen/pulso/v1"
)

// appendHubJSON appends what the hub says of itself as an object with the names of the proto file. A history of no seconds
// differs from none, which is nil.
func appendHubJSON(dst []byte, h *pulsov1.Hub) []byte {
	dst = appendIntJSON(dst, `{"time":`, h.GetTime())
	dst = appendIntJSON(dst, `,"started":`, h.GetStarted())
	dst = appendText(dst, `,"version":`, h.GetVersion())
	dst = appendUintJSON(dst, `,"devices":{"total":`, h.GetDevices().GetTotal())
	dst = appendUintJSON(dst, `,"online":`, h.GetDevices().GetOnline())
	dst = appendUintJSON(dst, `,"stale":`, h.GetDevices().GetStale())
	dst = appendUintJSON(dst, `,"offline":`, h.GetDevices().GetOffline())
	dst = appendUintJSON(dst, `},"connections":`, h.GetConnections())
	dst = appendUintJSON(dst, `,"screens":`, h.GetScreens())
	dst = appendUintJSON(dst, `,"sessions":`, h.GetSessions())
	dst = appendUintJSON(dst, `,"behind":`, h.GetBehind())
	dst = AppendFloat(append(dst, `,"events_per_s":`...), h.GetEventsPerS())
	dst = AppendFloat(append(dst, `,"bytes_per_s":`...), h.GetBytesPerS())
	dst = AppendFloat(append(dst, `,"frames_per_s":`...), h.GetFramesPerS())
	dst = appendLatencyJSON(append(dst, `,"latency":`...), h.GetLatency())
	dst = appendUintJSON(dst, `,"undecodable":`, h.GetUndecodable())
	dst = append(dst, `,"drops":[`...)
	for i, d := range h.GetDrops() {
		dst = AppendString(append(appendComma(dst, i), '['), d.GetReason())
		dst = append(strconv.AppendUint(append(dst, ','), d.GetCount(), 10), ']')
	}
	dst = appendUintJSON(dst, `],"gaps":`, h.GetGaps())
	dst = appendUintJSON(dst, `,"log":{"events":`, h.GetLog().GetEvents())
	dst = appendUintJSON(dst, `,"bytes":`, h.GetLog().GetBytes())
	dst = appendText(dst, `,"first":`, h.GetLog().GetFirst())
	dst = appendText(dst, `,"next":`, h.GetLog().GetNext())
	dst = appendText(dst, `,"durable":`, h.GetLog().GetDurable())
	dst = appendIncidentsJSON(append(dst, '}'), h)
	dst = appendText(dst, `,"addresses":{"mqtt":`, h.GetAddresses().GetMqtt())
	dst = append(appendText(dst, `,"http":`, h.GetAddresses().GetHttp()), '}')
	if history := h.GetHistory(); history != nil {
		dst = append(dst, `,"history":[`...)
		for i, s := range history {
			dst = appendSecondJSON(appendComma(dst, i), s)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendLatencyJSON appends an object; what was not measured is null in it.
func appendLatencyJSON(dst []byte, l *pulsov1.Latency) []byte {
	l = cmp.Or(l, &pulsov1.Latency{})
	device, screen := cmp.Or(l.GetDevice(), &pulsov1.DeviceLatency{}), cmp.Or(l.GetScreen(), &pulsov1.ScreenLatency{})
	dst = appendOptionalJSON(append(dst, `{"p50":`...), l.P50 != nil, l.GetP50())
	dst = appendOptionalJSON(append(dst, `,"p99":`...), l.P99 != nil, l.GetP99())
	dst = appendOptionalJSON(append(dst, `,"device":{"p50":`...), device.P50 != nil, device.GetP50())
	dst = appendOptionalJSON(append(dst, `,"p99":`...), device.P99 != nil, device.GetP99())
	dst = appendOptionalJSON(append(dst, `},"screen":{"p50":`...), screen.P50 != nil, screen.GetP50())
	dst = appendOptionalJSON(append(dst, `,"p99":`...), screen.P99 != nil, screen.GetP99())
	return append(appendUintJSON(dst, `,"screens":`, uint64(screen.GetScreens())), "}}"...)
}

// appendIncidentsJSON appends the members "refused", "missed" and "problems", lists of objects.
func appendIncidentsJSON(dst []byte, h *pulsov1.Hub) []byte {
	dst = append(dst, `,"refused":[`...)
	for i, r := range h.GetRefused() {
		dst = appendIntJSON(appendComma(dst, i), `{"time":`, r.GetTime())
		dst = appendText(dst, `,"remote":`, r.GetRemote())
		dst = appendText(dst, `,"client":`, r.GetClient())
		dst = append(appendText(dst, `,"reason":`, r.GetReason()), '}')
	}
	dst = append(dst, `],"missed":[`...)
	for i, m := range h.GetMissed() {
		dst = appendIntJSON(appendComma(dst, i), `{"time":`, m.GetTime())
		dst = appendText(dst, `,"client":`, m.GetClient())
		dst = appendText(dst, `,"from":`, m.GetFrom())
		dst = appendText(dst, `,"to":`, m.GetTo())
		dst = appendUintJSON(dst, `,"events":`, m.GetEvents())
		dst = append(appendText(dst, `,"reason":`, m.GetReason()), '}')
	}
	dst = append(dst, `],"problems":[`...)
	for i, p := range h.GetProblems() {
		dst = appendIntJSON(appendComma(dst, i), `{"since":`, p.GetSince())
		dst = appendText(dst, `,"kind":`, p.GetKind())
		dst = append(appendText(dst, `,"text":`, p.GetText()), '}')
	}
	return append(dst, ']')
}

// appendSecondJSON appends [time, events_per_s, p50, p99, online, total, errors, device_p50, device_p99, screen_p50, screen_p99].
func appendSecondJSON(dst []byte, s *pulsov1.HubSecond) []byte {
	dst = strconv.AppendInt(append(dst, '['), s.GetTime(), 10)
	dst = AppendFloat(append(dst, ','), s.GetEventsPerS())
	dst = appendOptionalJSON(append(dst, ','), s.P50 != nil, s.GetP50())
	dst = appendOptionalJSON(append(dst, ','), s.P99 != nil, s.GetP99())
	for _, n := range [...]uint64{s.GetOnline(), s.GetTotal(), s.GetErrors()} {
		dst = strconv.AppendUint(append(dst, ','), n, 10)
	}
	dst = appendOptionalJSON(append(dst, ','), s.DeviceP50 != nil, s.GetDeviceP50())
	dst = appendOptionalJSON(append(dst, ','), s.DeviceP99 != nil, s.GetDeviceP99())
	dst = appendOptionalJSON(append(dst, ','), s.ScreenP50 != nil, s.GetScreenP50())
	dst = appendOptionalJSON(append(dst, ','), s.ScreenP99 != nil, s.GetScreenP99())
	return append(dst, ']')
}

// appendIntJSON appends a member. key is everything in front of its value.
func appendIntJSON(dst []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(dst, key...), n, 10)
}

// appendUintJSON appends a member. key is everything in front of its value.
func appendUintJSON(dst []byte, key string, n uint64) []byte {
	return strconv.AppendUint(append(dst, key...), n, 10)
}

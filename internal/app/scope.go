package app

import (
	"net/http"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// seesSeries reports whether who reads with a scope sees a series: its topic, and its device.
func (h *Hub) seesSeries(scope event.Scope, device, topic string) bool {
	return h.devices.SeesSeries(scope, device, topic)
}

// wholeOnly serves those who read everything: what next tells cannot be narrowed.
func (h *Hub) wholeOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if event.ScopeOf(r.Context()) != nil {
			h.refuser.Error(w, wire.Errorf(wire.CodeForbidden, "this is for those who may read every topic"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

package app

import (
	"net/http"
	"net/url"
	"slices"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// maxDeviceTopics is how many topics of devices are noted of one subscription.
const maxDeviceTopics = 50

// everything is the filter that is noted of who asks without one.
const everything = "#"

// heard takes note of what an account subscribes to by MQTT.
func (h *Hub) heard(account, client, filter string) { h.notes.Note(account, "mqtt "+client, filter) }

// streamed takes note of what a person's session subscribes to.
func (h *Hub) streamed(p gateway.Person, c *wire.Subscribe) {
	if c.Form == wire.FormHub {
		return
	}
	filters := c.Filters
	if len(c.Devices) > 0 {
		topics, more := h.devices.Topics(c.Filters, c.Devices, nil, maxDeviceTopics)
		if filters = topics; more {
			filters = c.Filters
		}
	}
	h.notes.Note(p.Name(), "stream", filters...)
}

// noted takes note of what a request asks for: its parameters topic or filter, or everything.
func (h *Hub) noted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := gateway.PersonOf(r.Context()); p != nil && p.Name() != "" {
			h.notes.Note(p.Name(), r.URL.Path, asked(r.URL)...)
		}
		next.ServeHTTP(w, r)
	})
}

func asked(u *url.URL) []string {
	q := u.Query()
	if filters := slices.Concat(q["topic"], q["filter"]); len(filters) > 0 {
		return filters
	}
	return []string{everything}
}

package chat

import (
	"cmp"
	"slices"
	"strings"

	"pulso/bridge/event"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// A screen is a session that watches channels.
type screen struct {
	name    string
	filters []string
	scope   event.Scope
}

// in reports whether the screen watches a channel, and may.
func (s *screen) in(c *channel) bool {
	return event.MatchAny(s.filters, c.topic) && event.Sees(s.scope, c.topic)
}

// A client is an MQTT client that subscribes to channels or has spoken in one. filters is changed by the broker's word,
// spoken by the log's: they come apart, and either may be first.
type client struct {
	filters []string
	spoken  map[*channel]struct{}
}

func (c *client) none() bool { return len(c.filters) == 0 && len(c.spoken) == 0 }

// nameless is what others see of a screen whose person has not said a name.
const nameless = "guest"

// maxFilters bounds the chat filters noted of one client or screen.
const maxFilters = 64

// Join says that a session watches the channels that filters match and its scope (nil: any) sees, under a name. Joining again
// replaces what was said before.
func (v *View) Join(session, name string, filters []string, scope event.Scope) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.version + 1
	if s := v.screens[session]; s != nil {
		v.changed(s.filters, next)
	}
	s := &screen{name: clean(name, MaxNameBytes), scope: scope}
	if s.name == "" {
		s.name = nameless
	}
	for _, f := range filters {
		if isChat(f) && len(s.filters) < maxFilters {
			s.filters = append(s.filters, strings.Clone(f))
		}
	}
	v.screens[session] = s
	v.open(s.filters, scope, next)
	v.changed(s.filters, next)
}

// Leave undoes Join.
func (v *View) Leave(session string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.screens[session]; s != nil {
		delete(v.screens, session)
		v.changed(s.filters, v.version+1)
	}
}

// Subscribed says that a connected MQTT client subscribes to a filter. Filters that are not of chat are ignored.
func (v *View) Subscribed(clientID, filter string) {
	if !isChat(filter) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.client(clientID)
	if c == nil || len(c.filters) >= maxFilters || slices.Contains(c.filters, filter) {
		return
	}
	next := v.version + 1
	c.filters = append(c.filters, strings.Clone(filter))
	v.open([]string{filter}, nil, next)
	v.changed([]string{filter}, next)
}

// Unsubscribed undoes Subscribed for one filter.
func (v *View) Unsubscribed(clientID, filter string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.clients[clientID]
	if c == nil {
		return
	}
	if i := slices.Index(c.filters, filter); i >= 0 {
		c.filters = slices.Delete(c.filters, i, i+1)
		v.changed([]string{filter}, v.version+1)
		v.drop(clientID, c)
	}
}

// isChat reports whether a filter is of chat: nobody is in a channel who subscribes to everything.
func isChat(filter string) bool { return strings.HasPrefix(filter, Prefix) }

// client returns what is known of a client; nil if there are too many.
func (v *View) client(id string) *client {
	c := v.clients[id]
	if c == nil && len(v.clients) < v.config.MaxClients {
		c = &client{}
		v.clients[strings.Clone(id)] = c
	}
	return c
}

func (v *View) drop(id string, c *client) {
	if c.none() {
		delete(v.clients, id)
	}
}

func (v *View) spoke(c *channel, id string, next uint64) {
	who := v.client(id)
	if who == nil {
		return
	}
	if _, before := who.spoken[c]; before || len(who.spoken) >= maxFilters {
		return
	}
	if who.spoken == nil {
		who.spoken = make(map[*channel]struct{})
	}
	who.spoken[c] = struct{}{}
	c.speakers[strings.Clone(id)] = struct{}{}
	c.present = next
}

func (v *View) disconnected(e *event.Decoded, next uint64) {
	c := v.clients[e.Client]
	if c == nil || len(c.spoken) == 0 || string(e.Payload) == event.DisconnectedTakenOver {
		return
	}
	for spoken := range c.spoken {
		spoken.present = next
		delete(spoken.speakers, e.Client)
	}
	v.version = next
	c.spoken = nil
	v.drop(e.Client, c)
}

// open makes the channels that filters name outright and a scope sees, so that who waits there is seen.
func (v *View) open(filters []string, scope event.Scope, next uint64) {
	for _, f := range filters {
		if name, ok := channelOf(f); ok && !strings.ContainsAny(name, "+#") && event.Sees(scope, f) {
			v.channel(name, next)
		}
	}
}

// changed notes that the members of the channels that filters match have changed.
func (v *View) changed(filters []string, next uint64) {
	if len(filters) == 0 {
		return
	}
	for _, c := range v.channels {
		if event.MatchAny(filters, c.topic) {
			c.present = next
			v.version = next
		}
	}
}

// byKind orders members: screens first, each kind by name.
func byKind(a, b *pulsov1.Member) int {
	return cmp.Or(-cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
}

// members lists who is present in a channel for who reads it with a scope: screens first, each kind by name, at most MaxMembers. It
// is worked out when somebody asks, for who sees everything once a change, and anew each time: frames share it.
func (v *View) members(c *channel, scope event.Scope) []*pulsov1.Member {
	if scope != nil {
		return v.list(c, scope)
	}
	if c.listed != c.present {
		c.members, c.listed = v.list(c, nil), c.present
	}
	return c.members
}

func (v *View) list(c *channel, scope event.Scope) []*pulsov1.Member {
	var all []*pulsov1.Member
	for _, s := range v.screens {
		if s.in(c) && event.SameScope(s.scope, scope) {
			all = append(all, &pulsov1.Member{Name: s.name, Kind: kindScreen})
		}
	}
	for id, who := range v.clients {
		if _, spoken := who.spoken[c]; spoken || event.MatchAny(who.filters, c.topic) {
			all = append(all, &pulsov1.Member{Name: id, Kind: kindDevice})
		}
	}
	slices.SortFunc(all, byKind)
	return slices.Clip(all[:min(len(all), MaxMembers)])
}

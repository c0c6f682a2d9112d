package broker

import (
	"context"
	"errors"
	"fmt"

	"pulso/access/meter"
	"pulso/broker/packet"
)

// Errors that [Config.Authenticate] returns.
var (
	// ErrDenied: the credentials are not good.
	ErrDenied = errors.New("credentials")
	// ErrBusy: they cannot be checked at present.
	ErrBusy = errors.New("busy")
)

// Credentials are what a CONNECT shows.
type Credentials struct {
	User     string
	Password []byte
	// Client is the client id, Remote the peer's address.
	Client, Remote string
	// Certificate is the name on the certificate that the client has proved to have, and that TLS has verified: its common name, else its
	// first URI, else its first DNS name; empty: none.
	Certificate string
}

// A Guest is whoever a connection has proved to be, and what it may do. Its methods are quick, do not block and are safe for
// concurrent use.
type Guest interface {
	// Name is the account's: a session belongs to it.
	Name() string
	// MayPublish reports whether messages may be sent to a topic.
	MayPublish(topic string) bool
	// MaySubscribe reports whether there is anything to hear by a filter; with whole, whether all of it may be heard.
	MaySubscribe(filter string, whole bool) bool
	// MayHear reports whether a topic's messages may be received.
	MayHear(topic string) bool
	// While has cut called when the guest may no longer be here, be it at once. release says that it has left.
	While(cut func()) (release func())
	// Meter is what the account is counted and bounded by, in all its connections together; nil: nothing is. Who asks closes it.
	Meter() *meter.Chain
}

// causeRevoked ends the connection of a guest who may no longer be here, or may do something else than before.
var causeRevoked = &cause{reasonRevoked, "rights have changed", codeNotAuthorized}

// errForbidden: a topic that the guest has no right to.
var errForbidden = errors.New("not authorized")

// authenticate finds out who sends a CONNECT.
func (l *link) authenticate(c *packet.Connecting) (code byte, r *Refusal) {
	ask := l.broker.cfg.Authenticate
	if ask == nil {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.broker.cfg.ConnectTimeout)
	defer cancel()
	guest, err := ask(ctx, Credentials{User: c.User, Password: c.Password, Client: l.id, Remote: l.remote, Certificate: certificate(l.conn.nc)})
	switch {
	case err == nil:
		l.guest = guest
		return l.countIn()
	case errors.Is(err, ErrBusy) || ctx.Err() != nil:
		return codeBusy, &Refusal{Reason: reasonBusy, Detail: fmt.Sprintf("user %.80q: %v", c.User, err)}
	}
	return codeCredentials, &Refusal{Reason: reasonCredentials, Detail: fmt.Sprintf("user %.80q", c.User)}
}

// countIn counts the connection as one of its account's. One that takes over the client id of another of the account comes in its
// place, though that has not ended yet.
func (l *link) countIn() (code byte, r *Refusal) {
	l.meter = l.guest.Meter()
	b := l.broker
	b.mu.Lock()
	old := b.owners[l.id]
	replaces := old != nil && old.identity() == l.identity()
	b.mu.Unlock()
	if l.meter.Connect(replaces) {
		return 0, nil
	}
	return codeQuota, &Refusal{Reason: reasonLimit, Detail: fmt.Sprintf("account %.80q: too many connections", l.identity())}
}

// identity is the account that sessions of the connection belong to; empty where the broker knows none.
func (l *link) identity() string {
	if l.guest == nil {
		return ""
	}
	return l.guest.Name()
}

// permit judges lastTopic by the guest's rights, once.
func (l *link) permit() error {
	if l.permitted || l.guest == nil {
		return nil
	}
	if !l.guest.MayPublish(l.lastTopic) {
		l.broker.metrics.forbidden.WithLabelValues(forbiddenPublish).Inc()
		return fmt.Errorf("%w to publish to %.80q", errForbidden, l.lastTopic)
	}
	l.permitted = true
	return nil
}

// maySubscribe judges a filter, without its share's name, by the guest's rights. Who shares must be able to take every message: one that
// a member may not see would be seen by nobody.
func (s *session) maySubscribe(filter string) error {
	s.mu.Lock()
	guest := s.guest
	s.mu.Unlock()
	if guest == nil {
		return nil
	}
	_, rest, shared := packet.SplitShare(filter)
	if guest.MaySubscribe(rest, shared) {
		if hear := s.broker.cfg.OnSubscribe; hear != nil {
			hear(guest.Name(), s.id, rest)
		}
		return nil
	}
	s.broker.metrics.forbidden.WithLabelValues(forbiddenSubscribe).Inc()
	if shared && guest.MaySubscribe(rest, false) {
		return fmt.Errorf("%w to share all of %.80q", errForbidden, rest)
	}
	return fmt.Errorf("%w to subscribe to %.80q", errForbidden, rest)
}

// hears reports whether the session may be sent a topic's messages; s.mu is held. What it may not hear of a filter that it has
// is left out and counted.
func (s *session) hears(topic string) bool {
	if s.guest == nil || s.guest.MayHear(topic) {
		return true
	}
	s.broker.metrics.withheld.Inc()
	return false
}

// welcomeGuest makes the session the guest's, and takes from it the subscriptions that are no longer allowed.
func (s *session) welcomeGuest(g Guest) {
	s.mu.Lock()
	s.guest = g
	s.countFilters(g)
	filters := make([]string, 0, len(s.filters))
	for filter := range s.filters {
		filters = append(filters, filter)
	}
	s.mu.Unlock()
	if g == nil {
		return
	}
	for _, filter := range filters {
		if err := s.maySubscribe(filter); err != nil {
			s.unsubscribe(filter)
			s.broker.log.Info("a subscription is no longer allowed", "client", s.id, "account", g.Name(), "filter", filter)
		}
	}
}

// countFilters counts the filters that the session has had all along as its account's; they stay, however many there may be. s.mu is
// held.
func (s *session) countFilters(g Guest) {
	if g == nil || s.meter != nil {
		return
	}
	s.meter = g.Meter()
	for range s.filters {
		s.meter.Subscribe(true)
	}
}

// stays cuts the connection off when its guest may no longer be here.
func (l *link) stays() {
	if l.guest != nil {
		l.release = l.guest.While(func() { l.end(causeRevoked) })
	}
}

package gateway

import (
	"context"
	"fmt"
	"net/http"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// A Person is whoever a request or a session comes from, as far as gateways must know. Its methods are quick, do not block and are
// safe for concurrent use.
type Person interface {
	// Name is the account's.
	Name() string
	// MayPublish reports whether messages may be sent to a topic.
	MayPublish(topic string) bool
	// MayCommand reports whether commands may be sent to a topic.
	MayCommand(topic string) bool
	// While has cut called when the person's rights end, gone, or are others than before, be it at once. release says that
	// it is of no interest any more.
	While(cut func(gone bool)) (release func())
	// Meter is what the account is counted and bounded by, in all its connections together; nil: nothing is. Who asks closes it.
	Meter() *meter.Chain
}

// meterOf opens a person's meter; nil, which bounds nothing, for nobody.
func meterOf(p Person) *meter.Chain {
	if p == nil {
		return nil
	}
	return p.Meter()
}

// Allow returns nil where a person may publish something of some bytes now, and what to answer where not: when to come again.
func Allow(p Person, bytes int) *wire.Error {
	m := meterOf(p)
	defer m.Close()
	return allow(m, bytes)
}

func allow(m *meter.Chain, bytes int) *wire.Error {
	limit, wait := m.Allow(bytes)
	if wait == 0 {
		return nil
	}
	return &wire.Error{
		Code: wire.CodeTooMany, Message: fmt.Sprintf("the account has reached its limit of %s a second", limit), Retry: true, After: wait,
	}
}

// errQuota is why a session does not begin whose account has as many as it may.
var errQuota = fmt.Errorf("%w: the account has as many connections as it may", ErrOverloaded)

// Questions bounds what questions read: it lets those through whose person owes nothing, and refuses the others. Whoever reads tells
// [meter.Of] the request's context.
func Questions(next http.Handler, refuse func(w http.ResponseWriter, err *wire.Error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := meterOf(PersonOf(r.Context()))
		if m == nil {
			next.ServeHTTP(w, r)
			return
		}
		defer m.Close()
		if wait := m.Ask(); wait > 0 {
			refuse(w, &wire.Error{
				Code: wire.CodeTooMany, Message: "the account has reached its limit of samples that questions read in a minute", Retry: true, After: wait,
			})
			return
		}
		next.ServeHTTP(w, r.WithContext(meter.With(r.Context(), m)))
	})
}

type personKey struct{}

// WithPerson says whom what happens under the context comes from.
func WithPerson(ctx context.Context, p Person) context.Context {
	return context.WithValue(ctx, personKey{}, p)
}

// PersonOf is whom something comes from; nil: the hub knows nobody, and everybody may do everything.
func PersonOf(ctx context.Context) Person {
	p, _ := ctx.Value(personKey{}).(Person)
	return p
}

// An Introduction finds out by a token whom a session is from whose handshake did not say it: who is the handshake's context with the
// person (see [PersonOf]) and what that may see; bad is what to answer where the token is nobody's, which has been counted.
type Introduction func(ctx context.Context, token string) (who context.Context, bad *wire.Error)

type introductionKey struct{}

// WithIntroduction says in a handshake's context how its client may say who it is afterwards. It must do so before anything else.
func WithIntroduction(ctx context.Context, i Introduction) context.Context {
	return context.WithValue(ctx, introductionKey{}, i)
}

// IntroductionOf is how a handshake's client may say who it is; nil: the handshake has said it, or need not.
func IntroductionOf(ctx context.Context) Introduction {
	i, _ := ctx.Value(introductionKey{}).(Introduction)
	return i
}

// MayPublish returns nil where a person may publish to a topic, and what to answer where not.
func MayPublish(p Person, topic string) *wire.Error {
	if p == nil || p.MayPublish(topic) {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "%s may not publish to %.200q", p.Name(), topic)
}

// nameOf is a person's name; empty for nobody.
func nameOf(p Person) string {
	if p == nil {
		return ""
	}
	return p.Name()
}

// IsOf reports whether the session is that of the person whom a context's request comes from, and reads what that may.
func (s *Session) IsOf(ctx context.Context) bool {
	return nameOf(PersonOf(ctx)) == nameOf(s.client.Person) && event.SameScope(event.ScopeOf(ctx), s.client.Scope)
}

// stay ends the session with its person's rights. What has changed only takes effect in a new one.
func (s *Session) stay() {
	if s.client.Person == nil {
		return
	}
	s.release = s.client.Person.While(func(gone bool) {
		if gone {
			s.Close(wire.CloseUnauthorized)
		} else {
			s.Close(wire.CloseRights)
		}
	})
}

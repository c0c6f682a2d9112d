package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"pulso/bridge/event"
)

// Few names, so that batches meet; odd ones, so that encodings show.
var (
	anyClient = rapid.SampledFrom([]string{"a", "A", "", "client \"ü\"", "a'b;--", "\x00", "%?#"})
	anyTopic  = rapid.SampledFrom([]string{"a", "a/b", "$SYS/x", "ä/\U0001F600", "<&>\"\\"})
	anyFilter = rapid.SampledFrom([]string{"#", "a/+", "$share/g/a/#", "+/\"x\""})
	anyName   = rapid.SampledFrom([]string{"g", "h"})
	anyText   = rapid.OneOf(rapid.Just(""), rapid.StringN(0, 20, 60))
)

func listOf[T any](t *rapid.T, g *rapid.Generator[T], most int, label string) []T {
	list := rapid.SliceOfN(g, 0, most).Draw(t, label)
	if len(list) == 0 {
		return nil
	}
	return list
}

func pointerTo[T any](t *rapid.T, g *rapid.Generator[T], label string) *T {
	if !rapid.Bool().Draw(t, label+"?") {
		return nil
	}
	return new(g.Draw(t, label))
}

var anyPosition = rapid.Custom(func(t *rapid.T) event.Position {
	if rapid.Bool().Draw(t, "zero") {
		return event.Position{}
	}
	return event.Position{Epoch: rapid.Uint64Min(1).Draw(t, "epoch"), Offset: rapid.Uint64().Draw(t, "offset")}
})

var anyProperties = rapid.Custom(func(t *rapid.T) event.Properties {
	p := event.Properties{
		HasContentType: true, ContentType: anyText.Draw(t, "content type"), ResponseTopic: anyText.Draw(t, "response topic"),
		UTF8: rapid.Bool().Draw(t, "utf8"),
		User: listOf(t, rapid.Custom(func(t *rapid.T) event.UserProperty {
			return event.UserProperty{Name: anyText.Draw(t, "name"), Value: anyText.Draw(t, "value")}
		}), 3, "user"),
	}
	if data := pointerTo(t, rapid.SliceOfN(rapid.Byte(), 0, 5), "correlation data"); data != nil {
		p.CorrelationData = *data
	}
	if p.HasExpiry = rapid.Bool().Draw(t, "has expiry"); p.HasExpiry {
		p.Expiry = rapid.Uint32().Draw(t, "expiry")
	}
	return p
})

var anyEvent = rapid.Custom(func(t *rapid.T) event.Event {
	return event.Event{
		Position: anyPosition.Draw(t, "position"), Time: rapid.Int64().Draw(t, "time"), Topic: anyTopic.Draw(t, "topic"),
		Client: anyClient.Draw(t, "client"), Payload: listOf(t, rapid.Byte(), 40, "payload"),
		Properties: pointerTo(t, anyProperties, "properties"), Kind: event.Kind(rapid.Byte().Draw(t, "kind")),
		Source: event.Source(rapid.Byte().Draw(t, "source")), QoS: rapid.Byte().Draw(t, "qos"),
		Retain: rapid.Bool().Draw(t, "retain"), PacketID: rapid.Uint16().Draw(t, "packet id"),
	}
})

var anyInflight = rapid.Custom(func(t *rapid.T) Inflight {
	return Inflight{
		ID: rapid.Uint16().Draw(t, "id"), QoS: rapid.Byte().Draw(t, "qos"), Received: rapid.Bool().Draw(t, "received"),
		Retain: rapid.Bool().Draw(t, "retain"), Offset: anyPosition.Draw(t, "offset"),
		Topic:       rapid.OneOf(rapid.Just(""), anyTopic).Draw(t, "topic"),
		Identifiers: listOf(t, rapid.IntRange(1, 268435455), 3, "identifiers"),
		Group: rapid.OneOf(rapid.Just(GroupKey{}), rapid.Map(anyFilter, func(f string) GroupKey {
			return GroupKey{"g", f}
		})).Draw(t, "group"),
	}
})

var anySession = rapid.Custom(func(t *rapid.T) Session {
	return Session{
		Client: anyClient.Draw(t, "client"), Identity: anyText.Draw(t, "identity"), Version: rapid.Byte().Draw(t, "version"),
		Expiry: rapid.Uint32().Draw(t, "expiry"), Expires: rapid.Int64().Draw(t, "expires"), Next: anyPosition.Draw(t, "next"),
		Behind: rapid.Bool().Draw(t, "behind"), ReceivedUpTo: rapid.Uint64().Draw(t, "received"),
		Seen: listOf(t, rapid.Uint16(), 4, "seen"), Inflight: listOf(t, anyInflight, 4, "inflight"), Passed: rapid.Uint64().Draw(t, "passed"),
	}
})

var anySubscription = rapid.Custom(func(t *rapid.T) Subscription {
	return Subscription{
		Client: anyClient.Draw(t, "client"), Filter: anyFilter.Draw(t, "filter"), QoS: rapid.Byte().Draw(t, "qos"),
		RetainHandling: rapid.Byte().Draw(t, "handling"), NoLocal: rapid.Bool().Draw(t, "no local"),
		RetainAsPublished: rapid.Bool().Draw(t, "as published"), Identifier: rapid.IntRange(0, 268435455).Draw(t, "identifier"),
		Since: rapid.Uint64().Draw(t, "since"),
	}
})

func anyBatch(t *rapid.T) *Batch {
	return &Batch{
		Ended: listOf(t, anyClient, 2, "ended"),
		Unsubscribed: listOf(t, rapid.Custom(func(t *rapid.T) SubscriptionKey {
			return SubscriptionKey{anyClient.Draw(t, "client"), anyFilter.Draw(t, "filter")}
		}), 2, "unsubscribed"),
		GroupsEnded: listOf(t, rapid.Custom(func(t *rapid.T) GroupKey {
			return GroupKey{anyName.Draw(t, "name"), anyFilter.Draw(t, "filter")}
		}), 2, "groups ended"),
		WillsSettled: listOf(t, anyClient, 2, "wills settled"),
		Sessions:     listOf(t, anySession, 4, "sessions"),
		Subscribed:   listOf(t, anySubscription, 4, "subscribed"),
		Groups: listOf(t, rapid.Custom(func(t *rapid.T) Group {
			return Group{
				Name: anyName.Draw(t, "name"), Filter: anyFilter.Draw(t, "filter"), Next: anyPosition.Draw(t, "next"),
				Again: listOf(t, anyPosition, 3, "again"),
			}
		}), 3, "groups"),
		Retained: listOf(t, rapid.Map(anyEvent, func(e event.Event) Retained { return Retained{e} }), 4, "retained"),
		Wills: listOf(t, rapid.Custom(func(t *rapid.T) Will {
			return Will{rapid.Int64().Draw(t, "due"), anyEvent.Draw(t, "event")}
		}), 3, "wills"),
		Checkpoint: anyPosition.Draw(t, "checkpoint"),
	}
}

// TestModel commits random batches, and reopens the store between some of them.
func TestModel(t *testing.T) {
	dir, stores := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		c := Config{maxUnwritten: rapid.SampledFrom([]int64{0, 1, 8}).Draw(t, "unwritten")}
		kept := rapid.Bool().Draw(t, "kept")
		if kept {
			c.Path = filepath.Join(dir, fmt.Sprintf("%d.db", stores))
			stores++
		}
		s, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		want := newState()
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			b := anyBatch(t)
			if err := s.Commit(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			want.apply(b)
			if !kept || !rapid.Bool().Draw(t, "reopen") {
				continue
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		mustHold(t, s, want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

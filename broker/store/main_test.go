package store

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"pulso/bridge/event"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		commitUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func mustOpen(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustCommit(t testing.TB, s *Store, b *Batch) {
	t.Helper()
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "state.db")
}

// A state is what a store should hold.
type state struct {
	Sessions      map[string]Session
	Subscriptions map[SubscriptionKey]Subscription
	Groups        map[GroupKey]Group
	Retained      map[string]Retained
	Wills         map[string]Will
	Checkpoint    event.Position
}

func newState() *state {
	return &state{
		map[string]Session{},
		map[SubscriptionKey]Subscription{},
		map[GroupKey]Group{},
		map[string]Retained{},
		map[string]Will{},
		event.Position{},
	}
}

// apply does to the state what a batch does to a store.
func (m *state) apply(b *Batch) {
	for _, client := range b.Ended {
		delete(m.Sessions, client)
		delete(m.Wills, client)
		maps.DeleteFunc(m.Subscriptions, func(k SubscriptionKey, _ Subscription) bool { return k.Client == client })
	}
	for _, k := range b.Unsubscribed {
		delete(m.Subscriptions, k)
	}
	for _, k := range b.GroupsEnded {
		delete(m.Groups, k)
	}
	for _, client := range b.WillsSettled {
		delete(m.Wills, client)
	}
	for _, v := range b.Sessions {
		m.Sessions[v.Client] = v
	}
	for _, v := range b.Subscribed {
		m.Subscriptions[SubscriptionKey{v.Client, v.Filter}] = v
	}
	for _, v := range b.Groups {
		m.Groups[GroupKey{v.Name, v.Filter}] = v
	}
	for _, v := range b.Retained {
		if m.Retained[v.Topic] = v; len(v.Payload) == 0 {
			delete(m.Retained, v.Topic)
		}
	}
	for _, v := range b.Wills {
		m.Wills[v.Event.Client] = v
	}
	if !b.Checkpoint.IsZero() {
		m.Checkpoint = b.Checkpoint
	}
}

// loaded returns what a store holds.
func loaded(ctx context.Context, s *Store) (*state, error) {
	m := newState()
	var err error
	m.Checkpoint, err = s.Load(ctx, Loader{
		Session:      func(v *Session) error { m.Sessions[v.Client] = *v; return nil },
		Subscription: func(v *Subscription) error { m.Subscriptions[SubscriptionKey{v.Client, v.Filter}] = *v; return nil },
		Group:        func(v *Group) error { m.Groups[GroupKey{v.Name, v.Filter}] = *v; return nil },
		Retained:     func(v *Retained) error { m.Retained[v.Topic] = *v; return nil },
		Will:         func(v *Will) error { m.Wills[v.Event.Client] = *v; return nil },
	})
	return m, err
}

func mustHold(t interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
}, s *Store, want *state,
) {
	t.Helper()
	got, err := loaded(t.Context(), s)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the store holds\n%+v\ninstead of\n%+v", got, want)
	}
}

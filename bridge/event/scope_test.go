package event_test

import (
	"testing"

	"pulso/bridge/event"
)

type prefix string

func (p prefix) Key() string            { return string(p) }
func (p prefix) Sees(topic string) bool { return topic[:1] == string(p) } // it is not asked of what is no topic

func TestScope(t *testing.T) {
	ctx := t.Context()
	if event.ScopeOf(ctx) != nil || event.ScopeOf(event.WithScope(ctx, nil)) != nil {
		t.Error("nobody has said: that is everything")
	}
	narrow := event.WithScope(ctx, prefix("a"))
	if s := event.ScopeOf(narrow); s == nil || s.Key() != "a" {
		t.Errorf("the scope is %v", s)
	}
	if event.ScopeOf(event.WithScope(narrow, nil)) != nil {
		t.Error("a scope was not taken back")
	}
	for _, c := range []struct {
		scope  event.Scope
		topics []string
		want   bool
	}{
		{nil, nil, true},
		{nil, []string{"b", ""}, true},
		{prefix("a"), []string{"a", "ab"}, true},
		{prefix("a"), []string{"a", "b"}, false},
		{prefix("a"), nil, false},
		{prefix("a"), []string{""}, false},
	} {
		if got := event.Whole(c.scope, c.topics); got != c.want {
			t.Errorf("%v, %q: %t", c.scope, c.topics, got)
		}
	}
	for _, c := range []struct {
		a, b event.Scope
		want bool
	}{{nil, nil, true}, {nil, prefix(""), false}, {prefix(""), nil, false}, {prefix("a"), prefix("a"), true}, {prefix("a"), prefix("b"), false}} {
		if got := event.SameScope(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: %t", c.a, c.b, got)
		}
	}
}

package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pulso/bridge/event"
)

func names(m *match) []string {
	var out []string
	for _, t := range m.targets {
		out = append(out, fmt.Sprintf("%s:%d", t.session.id, t.qos))
	}
	slices.Sort(out)
	return out
}

// TestIndexAgreesWithMatch adds and removes subscriptions at random: the index finds what matching each filter finds.
func TestIndexAgreesWithMatch(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "", "$x"})
	topics := rapid.Map(rapid.SliceOfN(level, 1, 4), func(l []string) string { return strings.Join(l, "/") })
	filters := rapid.Custom(func(t *rapid.T) string {
		l := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "+", "$x"}), 0, 3).Draw(t, "levels")
		return strings.Join(append(l, rapid.SampledFrom([]string{"a", "+", "#"}).Draw(t, "last")), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		x := &index{}
		sessions := []*session{{id: "s"}, {id: "t"}, {id: "u"}}
		held := map[*session]map[string]byte{}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			s, f := rapid.SampledFrom(sessions).Draw(t, "session"), filters.Draw(t, "filter")
			if rapid.Bool().Draw(t, "add") {
				qos := rapid.ByteRange(0, 2).Draw(t, "qos")
				x.add(s, f, subscription{qos: qos})
				if held[s] == nil {
					held[s] = map[string]byte{}
				}
				held[s][f] = qos
			} else {
				x.remove(s, f)
				delete(held[s], f)
			}
		}
		topic := topics.Draw(t, "topic")
		var want []string
		for s, filters := range held {
			best := -1
			for f, qos := range filters {
				if event.Match(f, topic) {
					best = max(best, int(qos))
				}
			}
			if best >= 0 {
				want = append(want, fmt.Sprintf("%s:%d", s.id, best))
			}
		}
		slices.Sort(want)
		if got := names(x.find(topic)); topic != "" && !slices.Equal(got, want) {
			t.Fatalf("topic %q: got %v, want %v of %v", topic, got, want, held)
		}
		for s, filters := range held {
			for f := range filters {
				x.remove(s, f)
			}
		}
		if len(x.root.children) > 0 {
			t.Fatalf("levels are left: %v", x.root.children)
		}
	})
}

func TestOverlappingSubscriptions(t *testing.T) {
	x := &index{}
	s := &session{id: "s"}
	x.add(s, "a/#", subscription{qos: 0, identifier: 1, noLocal: true})
	x.add(s, "a/+", subscription{qos: 2, identifier: 2, retainAsPublished: true})
	x.addGroup(&group{key: groupKey{"g", "a/b"}})
	m := x.find("a/b")
	if len(m.targets) != 1 || len(m.groups) != 1 {
		t.Fatalf("%+v", m)
	}
	got := m.targets[0]
	slices.Sort(got.identifiers)
	if got.qos != 2 || got.noLocal || !got.retainAsPublished || !slices.Equal(got.identifiers, []int{1, 2}) {
		t.Fatalf("%+v", got)
	}
}

// TestWildcardsCostLittle: filters made to be walked in every combination, and a topic of nothing but slashes.
func TestWildcardsCostLittle(t *testing.T) {
	x := &index{}
	for i := range 1 << 10 {
		var levels []string
		for bit := range 10 {
			levels = append(levels, string("a+"[i>>bit&1]))
		}
		x.add(&session{id: fmt.Sprint(i)}, strings.Join(levels, "/"), subscription{})
	}
	for _, topic := range []string{"a/a/a/a/a/a/a/a/a/a", strings.Repeat("/", event.MaxLevels-1)} {
		begin := time.Now()
		x.find(topic)
		if d := time.Since(begin); d > 100*time.Millisecond {
			t.Errorf("%.30q took %s", topic, d)
		}
	}
}

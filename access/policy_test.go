package access

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pulso/bridge/event"
)

func subject(t testing.TB, w *Who, rules ...string) *Subject {
	t.Helper()
	p, err := NewPolicy([]Role{{Name: "r", Rules: rules}})
	if err != nil {
		t.Fatal(err)
	}
	w.Roles = append(w.Roles, "r")
	return p.Subject(w)
}

func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		rules []string
		who   Who
		right Rights
		yes   string
		no    string
	}{
		{nil, Who{}, Publish, "", "a"},
		{[]string{"allow publish a/#"}, Who{}, Publish, "a a/b a//c", "b $a a2 A/b"},
		{[]string{"allow publish a/#"}, Who{}, Subscribe, "", "a a/b"},
		{[]string{"allow all #", "deny publish a/#", "allow publish a/b"}, Who{}, Publish, "x a/b", "a a/c a/b/c"},
		{[]string{"allow all a/b", "deny all a/b"}, Who{}, Subscribe, "", "a/b"},
		{[]string{"deny all +/b", "allow all a/#"}, Who{}, Subscribe, "a/b a/c", "c/b"},
		{[]string{"deny all a/+", "allow all a/#"}, Who{}, Subscribe, "a a/b/c", "a/b"},
		{[]string{"deny all a/b", "allow all a/b/#"}, Who{}, Subscribe, "a/b/c", "a/b"},
		{[]string{"allow all #"}, Who{}, Subscribe, "a /", "$SYS/x $dead/y"},
		{[]string{"allow subscribe $dead/#"}, Who{}, Subscribe, "$dead/y", "$SYS/x dead/y"},
		{[]string{"allow all home/%u/#"}, Who{User: "anna"}, Publish, "home/anna home/anna/x", "home/anna2 home/%u home/+"},
		{[]string{"allow all c-%c/%d"}, Who{Client: "k1", Device: "d1"}, Publish, "c-k1/d1", "c-k1/d2 c-/d1"},
		// What could reach further than its level stands for nothing.
		{[]string{"allow all home/%u/#"}, Who{User: "+"}, Publish, "", "home/x home/+/x"},
		{[]string{"allow all home/%u"}, Who{User: "#"}, Publish, "", "home/x home"},
		{[]string{"allow all home/%u"}, Who{User: "a/b"}, Publish, "", "home/a/b home/a"},
		{[]string{"allow all home/%u"}, Who{User: "%c", Client: "k"}, Publish, "", "home/k home/%c"},
		{[]string{"allow all home/%u/#"}, Who{}, Publish, "", "home//x home"},
		{[]string{"allow all #", "deny all home/%u/#"}, Who{}, Publish, "x home", "home/x home//x"},
	} {
		s := subject(t, &c.who, c.rules...)
		for topic := range strings.FieldsSeq(c.yes) {
			if !s.May(c.right, topic) || !s.Explain(c.right, topic).Allowed {
				t.Errorf("%q: %v: %s of %s is denied by %+v", c.rules, c.who, c.right, topic, s.Explain(c.right, topic))
			}
		}
		for topic := range strings.FieldsSeq(c.no) {
			if s.May(c.right, topic) || s.Explain(c.right, topic).Allowed {
				t.Errorf("%q: %v: %s of %s is allowed by %+v", c.rules, c.who, c.right, topic, s.Explain(c.right, topic))
			}
		}
	}
}

func TestBuiltInRoles(t *testing.T) {
	p, err := NewPolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	device := p.Subject(&Who{User: "plug", Roles: []string{RoleDevice}})
	for _, topic := range []string{"plug/x", "tele/plug/SENSOR", "homeassistant/sensor/plug/config", "a/b/c/plug/d"} {
		if !device.May(Publish|Subscribe, topic) {
			t.Errorf("device: %s is denied", topic)
		}
	}
	if device.May(Publish, "tele/lamp/SENSOR") || device.May(History, "plug/x") || device.Reach(Subscribe, "#") != ReachSome {
		t.Error("device: reaches what is another's")
	}
	viewer := p.Subject(&Who{Roles: []string{RoleViewer, "no such role"}})
	if viewer.May(Publish, "x") || !viewer.May(Subscribe|History, "x") || viewer.Reach(Subscribe, "#") != ReachAll {
		t.Error("viewer: not what a viewer may do")
	}
	if !Everybody().May(All, "x") {
		t.Error("everybody may not do everything")
	}
}

func TestBadRoles(t *testing.T) {
	for _, roles := range [][]Role{
		{{Name: "r", Rules: []string{"allow"}}},
		{{Name: "r", Rules: []string{"allow read #"}}},
		{{Name: "r", Rules: []string{"permit publish #"}}},
		{{Name: "r", Rules: []string{"allow publish a#"}}},
		{{Name: "r", Rules: []string{"allow publish "}}},
		{{Name: "r", Rules: []string{"allow  #"}}},
		{{Name: "r", Rules: []string{"allow publish " + strings.Repeat("x", maxFilter+1)}}},
		{{Name: RoleDevice, Rules: nil}},
		{{Name: "r", Rules: nil}, {Name: "r", Rules: nil}},
		{{Name: "a/b", Rules: nil}},
		{{Name: "", Rules: nil}},
		{{Name: "r", Rules: make([]string, maxRoleRules+1)}},
	} {
		if _, err := NewPolicy(roles); err == nil {
			t.Errorf("%.100q: no error", roles)
		}
	}
}

// What a filter reaches agrees with what is decided topic by topic.
func TestReachAgreesWithDecisions(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "$s"}
	var topics []string
	for _, x := range names {
		topics = append(topics, x)
		for _, y := range names {
			topics = append(topics, x+"/"+y)
			for _, z := range names {
				topics = append(topics, x+"/"+y+"/"+z)
			}
		}
	}
	filter := func() string {
		levels := make([]string, 1+rnd.IntN(3))
		for i := range levels {
			levels[i] = []string{"a", "b", "+", "$s"}[rnd.IntN(4)]
		}
		if rnd.IntN(2) == 0 {
			levels[len(levels)-1] = "#"
		}
		return strings.Join(levels, "/")
	}
	seen := map[Reach]int{}
	for range 20_000 {
		var rules []string
		for range rnd.IntN(5) {
			verb := "allow"
			if rnd.IntN(3) == 0 {
				verb = "deny"
			}
			rules = append(rules, verb+" subscribe "+filter())
		}
		s := subject(t, &Who{}, rules...)
		asked := filter()
		reach := s.Reach(Subscribe, asked)
		seen[reach]++
		for _, topic := range topics {
			if !event.Match(asked, topic) {
				continue
			}
			if sees := s.May(Subscribe, topic); sees && reach == ReachNone || !sees && reach == ReachAll {
				t.Fatalf("%q: %s reaches %d, but %s: %t", rules, asked, reach, topic, sees)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("only %v were seen", seen)
	}
}

// The order in which rules are written does not matter.
func TestOrderOfRulesIsNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	rules := []string{
		"allow all #", "deny publish a/#", "allow publish a/+", "deny all a/b", "allow subscribe +/b", "deny subscribe +/+/c", "allow all a/b/c",
	}
	first := subject(t, &Who{}, rules...)
	for range 200 {
		rnd.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		s := subject(t, &Who{}, rules...)
		if s.Key() != first.Key() {
			t.Fatalf("%q: another key", rules)
		}
		for _, topic := range []string{"a", "b", "a/b", "c/b", "a/b/c", "x/y/c", "a/x/c"} {
			for _, n := range rightNames {
				if s.May(n.right, topic) != first.May(n.right, topic) {
					t.Fatalf("%q: %s of %s depends on the order", rules, n.name, topic)
				}
			}
		}
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	s := subject(t, &Who{}, "allow publish a/#")
	for i := range 3 * maxDecided {
		if !s.May(Publish, fmt.Sprintf("a/%d", i)) {
			t.Fatal("denied")
		}
	}
	if len(s.decided) > maxDecided {
		t.Errorf("%d decisions are remembered", len(s.decided))
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add("allow publish,subscribe plant/+/x/#")
	f.Add("deny all %u/%c-%d")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		again, err := ParseRule(r.String())
		if err != nil || again != r {
			t.Fatalf("%q becomes %q: %v", text, r, err)
		}
		w := Who{User: "u", Client: "+", Device: "x/y"}
		if e, ok := r.expand(&w); ok && event.CheckFilter(e.Filter) != nil {
			t.Fatalf("%q expands to %q", text, e.Filter)
		}
	})
}

func BenchmarkMay(b *testing.B) {
	rules := make([]string, 1_000)
	for i := range rules {
		rules[i] = fmt.Sprintf("allow publish,subscribe plant/hall-%d/+/#", i)
	}
	p, err := NewPolicy([]Role{{Name: "r", Rules: rules}})
	if err != nil {
		b.Fatal(err)
	}
	subjects := make([]*Subject, 10_000)
	for i := range subjects {
		subjects[i] = p.Subject(&Who{User: fmt.Sprintf("d%d", i), Roles: []string{"r"}})
	}
	b.Run("remembered", func(b *testing.B) {
		i := 0
		for b.Loop() {
			subjects[i%len(subjects)].May(Publish, "plant/hall-7/machine-12/temperature")
			i++
		}
	})
	b.Run("decided", func(b *testing.B) {
		for b.Loop() {
			subjects[0].decide("plant/hall-7/machine-12/temperature")
		}
	})
}

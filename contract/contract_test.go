package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pulso/bridge/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const climate = `{"type":"object","properties":{"temperature":{"type":"number","minimum":-40,"maximum":85},"unit":{"enum":["C","F"]},
 "values":{"type":"array","items":{"type":"integer"}},"at":{"type":"string","format":"date-time"},"id":{"type":"string","pattern":"^[a-z]+$"}},
 "required":["temperature"]}`

func TestCheck(t *testing.T) {
	s, err := Compile([]byte(climate))
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[string]string{
		`{"temperature":21.5}`:   "",
		`{"temperature":"21.5"}`: "/temperature: type",
		`{"temperature":99}`:     "/temperature: maximum",
		`{}`:                     "/: required",
		`{"temperature":1,"values":[1,2,"x",4.5]}`: "/values/*: type",
		`{"temperature":1,"unit":"K"}`:             "/unit: enum",
		`{"temperature":1,"at":"yesterday"}`:       "/at: format",
		`{"temperature":1,"id":"A1"}`:              "/id: pattern",
		`21.5`:                                     "/: type",
		`on`:                                       "not JSON",
		``:                                         "not JSON",
		`{"temperature":1} {}`:                     "not JSON",
		`{"temperature":1e999}`:                    "not JSON",
		`{"temperature":1e99999999}`:               "not JSON",
		"\xff\xfe":                                 "not JSON",
		`{"temperature":[` + strings.Repeat("0,", 50_000) + `0]}`: tooMuch,
		strings.Repeat("[", 1_000_000):                            tooMuch,
	} {
		fault := s.Check([]byte(payload))
		got := ""
		if fault != nil {
			got = fault.Kind
			if len(fault.Reason) > maxReason || fault.Reason == "" {
				t.Errorf("%.40q: the reason has %d bytes", payload, len(fault.Reason))
			}
		}
		if got != want {
			t.Errorf("%.60q: %q, want %q", payload, got, want)
		}
	}
}

// What a schema may not be, is refused when it is written, at once.
func TestSchemaBombs(t *testing.T) {
	double := `{"$defs":{"a0":{"type":"number"}`
	for i := 1; i <= 30; i++ {
		double += fmt.Sprintf(`,"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, i, i-1, i-1)
	}
	double += `},"$ref":"#/$defs/a30"}`
	for name, schema := range map[string]string{
		"remote":            `{"$ref":"http://127.0.0.1/schema.json"}`,
		"remote, deep":      `{"properties":{"a":{"items":{"$ref":"https://example.com/x#/a"}}}}`,
		"file":              `{"$ref":"file:///etc/passwd"}`,
		"relative":          `{"$ref":"../access.json"}`,
		"other base":        `{"properties":{"a":{"$id":"http://example.com/","$ref":"#/b"}}}`,
		"remote metaschema": `{"$schema":"http://127.0.0.1/meta.json"}`,
		"no reference":      `{"$ref":"#/$defs/none"}`,
		"itself":            `{"$ref":"#"}`,
		"circle":            `{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`,
		"recursion":         `{"properties":{"child":{"$ref":"#"}}}`,
		"dynamic":           `{"properties":{"child":{"$dynamicRef":"#node"}},"$dynamicAnchor":"node"}`,
		"doubling":          double,
		"deep":              strings.Repeat(`{"items":`, 10_000) + `{}` + strings.Repeat(`}`, 10_000),
		"large":             `{"description":"` + strings.Repeat("x", MaxSchema) + `"}`,
		"pattern, repeated": `{"pattern":"((a{100}){100}){100}"}`,
		"pattern, long":     `{"pattern":"` + strings.Repeat("a?", 1000) + `"}`,
		"pattern, back":     `{"pattern":"(a)\\1"}`,
		"pattern, look":     `{"pattern":"(?=a)b"}`,
		"pattern, of names": `{"patternProperties":{"((x{100}){10}){10}":{}}}`,
		"many patterns":     `{"allOf":[` + strings.Repeat(`{"pattern":"a{200}"},`, 20) + `{}]}`,
		"number":            `{"maximum":1e99999999}`,
		"no schema":         `{"type":"king"}`,
		"no JSON":           `{`,
		"a list":            `[]`,
		"nothing":           ``,
	} {
		began := time.Now()
		if _, err := Compile([]byte(schema)); !errors.Is(err, ErrContract) {
			t.Errorf("%s: %v", name, err)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func put(t *testing.T, b *Book, name string, mode Mode, filter, schema string) {
	t.Helper()
	err := b.Edit(func(c *Content) error {
		_, err := c.Put(name, mode, Version{Filter: filter, Schema: json.RawMessage(schema), By: "ann"}, time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *Book {
	t.Helper()
	b, err := Open(Config{Path: filepath.Join(t.TempDir(), "contracts.json")})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAdmit(t *testing.T) {
	b := open(t)
	put(t, b, "all", Observe, "#", `{"type":["object","number"]}`)
	put(t, b, "aside", Quarantine, "home/+/climate", climate)
	put(t, b, "strict", Reject, "plant/#", climate)
	put(t, b, "aside-too", Quarantine, "plant/soft/#", `{"maxProperties":1}`)
	for _, c := range []struct {
		topic, payload string
		canRefuse      bool
		want           string // the topic that it goes to; empty: refused
	}{
		{"a", "1", true, "a"},
		{"a", "on", true, "a"},
		{"home/k/climate", `{"temperature":1}`, true, "home/k/climate"},
		{"home/k/climate", `{"temperature":100}`, true, "$dead/home/k/climate"},
		{"home/k/climate/x", `{"temperature":100}`, true, "home/k/climate/x"},
		{"plant/1", `{"temperature":100}`, true, ""},
		{"plant/1", `{"temperature":100}`, false, "$dead/plant/1"},
		{"plant/soft/1", `{"temperature":1,"b":2}`, true, "$dead/plant/soft/1"},
		{"plant/soft/1", `{"temperature":100,"b":2}`, true, ""},
		{"$dead/plant/1", `x`, true, "$dead/plant/1"},
	} {
		e := event.Event{Topic: c.topic, Payload: []byte(c.payload), Retain: true, Time: 1, Ref: &event.Ref{}}
		err := b.Admit(&e, c.canRefuse)
		refused := (*RefusedError)(nil)
		switch {
		case c.want == "":
			if !errors.As(err, &refused) || refused.Contract != "strict" || refused.Version != 1 || !strings.HasPrefix(refused.Reason, "/temperature: ") {
				t.Errorf("%s %s: %v", c.topic, c.payload, err)
			}
		case err != nil || e.Topic != c.want:
			t.Errorf("%s %s: goes to %s, %v", c.topic, c.payload, e.Topic, err)
		case c.want != c.topic:
			if e.Retain || e.Ref != nil || len(e.Properties.User) != 2 || e.Properties.User[1].Name != PropertyReason {
				t.Errorf("set aside: %+v", e)
			}
		case !e.Retain || e.Properties != nil:
			t.Errorf("%s %s: changed: %+v", c.topic, c.payload, e)
		}
	}
	empty := event.Event{Topic: "plant/1", Retain: true}
	if err := b.Admit(&empty, true); err != nil || empty.Topic != "plant/1" {
		t.Errorf("a message that clears a topic: %v, %+v", err, empty)
	}
	for _, w := range b.All(func(topic string) bool { return topic == "plant/1" }) {
		if w.Name != "strict" {
			continue
		}
		if w.Seen.Checked != 4 || w.Seen.Broken != 3 || len(w.Seen.Samples) != 2 || w.Seen.Faults[0] != (Count{"/temperature: maximum", 3}) {
			t.Errorf("seen: %+v", w.Seen)
		}
	}
	long := event.Event{Topic: "plant/" + strings.Repeat("x", event.MaxTopicBytes-6), Payload: []byte("x")}
	deep := event.Event{Topic: "plant" + strings.Repeat("/x", event.MaxLevels-1), Payload: []byte("x")}
	for _, e := range []*event.Event{&long, &deep} {
		if err := b.Admit(e, false); err != nil || event.CheckTopic(e.Topic) != nil || !strings.HasPrefix(e.Topic, "$dead/plant/x") {
			t.Errorf("%v: %.80s is no topic", err, e.Topic)
		}
	}
}

// What is observed is bounded, however many ways there are to break a contract.
func TestObservedIsBounded(t *testing.T) {
	b := open(t)
	put(t, b, "a", Observe, "#", `{"additionalProperties":{"type":"number"}}`)
	for i := range 500 {
		e := event.Event{Topic: fmt.Sprint("t/", i), Payload: fmt.Appendf(nil, `{"name-%dx":"%s"}`, i, strings.Repeat("ü", 500)), Time: int64(i)}
		if err := b.Admit(&e, true); err != nil {
			t.Fatal(err)
		}
	}
	seen := b.All(func(string) bool { return true })[0].Seen
	if len(seen.Faults) != maxKinds+1 || seen.Faults[0].Kind != otherKinds || len(seen.Samples) != maxSamples ||
		seen.Samples[0].Topic != "t/499" || seen.Broken != 500 {
		t.Errorf("%d kinds, %d samples, %d broken: %+v", len(seen.Faults), len(seen.Samples), seen.Broken, seen.Samples[0])
	}
	if p := seen.Samples[0].Payload; len(p) > maxShown || strings.Contains(p, "\uFFFD") {
		t.Errorf("%d bytes are shown: %s", len(p), p)
	}
	if hidden := b.All(nil)[0].Seen.Samples; len(hidden) != 0 {
		t.Errorf("samples for nobody: %+v", hidden)
	}
}

// A version stays what it was; what has been observed of it stays with it.
func TestVersions(t *testing.T) {
	b := open(t)
	put(t, b, "a", Observe, "#", `{"type":"number"}`)
	_ = b.Admit(&event.Event{Topic: "t", Payload: []byte("x")}, true)
	put(t, b, "a", Quarantine, "#", "{ \"type\": \"number\" }")
	if k := b.All(nil)[0]; len(k.Versions) != 1 || k.Mode != Quarantine || k.Seen.Broken != 1 {
		t.Errorf("another mode: %+v", k)
	}
	for i := range 30 {
		put(t, b, "a", Quarantine, "#", fmt.Sprintf(`{"maximum":%d}`, i))
	}
	k := b.All(nil)[0]
	if len(k.Versions) != maxVersions || k.Last().Number != 31 || k.Versions[0].Number != 12 || k.Seen.Broken != 0 || k.Last().By != "ann" {
		t.Errorf("other schemas: %d versions, %d to %d, %d broken", len(k.Versions), k.Versions[0].Number, k.Last().Number, k.Seen.Broken)
	}
	again, err := Open(Config{Path: b.cfg.Path})
	if err != nil || again.All(nil)[0].Last().Number != 31 {
		t.Errorf("after a restart: %v", err)
	}
	err = b.Edit(func(c *Content) error { c.Remove("a"); return nil })
	if err != nil || len(b.Content().Contracts) != 0 {
		t.Errorf("removed: %v", err)
	}
}

func TestBadContent(t *testing.T) {
	b := open(t)
	for name, v := range map[string]struct{ name, mode, filter, schema string }{
		"name":     {"../x", "observe", "#", "{}"},
		"no name":  {"", "observe", "#", "{}"},
		"mode":     {"a", "allow", "#", "{}"},
		"filter":   {"a", "observe", "a/#/b", "{}"},
		"reserved": {"a", "observe", "$SYS/#", "{}"},
		"dead":     {"a", "observe", "$dead/#", "{}"},
		"schema":   {"a", "observe", "#", "{"},
	} {
		err := b.Edit(func(c *Content) error {
			_, err := c.Put(v.name, Mode(v.mode), Version{Filter: v.filter, Schema: json.RawMessage(v.schema)}, time.Now())
			return err
		})
		if !IsWrong(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := b.Edit(func(c *Content) error {
		for i := range maxContracts + 1 {
			if _, err := c.Put(fmt.Sprint("c", i), Observe, Version{Filter: "#", Schema: json.RawMessage("{}")}, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if !IsWrong(err) || len(b.Content().Contracts) != 0 {
		t.Errorf("too many: %v", err)
	}
}

// Another process changes the file; one that is damaged changes nothing.
func TestFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contracts.json")
	b, err := Open(Config{Path: path, Every: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	err = Edit(path, func(c *Content) error {
		_, err := c.Put("a", Reject, Version{Filter: "#", Schema: json.RawMessage(`{"type":"number"}`)}, time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := func() bool { return b.Admit(&event.Event{Topic: "t", Payload: []byte("x")}, true) != nil }
	for deadline := time.Now().Add(10 * time.Second); !refused(); {
		if time.Now().After(deadline) {
			t.Fatal("the change of the file is not seen")
		}
	}
	for _, text := range []string{"", "{", `{"contracts":[{"name":"a"}]}`, `{"more":1}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.refresh(); err == nil || !refused() {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := Open(Config{Path: path}); err == nil {
			t.Errorf("%q: opened", text)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// randomly is some JSON value.
func randomly(r *rand.Rand, depth int) any {
	switch n := r.IntN(9); {
	case n == 0:
		return nil
	case n == 1:
		return r.IntN(2) == 0
	case n == 2:
		return fmt.Sprint("text ", r.IntN(10))
	case n == 3:
		return r.Float64()*200 - 100
	case n < 6 || depth > 4:
		return r.IntN(1000)
	case n == 6:
		list := make([]any, r.IntN(5))
		for i := range list {
			list[i] = randomly(r, depth+1)
		}
		return list
	}
	object := map[string]any{}
	for range r.IntN(5) {
		object[fmt.Sprint("name", r.IntN(100))] = randomly(r, depth+1)
	}
	return object
}

// What is learned allows all that it was learned from.
func TestLearnedAllowsWhatWasSeen(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var l Learner
		var payloads [][]byte
		for range 1 + r.IntN(60) {
			text, err := json.Marshal(randomly(r, 0))
			if err != nil {
				t.Fatal(err)
			}
			payloads = append(payloads, text)
			l.Add(text)
		}
		text, err := l.Schema()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		s, err := Compile(text)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, p := range payloads {
			if fault := s.Check(p); fault != nil {
				t.Fatalf("seed %d: %s by %s: %s", seed, p, text, fault.Reason)
			}
		}
	}
}

func TestLearn(t *testing.T) {
	var l Learner
	for i := range 40 {
		l.Add(fmt.Appendf(nil, `{"temperature":%d.5,"count":%d,"ok":true,"list":[1,2.5],"tag":%s}`, i, i, []string{`"x"`, "null"}[i%2]))
	}
	l.Add([]byte("not JSON"))
	text, err := l.Schema()
	want := `{"$schema":"https://json-schema.org/draft/2020-12/schema","description":"Learned from 40 messages.","properties":{` +
		`"count":{"description":"seen: 0 to 39","type":"integer"},"list":{"items":{"description":"seen: 1 to 2.5","type":"number"},"type":"array"},` +
		`"ok":{"type":"boolean"},"tag":{"type":["null","string"]},"temperature":{"description":"seen: 0.5 to 39.5","type":"number"}},` +
		`"required":["count","list","ok","tag","temperature"],"type":"object"}`
	if err != nil || string(text) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, text, want)
	}
	if l.Skipped != 1 {
		t.Errorf("%d skipped", l.Skipped)
	}
	if _, err := new(Learner).Schema(); !errors.Is(err, ErrContract) {
		t.Errorf("from nothing: %v", err)
	}
}

// Learning is bounded, whatever devices send.
func TestLearnIsBounded(t *testing.T) {
	var l Learner
	for i := range 3000 {
		l.Add(fmt.Appendf(nil, `{"a%d":{"b%d":%d}}`, i, i, i))
		l.Add([]byte(strings.Repeat("[", 200) + strings.Repeat("]", 200)))
		l.Add([]byte(strings.Repeat(`{"n":`, 200) + "1" + strings.Repeat("}", 200)))
	}
	text, err := l.Schema()
	if err != nil || len(text) > MaxSchema || l.shapes > 2*maxLearned {
		t.Errorf("%d bytes, %d shapes: %v", len(text), l.shapes, err)
	}
}

func TestTrial(t *testing.T) {
	s, err := Compile([]byte(climate))
	if err != nil {
		t.Fatal(err)
	}
	trial := NewTrial(s)
	for i := range 10 {
		trial.Add(&event.Event{Topic: "t", Time: int64(i+1) * 1e9, Payload: fmt.Appendf(nil, `{"temperature":%d}`, i*20)})
	}
	r := trial.Report()
	if r.Checked != 10 || r.Broken != 5 || r.Since.Unix() != 1 || r.Last.Unix() != 10 || len(r.Samples) != 5 {
		t.Errorf("got %+v", r)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(climate), []byte(`{"temperature":21.5}`))
	f.Add([]byte(`{"uniqueItems":true,"contains":{"type":"number"},"minContains":2}`), []byte(`[1,1.0,"x",{"a":1e300}]`))
	f.Add([]byte(`{"multipleOf":0.01,"not":{"const":3},"if":{"minimum":1},"then":{"maximum":5}}`), []byte(`3`))
	f.Add([]byte(`{"$schema":"http://json-schema.org/draft-04/schema#","dependencies":{"a":["b"]},"items":[{},false]}`), []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, schema, payload []byte) {
		s, err := Compile(schema)
		if err != nil {
			if !errors.Is(err, ErrContract) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if fault := s.Check(payload); fault != nil && (fault.Kind == "" || len(fault.Reason) > maxReason) {
			t.Errorf("a fault without words, or too many: %+v", fault)
		}
	})
}

func FuzzLearn(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":null}]}`), []byte(`{"a":"x"}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var l Learner
		l.Add(a)
		l.Add(b)
		text, err := l.Schema()
		if err != nil {
			return
		}
		s, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range [][]byte{a, b} {
			if fault := s.Check(p); fault != nil && json.Valid(p) && fault.Kind != tooMuch && fault.Kind != "not JSON" {
				t.Errorf("%q by %s: %s", p, text, fault.Reason)
			}
		}
	})
}

// The dearest messages that are checked.
func BenchmarkDearest(b *testing.B) {
	run := func(name, schema, payload string) {
		b.Run(name, func(b *testing.B) {
			s, err := Compile([]byte(schema))
			if err != nil {
				b.Fatal(err)
			}
			if fault := s.Check([]byte(payload)); fault != nil && fault.Kind == tooMuch {
				b.Fatal(fault.Reason)
			}
			for b.Loop() {
				s.Check([]byte(payload))
			}
		})
	}
	run("values", `{"items":{"allOf":[`+strings.Repeat(`{"type":"string","minLength":3},`, 18)+`{"enum":["x"]}]}}`, "["+strings.Repeat("1,", 2_200)+"1]")
	run("pattern", `{"pattern":"^(a?b?c?d?){45}(x|y)$"}`, `"`+strings.Repeat("abcd", 2_000)+`"`)
}

func BenchmarkAdmit(b *testing.B) {
	book, err := Open(Config{})
	if err != nil {
		b.Fatal(err)
	}
	payload := []byte(`{"temperature":21.5,"unit":"C","values":[1,2,3]}`)
	run := func(name, topic string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e := event.Event{Topic: topic, Payload: payload}
				if err := book.Admit(&e, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("no contracts", "plant/1")
	err = book.Edit(func(c *Content) error {
		for i := range 100 {
			v := Version{Filter: fmt.Sprintf("plant/%d", i), Schema: json.RawMessage(climate)}
			if _, err := c.Put(fmt.Sprint("c", i), Reject, v, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	run("100 contracts, none of the topic", "home/1")
	run("100 contracts, one of the topic", "plant/1")
}

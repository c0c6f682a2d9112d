package hub_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/reflect/protoreflect"

	"pulso/bridge/event"
	"pulso/bridge/view/hub"
	"pulso/bridge/view/viewtest"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A meter says what it is told to, and counts on by itself.
type meter struct {
	mu   sync.Mutex
	next hub.Sample
}

func (m *meter) sample() hub.Sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next.Events += 10
	m.next.Bytes += 1000
	s := m.next
	s.Drops = slices.Clone(s.Drops)
	return s
}

func (m *meter) change(f func(*hub.Sample)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.next)
}

// run lets test use a view that samples in a bubble.
func run(t *testing.T, m *meter, test func(t *testing.T, v *hub.View)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := hub.New(hub.Config{Sample: m.sample, Version: "1\"2", MQTT: "m:1", HTTP: "h:1"})
		if b, version := members(t, v, 0); b != nil || version != 0 {
			t.Errorf("before the first sample: %s", b)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = v.Run(ctx) })
		synctest.Wait()
		test(t, v)
		stop()
		wg.Wait()
	})
}

// members returns the members of a frame in JSON, checked in both encodings.
func members(t *testing.T, v *hub.View, since uint64) ([]byte, uint64) {
	t.Helper()
	f, now := v.Since(nil, nil, since)
	return viewtest.Members(t, f), now
}

func object(t *testing.T, v *hub.View, since uint64) map[string]any {
	t.Helper()
	b, version := members(t, v, since)
	if version != v.Version() {
		t.Errorf("version %d, then %d", version, v.Version())
	}
	var out struct {
		Hub map[string]any `json:"hub"`
	}
	if err := json.Unmarshal([]byte("{"+string(b)+"}"), &out); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return out.Hub
}

func TestFieldsAreThoseOfTheProto(t *testing.T) {
	m := &meter{next: hub.Sample{
		Drops: []hub.Count{{Reason: "quota", Count: 3}}, P50: time.Millisecond,
		Log:      hub.Log{First: event.Position{Epoch: 5, Offset: 1}, Next: event.Position{Epoch: 5, Offset: 9}, Durable: "fsync"},
		Problems: []hub.Problem{{Kind: "log_full", Text: "no room"}},
	}}
	run(t, m, func(t *testing.T, v *hub.View) {
		v.Refused(hub.Refusal{Time: time.Now(), Remote: "r", Client: "c", Reason: "because"})
		v.Missed(hub.Missed{
			Time: time.Now(), Client: "c", From: event.Position{Epoch: 5, Offset: 2}, To: event.Position{Epoch: 5, Offset: 6}, Reason: "retention",
		})
		time.Sleep(2500 * time.Millisecond)
		got := object(t, v, 0)
		same := func(what string, value any, proto protoreflect.ProtoMessage) {
			t.Helper()
			members, ok := value.(map[string]any)
			if !ok {
				t.Fatalf("%s is %v", what, value)
			}
			fields := proto.ProtoReflect().Descriptor().Fields()
			for i := range fields.Len() {
				if _, ok := members[string(fields.Get(i).Name())]; !ok {
					t.Errorf("%s lacks %s", what, fields.Get(i).Name())
				}
			}
			if fields.Len() != len(members) {
				t.Errorf("%s has %d members, the proto %d", what, len(members), fields.Len())
			}
		}
		list := func(key string) []any {
			l, ok := got[key].([]any)
			if !ok || len(l) == 0 {
				t.Fatalf("%s is %v", key, got[key])
			}
			return l
		}
		same("hub", got, &pulsov1.Hub{})
		same("devices", got["devices"], &pulsov1.DeviceCounts{})
		same("latency", got["latency"], &pulsov1.Latency{})
		same("log", got["log"], &pulsov1.Log{})
		same("addresses", got["addresses"], &pulsov1.Addresses{})
		same("refused", list("refused")[0], &pulsov1.Refusal{})
		same("missed", list("missed")[0], &pulsov1.Missed{})
		same("problems", list("problems")[0], &pulsov1.Problem{})
		if missed, ok := list("missed")[0].(map[string]any); !ok || missed["events"] != 4.0 || missed["from"] != "5.2" {
			t.Errorf("missed: %v", missed)
		}
		if got["gaps"] != 1.0 {
			t.Errorf("gaps: %v", got["gaps"])
		}
		row, ok := list("history")[0].([]any)
		if !ok || len(row) != (&pulsov1.HubSecond{}).ProtoReflect().Descriptor().Fields().Len() {
			t.Errorf("history: %v", row)
		}
		if drop := list("drops")[0]; !slices.Equal(drop.([]any), []any{"quota", 3.0}) { //nolint:forcetypeassert,errcheck // fails the test as well
			t.Errorf("drops: %v", drop)
		}
		if got["events_per_s"] != 10.0 || got["bytes_per_s"] != 1000.0 {
			t.Errorf("rates: %v, %v", got["events_per_s"], got["bytes_per_s"])
		}
		if log, ok := got["log"].(map[string]any); !ok || log["events"] != 8.0 || log["next"] != "5.9" {
			t.Errorf("log: %v", got["log"])
		}
		if b, _ := members(t, v, v.Version()); b != nil {
			t.Errorf("nothing is new: %s", b)
		}
		if later := object(t, v, 1); later["history"] != nil {
			t.Error("history outside a snapshot")
		}
	})
}

// TestProblemsSayWhenTheyBegan: a problem keeps its time while it lasts, whatever its text says, and one that comes again
// begins again.
func TestProblemsSayWhenTheyBegan(t *testing.T) {
	m := &meter{}
	run(t, m, func(t *testing.T, v *hub.View) {
		began := time.Now().UnixMilli()
		for _, step := range []struct {
			text  string
			since float64 // seconds after the start; -1: no problem
		}{{"", -1}, {"no room", 2}, {"still no room", 2}, {"", -1}, {"no room", 5}} {
			m.change(func(s *hub.Sample) {
				s.Problems = nil
				if step.text != "" {
					s.Problems = []hub.Problem{{Kind: "log_full", Text: step.text}}
				}
			})
			time.Sleep(time.Second)
			synctest.Wait()
			problems, ok := object(t, v, 1)["problems"].([]any)
			if !ok || (len(problems) == 0) != (step.since < 0) {
				t.Fatalf("%+v: %v", step, problems)
			}
			if len(problems) == 0 {
				continue
			}
			p, ok := problems[0].(map[string]any)
			if !ok || p["text"] != step.text || p["since"] != float64(began)+1000*step.since {
				t.Errorf("%+v: %v, began %d", step, p, began)
			}
		}
	})
}

func TestMissedOfAnotherLogHasNoCount(t *testing.T) {
	run(t, &meter{}, func(t *testing.T, v *hub.View) {
		v.Missed(hub.Missed{Client: "a", From: event.Position{Epoch: 4, Offset: 2}, To: event.Position{Epoch: 5, Offset: 6}})
		v.Missed(hub.Missed{Client: "b"})
		missed, ok := object(t, v, 0)["missed"].([]any)
		if !ok || len(missed) != 2 {
			t.Fatalf("missed: %v", missed)
		}
		for i, client := range []string{"b", "a"} { // newest first
			if m, ok := missed[i].(map[string]any); !ok || m["client"] != client || m["events"] != 0.0 {
				t.Errorf("%d: %v", i, missed[i])
			}
		}
	})
}

func TestListsAreBounded(t *testing.T) {
	m := &meter{}
	run(t, m, func(t *testing.T, v *hub.View) {
		for i := range 50 {
			v.Refused(hub.Refusal{Time: time.Now(), Client: strings.Repeat("é", 40_000+i), Reason: strings.Repeat("x", 40_000)})
			v.Missed(hub.Missed{Time: time.Now(), Client: strings.Repeat("é", 40_000+i)})
		}
		time.Sleep(400*time.Second + time.Millisecond)
		synctest.Wait()
		got := object(t, v, 0)
		history, ok := got["history"].([]any)
		if !ok || len(history) != 300 {
			t.Fatalf("%d seconds of history", len(history))
		}
		last := -1.0
		for _, row := range history {
			second, ok := row.([]any)[0].(float64)
			if !ok || last >= 0 && second-last != 1000 {
				t.Fatalf("%v after %v", second, last)
			}
			last = second
		}
		if refused, ok := got["refused"].([]any); !ok || len(refused) != 20 {
			t.Errorf("%d refusals", len(refused))
		}
		if missed, ok := got["missed"].([]any); !ok || len(missed) != 20 {
			t.Errorf("%d missed", len(missed))
		}
		if b, _ := members(t, v, 1); len(b) > 30_000 {
			t.Errorf("a frame of %d bytes", len(b))
		}
	})
}

// TestErrorsOfASecond counts what went wrong in it, also when a count has vanished.
func TestErrorsOfASecond(t *testing.T) {
	m := &meter{next: hub.Sample{Drops: []hub.Count{{Reason: "a", Count: 100}}}}
	run(t, m, func(t *testing.T, v *hub.View) {
		m.change(func(s *hub.Sample) { s.Undecodable, s.Gaps, s.Drops[0].Count = 1, 2, 105 })
		v.Refused(hub.Refusal{})
		time.Sleep(time.Second + time.Millisecond)
		m.change(func(s *hub.Sample) { s.Drops = nil })
		time.Sleep(time.Second)
		synctest.Wait()
		history, ok := object(t, v, 0)["history"].([]any)
		if !ok || len(history) != 2 {
			t.Fatalf("history: %v", history)
		}
		for i, want := range []float64{9, 0} {
			if row, ok := history[i].([]any); !ok || row[6] != want {
				t.Errorf("second %d: %v, want %v errors", i, history[i], want)
			}
		}
	})
}

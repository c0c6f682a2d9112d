package bridge

import (
	"strconv"
	"testing"
	"time"
)

func TestRequests(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := requests{}
	for _, step := range []struct {
		topic    string
		age, at  time.Duration
		expected bool
	}{
		{"a", 0, 0, true},
		{"a", 0, requestEvery - 1, false},
		{"b", 0, requestEvery - 1, true},
		{"a", 0, requestEvery, true},
		{"c", requestAge + 1, requestEvery, false},
	} {
		if got := r.allow(step.topic, now.Add(step.at-step.age), now.Add(step.at)); got != step.expected {
			t.Errorf("%+v: %v", step, got)
		}
	}
	for i := range 2 * maxRequests {
		r.allow(strconv.Itoa(i), now, now)
	}
	if len(r) != maxRequests {
		t.Errorf("%d topics are remembered", len(r))
	}
	later := now.Add(2 * requestEvery)
	if !r.allow("d", later, later) {
		t.Error("what is old is not forgotten")
	}
}

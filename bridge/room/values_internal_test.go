package room

import (
	"testing"

	"pulso/bridge/event"
)

// TestForgottenValues drops the values of one of two devices on one topic, and takes them again.
func TestForgottenValues(t *testing.T) {
	var v values
	a, b := &event.Series{ID: 1, Device: "a", Topic: "t"}, &event.Series{ID: 2, Device: "b", Topic: "t"}
	v.set(a, 1, 1)
	v.set(b, 1, 2)
	v.forget("a")
	if got := v.of(Spec{Filters: []string{"#"}}); len(got) != 1 || got[0].series != b {
		t.Errorf("%+v", got)
	}
	v.forget("b")
	if got := v.of(Spec{Filters: []string{"t"}}); len(got) != 0 || len(v.topics) != 0 {
		t.Errorf("%+v", got)
	}
	v.set(a, 2, 3)
	if got := v.of(Spec{Filters: []string{"t"}}); len(got) != 1 || got[0].value != 3 {
		t.Errorf("%+v", got)
	}
}

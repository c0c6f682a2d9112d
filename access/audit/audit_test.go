package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pulso/bridge/event"
)

func apply(v *View, from, to int) {
	for i := from; i < to; i++ {
		r := Record{Time: int64(i), Who: []string{"anna", "ben"}[i%2], What: fmt.Sprint(i), Outcome: Done}
		v.Apply([]event.Decoded{{Event: r.Event()}, {Event: event.Event{Kind: event.KindPublish, Payload: []byte("{}")}}})
	}
}

func TestViewPagesAndForgets(t *testing.T) {
	v := NewView()
	apply(v, 0, 10)
	list, number := v.Newest("", 0, 4)
	if len(list) != 4 || list[0].What != "9" || list[3].What != "6" {
		t.Fatalf("%+v", list)
	}
	if list, _ = v.Newest("", number, 4); len(list) != 4 || list[0].What != "5" {
		t.Fatalf("the next page: %+v", list)
	}
	if list, _ = v.Newest("ben", 0, 100); len(list) != 5 || list[0].What != "9" {
		t.Fatalf("one person's: %+v", list)
	}
	apply(v, 10, MaxKept*3)
	list, _ = v.Newest("", 0, MaxKept*3)
	if len(list) < MaxKept || len(list) > MaxKept*11/10 || list[0].What != fmt.Sprint(MaxKept*3-1) {
		t.Errorf("%d are kept, the newest %+v", len(list), list[0])
	}
	if list, _ := v.Newest("", 3, 10); len(list) != 0 {
		t.Errorf("before what is kept: %+v", list)
	}
	var b bytes.Buffer
	if err := v.Save(&b); err != nil {
		t.Fatal(err)
	}
	again := NewView()
	if err := again.Restore(&b); err != nil {
		t.Fatal(err)
	}
	if a, n := again.Newest("", 0, 1); len(a) != 1 || a[0] != list[0] || n != uint64(MaxKept*3) {
		t.Errorf("after a restart: %+v, %d", a, n)
	}
	for _, bad := range []string{"{", `{"version":2}`} {
		if again.Restore(strings.NewReader(bad)) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestTextsAreBounded(t *testing.T) {
	r := Record{Who: strings.Repeat("x", 1<<16), What: "login", About: "\xff\x00", Outcome: Refused}
	if e := r.Event(); len(e.Payload) > 1024 || !json.Valid(e.Payload) {
		t.Errorf("%d bytes", len(e.Payload))
	}
}

func TestHandler(t *testing.T) {
	v := NewView()
	apply(v, 0, 10)
	h := NewHandler(v, func(context.Context) {}, nil)
	for query, want := range map[string]int{
		"": 200, "?limit=2&who=anna": 200, "?format=jsonl": 200, "?limit=0": 400, "?limit=x": 400, "?before=-1": 400, "?format=xml": 400, "?nothing=1": 400,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, Path+query, http.NoBody))
		if w.Code != want {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
		if query == "?format=jsonl" && strings.Count(w.Body.String(), "\n") != 10 {
			t.Errorf("lines: %s", w.Body)
		}
	}
}

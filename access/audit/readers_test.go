package audit

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pulso/bridge/event"
)

// applied are the records as the view gets them from the log.
func applied(v *View, records []Record) {
	for _, r := range records {
		v.Apply([]event.Decoded{{Event: r.Event()}})
	}
}

func TestReaders(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	var records []Record
	n := NewNotes(func(r Record) { records = append(records, r) }, func() time.Time { return now })
	n.Note("anna", "mqtt c", "plant/#", "other/x")
	n.Note("anna", "mqtt c", "plant/#")
	n.Note("ben", "/api/v1/export", "#")
	n.Note("", "stream", "#")
	if len(records) != 3 {
		t.Fatalf("%d are recorded: %+v", len(records), records)
	}
	now = now.Add(noteEvery)
	n.Note("anna", "mqtt c", "plant/#")
	v := NewView()
	applied(v, records)
	applied(v, []Record{{Time: 5, Who: "anna", What: "login"}})
	want := "[{anna plant/# 4600000} {ben # 1000000}]"
	if got := fmt.Sprint(v.Readers("plant/1", 10)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := v.Readers("plant/1", 1); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if got := v.Readers("$SYS/x", 10); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if list, _ := v.Newest("", 0, 10); len(list) != 1 || list[0].What != "login" {
		t.Errorf("what was read is among what was done: %v", list)
	}
	var saved bytes.Buffer
	if err := v.Save(&saved); err != nil {
		t.Fatal(err)
	}
	again := NewView()
	if err := again.Restore(&saved); err != nil || fmt.Sprint(again.Readers("plant/1", 10)) != want {
		t.Errorf("restored: %v, %v", again.Readers("plant/1", 10), err)
	}
}

// Who subscribes to ever new filters fills neither the log nor the memory, and is known to ask for everything.
func TestReadersAreBounded(t *testing.T) {
	var records []Record
	n := NewNotes(func(r Record) { records = append(records, r) }, time.Now)
	for i := range 10_000 {
		n.Note("anna", "mqtt c", fmt.Sprint("t/", i))
	}
	if len(records) != maxFilters+1 || records[maxFilters].About != "#" {
		t.Fatalf("%d are recorded", len(records))
	}
	n.Note("long", "mqtt c", strings.Repeat("x/", 300)+"y")
	n.Note("long", "mqtt c", strings.Repeat("x", 300))
	for _, r := range records[len(records)-2:] {
		if len(r.About) > maxText || !event.Match(r.About, strings.Repeat("x/", 300)+"y") || event.CheckFilter(r.About) != nil {
			t.Errorf("a long filter is noted as %q", r.About)
		}
	}
	v := NewView()
	for i := range maxReaders + 10 {
		v.reads.note(&Record{Time: int64(i), Who: fmt.Sprint(i), About: "#"})
	}
	if len(v.reads) > maxReaders {
		t.Errorf("%d are known", len(v.reads))
	}
	if newest := v.Readers("t", 1); newest[0].Last != maxReaders+9 {
		t.Errorf("the newest is %v", newest)
	}
}

package broker

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pulso/bridge/event"
)

// TestBeatWakesAllWhoWait has readers come at different times: they leave at the same, within a beat of the first.
func TestBeatWakesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b beat
		var readers sync.WaitGroup
		start := time.Now()
		for i := range 10 {
			readers.Go(func() {
				time.Sleep(time.Duration(i) * beatEvery / 20)
				b.wait()
				if past := time.Since(start); past != beatEvery {
					t.Errorf("reader %d left after %v", i, past)
				}
			})
		}
		readers.Wait()
		b.wait()
		if past := time.Since(start); past != 2*beatEvery {
			t.Errorf("the next left after %v", past)
		}
	})
}

// TestOnlyBusyConnectionsWait feeds connections at a rate and looks at who would wait.
func TestOnlyBusyConnectionsWait(t *testing.T) {
	for name, test := range map[string]struct {
		connections, rate int
		want              bool
	}{
		"one fast connection":         {1, 1000, false},
		"many slow connections":       {1000, 50, false},
		"some fast connections":       {20, 500, true},
		"many connections, fast hub":  {100, 251, true},
		"a hub that is not yet busy":  {5, 700, false},
		"one connection that is all ": {1, 5000, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b beat
			streaks := make([]streak, test.connections)
			for range 2 * test.rate { // two seconds
				for i := range streaks {
					streaks[i].add(&b, time.Now())
				}
				time.Sleep(time.Second / time.Duration(test.rate))
			}
			for i := range streaks {
				if streaks[i].busy != test.want {
					t.Fatalf("%s: connection %d is busy: %t", name, i, streaks[i].busy)
				}
			}
			time.Sleep(time.Minute)
			for range 2 * (streakLength + 1) {
				streaks[0].add(&b, time.Now())
			}
			if streaks[0].busy {
				t.Errorf("%s: still busy after a minute", name)
			}
		})
	}
}

// TestTopicsAreOneInMemory asks for topics by their bytes.
func TestTopicsAreOneInMemory(t *testing.T) {
	var names topicNames
	if names.find([]byte("a")) != nil {
		t.Fatal("a topic that nobody has added")
	}
	a := names.add("a")
	if names.add("a") != a || names.find([]byte("a")) != a {
		t.Error("one topic is two")
	}
	if names.add(string(make([]byte, longestName+1))) != nil {
		t.Error("a long topic is remembered")
	}
	text := make([]byte, 3)
	for i := range 2 * maxNames { // a is used meanwhile, and stays
		text[0], text[1], text[2] = byte(i), byte(i>>8), byte(i>>16)
		names.add(string(text))
		if i%1000 == 0 && names.find([]byte("a")) != a {
			t.Fatalf("a is forgotten after %d others", i)
		}
	}
	if n := len(names.young) + len(names.old); n > 2*maxNames {
		t.Errorf("%d topics are remembered", n)
	}
	var none *event.Ref
	none.Keep(event.SlotLog, 1)
	if _, found := event.Slot[int](none, event.SlotLog); found {
		t.Error("nothing holds something")
	}
}

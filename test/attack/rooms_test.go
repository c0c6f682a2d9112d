package attack

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/test/internal/hub"
)

// 100 sessions have 64 rooms each that nobody shares: the 65th is refused, and when they have left, there is none.
func TestManyRooms(t *testing.T) {
	withstandWithin(t, 96<<20, func(s *siege) {
		const sessions, most = 100, 64
		var all [sessions]*talker
		s.each(sessions, func(i int) {
			c, err := s.talk("pulso.v1.json")
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = c
			for k := range most {
				r, err := c.ask(uint64(k+1), fmt.Sprintf(`{"id":%d,"subscribe":{"filters":["rooms/%d/%d/+"]}}`, k+1, i, k))
				if err != nil || r.Subscribed.Room == 0 {
					t.Errorf("room %d: %+v, %v", k, r, err)
					return
				}
			}
			if r, err := c.ask(100, `{"id":100,"subscribe":{"filters":["one/more"]}}`); err != nil || r.Error.Code != "too_many" {
				t.Errorf("room 65: %+v, %v", r, err)
			}
		})
		if n := s.counted("pulso_room_rooms"); n != sessions*most {
			t.Errorf("%d rooms, want %d", n, sessions*most)
		}
		s.hold()
		for _, c := range all {
			if c != nil {
				c.leave()
			}
		}
		hub.Eventually(t, 10*time.Second, "all rooms are gone", func() error { return s.zero("pulso_room_rooms") })
	})
}

// zero says that something counted is not zero.
func (s *siege) zero(metric string) error {
	if n := s.counted(metric); n != 0 {
		return fmt.Errorf("%s is %d", metric, n)
	}
	return nil
}

// A session subscribes to as many filters of as many levels as it may, and others publish to topics that each of them matches up
// to its last level: neither the memory nor the time of others goes into that.
func TestFiltersThatBranch(t *testing.T) {
	withstandWithin(t, 96<<20, func(s *siege) {
		const subscriptions = 64
		c := s.mustTalk()
		for k := range subscriptions {
			filters := list(16, func(n int) string { return branch(k<<4 | n) }) // 2,048 levels
			r, err := c.ask(uint64(k+1), fmt.Sprintf(`{"id":%d,"subscribe":{"filters":%s}}`, k+1, filters))
			if err != nil || r.Subscribed.Room == 0 {
				t.Fatalf("subscription %d: %+v, %v", k, r, err)
			}
		}
		go drainSession(c) // ends with the connection
		s.end = time.Now().Add(duration)
		publisher := s.client()
		var n atomic.Int64
		s.flood(2, func(int) error {
			topic := strings.Repeat("a%2F", 127) + fmt.Sprint(n.Add(1))
			_, _, err := post(publisher, "http://"+s.h.HTTP+"/api/v1/publish?topic="+topic, "", "1")
			return err
		})
	})
}

// branch is the nth filter of 128 levels of those that match the topic a/a/a…: no two have more in common than they must.
func branch(n int) string {
	levels := make([]string, 128)
	for i := range levels {
		levels[i] = "a"
		if n>>(i%14)&1 == 1 {
			levels[i] = "+"
		}
	}
	levels[127] = "b"
	return strings.Join(levels, "/")
}

// drainSession reads whatever comes until the connection ends.
func drainSession(c *talker) {
	_ = c.SetReadDeadline(time.Time{})
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

// 20 sessions join and leave rooms 10,000 times while others watch one that they share.
func TestChurn(t *testing.T) {
	withstand(t, func(s *siege) {
		f := &feed{s: s}
		screens := make([]*screen, 20)
		var wg, churn sync.WaitGroup
		for i := range screens {
			screens[i] = &screen{f: f, habit: steady, position: "start", stall: make(chan struct{}), resume: make(chan struct{})}
			if err := screens[i].dial(); err != nil {
				t.Fatal(err)
			}
			wg.Go(screens[i].watch)
		}
		began := time.Now()
		for i := range 20 {
			churn.Go(func() { s.joinAndLeave(i, 500) })
		}
		f.publish(2 * time.Second)
		churn.Wait()
		t.Logf("joined and left 10,000 times in %v", time.Since(began).Round(time.Millisecond))
		f.total.Store(f.sent.Load())
		f.publishOne()
		wg.Wait()
		for _, c := range screens {
			if c.err != nil {
				t.Error(c.err)
			}
		}
		hub.Eventually(t, 10*time.Second, "all rooms are gone", func() error { return s.zero("pulso_room_rooms") })
	})
}

// joinAndLeave is one session's part of the churn: rooms that are shared, some that are not, with all that a room can have.
func (s *siege) joinAndLeave(i, times int) {
	c, err := s.talk("pulso.v1.json")
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.leave()
	for n := range times {
		id := uint64(2*n + 1)
		filter := []string{`"devices/#"`, fmt.Sprintf(`"churn/%d/%d"`, i, n), `"devices/+/telemetry","+/x"`, `"#"`}[n%4]
		form := []string{"events", "values", "topics", "values"}[n/4%4]
		r, err := c.ask(id, fmt.Sprintf(`{"id":%d,"subscribe":{"filters":[%s],"form":%q,"viewers":%t}}`, id, filter, form, n%3 == 0))
		if err != nil || r.Subscribed.Room == 0 {
			s.t.Errorf("join: %+v, %v", r, err)
			return
		}
		if r, err := c.ask(id+1, fmt.Sprintf(`{"id":%d,"unsubscribe":{"room":%d}}`, id+1, r.Subscribed.Room)); err != nil || r.Error.Code != "" {
			s.t.Errorf("leave: %+v, %v", r, err)
			return
		}
	}
}

// 1,000 sessions watch the same and want to know who else does, and half of them go and come: who stays is told the truth.
func TestThousandViewers(t *testing.T) {
	withstandWithin(t, 96<<20, func(s *siege) {
		const viewers = 1000
		subscribe := `{"id":1,"subscribe":{"filters":["viewed"],"viewers":true}}`
		first := s.mustTalk()
		if _, err := first.ask(1, subscribe); err != nil {
			t.Fatal(err)
		}
		crowd := make([]*talker, viewers-1)
		join := func(from, to int) {
			s.each(to-from, func(i int) {
				c, err := s.talk("pulso.v1.json")
				if err == nil {
					err = c.say(websocket.TextMessage, subscribe)
				}
				if err != nil {
					t.Error(err)
					return
				}
				crowd[from+i] = c
				go drainSession(c) // ends with the connection
			})
		}
		join(0, viewers-1)
		first.count(t, viewers)
		for i := range viewers / 2 {
			crowd[i].leave()
		}
		first.count(t, viewers/2)
		join(0, viewers/2)
		first.count(t, viewers)
	}, hub.Flags("--connect-rate-per-address", "5000"))
}

// count reads what is said of viewers until there are as many as there ought to be.
func (c *talker) count(t *testing.T, want int) {
	t.Helper()
	began := time.Now()
	for last := 0; ; {
		r, err := c.next()
		if err != nil {
			t.Fatalf("waiting for %d viewers, the last number was %d: %v", want, last, err)
		}
		if len(r.Viewers.Present) > 100 || len(r.Viewers.Joined) > 20 || len(r.Viewers.Left) > 20 {
			t.Errorf("%d present, %d joined, %d left in one message", len(r.Viewers.Present), len(r.Viewers.Joined), len(r.Viewers.Left))
		}
		if last = max(last, r.Viewers.Count); r.Viewers.Count == want {
			t.Logf("%d viewers after %v", want, time.Since(began).Round(time.Millisecond))
			return
		}
	}
}

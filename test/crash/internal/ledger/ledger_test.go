package ledger

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// publish books n acknowledged messages.
func publish(t *Topic, n int) {
	for range n {
		t.Acknowledged(t.Next())
	}
}

func TestEachFaultIsFound(t *testing.T) {
	cases := []struct {
		name      string
		published byte // QoS
		read      byte // QoS
		got       []uint32
		want      map[string]int
		doubles   int
	}{
		{"all in order", 2, 2, []uint32{0, 1, 2, 3}, nil, 0},
		{"one lost in the middle", 1, 1, []uint32{0, 2, 3}, map[string]int{Lost: 1}, 0},
		{"the last two lost", 2, 2, []uint32{0, 1}, map[string]int{Lost: 2}, 0},
		{"nothing came", 1, 2, nil, map[string]int{Lost: 4}, 0},
		{"two changed places", 1, 1, []uint32{0, 2, 1, 3}, map[string]int{Disorder: 1}, 0},
		{"again at QoS 2", 2, 2, []uint32{0, 1, 1, 2, 3}, map[string]int{Twice: 1}, 0},
		{"again at QoS 1, in order", 1, 1, []uint32{0, 1, 2, 1, 2, 3}, nil, 2},
		{"again from QoS 2 to QoS 1", 2, 1, []uint32{0, 1, 2, 2, 3}, nil, 1},
		{"again from QoS 1 to QoS 2", 1, 2, []uint32{0, 1, 2, 2, 3}, nil, 1},
		{"lost at QoS 0", 0, 2, []uint32{1, 3}, nil, 0},
		{"again at QoS 0", 0, 2, []uint32{1, 1}, map[string]int{TwiceAtZero: 1}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := New()
			topic, reader := l.Topic("a/b", c.published, "publisher"), l.Reader("reader", c.read)
			publish(topic, 4)
			for _, n := range c.got {
				found, number, ok := reader.Find("a/b", Payload("a/b", n))
				if !ok || found != topic || number != n {
					t.Fatalf("message %d is not found", n)
				}
				reader.Deliver(topic, n, 7, false)
			}
			report := l.Close()
			for kind, n := range c.want {
				if report.Faults[kind] != n {
					t.Errorf("%s: %d, want %d", kind, report.Faults[kind], n)
				}
			}
			if len(report.Faults) != len(c.want) || report.Doubles != c.doubles || report.Faultless() != (len(c.want) == 0) {
				t.Errorf("%d doublets, want %d; all: %s", report.Doubles, c.doubles, report)
			}
		})
	}
}

func TestWhatIsNotAcknowledgedIsNotLost(t *testing.T) {
	l := New()
	topic := l.Topic("a", 1, "publisher")
	l.Reader("reader", 1)
	topic.Next()
	if report := l.Close(); report.Faults[Lost] != 0 || report.Faults[Unread] != 1 {
		t.Error(report)
	}
}

func TestAnAlteredPayloadIsFound(t *testing.T) {
	l := New()
	publish(l.Topic("a", 1, "publisher"), 3)
	reader := l.Reader("reader", 1)
	for topic, payload := range map[string]string{"b": string(Payload("b", 1)), "a": "1 zzz", "": ""} {
		if _, _, ok := reader.Find(topic, []byte(payload)); ok {
			t.Errorf("%q on %q was taken", payload, topic)
		}
	}
	if _, _, ok := reader.Find("a", Payload("a", 3)); ok {
		t.Error("a message that was never sent was taken")
	}
	if report := l.Close(); report.Faults[Altered] != 4 {
		t.Error(report)
	}
}

func TestHistoryTellsWhatConcernsTheMessage(t *testing.T) {
	l := New()
	topic, reader := l.Topic("a", 2, "publisher"), l.Reader("reader", 2)
	l.Reader("other", 2)
	publish(topic, 2)
	topic.Note(1, "publisher", Sent, 41)
	l.Event("", "is killed")
	l.Event("stranger", "is killed as well")
	reader.Deliver(topic, 0, 5, false)
	reader.Deliver(topic, 1, 42, false)
	reader.Deliver(topic, 1, 43, false)
	history := l.Close().Told[0]
	for _, want := range []string{Twice, Stored, Sent + ", identifier 41", "the hub        is killed", Delivered + ", identifier 42", "identifier 43"} {
		if !strings.Contains(history, want) {
			t.Errorf("the history lacks %q:\n%s", want, history)
		}
	}
	for _, foreign := range []string{"stranger", "identifier 5"} {
		if strings.Contains(history, foreign) {
			t.Errorf("the history tells of %q:\n%s", foreign, history)
		}
	}
}

func TestSettleWaitsForTheReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		topic, reader := l.Topic("a", 1, "publisher"), l.Reader("reader", 1)
		publish(topic, 3)
		go func() {
			for n := range uint32(3) {
				time.Sleep(time.Second)
				reader.Deliver(topic, n, 1, false)
			}
		}()
		l.Settle(100*time.Millisecond, 2*time.Second)
		if reader.Got() != 3 || reader.Behind() != 0 {
			t.Errorf("got %d, %d behind", reader.Got(), reader.Behind())
		}
		publish(topic, 1)
		began := time.Now()
		l.Settle(100*time.Millisecond, 2*time.Second)
		if waited := time.Since(began); waited < 2*time.Second || waited > 3*time.Second {
			t.Errorf("waited %v for a message that never comes", waited)
		}
	})
}

package devices_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"pulso/bridge/event"
	"pulso/bridge/view"
	"pulso/bridge/view/devices"
	"pulso/bridge/view/viewtest"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ view.View   = (*devices.View)(nil)
	_ view.Ticker = (*devices.View)(nil)
)

// since returns the members of a frame in JSON, checked in both encodings.
func since(t viewtest.T, v *devices.View, filters []string, version uint64) ([]byte, uint64) {
	t.Helper()
	f, now := v.Since(filters, nil, version)
	return viewtest.Members(t, f), now
}

// interner numbers series like the bridge does.
type interner map[[4]string]*event.Series

func (in interner) intern(device, name, unit, topic string) *event.Series {
	key := [4]string{device, name, unit, topic}
	s := in[key]
	if s == nil {
		s = &event.Series{ID: uint32(len(in)) + 1, Device: device, Name: name, Unit: unit, Topic: topic}
		in[key] = s
	}
	return s
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A world is a view and the clock by which things happen to it.
type world struct {
	t      testing.TB
	v      *devices.View
	series interner
	now    time.Time
	ticked time.Time
}

func newWorld(t testing.TB, c devices.Config) *world {
	t.Helper()
	w := &world{t: t, series: make(interner), now: start, ticked: start}
	c.Intern = w.series.intern
	v, err := devices.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.v = v
	v.Tick(start)
	return w
}

// after lets time pass, with its ticks.
func (w *world) after(d time.Duration) *world {
	w.now = w.now.Add(d)
	for w.ticked.Add(time.Second).Before(w.now) {
		w.ticked = w.ticked.Add(time.Second)
		w.v.Tick(w.ticked)
	}
	return w
}

func (w *world) apply(e event.Decoded) {
	e.Time = w.now.UnixNano()
	w.v.Apply([]event.Decoded{e})
}

func (w *world) says() {
	e := event.Decoded{Device: "d1", Metrics: []event.Metric{{Series: w.series.intern("d1", "x", "", "devices/d1/t"), Value: 1}}}
	e.Topic, e.Client = "devices/d1/t", "c1"
	w.apply(e)
}

func (w *world) saysEvery(d time.Duration, n int) {
	for range n {
		w.after(d).says()
	}
}

func (w *world) status(s event.Status) {
	e := event.Decoded{Device: "d1", Status: s}
	e.Topic, e.Client = "devices/d1/status", "c1"
	w.apply(e)
}

func (w *world) will() {
	e := event.Decoded{Device: "d1"}
	e.Topic, e.Client, e.Kind = "devices/d1/status", "c1", event.KindWill
	w.apply(e)
}

func (w *world) command() {
	e := event.Decoded{Device: "d1", Command: true}
	e.Topic, e.Client = "devices/d1/cmd", "screen"
	w.apply(e)
}

func (w *world) connects(client string) {
	var e event.Decoded
	e.Kind, e.Client = event.KindConnected, client
	w.apply(e)
}

func (w *world) disconnects(client, reason string) {
	var e event.Decoded
	e.Kind, e.Client, e.Payload = event.KindDisconnected, client, []byte(reason)
	w.apply(e)
}

func (w *world) is(want devices.Status) {
	w.t.Helper()
	d, found := w.v.Device("d1")
	if !found {
		w.t.Fatal("d1 is not known")
	}
	if d.Status != want {
		w.t.Errorf("d1 is %s, want %s", d.Status, want)
	}
	total, online, stale, offline := w.v.Counts()
	if got := []int{online, stale, offline}; total != 1 || got[want] != 1 || online+stale+offline != 1 {
		w.t.Errorf("counts %d %v", total, got)
	}
}

func TestPresence(t *testing.T) {
	const broken = "keep alive timeout"
	tests := map[string]func(w *world){
		"a message": func(w *world) {
			w.says()
			w.is(devices.Online)
		},
		"silence beyond 2.5 intervals": func(w *world) {
			w.saysEvery(10*time.Second, 5)
			w.after(24 * time.Second)
			w.is(devices.Online)
			w.after(3 * time.Second)
			w.is(devices.Stale)
			w.says()
			w.is(devices.Online)
		},
		"one pause does not change the interval": func(w *world) {
			w.saysEvery(10*time.Second, 8)
			w.after(time.Hour).says()
			w.after(27 * time.Second)
			w.is(devices.Stale)
		},
		"bursts count once": func(w *world) {
			for range 6 {
				w.after(30 * time.Second).says()
				for range 9 {
					w.after(5 * time.Millisecond).says()
				}
			}
			w.after(70 * time.Second)
			w.is(devices.Online)
			w.after(8 * time.Second)
			w.is(devices.Stale)
		},
		"unknown interval": func(w *world) {
			w.saysEvery(time.Second, 2)
			w.after(4*time.Minute + 50*time.Second)
			w.is(devices.Online)
			w.after(20 * time.Second)
			w.is(devices.Stale)
		},
		"own word": func(w *world) {
			w.says()
			w.status(event.StatusOffline)
			w.is(devices.Offline)
			w.after(time.Hour)
			w.is(devices.Offline)
			w.status(event.StatusOnline)
			w.is(devices.Online)
		},
		"message after offline": func(w *world) {
			w.status(event.StatusOffline)
			w.says()
			w.is(devices.Online)
		},
		"will": func(w *world) {
			w.connects("c1")
			w.says()
			w.disconnects("c1", broken)
			w.will()
			w.is(devices.Offline)
			w.connects("c1")
			w.is(devices.Offline)
			w.says()
			w.is(devices.Online)
		},
		"broken connection": func(w *world) {
			w.connects("c1")
			w.says()
			w.disconnects("c1", broken)
			w.is(devices.Offline)
			w.after(time.Minute).connects("c1")
			w.is(devices.Online)
		},
		"visit": func(w *world) {
			w.connects("c1")
			w.says()
			w.after(9*time.Second).disconnects("c1", event.DisconnectedClean)
			w.is(devices.Online)
		},
		"clean end of a long connection": func(w *world) {
			w.connects("c1")
			w.says()
			w.after(11*time.Second).disconnects("c1", event.DisconnectedClean)
			w.is(devices.Offline)
		},
		"clean end of a connection that began unseen": func(w *world) {
			w.says()
			w.after(time.Minute).disconnects("c1", event.DisconnectedClean)
			w.is(devices.Online)
		},
		"taken over": func(w *world) {
			w.connects("c1")
			w.says()
			w.after(time.Minute).connects("c1")
			w.disconnects("c1", event.DisconnectedTakenOver)
			w.is(devices.Online)
			w.after(time.Minute).disconnects("c1", event.DisconnectedClean)
			w.is(devices.Offline)
		},
		"shutdown": func(w *world) {
			w.connects("c1")
			w.says()
			w.after(time.Minute).disconnects("c1", event.DisconnectedShutdown)
			w.is(devices.Online)
		},
		"another client": func(w *world) {
			w.connects("c1")
			w.connects("c2")
			w.says()
			w.after(time.Minute).disconnects("c2", broken)
			w.is(devices.Online)
		},
		"a command is no sign of life": func(w *world) {
			w.saysEvery(time.Second, 5)
			w.after(time.Minute)
			w.is(devices.Stale)
			w.command()
			w.is(devices.Stale)
			w.status(event.StatusOffline)
			w.command()
			w.is(devices.Offline)
		},
		"a stale device's connection breaks": func(w *world) {
			w.connects("c1")
			w.saysEvery(time.Second, 5)
			w.after(time.Minute)
			w.is(devices.Stale)
			w.disconnects("c1", broken)
			w.is(devices.Offline)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(newWorld(t, devices.Config{})) })
	}
}

// TestRestartIsNoSilence restarts the hub after a pause: a device keeps its status until its interval has passed again.
func TestRestartIsNoSilence(t *testing.T) {
	w := newWorld(t, devices.Config{})
	w.saysEvery(10*time.Second, 5)
	again := newWorld(t, devices.Config{})
	again.now, again.ticked = w.now.Add(time.Hour), w.now.Add(time.Hour)
	var state bytes.Buffer
	if err := w.v.Save(&state); err != nil {
		t.Fatal(err)
	}
	if err := again.v.Restore(&state); err != nil {
		t.Fatal(err)
	}
	again.v.Tick(again.now)
	again.is(devices.Online)
	again.after(27 * time.Second)
	again.is(devices.Stale)
}

func TestRateAndInterval(t *testing.T) {
	w := newWorld(t, devices.Config{})
	w.saysEvery(time.Second, 30)
	w.after(1500 * time.Millisecond)
	d, _ := w.v.Device("d1")
	if d.Rate != 1 || d.Interval != time.Second || d.Events != 30 {
		t.Errorf("%+v", d)
	}
	version := w.v.Version()
	w.after(time.Minute)
	if d, _ = w.v.Device("d1"); d.Rate != 0 || w.v.Version() == version {
		t.Errorf("rate %v after silence", d.Rate)
	}
}

func TestRows(t *testing.T) {
	w := newWorld(t, devices.Config{})
	e := event.Decoded{
		Device: "d\"1", DeviceKind: "thermostat", DeviceName: "Küche\xff", Texts: []event.Text{{Name: "mode", Value: "eco"}},
		Metrics: []event.Metric{{Series: w.series.intern("d\"1", "temperature", "°C", "devices/d1/t"), Value: 21.5}},
	}
	e.Topic, e.Client = "devices/d1/t", "c1"
	w.apply(e)
	e.Problem, e.Metrics, e.Texts = "broken", nil, nil
	w.after(1100 * time.Millisecond).apply(e)
	got, version := since(t, w.v, []string{"devices/#"}, 0)
	want := `"devices":[{"device":1,"id":"d\"1","kind":"thermostat","name":"Küche` + "\ufffd" + `","first":1767225600000,` +
		`"topics":["devices/d1/t"],"client":"c1","metrics":[[1,"d\"1","temperature","°C","devices/d1/t"]],` +
		`"texts":[["mode","eco"]]}],"status":[[1,"online",1767225601100,1,2,0,21.5,1]]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, _ = since(t, w.v, []string{"other/#"}, 0); len(got) > 0 {
		t.Errorf("another filter gets %s", got)
	}
	if got, _ = since(t, w.v, []string{"#"}, version); got != nil {
		t.Errorf("nothing new, but %s", got)
	}
	w.apply(e)
	got, _ = since(t, w.v, []string{"#"}, version)
	if !strings.HasPrefix(string(got), `"status":[[1,"online"`) {
		t.Errorf("got %s", got)
	}
}

// TestFramesStayAsTheyAre: nothing that happens later shows in a frame that has been handed out.
func TestFramesStayAsTheyAre(t *testing.T) {
	w := newWorld(t, devices.Config{})
	batch := fleet(w.series, 0, 3)
	w.v.Apply(batch)
	f, version := w.v.Since([]string{"#"}, nil, 0)
	before := proto.CloneOf(f)
	for i := range batch {
		e := &batch[i]
		e.Topic += "/more"
		e.DeviceName, e.Client, e.Time, e.Texts = "another", "another", e.Time+1e9, []event.Text{{Name: "mode", Value: "boost"}}
		e.Metrics = []event.Metric{{Series: e.Metrics[0].Series, Value: 99}, {Series: w.series.intern(e.Device, "x", "", e.Topic), Value: 1}}
	}
	w.v.Apply(batch)
	w.v.Tick(start.Add(time.Hour))
	if later, now := w.v.Since([]string{"#"}, nil, 0); now <= version || proto.Equal(later, before) {
		t.Errorf("version %d after %d: %v", now, version, later)
	}
	if !proto.Equal(f, before) {
		t.Errorf("now  %v\nthen %v", f, before)
	}
}

// TestUnitComesLater has a device announce its unit after its first reading: that is the same metric still.
func TestUnitComesLater(t *testing.T) {
	w := newWorld(t, devices.Config{})
	for _, many := range []int{3, 20} {
		id := fmt.Sprint(many)
		for _, unit := range []string{"", "V"} {
			e := event.Decoded{Device: id}
			e.Topic = "t/" + id
			for i := range many {
				s := w.series.intern(id, fmt.Sprint(i), unit, e.Topic)
				e.Metrics = append(e.Metrics, event.Metric{Series: s, Value: float64(i)})
			}
			w.apply(e)
			w.apply(e)
		}
		d, _ := w.v.Device(id)
		if len(d.Values) != many {
			t.Fatalf("%d values, not %d", len(d.Values), many)
		}
		for i, value := range d.Values {
			if value.Series.Unit != "V" || value.Series.Name != fmt.Sprint(i) || value.Value != float64(i) {
				t.Errorf("%d: %+v %v", i, value.Series, value.Value)
			}
		}
	}
}

// TestReadersWhileApplying is for the race detector.
func TestReadersWhileApplying(t *testing.T) {
	w := newWorld(t, devices.Config{})
	batch := fleet(w.series, 0, 50)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			version := uint64(0)
			for range 200 {
				var f *pulsov1.Frame
				f, version = w.v.Since([]string{"#"}, nil, version)
				wire.JSON.AppendView(nil, f)
				for value := range w.v.Values([]string{"#"}, nil) {
					if value.Series == nil {
						t.Error("no series")
					}
				}
				w.v.Device("device-00001")
				w.v.Topics([]string{"#"}, nil, nil, 10)
				w.v.Counts()
				if err := w.v.Save(io.Discard); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 200 {
		w.v.Apply(batch)
		w.v.Tick(start.Add(time.Duration(i) * time.Second))
	}
	readers.Wait()
}

func TestBounds(t *testing.T) {
	w := newWorld(t, devices.Config{MaxDevices: 2, MaxMetrics: 2, MaxTopics: 2, MaxTexts: 1})
	for i := range 3 {
		for k := range 3 {
			id, topic := fmt.Sprintf("d%d", i), fmt.Sprintf("t/%d/%d", i, k)
			e := event.Decoded{
				Device: id, Texts: []event.Text{{Name: fmt.Sprint(k), Value: "x"}},
				Metrics: []event.Metric{{Series: w.series.intern(id, "x", "", topic), Value: 1}},
			}
			e.Topic = topic
			w.apply(e)
		}
	}
	want := devices.Refused{Devices: 3, Metrics: 2, Topics: 2, Texts: 4}
	if got := w.v.Refused(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if topics, more := w.v.Topics([]string{"#"}, nil, nil, 3); len(topics) != 3 || !more {
		t.Errorf("%v %t", topics, more)
	}
	if topics, more := w.v.Topics([]string{"t/+/1"}, []string{"d1", "d9"}, nil, 3); !slices.Equal(topics, []string{"t/1/1"}) || more {
		t.Errorf("%v %t", topics, more)
	}
	if values := slices.Collect(w.v.Values([]string{"t/+/1"}, nil)); len(values) != 2 {
		t.Errorf("%v", values)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	for _, state := range []string{
		"{", `{"version":2}`, `{"version":1}{"id":"a","status":7}`, `{"version":1}{"id":"a"}{"id":"a"}`,
		`{"version":1}{"id":"a","gaps":[1,2,3,4,5,6,7,8,9],"gap_count":9}`,
	} {
		w := newWorld(t, devices.Config{})
		if err := w.v.Restore(strings.NewReader(state)); err == nil {
			t.Errorf("%s: no error", state)
		}
		if total, _, _, _ := w.v.Counts(); total != 0 {
			t.Errorf("%s: %d devices", state, total)
		}
	}
}

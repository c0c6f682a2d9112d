package simulators

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pulso/simulators/recording"
)

// TestReplayEveryRow plays the whole recording of a room and compares what arrives with the file.
func TestReplayEveryRow(t *testing.T) {
	path := dataset(t, "room_occupancy.csv")
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)
	command := ReplayCommand{Broker: Broker{URL: "tcp://" + address}, File: path, QoS: 1, Prefix: "devices", Announce: true}

	var out bytes.Buffer
	if err := command.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}

	want := expected(t, path)
	if len(want) != 7 {
		t.Fatalf("the file has %d devices", len(want))
	}

	for device, rows := range want {
		topic := "devices/" + device + "/telemetry"
		eventually(t, "all of "+device+" arrived", func() bool { return len(ear.of(topic)) >= len(rows) })

		if got := ear.of(topic); !slices.Equal(got, rows) {
			at := 0
			for at < min(len(got), len(rows)) && got[at] == rows[at] {
				at++
			}

			t.Errorf("%s: %d messages, want %d; they differ from the %dth on", device, len(got), len(rows), at)
		}

		eventually(t, device+" is offline", func() bool { return slices.Equal(ear.of("devices/"+device+"/status"), []string{"online", "offline"}) })
	}

	if text := out.String(); !strings.Contains(text, "10,129 rows, 7 devices") || !strings.Contains(text, "70,903 acknowledged, 0 not") ||
		!strings.Contains(text, "left out: Room_Occupancy_Count") {
		t.Error(text)
	}
}

// expected reads the recording in the simplest way and returns the payloads of each device.
func expected(t *testing.T, path string) map[string][]string {
	t.Helper()

	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}

	all := make(map[string][]string)

	for _, row := range rows[1:] {
		devices := make(map[string][]string)

		for i, name := range rows[0] {
			if device, metric, ok := strings.Cut(name, "_"); ok && len(device) == 2 {
				value := row[i]
				if value == "" {
					value = "null"
				}

				devices[device] = append(devices[device], fmt.Sprintf("%q:%s", metric, value))
			}
		}

		for device, readings := range devices {
			all[device] = append(all[device], "{"+strings.Join(readings, ",")+"}")
		}
	}

	return all
}

// TestReplayThroughBrokenConnections cuts the connection again and again while a recording is played: every row must
// arrive, in order, though some may arrive twice [MQTT-4.3.2].
func TestReplayThroughBrokenConnections(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)

	var text strings.Builder
	text.WriteString("n\n")

	const rows = 3000
	for n := range rows {
		fmt.Fprintf(&text, "%d\n", n)
	}

	cut := startCutter(t, address, 15_000)

	replay, err := NewReplay(ReplayConfig{Broker: Broker{URL: "tcp://" + cut.address}, Path: write(t, "cut.csv", text.String()), QoS: 1})
	if err != nil {
		t.Fatal(err)
	}

	if err := replay.Run(t.Context()); err != nil {
		t.Fatal(err)
	}

	var got []string

	eventually(t, "all rows arrived", func() bool {
		got = ear.of("devices/cut/telemetry")

		return len(got) >= rows && got[len(got)-1] == fmt.Sprintf(`{"n":%d}`, rows-1)
	})

	// An unacknowledged window may come again, but nothing may be missing: first arrivals must be in order.
	next := 0

	for _, payload := range got {
		if payload == fmt.Sprintf(`{"n":%d}`, next) {
			next++
		} else if value, ok := number(payload); !ok || value > next {
			t.Fatalf("%s arrived before %d", payload, next)
		}
	}

	s := replay.Stats()
	if next != rows || s.Acknowledged != rows || s.Sent != rows || cut.cuts.Load() == 0 || s.Dropped == 0 {
		t.Errorf("%d of %d rows, %d cuts, %+v", next, rows, cut.cuts.Load(), s)
	}
}

func number(payload string) (int, bool) {
	var n int

	_, err := fmt.Sscanf(payload, `{"n":%d}`, &n)

	return n, err == nil
}

// cutter is a proxy that breaks each connection after some bytes.
type cutter struct {
	address string
	cuts    atomic.Int64
}

func startCutter(t *testing.T, target string, after int64) *cutter {
	t.Helper()

	front, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	c := &cutter{address: front.Addr().String()}

	stop := run(t, func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { front.Close() })

		for {
			conn, err := front.Accept()
			if err != nil {
				return nil //nolint:nilerr // The listener has been closed.
			}

			c.pass(ctx, conn, target, after)
		}
	})
	t.Cleanup(func() { _ = stop() })

	return c
}

// pass passes one connection on until it has carried its bytes.
func (c *cutter) pass(ctx context.Context, conn net.Conn, target string, after int64) {
	defer conn.Close()

	back, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer back.Close()

	done := make(chan struct{})

	go func() {
		defer close(done)

		_, _ = io.Copy(conn, back)
	}()

	if n, _ := io.CopyN(back, conn, after); n == after {
		c.cuts.Add(1)
	}

	conn.Close()
	back.Close()
	<-done
}

func TestReplayErrors(t *testing.T) {
	t.Parallel()

	for want, config := range map[string]ReplayConfig{
		"no such file":                   {Path: filepath.Join(t.TempDir(), "none.csv")},
		`line 3, column "b": "x" is not`: {Path: write(t, "f.csv", "a,b\n1,2\n3,x\n")},
		`column "c" is not in`:           {Path: write(t, "f.csv", "a,b\n1,2\n"), Recording: recording.Options{Columns: []string{"c"}}},
		"no time column":                 {Path: write(t, "f.csv", "a,b\n1,2\n"), Speed: 1},
		"want {device} in it":            {Path: write(t, "f.csv", "S1_a,S2_a\n1,2\n"), Topic: "all"},
		"want no wildcards":              {Path: write(t, "f.csv", "a\n1\n"), Topic: "a/#"},
		"qos":                            {Path: write(t, "f.csv", "a\n1\n"), QoS: 2},
		"speed":                          {Path: write(t, "f.csv", "a\n1\n"), Speed: -1},
	} {
		if _, err := NewReplay(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestReplayPayload(t *testing.T) {
	t.Parallel()

	r := Replay{config: ReplayConfig{Stamp: true}}
	got := string(r.payload(time.UnixMilli(-1500).UTC(), []recording.Reading{{Metric: `a"b`, JSON: "1.50"}, {Metric: "c", JSON: "null"}}))

	if want := `{"ts":-1500,"a\"b":1.50,"c":null}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRhythm plays rows at twice their pace: a second, a day that is shortened to a minute, and a step back.
func TestRhythm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2017, time.December, 22, 9, 0, 0, 0, time.UTC)
		r := rhythm{speed: 2, maxGap: time.Minute}
		began := time.Now()

		for i, step := range []struct{ gap, want time.Duration }{
			{0, 0},
			{time.Second, 500 * time.Millisecond},
			{24 * time.Hour, 30*time.Second + 500*time.Millisecond},
			{-time.Hour, 30*time.Second + 500*time.Millisecond},
			{2 * time.Second, 31*time.Second + 500*time.Millisecond},
		} {
			at = at.Add(step.gap)
			r.wait(t.Context(), at)

			if got := time.Since(began); got != step.want {
				t.Errorf("row %d came after %s, want %s", i, got, step.want)
			}
		}
	})
}

func TestReplayLoops(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	replay, err := NewReplay(ReplayConfig{Broker: Broker{URL: "tcp://" + address}, Path: write(t, "f.csv", "a\n1\n2\n"), QoS: 1, Loop: true})
	if err != nil {
		t.Fatal(err)
	}

	stop := run(t, replay.Run)

	eventually(t, "the recording has been played several times", func() bool { return replay.Stats().Acknowledged > 20 })

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	if s := replay.Stats(); s.Acknowledged != s.Sent {
		t.Errorf("%+v", s)
	}
}

// write puts the text into a file of its own and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()

	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}

// dataset returns the path of a shared recording.
func dataset(t *testing.T, name string) string {
	t.Helper()

	shared := os.Getenv("PULSO_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}

	path := filepath.Join(shared, "datasets", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the recordings are not here (PULSO_SHARED names their folder): %v", err)
	}

	return path
}

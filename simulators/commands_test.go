package simulators

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alecthomas/kong"
)

// TestCommandLine reads each command's flags the way the program does.
func TestCommandLine(t *testing.T) {
	t.Parallel()

	parse := func(arguments ...string) (Commands, error) {
		var commands Commands

		parser, err := kong.New(&commands, kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
		if err != nil {
			t.Fatal(err)
		}

		_, err = parser.Parse(arguments)

		return commands, err
	}

	c, err := parse("fleet", "--devices=5", "--profile=thermostat,weather", "--qos=1", "--rate=0.5", "--start=2026-01-02T03:04:05Z", "--duration=3s")
	if f := c.Fleet; err != nil || f.Devices != 5 || len(f.Profile) != 2 || f.QoS != 1 || f.Rate != 0.5 || f.Start.Day() != 2 ||
		f.Duration != 3*time.Second || f.URL != DefaultBroker || f.ConnectRate != 500 {
		t.Errorf("%+v, %v", f, err)
	}

	c, err = parse("replay", "f.csv", "--map=a=x.b,c=d", "--time=Date+Time", "--units=Temp=°C", "--no-announce", "--broker=ssl://h")
	if r := c.Replay; err != nil || r.File != "f.csv" || len(r.Map) != 2 || r.Time != "Date+Time" || r.Units["Temp"] != "°C" ||
		r.Announce || r.QoS != 1 || r.Speed != 0 || r.MaxGap != time.Hour || r.URL != "ssl://h" {
		t.Errorf("%+v, %v", r, err)
	}

	c, err = parse("replay", "f.csv", `--split=^(S\d),(.+)$`)
	if r := c.Replay; err != nil || r.Split != `^(S\d),(.+)$` || !r.Announce {
		t.Errorf("%+v, %v", r, err)
	}

	c, err = parse("storm", "--clients=7", "--hold=2s", "--abrupt=1")
	if s := c.Storm; err != nil || s.Clients != 7 || s.Hold != 2*time.Second || s.Abrupt != 1 || s.Waves != 3 {
		t.Errorf("%+v, %v", s, err)
	}

	if _, err = parse("fleet", "--qos=2"); err == nil {
		t.Error("QoS 2 was taken")
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()

	m := meter{broker: "tcp://b:1883", qos: 1}
	m.line(Stats{Sent: 1000, Acknowledged: 900, Elapsed: time.Second})

	got := m.line(Stats{
		Devices: 10_000, Connected: 9_999, Sent: 21_000, Acknowledged: 20_900, Errors: 3, Late: 1, Elapsed: 3 * time.Second,
	})
	if want := "connected 9,999 of 10,000  sent 21,000 (10,000/s)  acknowledged 20,900 (10,000/s)  errors 3  behind schedule"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestProgress counts the lines that work of twelve seconds gets.
func TestProgress(t *testing.T) {
	t.Parallel()

	work := func(context.Context) error {
		time.Sleep(12 * time.Second)

		return nil
	}

	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer

		p := newProgress(&out, func() string { return "line" })
		if err := p.during(t.Context(), work); err != nil || out.String() != strings.Repeat("line\n", 2) {
			t.Errorf("%v, %q", err, out.String())
		}
	})

	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer

		p := &progress{out: &out, terminal: true, line: func() string { return "line" }}
		if err := p.during(t.Context(), work); err != nil || strings.Count(out.String(), "\r\033[Kline") < 11 || strings.Contains(out.String(), "\n") {
			t.Errorf("%v, %q", err, out.String())
		}
	})
}

func TestSummaryNamesProblems(t *testing.T) {
	t.Parallel()

	var c counters
	for i := range 20 {
		c.problem(strings.Repeat("x", i%(maxProblems+2)+1))
	}

	var out bytes.Buffer

	summarize(&out, 1, c.snapshot())

	if text := out.String(); !strings.Contains(text, "20 errors") || !strings.Contains(text, "  3: x\n") || !strings.HasSuffix(text, "  5: others\n") {
		t.Error(text)
	}
}

// TestSourceAddresses checks that connections beyond an address's ports come from another address.
func TestSourceAddresses(t *testing.T) {
	t.Parallel()

	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8 at its loopback")
	}

	front, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()

	end, err := newEndpoint(Broker{URL: "tcp://" + front.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}

	for index, want := range map[int]string{0: "127.0.0.1", portsPerAddress: "127.0.0.2", 5*portsPerAddress - 1: "127.0.0.5"} {
		conn, err := end.dial(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}

		if host, _, _ := net.SplitHostPort(conn.LocalAddr().String()); host != want {
			t.Errorf("connection %d comes from %s, want %s", index, host, want)
		}

		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

package simulators

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"pulso/simulators/recording"
)

// Commands are the subcommands of "sim", for a command line that is read by github.com/alecthomas/kong. Each has a
// method Run(context.Context, io.Writer) error: it works until it is done or the context ends, and writes progress and a
// summary.
type Commands struct {
	Fleet  FleetCommand  `cmd:"" help:"Simulate devices of several kinds."`
	Replay ReplayCommand `cmd:"" help:"Replay a CSV recording, in order and without loss."`
	Storm  StormCommand  `cmd:"" help:"Connect and disconnect in waves."`
}

// FleetCommand is a [Fleet] on the command line.
type FleetCommand struct {
	Broker

	Devices     int           `default:"100" help:"Number of devices."`
	Rate        float64       `default:"1" help:"Messages a second of each device; fractions are fine."`
	Profile     []string      `help:"Kinds of devices, taken in turn: coldchain, powermeter, thermostat, tracker, vibration, weather. Without it all of them." placeholder:"KIND"`
	Seed        uint64        `default:"1" help:"The same seed gives the same devices with the same values."`
	QoS         byte          `default:"0" enum:"0,1" help:"Quality of service of the telemetry, 0 or 1." name:"qos"`
	Prefix      string        `default:"devices" help:"Topic above the devices."`
	Duration    time.Duration `help:"End after this time; without it, at an interrupt."`
	TimeScale   float64       `default:"1" help:"Seconds that pass for the devices in one second."`
	Start       time.Time     `help:"Moment at which the devices' own day begins (RFC 3339); without it 2026-03-02T06:00:00Z."`
	Flaky       float64       `default:"0.005" help:"Part of the devices that loses its connection in a minute, for some seconds."`
	ConnectRate float64       `default:"500" help:"Devices that connect in a second."`
}

// Run runs the fleet until ctx ends or the duration has passed.
func (c *FleetCommand) Run(ctx context.Context, out io.Writer) error {
	fleet, err := NewFleet(FleetConfig{
		Broker: c.Broker, Devices: c.Devices, Rate: c.Rate, Profiles: c.Profile, Seed: c.Seed, QoS: c.QoS, Prefix: c.Prefix,
		TimeScale: c.TimeScale, Start: c.Start, Flaky: c.Flaky, ConnectRate: c.ConnectRate,
	})
	if err != nil {
		return err
	}

	if c.Duration > 0 {
		var cancel context.CancelFunc

		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}

	gauge := meter{broker: fleet.Broker(), qos: c.QoS}
	fmt.Fprintf(out, "%s at %s, seed %d\n", plural(int64(c.Devices), "device"), gauge.broker, c.Seed)

	err = newProgress(out, func() string { return gauge.line(fleet.Stats()) }).during(ctx, fleet.Run)
	if err != nil {
		return err
	}

	summarize(out, c.QoS, fleet.Stats())

	return nil
}

// ReplayCommand is a [Replay] on the command line.
type ReplayCommand struct {
	Broker

	File string `arg:"" help:"CSV file with a header row."`

	Device       string   `help:"Device of the columns that name none; without it the file's name."`
	DeviceColumn string   `help:"Column that names the device of each row; - for none. Without it a column with a usual name (device, sensor, trajectory, ...)." placeholder:"COLUMN"`
	Split        string   `help:"Regular expression over column names with two groups, device and metric; - for none. Without it ^([A-Za-z]+[0-9]+)_(.+)$, if that finds two devices." placeholder:"REGEXP"`
	Map          []string `help:"COLUMN=METRIC or COLUMN=DEVICE.METRIC; only the columns that are mapped are sent." placeholder:"MAPPING"`
	Columns      []string `help:"The only columns to use; without it all numeric ones."`
	Text         []string `help:"Columns to send as text." placeholder:"COLUMN"`
	Rest         string   `help:"Device for the columns that have no device in their name; without it they are left out." placeholder:"DEVICE"`
	Time         string   `help:"Column with the time, or DATE+TIME for two, - for none. Without it columns with usual names. Times without a zone are UTC." placeholder:"COLUMN"`

	Speed    float64           `default:"0" help:"Seconds of the recording in one second: 1 is its own pace, 0 as fast as the broker acknowledges."`
	MaxGap   time.Duration     `default:"1h" help:"Longer pauses of the recording are shortened to this; 0 keeps all."`
	Interval time.Duration     `help:"Time between rows instead of the recording's own."`
	Loop     bool              `help:"Begin again at the end."`
	Stamp    bool              `help:"Add the row's time to the payload: ts, milliseconds since 1970."`
	QoS      byte              `default:"1" enum:"0,1" help:"Quality of service, 0 or 1." name:"qos"`
	Prefix   string            `default:"devices" help:"Topic above the devices."`
	Topic    string            `help:"Topic of a row, {device} for the device; without it PREFIX/{device}/telemetry."`
	Units    map[string]string `help:"Units to announce: METRIC=UNIT." placeholder:"METRIC=UNIT"`
	Announce bool              `default:"true" help:"Publish the retained status and info of each device." negatable:""`
	Window   int               `default:"64" help:"Messages of a device that may be unacknowledged."`
}

// Run replays the file once, or until ctx ends.
func (c *ReplayCommand) Run(ctx context.Context, out io.Writer) error {
	replay, err := NewReplay(ReplayConfig{
		Broker: c.Broker, Path: c.File, Speed: c.Speed, MaxGap: c.MaxGap, Interval: c.Interval, Loop: c.Loop, Stamp: c.Stamp,
		QoS: c.QoS, Prefix: c.Prefix, Topic: c.Topic, Units: c.Units, Quiet: !c.Announce, Window: c.Window,
		Recording: recording.Options{
			Device: c.Device, DeviceColumn: c.DeviceColumn, Split: c.Split, Map: c.Map, Columns: c.Columns, Text: c.Text,
			Rest: c.Rest, Time: c.Time,
		},
	})
	if err != nil {
		return err
	}

	replay.describe(out)

	_, all := replay.Rows()
	gauge := meter{broker: replay.Broker(), qos: c.QoS}

	err = newProgress(out, func() string {
		done, _ := replay.Rows()

		return fmt.Sprintf("row %s of %s  %s", count(done), count(all), gauge.line(replay.Stats()))
	}).during(ctx, replay.Run)
	if err != nil {
		return err
	}

	done, _ := replay.Rows()
	fmt.Fprintf(out, "%s played, the file has %s\n", plural(done, "row"), count(all))
	summarize(out, c.QoS, replay.Stats())

	return nil
}

// describe writes how the recording was understood.
func (r *Replay) describe(out io.Writer) {
	const most = 10 // devices, or columns, that are listed

	fmt.Fprintf(out, "%s: %s, %s\n", r.config.Path, plural(r.rows, "row"), plural(int64(len(r.names)), "device"))

	for i, m := range r.metrics {
		if i == most {
			fmt.Fprintf(out, "  and %d more\n", len(r.metrics)-most)

			break
		}

		metrics := make([]string, 0, len(m.Readings))
		for _, reading := range m.Readings {
			metrics = append(metrics, reading.Metric)
		}

		name := m.Device
		if name == "" {
			name = "each"
		}

		fmt.Fprintf(out, "  %s: %s\n", name, strings.Join(metrics, ", "))
	}

	if left := r.LeftOut(); len(left) > 0 {
		fmt.Fprintf(out, "  left out: %s (--rest, --text or --map can take them in)\n", strings.Join(left[:min(most, len(left))], ", "))
	}

	if times := r.file.TimeColumns(); len(times) > 0 {
		fmt.Fprintf(out, "  time: %s\n", strings.Join(times, " + "))
	} else {
		fmt.Fprintln(out, "  time: none")
	}
}

// StormCommand is a [Storm] on the command line.
type StormCommand struct {
	Broker

	Clients     int           `default:"1000" help:"Clients in a wave."`
	Waves       int           `default:"3" help:"Number of waves."`
	Hold        time.Duration `default:"1s" help:"Time that a wave stays connected."`
	Abrupt      float64       `default:"0.5" help:"Part of the clients that hangs up without DISCONNECT."`
	ConnectRate float64       `help:"Clients that connect in a second; without it all at once."`
	Parallel    int           `default:"256" help:"Handshakes under way at the same time."`
	Prefix      string        `default:"storm" help:"Topic above the clients' wills."`
	Seed        uint64        `default:"1" help:"Decides which clients are abrupt."`
}

// Run sends the waves.
func (c *StormCommand) Run(ctx context.Context, out io.Writer) error {
	number := 0
	storm, err := NewStorm(StormConfig{
		Broker: c.Broker, Clients: c.Clients, Waves: c.Waves, Hold: c.Hold, Abrupt: c.Abrupt, ConnectRate: c.ConnectRate,
		Parallel: c.Parallel, Prefix: c.Prefix, Seed: c.Seed,
	}, func(w Wave) {
		number++
		fmt.Fprintf(out, "wave %d: %s connected in %s, %s failed, %s hung up abruptly; connecting took p50 %s, p99 %s, at most %s\n",
			number, count(int64(w.Connected)), tidy(w.Took), count(int64(w.Failed)), count(int64(w.Abrupt)),
			tidy(w.P50), tidy(w.P99), tidy(w.Max))
	})
	if err != nil {
		return err
	}

	err = newProgress(out, func() string {
		s := storm.Stats()

		return fmt.Sprintf("connected %s of %s  made %s  errors %s",
			count(s.Connected), count(s.Devices), count(s.Connects), count(s.Errors))
	}).during(ctx, storm.Run)
	if err != nil {
		return err
	}

	s := storm.Stats()
	fmt.Fprintf(out, "%s made in %s, %s\n", plural(s.Connects, "connection"), tidy(s.Elapsed), plural(s.Errors, "error"))

	for _, p := range s.Problems {
		fmt.Fprintf(out, "  %s: %s\n", count(p.Count), p.Text)
	}

	return nil
}

// tidy rounds a duration to what a person reads.
func tidy(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d.Round(time.Microsecond)
	}
}

package simulators

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pulso/simulators/profile"
)

func TestFleet(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)

	fleet, err := NewFleet(FleetConfig{Broker: Broker{URL: "tcp://" + address}, Devices: 12, Rate: 20, QoS: 1, Prefix: "plant/devices"})
	if err != nil {
		t.Fatal(err)
	}

	stop := run(t, fleet.Run)

	eventually(t, "each device has reported five times", func() bool {
		for _, d := range fleet.devices {
			topic := d.base + "telemetry"
			if strings.HasPrefix(d.id, "coldchain") {
				topic = d.base + "temperature"
			}

			if len(ear.of(topic)) < 5 {
				return false
			}
		}

		return true
	})

	began := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ending took %s", took)
	}

	s := fleet.Stats()
	if s.Sent == 0 || s.Acknowledged != s.Sent || s.Connected != 0 || s.Errors != 0 || s.Missed != 0 {
		t.Errorf("%+v", s)
	}

	for _, d := range fleet.devices {
		eventually(t, d.id+" is offline", func() bool { return slices.Equal(ear.of(d.base+"status"), []string{"online", "offline"}) })

		var info profile.Info
		if err := json.Unmarshal([]byte(ear.of(d.base + "info")[0]), &info); err != nil || !strings.HasPrefix(d.id, info.Kind+"-") {
			t.Errorf("%s: info %v, %v", d.id, info, err)
		}
	}

	all := 0
	for _, suffix := range []string{"/telemetry", "/temperature", "/door", "/battery"} {
		all += ear.count(suffix)
	}

	if int64(all) != s.Sent {
		t.Errorf("%d messages arrived of %d", all, s.Sent)
	}
}

// TestFleetRepeats runs the same fleet twice and compares what its devices say.
func TestFleetRepeats(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)

	for _, prefix := range []string{"first", "second"} {
		fleet, err := NewFleet(FleetConfig{
			Broker: Broker{URL: "tcp://" + address}, Devices: 6, Rate: 50, QoS: 1, Prefix: prefix, Seed: 9, Window: maxWindow,
		})
		if err != nil {
			t.Fatal(err)
		}

		stop := run(t, fleet.Run)

		eventually(t, "a device has reported twenty times", func() bool { return len(ear.of(prefix+"/weather-0001/telemetry")) >= 20 })

		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}

	if a, b := ear.of("first/weather-0001/telemetry"), ear.of("second/weather-0001/telemetry"); !slices.Equal(a[:20], b[:20]) {
		t.Errorf("the same seed said\n%s\nand then\n%s", a[:20], b[:20])
	}
}

func TestFleetCommand(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)

	fleet, err := NewFleet(FleetConfig{Broker: Broker{URL: "tcp://" + address}, Devices: 1, Rate: 0.01, QoS: 1, Profiles: []string{"thermostat"}})
	if err != nil {
		t.Fatal(err)
	}

	run(t, fleet.Run)

	eventually(t, "the device is online", func() bool { return len(ear.of("devices/thermostat-0001/status")) == 1 })

	reported := func(want string) func() bool {
		return func() bool {
			return slices.ContainsFunc(ear.of("devices/thermostat-0001/telemetry"), func(p string) bool { return strings.Contains(p, want) })
		}
	}

	ear.client.Publish("devices/thermostat-0001/set", 1, false, `{"setpoint":17.5}`)
	eventually(t, "the set-point is reported", reported(`"setpoint":17.5,`))

	ear.client.Publish("devices/thermostat-0001/set", 1, false, `{"setpoint":99}`)
	eventually(t, "the refusal is reported", func() bool { return len(ear.of("devices/thermostat-0001/event")) == 1 })

	if s := fleet.Stats(); s.Commands != 2 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// TestFleetDropOut breaks a connection and expects the will, and the device back.
func TestFleetDropOut(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)

	fleet, err := NewFleet(FleetConfig{Broker: Broker{URL: "tcp://" + address}, Devices: 1, Rate: 100, Profiles: []string{"vibration"}})
	if err != nil {
		t.Fatal(err)
	}

	run(t, fleet.Run)

	status := func() []string { return ear.of("devices/vibration-0001/status") }

	eventually(t, "the device is online", func() bool { return slices.Equal(status(), []string{"online"}) })
	fleet.devices[0].link.drop(0)
	eventually(t, "the will came, and the device came back", func() bool {
		return slices.Equal(status(), []string{"online", "offline", "online"})
	})

	if s := fleet.Stats(); s.Dropped != 1 || s.Errors != 0 || s.Missed == 0 {
		t.Errorf("%+v", s)
	}
}

func TestFleetFlaky(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	fleet, err := NewFleet(FleetConfig{Broker: Broker{URL: "tcp://" + address}, Devices: 200, Rate: 0.1, Flaky: 1})
	if err != nil {
		t.Fatal(err)
	}

	run(t, fleet.Run)
	eventually(t, "some connection is lost", func() bool { return fleet.Stats().Dropped > 0 })
}

// TestFleetWaitsForBroker starts the broker after the fleet.
func TestFleetWaitsForBroker(t *testing.T) {
	mosquittoPath(t)

	address := freeAddress(t)

	fleet, err := NewFleet(FleetConfig{Broker: Broker{URL: "tcp://" + address}, Devices: 3, QoS: 1, Rate: 10})
	if err != nil {
		t.Fatal(err)
	}

	run(t, fleet.Run)
	eventually(t, "the absent broker is noticed", func() bool { return fleet.Stats().LastProblem != "" })

	gauge := meter{broker: fleet.Broker()}
	if line := gauge.line(fleet.Stats()); !strings.Contains(line, "waiting for broker at tcp://"+address+": connection refused") {
		t.Error(line)
	}

	startMosquitto(t, address, "")
	eventually(t, "all devices report", func() bool { s := fleet.Stats(); return s.Connected == 3 && s.Acknowledged > 0 })
}

func TestFleetIsRefused(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "secret")

	for _, password := range []string{"", "wrong"} {
		command := FleetCommand{
			Broker:  Broker{URL: "tcp://" + address, Username: "device", Password: password},
			Devices: 5, Rate: 1, ConnectRate: 100, Prefix: "devices",
		}

		err := command.Run(t.Context(), &bytes.Buffer{})
		if _, ok := errors.AsType[*RefusedError](err); !ok || strings.Contains(err.Error(), password) && password != "" {
			t.Errorf("password %q: %v, want a RefusedError", password, err)
		}
	}

	command := FleetCommand{
		Broker: Broker{URL: "tcp://device:secret@" + address}, Devices: 5, Rate: 10, ConnectRate: 100, Prefix: "devices", QoS: 1,
		Duration: time.Second,
	}

	var out bytes.Buffer
	if err := command.Run(t.Context(), &out); err != nil || strings.Contains(out.String(), "secret") || !strings.Contains(out.String(), "acknowledged") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestFleetConfigIsChecked(t *testing.T) {
	t.Parallel()

	for _, config := range []FleetConfig{
		{Devices: -1},
		{Rate: -1},
		{QoS: 2},
		{Flaky: 2},
		{Prefix: "a/#"},
		{Prefix: "/a"},
		{Profiles: []string{"toaster"}},
		{Broker: Broker{URL: "http://127.0.0.1"}},
		{Broker: Broker{URL: "tcp://"}},
		{Broker: Broker{CA: "/none"}},
		{Devices: maxDevices},
	} {
		if _, err := NewFleet(config); err == nil {
			t.Errorf("%+v was accepted", config)
		}
	}
}

func TestStorm(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)

	var waves []Wave

	storm, err := NewStorm(StormConfig{Broker: Broker{URL: "tcp://" + address}, Clients: 50, Waves: 2, Abrupt: 0.5, Parallel: 8},
		func(w Wave) { waves = append(waves, w) })
	if err != nil {
		t.Fatal(err)
	}

	if err := storm.Run(t.Context()); err != nil {
		t.Fatal(err)
	}

	abrupt := 0

	for _, w := range waves {
		abrupt += w.Abrupt

		if w.Connected != 50 || w.Failed != 0 || w.P50 <= 0 || w.P50 > w.P99 || w.P99 > w.Max {
			t.Errorf("%+v", w)
		}
	}

	if len(waves) != 2 || abrupt == 0 || abrupt == 100 {
		t.Errorf("%d waves, %d abrupt", len(waves), abrupt)
	}

	eventually(t, "as many wills as clients that hung up", func() bool { return ear.count("/status") == abrupt })
}

func TestStormWithoutBroker(t *testing.T) {
	t.Parallel()

	command := StormCommand{Broker: Broker{URL: "tcp://" + freeAddress(t)}, Clients: 5, Waves: 3, Prefix: "storm", Parallel: 2}

	err := command.Run(t.Context(), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
}

func TestStormEndsWithItsContext(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	storm, err := NewStorm(StormConfig{Broker: Broker{URL: "tcp://" + freeAddress(t)}, Hold: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}

	if err := storm.Run(ctx); err != nil {
		t.Error(err)
	}
}

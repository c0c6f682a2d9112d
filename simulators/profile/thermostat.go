package profile

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// The range of set-points that a thermostat takes, in °C.
const (
	minSetpoint = 5.0
	maxSetpoint = 30.0
)

// thermostat is a room with a radiator: heat leaks to the weather outside, a window is opened now and then, and the
// radiator is switched with a hysteresis around the set-point.
type thermostat struct {
	clock

	rng      *rand.Rand
	info     Info
	outdoor  drift
	moisture drift
	room     float64 // °C
	radiator float64 // share of full heat, 0 to 1; lags behind the valve
	setpoint float64 // °C
	leak     time.Duration
	heating  bool
	window   time.Duration // how long the window will stay open
	refused  string
}

func newThermostat(id string, rng *rand.Rand, start time.Time) Model {
	setpoint := round(between(rng, 19.5, 22.5)*2, 0) / 2
	rooms := []string{"Living room", "Bedroom", "Kitchen", "Study", "Bathroom", "Nursery", "Hall", "Meeting room"}

	return &thermostat{
		clock: clock{start}, rng: rng,
		info: Info{
			Kind: "thermostat", Name: pick(rng, rooms) + " " + number(id), Model: "RT-210", Firmware: "3.4.1",
			Units: map[string]string{"temperature": "°C", "setpoint": "°C", "humidity": "%"},
		},
		outdoor:  newDrift(rng, 2, 12*time.Hour),
		moisture: newDrift(rng, 4, 40*time.Minute),
		room:     setpoint + between(rng, -0.4, 0.3),
		setpoint: setpoint,
		heating:  rng.IntN(2) == 0,
		leak:     span(rng, 6*time.Hour, 12*time.Hour),
	}
}

func (t *thermostat) Info() Info { return t.info }

func (t *thermostat) Advance(d time.Duration) { walk(d, 10*time.Second, t.step) }

// Radiator strength in kelvin an hour at full heat, and how the valve behaves around the set-point.
const (
	radiatorPower = 7.0
	hysteresis    = 0.3 // K to either side
	radiatorLag   = 6 * time.Minute
	airing        = 70 * time.Minute // time constant of the room with its window open
)

func (t *thermostat) step(d time.Duration) {
	t.tick(d)
	t.outdoor.step(t.rng, d)
	t.moisture.step(t.rng, d)

	t.window -= min(d, t.window)
	if waking := bump(t.hour(), 14, 8); t.window == 0 && happens(t.rng, 0.2*waking, d) {
		t.window = span(t.rng, 3*time.Minute, 12*time.Minute)
	}

	switch {
	case t.window > 0, t.room > t.setpoint+hysteresis:
		t.heating = false
	case t.room < t.setpoint-hysteresis:
		t.heating = true
	}

	heat := 0.0
	if t.heating {
		heat = 1
	}

	t.radiator = approach(t.radiator, heat, d, radiatorLag)
	outside := 6 + 5*daily(t.hour(), 15) + t.outdoor.value
	t.room = approach(t.room, outside, d, t.leak)

	if t.window > 0 {
		t.room = approach(t.room, outside, d, airing)
	}

	t.room += t.radiator * radiatorPower * d.Hours()
}

func (t *thermostat) Report() []Message {
	messages := []Message{telemetry(struct {
		Temperature     float64 `json:"temperature"`
		TemperatureUnit string  `json:"temperature_unit"`
		Setpoint        float64 `json:"setpoint"`
		SetpointUnit    string  `json:"setpoint_unit"`
		Humidity        float64 `json:"humidity"`
		HumidityUnit    string  `json:"humidity_unit"`
		Heating         bool    `json:"heating"`
		WindowOpen      bool    `json:"window_open"`
	}{
		round(t.room+0.015*t.rng.NormFloat64(), 2), "°C", t.setpoint, "°C",
		round(min(max(46+t.moisture.value, 20), 80), 1), "%", t.heating, t.window > 0,
	})}

	if t.refused != "" {
		payload := fmt.Appendf(nil, `{"event":"command refused","reason":%s}`, strconv.QuoteToASCII(t.refused))
		messages = append(messages, Message{Topic: "event", Payload: payload})
		t.refused = ""
	}

	return messages
}

// Command takes {"setpoint": x} with x in °C from 5 to 30. What it made of it, the next report says.
func (t *thermostat) Command(payload []byte) error {
	var command struct {
		Setpoint *float64 `json:"setpoint"`
	}

	err := json.Unmarshal(payload, &command)

	switch {
	case err != nil:
		t.refused = "not a JSON object with a number setpoint"
	case command.Setpoint == nil:
		t.refused = "no setpoint"
	case *command.Setpoint < minSetpoint || *command.Setpoint > maxSetpoint:
		t.refused = "setpoint must be from 5 to 30 °C"
	default:
		t.setpoint = math.Round(*command.Setpoint*10) / 10

		return nil
	}

	return fmt.Errorf("%w: %s", ErrCommand, t.refused)
}

// number returns the digits that id ends in, without leading zeros: what a person would call the device by.
func number(id string) string {
	start := len(id)
	for start > 0 && id[start-1] >= '0' && id[start-1] <= '9' {
		start--
	}

	value, err := strconv.ParseUint(id[start:], 10, 64)
	if err != nil {
		return id
	}

	return strconv.FormatUint(value, 10)
}

package profile

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// coldChain is the logger in a refrigerated box. The compressor cycles, the door lets warm air in, and now and then the
// cooling fails for an hour or two and the goods leave their range of 2 to 8 °C. It speaks the way small loggers do: a
// topic for each quantity, and nothing but the number in it.
type coldChain struct {
	clock

	rng        *rand.Rand
	info       Info
	air        float64 // °C
	ambient    drift   // K around 19 °C
	compressor bool
	door       time.Duration // how long it will stay open
	failure    time.Duration // how long the cooling will be out
	battery    float64       // %
	said       struct {
		door    bool
		battery float64
		any     bool
	}
}

func newColdChain(id string, rng *rand.Rand, start time.Time) Model {
	return &coldChain{
		clock: clock{start}, rng: rng,
		info: Info{
			Kind: "coldchain", Model: "CL-7", Firmware: "1.2.3",
			Name:  pick(rng, []string{"Vaccine box", "Reefer", "Cold store", "Delivery van", "Display fridge"}) + " " + number(id),
			Units: map[string]string{"temperature": "°C", "battery": "%"},
		},
		air:        between(rng, 3.2, 5.2),
		ambient:    newDrift(rng, 3, 6*time.Hour),
		compressor: rng.IntN(2) == 0,
		battery:    between(rng, 55, 100),
	}
}

func (c *coldChain) Info() Info { return c.info }

func (c *coldChain) Advance(d time.Duration) { walk(d, 5*time.Second, c.step) }

// The box: what its thermostat switches at, in °C, and how quickly heat comes and goes.
const (
	compressorOn  = 5.0
	compressorOff = 3.2
	coolest       = -12.0 // what the evaporator tends to, °C
)

func (c *coldChain) step(d time.Duration) {
	c.tick(d)
	c.ambient.step(c.rng, d)
	c.battery = max(c.battery-0.4*d.Hours()/24, 5)

	c.failure -= min(d, c.failure)
	if c.failure == 0 && happens(c.rng, 1.0/60, d) {
		c.failure = span(c.rng, 50*time.Minute, 130*time.Minute)
	}

	c.door -= min(d, c.door)
	if c.door == 0 && happens(c.rng, 0.3+2.5*bump(c.hour(), 11, 4), d) {
		c.door = span(c.rng, 15*time.Second, 100*time.Second)
	}

	if c.air > compressorOn {
		c.compressor = true
	} else if c.air < compressorOff {
		c.compressor = false
	}

	outside := 19 + c.ambient.value
	c.air = approach(c.air, outside, d, 150*time.Minute)

	if c.door > 0 {
		c.air = approach(c.air, outside, d, 9*time.Minute)
	}

	if c.compressor && c.failure == 0 {
		c.air = approach(c.air, coolest, d, 55*time.Minute)
	}
}

func (c *coldChain) Report() []Message {
	temperature := strconv.FormatFloat(round(c.air+0.02*c.rng.NormFloat64(), 2), 'f', 2, 64)
	messages := []Message{{Topic: "temperature", Payload: []byte(temperature)}}

	if open := c.door > 0; open != c.said.door || !c.said.any {
		state := "closed"
		if open {
			state = "open"
		}

		c.said.door = open
		messages = append(messages, Message{Topic: "door", Payload: []byte(state), Retain: true})
	}

	if battery := round(c.battery, 0); battery != c.said.battery || !c.said.any {
		c.said.battery = battery
		text := strconv.FormatFloat(battery, 'f', -1, 64)
		messages = append(messages, Message{Topic: "battery", Payload: []byte(text), Retain: true})
	}

	c.said.any = true

	return messages
}

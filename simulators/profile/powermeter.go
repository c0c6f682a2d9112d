package profile

import (
	"math/rand/v2"
	"time"
)

// An appliance is switched on some times a day, mostly around its hour, and draws its power for a while.
type appliance struct {
	watts         float64
	shortest      time.Duration
	longest       time.Duration
	perDay        float64
	hours         []float64 // when people use it
	width         float64   // hours around each
	dutyOn, cycle time.Duration
}

var appliances = []appliance{
	{watts: 2000, shortest: 2 * time.Minute, longest: 4 * time.Minute, perDay: 5, hours: []float64{7, 13, 17}, width: 2},
	{
		watts: 2300, shortest: 25 * time.Minute, longest: 70 * time.Minute, perDay: 0.9, hours: []float64{12.5, 18.5}, width: 1.2,
		dutyOn: 90 * time.Second, cycle: 4 * time.Minute,
	},
	{
		watts: 1900, shortest: 70 * time.Minute, longest: 110 * time.Minute, perDay: 0.6, hours: []float64{10, 19}, width: 3,
		dutyOn: 6 * time.Minute, cycle: 25 * time.Minute,
	},
	{watts: 120, shortest: time.Hour, longest: 3 * time.Hour, perDay: 1.6, hours: []float64{20, 9}, width: 2},
	{watts: 1200, shortest: 3 * time.Minute, longest: 9 * time.Minute, perDay: 2.5, hours: []float64{7.5, 12.5, 19}, width: 1.5},
	{watts: 1600, shortest: 6 * time.Minute, longest: 20 * time.Minute, perDay: 0.7, hours: []float64{10, 16}, width: 3},
}

// powerMeter is a household: what always runs, a refrigerator that cycles, lights in the evening, and appliances.
type powerMeter struct {
	clock

	rng    *rand.Rand
	info   Info
	base   float64 // W
	size   float64 // how busy the household is, around 1
	flux   drift   // W, the small things
	grid   drift   // V
	fridge struct {
		on   bool
		left time.Duration
	}
	running []time.Duration // what is left of each appliance's run
	energy  float64         // kWh since the meter was made
	watts   float64
}

func newPowerMeter(id string, rng *rand.Rand, start time.Time) Model {
	p := &powerMeter{
		clock: clock{start}, rng: rng,
		info: Info{
			Kind: "powermeter", Name: pick(rng, []string{"House", "Flat", "Shop", "Workshop"}) + " " + number(id),
			Model: "EM-340", Firmware: "1.9.0",
			Units: map[string]string{
				"power.active_w": "W", "power.voltage_v": "V", "power.current_a": "A", "energy.total_kwh": "kWh",
			},
		},
		base:    between(rng, 60, 180),
		size:    between(rng, 0.6, 1.5),
		flux:    newDrift(rng, 12, 2*time.Minute),
		grid:    newDrift(rng, 1.4, 8*time.Minute),
		running: make([]time.Duration, len(appliances)),
		energy:  between(rng, 800, 42000),
	}
	p.fridge.left = span(rng, 0, 25*time.Minute)
	p.watts = p.load(0)

	return p
}

func (p *powerMeter) Info() Info { return p.info }

func (p *powerMeter) Advance(d time.Duration) { walk(d, 10*time.Second, p.step) }

func (p *powerMeter) step(d time.Duration) {
	p.tick(d)
	p.flux.step(p.rng, d)
	p.grid.step(p.rng, d)

	if p.fridge.left -= d; p.fridge.left <= 0 {
		p.fridge.on = !p.fridge.on
		p.fridge.left = span(p.rng, 12*time.Minute, 28*time.Minute)
	}

	p.watts = p.load(d)
	p.energy += p.watts * d.Hours() / 1000
}

// load moves the appliances on by d and returns what the household draws, in W.
func (p *powerMeter) load(d time.Duration) float64 {
	hour := p.hour()
	watts := p.base + p.flux.value + 220*p.size*(bump(hour, 21, 2.5)+0.5*bump(hour, 7, 1))

	if p.fridge.on {
		watts += 95
	}

	for i, a := range appliances {
		p.running[i] -= min(d, p.running[i])

		if p.running[i] == 0 {
			likely := 0.0
			for _, peak := range a.hours {
				likely += bump(hour, peak, a.width)
			}
			// A hill of half-width w covers 1.77 w hours of the day.
			perHour := a.perDay * p.size * likely / (1.77 * a.width * float64(len(a.hours)))
			if happens(p.rng, perHour, d) {
				p.running[i] = span(p.rng, a.shortest, a.longest)
			}
		}

		if p.running[i] > 0 && (a.cycle == 0 || p.running[i]%a.cycle < a.dutyOn) {
			watts += a.watts
		}
	}

	return max(watts, 20)
}

func (p *powerMeter) Report() []Message {
	type power struct {
		Active  float64 `json:"active_w"`
		Voltage float64 `json:"voltage_v"`
		Current float64 `json:"current_a"`
		Factor  float64 `json:"power_factor"`
	}

	type energy struct {
		Total float64 `json:"total_kwh"`
	}

	watts := p.watts * (1 + 0.002*p.rng.NormFloat64())
	volts := 230.5 + p.grid.value - 0.0006*watts
	factor := 0.99 - 0.12*p.base/max(watts, p.base)

	return []Message{telemetry(struct {
		Power  power  `json:"power"`
		Energy energy `json:"energy"`
	}{
		power{round(watts, 1), round(volts, 1), round(watts/volts/factor, 2), round(factor, 2)},
		energy{round(p.energy, 4)},
	})}
}

package profile

import (
	"math"
	"math/rand/v2"
	"time"
)

// vibration is a sensor on a bearing that wears out. Damage grows on itself over hours: kurtosis rises first, from the
// single impacts of a small flaw, then level and peak, then heat. When it is worn out the machine is stopped, repaired
// and runs like new.
type vibration struct {
	clock

	rng     *rand.Rand
	info    Info
	wear    float64 // 0 as new, 1 worn out
	life    time.Duration
	repair  time.Duration // how long the machine still stands
	rpm     float64
	nominal float64 // rpm
	heat    float64 // °C
	load    drift
	rough   drift
}

// freshWear is the damage a repaired bearing starts with; it grows by a factor of 1/freshWear over the bearing's life.
const freshWear = 0.02

func newVibration(id string, rng *rand.Rand, start time.Time) Model {
	machine := pick(rng, []string{"Pump", "Fan", "Conveyor", "Compressor", "Mill", "Spindle"})
	nominal := pick(rng, []float64{980, 1480, 2960})
	v := &vibration{
		clock: clock{start}, rng: rng,
		info: Info{
			Kind: "vibration", Name: machine + " " + number(id), Model: "VS-100", Firmware: "2.0.7",
			Units: map[string]string{
				"rms_mm_s": "mm/s", "peak_mm_s": "mm/s", "bearing_temperature_c": "°C", "speed_rpm": "rpm",
			},
		},
		wear:    math.Pow(freshWear, between(rng, 0.15, 1)),
		life:    span(rng, 8*time.Hour, 24*time.Hour),
		rpm:     nominal,
		nominal: nominal,
		load:    newDrift(rng, 0.06, 20*time.Minute),
		rough:   newDrift(rng, 0.05, 30*time.Second),
	}
	v.heat = v.warm()

	return v
}

func (v *vibration) Info() Info { return v.info }

func (v *vibration) Advance(d time.Duration) { walk(d, 5*time.Second, v.step) }

// warm returns the temperature that the bearing tends to, in °C.
func (v *vibration) warm() float64 {
	return 21 + 24*(v.rpm/v.nominal)*(1+v.load.value) + 38*v.wear*v.wear*(v.rpm/v.nominal)
}

func (v *vibration) step(d time.Duration) {
	v.tick(d)
	v.load.step(v.rng, d)
	v.rough.step(v.rng, d)

	if v.repair > 0 {
		if v.repair -= min(d, v.repair); v.repair == 0 {
			v.wear = freshWear
			v.life = span(v.rng, 8*time.Hour, 24*time.Hour)
		}
	} else if v.wear *= math.Pow(freshWear, -float64(d)/float64(v.life)); v.wear >= 1 {
		v.wear = 1
		v.repair = span(v.rng, 20*time.Minute, 45*time.Minute)
	}

	speed := v.nominal * (1 - 0.02*v.load.value)
	if v.repair > 0 {
		speed = 0
	}

	v.rpm = approach(v.rpm, speed, d, 8*time.Second)
	v.heat = approach(v.heat, v.warm(), d, 15*time.Minute)
}

func (v *vibration) Report() []Message {
	turning := v.rpm / v.nominal
	rms := 0.03 + turning*turning*(1.1+6.5*v.wear*v.wear)*(1+v.load.value+v.rough.value)
	crest := 3.0 + 2.6*math.Sqrt(v.wear)*turning
	kurtosis := 3 + 9*turning*math.Sqrt(v.wear)*(1-0.6*v.wear)

	return []Message{telemetry(struct {
		RMS      float64 `json:"rms_mm_s"`
		Peak     float64 `json:"peak_mm_s"`
		Kurtosis float64 `json:"kurtosis"`
		Heat     float64 `json:"bearing_temperature_c"`
		Speed    float64 `json:"speed_rpm"`
	}{
		round(max(rms, 0.01), 3),
		round(max(rms, 0.01)*crest*(1+0.05*math.Abs(v.rng.NormFloat64())), 3),
		round(max(kurtosis+0.12*v.rng.NormFloat64(), 1.8), 2),
		round(v.heat+0.05*v.rng.NormFloat64(), 1),
		round(max(v.rpm, 0), 0),
	})}
}

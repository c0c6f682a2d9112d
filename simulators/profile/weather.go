package profile

import (
	"math"
	"math/rand/v2"
	"time"
)

// weather is a station in the open: warm afternoons and cool mornings, air that is dry when it is warm, pressure that
// wanders, wind that follows the pressure's unrest and comes in gusts, and showers when it is low.
type weather struct {
	clock

	rng       *rand.Rand
	info      Info
	mean      float64 // °C over the day
	swing     float64 // K to either side
	air       drift   // K
	moisture  drift   // %
	pressure  drift   // hPa around normal
	breeze    drift
	gust      drift
	veer      drift // degrees
	shower    time.Duration
	intensity float64 // mm/h
	rain      float64 // mm since the start
	altitude  float64 // hPa that the station's height costs
	heading   float64 // degrees, where the wind mostly comes from
}

func newWeather(id string, rng *rand.Rand, start time.Time) Model {
	return &weather{
		clock: clock{start}, rng: rng,
		info: Info{
			Kind: "weather", Model: "WX-5", Firmware: "4.1.0",
			Name: pick(rng, []string{"Roof", "Field", "Harbour", "Vineyard", "Airfield", "Ridge"}) + " station " + number(id),
		},
		mean:     between(rng, 6, 15),
		swing:    between(rng, 3, 6.5),
		air:      newDrift(rng, 1.2, 5*time.Hour),
		moisture: newDrift(rng, 4, 90*time.Minute),
		pressure: newDrift(rng, 8, 40*time.Hour),
		breeze:   newDrift(rng, 0.45, time.Hour),
		gust:     newDrift(rng, 1, 12*time.Second),
		veer:     newDrift(rng, 25, 40*time.Minute),
		altitude: between(rng, 0, 30),
		heading:  between(rng, 0, 360),
	}
}

func (w *weather) Info() Info { return w.info }

func (w *weather) Advance(d time.Duration) { walk(d, 5*time.Second, w.step) }

func (w *weather) step(d time.Duration) {
	w.tick(d)

	for _, n := range []*drift{&w.air, &w.moisture, &w.pressure, &w.breeze, &w.gust, &w.veer} {
		n.step(w.rng, d)
	}

	w.shower -= min(d, w.shower)
	if low := max(-w.pressure.value, 0) / 8; w.shower == 0 && happens(w.rng, 0.02+0.25*low, d) {
		w.shower = span(w.rng, 8*time.Minute, 70*time.Minute)
		w.intensity = 0.4 + 5*w.rng.ExpFloat64()
	}

	w.rain += w.rate() * d.Hours()
}

// rate returns how hard it rains, in mm an hour.
func (w *weather) rate() float64 {
	if w.shower == 0 {
		return 0
	}

	return min(w.intensity*(1+0.2*w.gust.value*w.gust.value), 60)
}

// A quantity is a value beside its unit.
type quantity struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func (w *weather) Report() []Message {
	type wind struct {
		Speed     quantity `json:"speed"`
		Gust      quantity `json:"gust"`
		Direction quantity `json:"direction"`
	}

	type rain struct {
		Rate  quantity `json:"rate"`
		Total quantity `json:"total"`
	}

	warmth := daily(w.hour(), 15)
	temperature := w.mean + w.swing*warmth + w.air.value
	humidity := 68 - 17*warmth - 2.5*w.air.value + w.moisture.value

	if w.shower > 0 {
		temperature -= 1.5
		humidity += 12
	}

	speed := 3.2 * math.Exp(w.breeze.value) * (1 + 0.35*warmth) * (1 + 0.12*w.gust.value)
	gust := speed * (1.25 + 0.35*math.Abs(w.gust.value))
	direction := math.Mod(w.heading+w.veer.value+8*w.gust.value+720, 360)

	return []Message{telemetry(struct {
		Temperature quantity `json:"temperature"`
		Humidity    quantity `json:"humidity"`
		Pressure    quantity `json:"pressure"`
		Wind        wind     `json:"wind"`
		Rain        rain     `json:"rain"`
	}{
		quantity{round(temperature+0.03*w.rng.NormFloat64(), 2), "°C"},
		quantity{round(min(max(humidity, 12), 100), 1), "%"},
		quantity{round(1014+w.pressure.value-w.altitude+0.02*w.rng.NormFloat64(), 2), "hPa"},
		wind{
			quantity{round(max(speed, 0), 1), "m/s"},
			quantity{round(max(gust, 0), 1), "m/s"},
			quantity{round(direction, 0), "°"},
		},
		rain{quantity{round(w.rate(), 1), "mm/h"}, quantity{round(w.rain, 1), "mm"}},
	})}
}

package profile

import (
	"math"
	"math/rand/v2"
	"time"
)

// tracker is a vehicle that goes round its route: up to each road's limit, slower before slower roads and stops, and
// standing at the stops for a while.
type tracker struct {
	clock

	rng      *rand.Rand
	info     Info
	route    *route
	at       float64 // metres along the route
	speed    float64 // m/s
	eager    float64 // what part of the limit the driver goes
	waiting  time.Duration
	departed float64 // where the last stop was made; the vehicle does not stop there again at once
	odometer float64 // km
	sky      drift
}

func newTracker(id string, rng *rand.Rand, start time.Time) Model {
	route := pick(rng, routes)

	return &tracker{
		clock: clock{start}, rng: rng,
		info: Info{
			Kind: "tracker", Name: pick(rng, []string{"Van", "Truck", "Bus", "Courier", "Tanker"}) + " " + number(id),
			Model: "GT-06", Firmware: "5.3.2",
			Units: map[string]string{
				"position.lat": "°", "position.lon": "°", "speed_kmh": "km/h", "heading_deg": "°", "odometer_km": "km",
			},
		},
		route:    route,
		at:       rng.Float64() * route.length,
		eager:    between(rng, 0.82, 1),
		departed: -1,
		odometer: between(rng, 4000, 180000),
		sky:      newDrift(rng, 1.6, 4*time.Minute),
	}
}

func (t *tracker) Info() Info { return t.info }

func (t *tracker) Advance(d time.Duration) { walk(d, 500*time.Millisecond, t.step) }

// What a careful driver does, in m/s².
const (
	accelerates = 1.3
	brakes      = 1.6
)

func (t *tracker) step(d time.Duration) {
	t.tick(d)
	t.sky.step(t.rng, d)

	if t.waiting > 0 {
		t.waiting -= min(d, t.waiting)

		return
	}

	seconds := d.Seconds()
	allowed, stop := t.allowed()

	if t.speed > allowed {
		t.speed = max(allowed, t.speed-2*brakes*seconds)
	} else {
		t.speed = min(allowed, t.speed+accelerates*seconds)
	}

	way := t.speed * seconds
	if stop >= 0 && way+0.5 >= t.route.ahead(t.at, stop) {
		way = t.route.ahead(t.at, stop)
		t.speed, t.departed = 0, stop
		t.waiting = span(t.rng, 20*time.Second, 150*time.Second)
	}

	t.at = math.Mod(t.at+way, t.route.length)
	t.odometer += way / 1000
}

// allowed returns how fast the vehicle may be here, in m/s, so that it can still brake for what lies ahead, and where
// the next stop within sight is; -1 for none.
func (t *tracker) allowed() (float64, float64) {
	const sight = 250.0 // metres

	allowed := t.route.leg(t.at).limit * t.eager
	stop := -1.0

	for _, l := range t.route.legs {
		ahead := t.route.ahead(t.at, l.start)
		if ahead > sight {
			continue
		}

		limit := l.limit * t.eager

		if l.stop && l.start != t.departed {
			limit, stop = 0, l.start
		}

		allowed = min(allowed, math.Sqrt(limit*limit+2*brakes*ahead))
	}

	if t.departed >= 0 && t.route.ahead(t.departed, t.at) > sight {
		t.departed = -1
	}
	// A creep of walking speed takes the vehicle over the last centimetres before a stop.
	return max(allowed, 1), stop
}

func (t *tracker) Report() []Message {
	type position struct {
		Lat float64 `json:"lat"`
		Lon float64 `json:"lon"`
	}

	const metre = 1 / 111_320.0 // degrees of latitude

	lat, lon, heading := t.route.place(t.at)
	lat += 1.5 * metre * t.rng.NormFloat64()
	lon += 1.5 * metre * t.rng.NormFloat64() / math.Cos(lat*math.Pi/180)

	return []Message{telemetry(struct {
		Position   position `json:"position"`
		Speed      float64  `json:"speed_kmh"`
		Heading    float64  `json:"heading_deg"`
		Odometer   float64  `json:"odometer_km"`
		Satellites int      `json:"satellites"`
	}{
		position{round(lat, 6), round(lon, 6)},
		round(t.speed*3.6, 1),
		math.Mod(round(heading, 0), 360),
		round(t.odometer, 3),
		int(min(max(math.Round(11+t.sky.value), 5), 16)),
	})}
}

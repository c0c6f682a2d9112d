package profile

import (
	"math"
	"math/rand/v2"
	"time"
)

// walk calls step with strides of at most limit that add up to d.
func walk(d, limit time.Duration, step func(time.Duration)) {
	for d > 0 {
		stride := min(d, limit)
		step(stride)
		d -= stride
	}
}

// clock is model time.
type clock struct{ now time.Time }

func (c *clock) tick(d time.Duration) { c.now = c.now.Add(d) }

// hour returns the hour of the day, 0 to below 24, with fractions.
func (c *clock) hour() float64 {
	return c.now.Sub(c.now.Truncate(24 * time.Hour)).Hours()
}

// between returns a value from low to below high.
func between(rng *rand.Rand, low, high float64) float64 { return low + rng.Float64()*(high-low) }

// span returns a duration from low to below high.
func span(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Float64()*float64(high-low))
}

// happens reports whether an event that comes perHour times an hour on average comes within d.
func happens(rng *rand.Rand, perHour float64, d time.Duration) bool {
	return rng.Float64() < -math.Expm1(-perHour*d.Hours())
}

// round returns v with at most digits decimals, as a device's firmware would print it.
func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)

	return math.Round(v*scale) / scale
}

// approach returns what remains towards target after d of first-order lag with the time constant tau.
func approach(value, target float64, d, tau time.Duration) float64 {
	return target + (value-target)*math.Exp(-d.Seconds()/tau.Seconds())
}

// drift is an Ornstein-Uhlenbeck process: noise with a memory of tau that stays around zero with the deviation sigma,
// whatever strides it is stepped in.
type drift struct {
	value, sigma float64
	tau          time.Duration
}

// newDrift returns a drift that starts somewhere in its own distribution.
func newDrift(rng *rand.Rand, sigma float64, tau time.Duration) drift {
	return drift{value: sigma * rng.NormFloat64(), sigma: sigma, tau: tau}
}

func (n *drift) step(rng *rand.Rand, d time.Duration) {
	keep := math.Exp(-d.Seconds() / n.tau.Seconds())
	n.value = n.value*keep + n.sigma*math.Sqrt(1-keep*keep)*rng.NormFloat64()
}

// daily returns a wave between -1 and 1 that peaks at the hour peak.
func daily(hour, peak float64) float64 {
	return math.Cos((hour - peak) / 24 * 2 * math.Pi)
}

// bump returns a hill of height 1 around the hour peak, width hours wide to either side, round the clock.
func bump(hour, peak, width float64) float64 {
	distance := math.Abs(math.Remainder(hour-peak, 24)) / width

	return math.Exp(-distance * distance)
}

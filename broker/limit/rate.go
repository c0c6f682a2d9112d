package limit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A RatesConfig says how fast one client may send. Zero values mean: as fast as it can.
type RatesConfig struct {
	// Messages is the messages a second of one client.
	Messages int
	// Bytes is the bytes a second of one client, packets with their headers.
	Bytes int64
	// Metrics gets the package's metrics about rates; nil: they are not registered.
	Metrics prometheus.Registerer
}

// Rates are the bounds of all clients; each client has a [Rate] of its own under them.
type Rates struct {
	clock    clock
	messages int64
	bytes    int64
	metrics  *rateMetrics
}

// NewRates makes the bounds. Its error is that of registering the metrics.
func NewRates(cfg RatesConfig) (*Rates, error) {
	r := &Rates{clock: newClock(), messages: int64(max(0, cfg.Messages)), bytes: max(0, cfg.Bytes), metrics: newRateMetrics()}
	return r, r.metrics.register(cfg.Metrics)
}

// Client returns the Rate of a new client: a full bucket.
func (r *Rates) Client() Rate {
	if r == nil || r.messages == 0 && r.bytes == 0 {
		return Rate{}
	}
	return Rate{rates: r}
}

// A Rate is how fast one client sends. It takes 24 bytes and belongs to the goroutine that reads the client. The zero
// value limits nothing.
//
// A client may send what it is given for a second at once, and a message that is larger than that is taken as well, and
// waited for afterwards: nothing is ever dropped, TCP slows the client down.
type Rate struct {
	rates    *Rates
	messages bucket
	bytes    bucket
}

// On reports whether anything is limited.
func (r *Rate) On() bool { return r.rates != nil }

// Take accounts for one message of that many bytes and returns how long to wait before the next is read; mostly 0.
func (r *Rate) Take(bytes int) (wait time.Duration) {
	if r.rates == nil {
		return 0
	}
	return r.take(int64(bytes))
}

func (r *Rate) take(bytes int64) (wait time.Duration) {
	limits := r.rates
	now := limits.clock.now()
	if limits.messages > 0 {
		cost := time.Second / time.Duration(limits.messages)
		// A rate below one a second has a burst of one message all the same.
		if wait = r.messages.take(now, cost, max(time.Second, cost)); wait > 0 {
			limits.metrics.messages.Inc()
		}
	}
	if limits.bytes > 0 {
		// A packet has at most 2^28 bytes, so this product fits.
		cost := time.Duration(bytes) * time.Second / time.Duration(limits.bytes)
		if w := r.bytes.take(now, cost, time.Second); w > 0 {
			limits.metrics.bytes.Inc()
			wait = max(wait, w)
		}
	}
	return wait
}

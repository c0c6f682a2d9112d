package bridge

import (
	"time"

	"pulso/bridge/decode"
)

const (
	// requestEvery is the shortest time between two requests on one topic: a device has that long to answer.
	requestEvery = time.Minute
	// requestAge is from which age on a message asks for nothing: it is read again from the log.
	requestAge = 30 * time.Second
	// maxRequests bounds the topics that are remembered to have been asked.
	maxRequests = 1000
)

// requests are the topics on which something was asked, and when. They are guarded by the bridge's decoding lock.
type requests map[string]time.Time

// allow reports whether a topic may be asked now, for a message that arrived at arrival, and notes it.
func (r requests) allow(topic string, arrival, now time.Time) bool {
	if now.Sub(arrival) > requestAge || now.Sub(r[topic]) < requestEvery {
		return false
	}
	if len(r) >= maxRequests {
		for other, at := range r {
			if now.Sub(at) >= requestEvery {
				delete(r, other)
			}
		}
		if len(r) >= maxRequests {
			return false
		}
	}
	r[topic] = now
	return true
}

// ask hands on what a message needs to be understood, if it is new. Whoever takes requests and does not keep up misses some:
// the device goes on saying what cannot be understood, so that it is asked again.
func (b *Bridge) ask(r *decode.Request, arrival int64) {
	if b.cfg.Requests == nil || !b.asked.allow(r.Topic, time.Unix(0, arrival), time.Now()) {
		return
	}
	select {
	case b.cfg.Requests <- *r:
		b.metrics.requests.Inc()
	default:
		delete(b.asked, r.Topic)
	}
}

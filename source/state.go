package source

import (
	"context"
	"strings"
	"time"
)

// began notes that the broker has said welcome, and whether it still has our session.
func (r *remote) began(present bool) {
	had := r.keeper.get().Session
	if had && !present {
		r.metrics.sessionsLost.WithLabelValues(r.cfg.Name).Inc()
		r.logger.Warn("the broker has forgotten this hub's session: what it was given at QoS 1 meanwhile is lost, nobody knows how much")
		r.mu.Lock()
		r.lost = true
		r.mu.Unlock()
	}
	r.keeper.set(func(s *saved) {
		s.Session = true
		if !present {
			s.Filters, s.NoShare = nil, false
		}
	})
}

// standing notes that the subscriptions stand, but for those that were refused.
func (r *remote) standing(l *link, refused []string) error {
	now := time.Now()
	r.metrics.connected.WithLabelValues(r.cfg.Name).Set(1)
	r.metrics.connects.WithLabelValues(r.cfg.Name).Inc()
	r.metrics.refusedFilters.WithLabelValues(r.cfg.Name).Set(float64(len(refused)))
	r.tally(now)
	r.mu.Lock()
	var loss *Loss
	if !r.unknown.IsZero() {
		loss = &Loss{Time: now, Away: max(0, now.Sub(r.unknown)), Source: r.cfg.Name, Forgotten: r.lost}
	}
	r.away, r.unknown, r.lost = time.Time{}, time.Time{}, false
	problem := ""
	if len(refused) > 0 {
		problem = "the broker refuses " + strings.Join(refused, ", ")
	}
	r.state.Connected, r.state.Since, r.state.Problem = true, now, problem
	r.mu.Unlock()
	r.logger.Info("connected to the broker", "url", r.cfg.URL, "version", versionName(l.version), "session_kept", l.welcome.present)
	if problem != "" {
		r.logger.Error("filters are refused", "problem", problem)
	}
	if loss != nil {
		r.logger.Warn("the broker was away: what it lost at QoS 0 meanwhile is unknown", "seconds", loss.Away.Seconds())
		if r.onLoss != nil {
			r.onLoss(*loss)
		}
	}
	r.keeper.set(func(s *saved) { s.Seen = now.UnixMilli() })
	return r.save()
}

// noShare notes that the broker has no shared subscriptions.
func (r *remote) noShare(why string) {
	r.logger.Warn("the broker has no shared subscriptions: this hub takes all messages, whatever others in the group take",
		"share", r.cfg.Share, "reason", why)
	r.keeper.set(func(s *saved) { s.NoShare = true })
}

// failed notes that a connection ended, or did not come about.
func (r *remote) failed(err error, was bool) {
	text := "the connection ended"
	if err != nil {
		text = err.Error()
	}
	if !was {
		r.metrics.failures.WithLabelValues(r.cfg.Name).Inc()
	}
	r.mu.Lock()
	news := r.state.Connected || r.state.Problem != text
	r.mu.Unlock()
	if news { // not the same line twice a minute for days
		r.logger.Warn("not connected to the broker: trying again", "url", r.cfg.URL, "error", text)
	}
	r.down(text)
}

// down notes that the broker is away.
func (r *remote) down(why string) {
	now := time.Now()
	r.metrics.connected.WithLabelValues(r.cfg.Name).Set(0)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Connected {
		r.state.Since = now
		r.away, r.unknown = now, now
		r.keeper.set(func(s *saved) { s.Seen = now.UnixMilli() })
		r.metrics.unknownOutages.WithLabelValues(r.cfg.Name).Inc()
	}
	r.state.Connected, r.state.Problem = false, why
}

// tally counts the seconds away up to now.
func (r *remote) tally(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away.IsZero() {
		return
	}
	if d := now.Sub(r.away); d > 0 {
		r.metrics.unknownSeconds.WithLabelValues(r.cfg.Name).Add(d.Seconds())
		r.away = now
	}
}

// sighted notes that the broker is connected, if it is.
func (r *remote) sighted(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Connected {
		r.keeper.set(func(s *saved) { s.Seen = now.UnixMilli() })
	}
}

// keepSaving counts once a second until ctx ends, and saves: at once what has reached the broker, and now and then how far
// the log has been looked at in vain.
func (r *remote) keepSaving(ctx context.Context) {
	tick := time.NewTicker(savePause)
	defer tick.Stop()
	var complained bool
	var saved time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.tally(now)
			waiting, progress := r.outbox.state()
			r.metrics.forwardWaiting.WithLabelValues(r.cfg.Name).Set(float64(waiting))
			if !progress && now.Sub(saved) < idleSavePause {
				continue
			}
			r.sighted(now)
			saved = now
			err := r.save()
			if err != nil && !complained {
				r.logger.Error("the state of a source cannot be saved: after a crash messages may come or go twice", "error", err)
			}
			complained = err != nil
		}
	}
}

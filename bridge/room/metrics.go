package room

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	fallen prometheus.Counter
	reread prometheus.Counter
	gaps   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, r *Registry) metrics {
	m := metrics{
		fallen: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_room_fallen_total", Help: "Members whose next frame was no longer in the ring: they went on from the log.",
		}),
		reread: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_room_reread_events_total", Help: "Events read from the log again for members that had missed them.",
		}),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_room_gaps_total", Help: "Gaps that members were told of, by reason (retention, damaged, behind).",
		}, []string{"reason"}),
	}
	if reg == nil {
		return m
	}
	reg.MustRegister(m.fallen, m.reread, m.gaps,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pulso_room_rooms", Help: "Rooms that have members."}, func() float64 {
			n, _, _ := r.Stats()
			return float64(n)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_room_stretch", Help: "By how much the intervals between frames are stretched because the machine is too busy; 1: not at all.",
		}, r.stretch),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "pulso_room_frames_total", Help: "Frames handed to members."}, func() float64 {
			return float64(r.frames.Load())
		}))
	return m
}

package devices

import "github.com/prometheus/client_golang/prometheus"

// register declares the view's metrics: they are read from the view when they are asked for.
func (v *View) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var all []prometheus.Collector
	for s := range Status(statuses) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_devices_known", Help: "Known devices by presence.",
			ConstLabels: prometheus.Labels{"status": s.String()},
		}, func() float64 {
			v.mu.Lock()
			defer v.mu.Unlock()
			return float64(v.counts[s])
		}))
	}
	for what, count := range map[string]func(*Refused) uint64{
		"device": func(r *Refused) uint64 { return r.Devices },
		"metric": func(r *Refused) uint64 { return r.Metrics },
		"topic":  func(r *Refused) uint64 { return r.Topics },
		"text":   func(r *Refused) uint64 { return r.Texts },
	} {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pulso_devices_refused_total", Help: "What was not kept because of a bound, by what it was.",
			ConstLabels: prometheus.Labels{"what": what},
		}, func() float64 {
			refused := v.Refused()
			return float64(count(&refused))
		}))
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

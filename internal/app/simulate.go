package app

import (
	"context"
	"errors"
	"net"

	"pulso/bridge/gateway/simulate"
)

// buildSimulator makes what starts simulated devices. A hub without a broker has nothing that they could connect to.
func (h *Hub) buildSimulator() {
	c := simulate.Config{Logger: h.logger.With("part", "simulator"), Metrics: h.registry}
	if h.cfg.Simulate != nil && h.broker != nil {
		c.Fleet = func(ctx context.Context) error {
			if h.accounts.Enabled() {
				return errors.New("this hub has users: simulated devices have no accounts here")
			}
			return h.cfg.Simulate(ctx, ownAddress(h.MQTTAddr()))
		}
	}
	h.simulator = simulate.New(c)
}

// ownAddress is by what the machine itself reaches an address that is listened on.
func ownAddress(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

package app

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/broker/limit"
)

// guards are the bounds that belong to the process and not to one part of it: its memory, its open files, and the
// connections to the HTTP port. Those to the MQTT port are the broker's own.
type guards struct {
	// memory is asked before new work is taken on.
	memory *limit.Memory
	// web admits connections to the HTTP port.
	web *limit.Addresses
	// mqttConnections is how many MQTT connections there may be: what is configured, or less where the process may not
	// open so many files.
	mqttConnections int
}

// newGuards raises the process's limit of open files, shares it out between the ports and finds what memory there is.
func newGuards(cfg *Config, logger *slog.Logger, metrics prometheus.Registerer) (*guards, error) {
	files, err := limit.RaiseDescriptors()
	if err != nil {
		logger.Warn("the limit of open files stays as it is", "files", int(files), "error", err)
	}
	mqtt, web := files.Share(cfg.MaxConnections, cfg.MaxHTTPConnections)
	if mqtt < cfg.MaxConnections || web < cfg.MaxHTTPConnections {
		logger.Info("fewer connections than configured: the process may not open more files (ulimit -n, LimitNOFILE)",
			"files", int(files), "max_connections", mqtt, "max_http_connections", web)
	}
	g := &guards{mqttConnections: mqtt}
	g.memory, err = limit.NewMemory(limit.MemoryConfig{
		Limit: int64(cfg.MaxMemory), Logger: logger.With("part", "memory"), Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	g.web, err = limit.NewAddresses(limit.AddressesConfig{
		Port: "http", MaxConnections: web, MaxPerAddress: max(1, min(cfg.MaxConnectionsPerAddress, web/2)),
		Rate: cfg.ConnectRate, RatePerAddress: cfg.ConnectRatePerAddress, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Run watches the memory until ctx ends.
func (g *guards) Run(ctx context.Context) error { return g.memory.Run(ctx) }

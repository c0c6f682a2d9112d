package app

import (
	"fmt"
	"os"
	"path/filepath"

	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/disklog"
	"pulso/bridge/eventlog/memlog"
)

// openLog opens the engine that the configuration names. viewDir is where views keep their state; empty for nowhere.
func (h *Hub) openLog() (log eventlog.Log, viewDir string, err error) {
	if h.cfg.Data == InMemory {
		h.logErr = func() error { return nil }
		l, err := memlog.New(memlog.Config{MaxAge: h.cfg.RetainAge, Metrics: h.registry})
		if err != nil {
			return nil, "", fmt.Errorf("log in memory: %w", err)
		}
		return l, "", nil
	}
	if err := os.MkdirAll(h.cfg.Data, 0o750); err != nil {
		return nil, "", fmt.Errorf("data folder: %w", err)
	}
	l, err := disklog.Open(disklog.Config{
		Dir: filepath.Join(h.cfg.Data, "log"), Sync: disklog.Sync(h.cfg.Sync), SegmentBytes: int64(h.cfg.SegmentSize),
		RetainBytes: int64(h.cfg.RetainBytes), RetainAge: h.cfg.RetainAge, MaxEventBytes: int(h.cfg.MaxPacket) + 256<<10,
		Logger: h.logger.With("part", "log"), Metrics: h.registry,
	})
	if err != nil {
		return nil, "", fmt.Errorf("data folder %s: %w", h.cfg.Data, err)
	}
	h.logErr = l.Err
	viewDir = filepath.Join(h.cfg.Data, "views")
	if err := os.MkdirAll(viewDir, 0o750); err != nil {
		return nil, "", fmt.Errorf("data folder: %w", err)
	}
	return l, viewDir, nil
}

package app

import (
	"fmt"
	"path/filepath"
	"time"

	"pulso/bridge/gateway/promapi"
	"pulso/bridge/view"
	"pulso/bridge/view/history"
)

// saveHistory is how often the state of the history is saved: it is large where there are many series, and what came since
// is read from the log again.
const saveHistory = time.Minute

// buildHistory opens the store of time series and the queries on it.
func (h *Hub) buildHistory(viewDir string) (err error) {
	dir := ""
	if h.cfg.Data != InMemory {
		dir = filepath.Join(h.cfg.Data, "history")
	}
	h.history, err = history.New(history.Config{
		Dir: dir, RetainAge: h.cfg.HistoryRetainAge, RetainBytes: int64(h.cfg.HistoryRetainBytes),
		MaxSeries: h.cfg.HistoryMaxSeries, MaxDeviceSeries: h.cfg.HistoryMaxDeviceSeries,
		Logger: h.logger.With("part", "history"), Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	runner, err := view.New(view.Config{
		View: h.history, Log: h.log, Decode: h.bridge.Decode, Dir: viewDir, SaveEvery: saveHistory,
		Logger: h.logger.With("part", "view"), Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.runners = append(h.runners, runner)
	h.queries, err = promapi.New(promapi.Config{
		Queryable: h.history.Queryable(), Sees: h.seesSeries, Version: h.version, Logger: h.logger.With("part", "promapi"), Metrics: h.registry,
	})
	return err
}

// closeHistory frees the store of time series.
func (h *Hub) closeHistory() error {
	if h.history == nil {
		return nil
	}
	if err := h.history.Close(); err != nil {
		return fmt.Errorf("close the history: %w", err)
	}
	return nil
}

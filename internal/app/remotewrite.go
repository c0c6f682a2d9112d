package app

import (
	"errors"
	"fmt"
	"path/filepath"

	"pulso/bridge/remotewrite"
)

// A RemoteWrite is another store of time series that samples are written to.
type RemoteWrite = remotewrite.Target

// checkRemoteWrite says what is wrong with the stores that samples are written to, by their place in the list.
func (c *Config) checkRemoteWrite(bad func(key, format string, args ...any)) {
	if len(c.RemoteWrite) > remotewrite.MaxTargets {
		bad("remote-write", "%d places, at most %d", len(c.RemoteWrite), remotewrite.MaxTargets)
		return
	}
	names := map[string]int{}
	for i := range c.RemoteWrite {
		t := &c.RemoteWrite[i]
		for _, err := range parts(t.Check()) {
			key, text := "", err.Error()
			if e := (*remotewrite.TargetError)(nil); errors.As(err, &e) {
				key, text = "."+e.Key, e.Text
			}
			bad(fmt.Sprintf("remote-write[%d]%s", i, key), "%s", text)
		}
		name := t.EffectiveName()
		if first, taken := names[name]; taken {
			bad(fmt.Sprintf("remote-write[%d].name", i), "%q is the name of remote-write[%d] already", name, first)
		}
		names[name] = i
	}
}

func (h *Hub) buildRemoteWrite() (err error) {
	dir := ""
	if h.cfg.Data != InMemory {
		dir = filepath.Join(h.cfg.Data, "remote-write")
	}
	h.remote, err = remotewrite.New(remotewrite.Config{
		Targets: h.cfg.RemoteWrite, Log: h.log, Decode: h.bridge.Decode, Dir: dir, Version: h.version,
		Logger: h.logger.With("part", "remotewrite"), Metrics: h.registry,
	})
	return err
}

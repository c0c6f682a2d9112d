package bridge_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"pulso/bridge"
	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog/disklog"
	"pulso/bridge/eventlog/memlog"
)

// BenchmarkGroupCommit has 256 publishers of QoS 1 who each wait for their message to be on the disk before they send the next:
// those that wait at the same time share one fsync. An operation is one message.
func BenchmarkGroupCommit(b *testing.B) {
	const publishers = 256
	log, err := disklog.Open(disklog.Config{Dir: b.TempDir(), Sync: disklog.SyncFsync})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() })
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		b.Fatal(err)
	}
	hub, err := bridge.New(bridge.Config{Log: log, Decoder: decoder, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	stop := parts{Bridge: hub}.start(b)
	m := message("devices/d1/telemetry", `{"ts":1763830000123,"temperature":21.5,"humidity":40.25,"battery":87,"mode":"eco"}`)
	m.QoS = 1
	turns := make(chan struct{}, publishers)
	for range publishers {
		turns <- struct{}{}
	}
	var failed sync.Once
	b.ReportAllocs()
	for b.Loop() {
		<-turns
		if err := hub.Ingest(b.Context(), m, func(_ event.Position, err error) {
			if err != nil {
				failed.Do(func() { b.Errorf("not stored: %v", err) })
			}
			turns <- struct{}{}
		}); err != nil {
			b.Fatal(err)
		}
	}
	for range publishers {
		<-turns
	}
	stop()
}

// BenchmarkDecodeManyDevices decodes the messages of 10,000 devices in turn, as they would come. An operation is one message.
func BenchmarkDecodeManyDevices(b *testing.B) {
	const devices, batch = 10_000, 200
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		b.Fatal(err)
	}
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() })
	hub, err := bridge.New(bridge.Config{Log: log, Decoder: decoder})
	if err != nil {
		b.Fatal(err)
	}
	events := make([]event.Event, devices)
	for i := range events {
		events[i] = message(fmt.Sprintf("devices/dev-%05d/telemetry", i),
			fmt.Sprintf(`{"ts":%d,"temperature":%d.5,"humidity":40,"seq":%d,"pad":"%040d"}`, 1763830000123456789+i, i%40, i, 0))
		events[i].Time = 1763830000123e6
	}
	b.ReportAllocs()
	at := 0
	for b.Loop() {
		if at%batch == 0 {
			from := at % devices
			hub.Decode(events[from : from+batch])
		}
		at++
	}
}

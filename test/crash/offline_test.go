package crash

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pulso/test/crash/internal/client"
	"pulso/test/crash/internal/ledger"
	"pulso/test/crash/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// TestOfflineQueue publishes 20,000 messages for a session that is offline, kills the hub several times meanwhile and once more
// while the session takes them: all of them come, in order, and at QoS 2 once.
func TestOfflineQueue(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		for _, version := range []byte{mqtt.V311, mqtt.V5} {
			if testing.Short() && version == mqtt.V5 {
				continue
			}
			t.Run(fmt.Sprintf("QoS %d, MQTT level %d", qos, version), func(t *testing.T) { offlineQueue(t, qos, version) })
		}
	}
}

func offlineQueue(t *testing.T, qos, version byte) {
	const messages = 20_000
	rng := random(t)
	h := hub.Start(t)
	books := ledger.New()
	reader := books.Reader("subscriber", qos)
	subscriber := client.NewSubscriber(&client.SubscriberConfig{
		Ledger: books, Reader: reader, Addr: h.MQTT, ID: "subscriber", Version: version, QoS: qos, Filter: "queue/#",
	})
	come := func() (leave func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); subscriber.Run(ctx) }()
		return func() { cancel(); <-done }
	}
	leave := come()
	hub.Eventually(t, 20*time.Second, "the subscription", func() error {
		select {
		case <-subscriber.Ready():
			return nil
		default:
			return errNotYet
		}
	})
	leave()

	publisher := client.NewPublisher(&client.PublisherConfig{
		Ledger: books, Addr: h.MQTT, ID: "publisher", Version: version, Window: 64, Count: messages, Seed: rng.Uint64(),
		Topics: []*ledger.Topic{books.Topic("queue/a", qos, "publisher")},
	})
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan struct{})
	defer func() { cancel(); <-published }()
	go func() { defer close(published); publisher.Run(ctx) }()
	for kill := range 4 {
		reach(t, fmt.Sprintf("messages published before kill %d", kill), 4000*kill+rng.IntN(4000), func() int { return books.Acknowledged(qos) })
		restart(h, books)
	}
	reach(t, "messages published", messages, func() int { return books.Acknowledged(qos) })

	leave = come()
	defer leave()
	reach(t, "messages delivered", rng.IntN(messages/2), reader.Got)
	restart(h, books)
	books.Settle(500*time.Millisecond, 15*time.Second)
	if got := reader.Got(); got != messages {
		t.Errorf("%d of %d messages were delivered", got, messages)
	}
	load.Verdict(t, books)
}

package crash

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pulso/test/crash/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// TestDescriptors lets clients take all the file descriptors that the hub has: who is connected is served on, and as soon as
// they are freed, so is everybody.
func TestDescriptors(t *testing.T) {
	rng := random(t)
	h := hub.Start(t, hub.Under("sh", "-c", `ulimit -n 448; exec "$0" "$@"`), hub.Flags("--log-segment-bytes", "1MiB"))
	l := load.New(rng)
	l.Subscribers(h.MQTT, 1, 1)
	l.Subscribers(h.MQTT, 2, 1)
	l.Publishers(h.MQTT, 1, 4)
	l.Publishers(h.MQTT, 2, 2)
	l.Run(t)
	reach(t, "messages acknowledged before", 100, l.Acknowledged)

	open, silent := exhaust(t, h)
	t.Logf("%d connections opened, then none; %d more are half-open", len(open), len(silent))
	reach(t, "messages acknowledged without a free descriptor", l.Acknowledged()+1000, l.Acknowledged)
	for _, conn := range append(open, silent...) {
		conn.Close()
	}
	hub.Eventually(t, 10*time.Second, "a first new connection", func() error { return greet(h, 0) })
	for i := range 10 {
		if err := greet(h, i+1); err != nil {
			t.Errorf("connection %d after the descriptors were freed: %v", i, err)
		}
	}
	reach(t, "messages acknowledged after", l.Acknowledged()+1000, l.Acknowledged)
	restart(h, l.Books)
	l.Finish(t)
	load.Verdict(t, l.Books)
	for _, bad := range []string{"panic", "goroutine "} {
		if strings.Contains(h.Output(), bad) {
			t.Errorf("the hub said %q", bad)
		}
	}
}

// exhaust connects until five in a row get no CONNACK, and then leaves some connections half-open.
func exhaust(t *testing.T, h *hub.Hub) (open, silent []*mqtt.Conn) {
	t.Helper()
	refused := 0
	for i := 0; refused < 5; i++ {
		if len(open) > 300 {
			t.Fatalf("%d connections with 448 file descriptors", len(open))
		}
		conn, err := mqtt.Dial(h.MQTT, "")
		if err != nil {
			refused++
			continue
		}
		if err := hello(conn, fmt.Sprintf("many-%d", i)); err != nil {
			refused++
			silent = append(silent, conn)
			continue
		}
		refused = 0
		open = append(open, conn)
	}
	return open, silent
}

// hello sends CONNECT and waits up to two seconds for CONNACK.
func hello(conn *mqtt.Conn, id string) error {
	connect := mqtt.Connect{ID: id, KeepAlive: 600}
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write(connect.Bytes()); err != nil {
		return err
	}
	first, body, err := conn.Next()
	if err == nil && (first != mqtt.CONNACK || len(body) < 2 || body[1] != 0) {
		err = mqtt.ErrRefused
	}
	return errors.Join(err, conn.SetDeadline(time.Time{}))
}

func greet(h *hub.Hub, i int) error {
	conn, err := mqtt.Open(h.MQTT, "", &mqtt.Connect{ID: fmt.Sprintf("after-%d", i)})
	if err != nil {
		return err
	}
	conn.Close()
	return nil
}

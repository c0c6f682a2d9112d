package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A relay stands between subscribers and a server and passes on what edit returns of each PUBLISH that the server sends.
type relay struct {
	url  string
	edit func(n int, packet []byte) [][]byte
}

// startRelay relays to an MQTT server until the test ends. n counts the PUBLISHes of each connection from 0.
func startRelay(t *testing.T, server string, edit func(n int, packet []byte) [][]byte) *relay {
	t.Helper()

	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	r := &relay{url: "tcp://" + l.Addr().String(), edit: edit}

	var relaying sync.WaitGroup

	ctx, cancel := context.WithCancel(context.Background())

	relaying.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}

			relaying.Go(func() { r.serve(ctx, client, server) })
		}
	})

	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		relaying.Wait()
	})

	return r
}

func (r *relay) serve(ctx context.Context, client net.Conn, server string) {
	defer client.Close()

	upstream, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	defer upstream.Close()

	stop := context.AfterFunc(ctx, func() { _ = errors.Join(client.Close(), upstream.Close()) })
	defer stop()

	var up sync.WaitGroup
	defer up.Wait()

	up.Go(func() {
		_, _ = io.Copy(upstream, client) // ends when either does
		_ = upstream.Close()
	})

	from := &packetReader{conn: upstream, buf: make([]byte, 64<<10)}

	for n := 0; from.fill() == nil; {
		for {
			first, body, ok, err := from.next()
			if err != nil || !ok {
				break
			}

			packet := append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
			packets := [][]byte{packet}

			if first&typeMask == typePublish {
				packets = r.edit(n, packet)
				n++
			}

			for _, p := range packets {
				if _, err := client.Write(p); err != nil {
					_ = client.Close()

					return
				}
			}
		}
	}

	_ = client.Close()
}

// What a relay loses, doubles and turns round is counted, to the message.
func TestRelay(t *testing.T) {
	t.Parallel()

	hub, target := startHub(t)
	target.Via = viaMQTT

	for name, c := range map[string]struct {
		edit                    func(n int, packet []byte) [][]byte
		missing, twice, swapped bool
	}{
		"honest": {edit: func(_ int, p []byte) [][]byte { return [][]byte{p} }},
		"loses every tenth": {missing: true, edit: func(n int, p []byte) [][]byte {
			if n%10 == 9 {
				return nil
			}

			return [][]byte{p}
		}},
		"doubles every tenth": {twice: true, edit: func(n int, p []byte) [][]byte {
			if n%10 == 9 {
				return [][]byte{p, p}
			}

			return [][]byte{p}
		}},
		"turns pairs round": {swapped: true, edit: swapping()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			target := target
			target.Prefix = strings.ReplaceAll(name, " ", "-")
			target.URL = startRelay(t, hub.mqtt, c.edit).url

			// No warm-up, so that what the relay does to the measured messages is what it does to all. One topic, so that turning
			// two round is disorder.
			r := measure(t.Context(), t, target, small(t, "lone", func(l *Load) { l.Rate, l.Warmup, l.Drain = 200, 0, 1e9 }))
			n, d := r.Sent.Messages, r.Received
			want := func(on bool) int64 {
				if !on {
					return 0
				}

				return n / 10
			}

			missing := want(c.missing)
			if c.swapped {
				missing = n % 2 // the last waits for one that does not come
			}

			if *d.Missing != missing || *d.Doublets != want(c.twice) || *d.Delivered != n-missing {
				t.Errorf("of %d: missing %d, twice %d, delivered %d", n, *d.Missing, *d.Doublets, *d.Delivered)
			}

			if c.swapped != (*d.Disorder > 0) || c.swapped && *d.Disorder != n/2 {
				t.Errorf("of %d: out of order %d", n, *d.Disorder)
			}
		})
	}
}

// swapping holds every other packet back until the next has gone. It serves one connection.
func swapping() func(int, []byte) [][]byte {
	var held []byte

	return func(n int, p []byte) [][]byte {
		if n%2 == 0 {
			held = p

			return nil
		}

		return [][]byte{p, held}
	}
}

// Messages that were acknowledged and then lost make the run fail, and only those: what has no acknowledgement may be lost.
func TestAcknowledgedLost(t *testing.T) {
	hub, target := startHub(t)
	target.Via = viaMQTT
	target.URL = startRelay(t, hub.mqtt, func(n int, p []byte) [][]byte {
		if n >= 50 && n < 57 {
			return nil
		}

		return [][]byte{p}
	}).url

	r := measure(t.Context(), t, target, small(t, "acknowledged", func(l *Load) { l.Rate, l.Drain = 200, 1e9 }))
	if lost := r.Received.AcknowledgedLost; lost == nil || *lost != 7 || !errors.Is(r.Lost(), ErrLost) {
		t.Errorf("%+v: %v", r.Received, r.Lost())
	}
}

package attack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// slowGrowth is what 50 clients that do not read may make the hub hold: by configuration 64 KiB that wait for the socket and as
// much that is being written, 128 KiB read from the log and a mebibyte of the queue that they share; that is 13 MB with
// packets of 8 KiB, and the pipeline from reader to log holds 12 MB. The collector of garbage lets the heap double, and
// the buffers of the readings add to it.
const slowGrowth = 128 << 20

// 50 clients subscribe to everything and never read, while much is published.
func TestSlowReaders(t *testing.T) {
	for qos := range byte(2) {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			withstandWithin(t, slowGrowth, func(s *siege) {
				s.each(50, func(i int) {
					c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("slow-", i), Version: version(i), Persistent: i%2 == 0})
					if err == nil {
						_ = send(c, mqtt.Subscribe(c.Version, 1, qos, "#"))
					}
				})
				p := s.connected("flooder", mqtt.V311)
				s.discard(p)
				m := mqtt.Publish{Topic: "flood/topic", Payload: bytes.Repeat([]byte("x"), 8<<10), QoS: qos}
				s.flood(1, func(int) error {
					m.ID = m.ID%65_535 + 1
					return send(p, m.Bytes(p.Version))
				})
			})
		})
	}
}

// Clients subscribe and unsubscribe as fast as they can, with filters that match the canary's topic among them.
func TestSubscribeFlood(t *testing.T) {
	withstand(t, func(s *siege) {
		conns := make([]*mqtt.Conn, 8)
		for i := range conns {
			conns[i] = s.connected(fmt.Sprint("subs-", i), version(i))
			s.discard(conns[i])
		}
		n := make([]int, len(conns))
		s.flood(len(conns), func(i int) error {
			n[i]++
			filters := []string{"canary/+", "#", fmt.Sprintf("f/%d/%d", i, n[i]%5000), fmt.Sprintf("$share/g%d/canary/#", n[i]%100)}
			if err := send(conns[i], mqtt.Subscribe(conns[i].Version, 1, 1, filters...)); err != nil {
				return err
			}
			return send(conns[i], mqtt.Unsubscribe(conns[i].Version, 2, filters[:3]...))
		})
	})
}

// Retained messages on 4,000 topics, beyond the quota. (What is known of each topic apart from what it retains has a bound of
// its own.)
func TestRetainedFlood(t *testing.T) {
	withstand(t, func(s *siege) {
		conns := make([]*mqtt.Conn, 4)
		for i := range conns {
			conns[i] = s.connected(fmt.Sprint("retain-", i), version(i))
			s.discard(conns[i])
		}
		n := make([]int, len(conns))
		payload := bytes.Repeat([]byte("x"), 512)
		s.flood(len(conns), func(i int) error {
			n[i]++
			m := mqtt.Publish{Topic: fmt.Sprintf("retained/%d/%d", i, n[i]%1_000), Payload: payload, Retain: true}
			return send(conns[i], m.Bytes(conns[i].Version))
		})
		c := s.connected("reader", mqtt.V311)
		_ = send(c, mqtt.Subscribe(c.Version, 1, 1, "retained/#")) // and does not read what comes
	}, hub.Flags("--max-retained", "2000", "--max-retained-bytes", "4MiB"))
}

// Acknowledgements of what was never sent.
func TestForgedAcknowledgements(t *testing.T) {
	withstand(t, func(s *siege) {
		var forged []byte
		for id := 1; id <= 2000; id++ {
			for _, kind := range []byte{mqtt.PUBREL, mqtt.PUBREC, mqtt.PUBACK, mqtt.PUBCOMP} {
				forged = append(forged, mqtt.Ack(kind, id)...)
			}
		}
		s.flood(4, func(i int) error {
			c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("forger-", i), Version: version(i), Persistent: true})
			if err != nil {
				return err
			}
			defer s.drop(c)
			s.discard(c)
			for range 5 {
				if err := send(c, forged); err != nil {
					return nil // thrown out, which is well
				}
			}
			return nil
		})
	})
}

// Every packet id in use at QoS 2, and never released, by sessions that stay.
func TestUnreleasedPublishes(t *testing.T) {
	withstand(t, func(s *siege) {
		s.flood(4, func(i int) error {
			c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("hoarder-", i), Version: version(i), Persistent: true})
			if err != nil {
				return err
			}
			defer s.drop(c)
			s.discard(c)
			for id := 1; id < 65_536 && !s.over(); id++ {
				m := mqtt.Publish{Topic: "hoard", QoS: 2, ID: id}
				if send(c, m.Bytes(c.Version)) != nil {
					return nil // thrown out, which is well
				}
			}
			return nil
		})
	})
}

// Topic aliases that are none: 0, beyond the maximum, never set, and all there are with long topics.
func TestTopicAliases(t *testing.T) {
	withstand(t, func(s *siege) {
		s.flood(4, func(i int) error {
			c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("alias-", i), Version: mqtt.V5})
			if err != nil {
				return err
			}
			defer s.drop(c)
			s.discard(c)
			for alias := range 2000 {
				m := mqtt.Publish{Properties: [][]byte{binary.BigEndian.AppendUint16([]byte{0x23}, uint16(alias*(i+1)))}}
				if i%2 == 0 {
					m.Topic = string(bytes.Repeat([]byte("t"), 60_000))
				}
				if send(c, m.Bytes(mqtt.V5)) != nil {
					return nil // thrown out, which is well
				}
			}
			return nil
		})
	})
}

// Questions that cost an answer, from clients that do not read it.
func TestPingFlood(t *testing.T) {
	withstand(t, func(s *siege) {
		pings := bytes.Repeat([]byte{mqtt.PINGREQ, 0}, 10_000)
		conns := make([]*mqtt.Conn, 8)
		for i := range conns {
			conns[i] = s.connected(fmt.Sprint("ping-", i), version(i))
		}
		s.flood(len(conns), func(i int) error { return send(conns[i], pings) })
	})
}

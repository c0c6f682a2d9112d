package attack

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pulso/test/internal/mqtt"
)

// connected opens a client, or ends the test: the attack needs it.
func (s *siege) connected(id string, version byte) *mqtt.Conn {
	s.t.Helper()
	c, err := s.open(&mqtt.Connect{ID: id, Version: version})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// 64 KB of slashes, as a topic, as a filter and as the topic of a will.
func TestTopicsOfSlashes(t *testing.T) {
	slashes := strings.Repeat("/", 65_535)
	pluses := strings.Repeat("+/", 32_767)
	withstand(t, func(s *siege) {
		s.flood(4, func(i int) error {
			c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("slash-", i), Version: version(i)})
			if err != nil {
				return err
			}
			defer s.drop(c)
			publish := mqtt.Publish{Topic: slashes, QoS: 1, ID: 1, Retain: i%2 == 0}
			for _, b := range [][]byte{
				mqtt.Subscribe(c.Version, 2, 1, slashes, pluses, pluses+"#"),
				publish.Bytes(c.Version),
				publish.Bytes(c.Version),
				mqtt.Unsubscribe(c.Version, 3, slashes, pluses),
			} {
				if send(c, b) != nil {
					break // refused, which is well
				}
			}
			w, err := s.open(&mqtt.Connect{ID: fmt.Sprint("slash-will-", i), WillTopic: slashes, WillQoS: 1, Version: version(i)})
			if err == nil {
				s.drop(w)
			}
			return nil
		})
	})
}

// 2^14 filters that all match one topic, and are found by trying each way down the levels.
func TestManyFilters(t *testing.T) {
	const levels = 14
	topic := strings.TrimSuffix(strings.Repeat("a/", levels), "/")
	for _, end := range []string{"", "/#"} {
		t.Run("levels"+end, func(t *testing.T) {
			withstand(t, func(s *siege) {
				c := s.connected("filters", mqtt.V311)
				s.discard(c)
				var filters []string
				for n := range 1 << levels {
					parts := make([]string, levels)
					for l := range parts {
						parts[l] = []string{"a", "+"}[n>>l&1]
					}
					filters = append(filters, strings.Join(parts, "/")+end)
					if len(filters) == 64 {
						if send(c, mqtt.Subscribe(c.Version, 1+n/64, 0, filters...)) != nil {
							break // refused, which is well
						}
						filters = filters[:0]
					}
				}
				p := s.connected("publisher", mqtt.V311)
				s.discard(p)
				m := mqtt.Publish{Topic: topic, Payload: []byte("x")}
				s.flood(1, func(int) error { return send(p, m.Bytes(p.Version)) })
			})
		})
	}
}

// 200,000 filters in one packet.
func TestManyFiltersInOnePacket(t *testing.T) {
	withstand(t, func(s *siege) {
		filters := make([]string, 200_000)
		for i := range filters {
			filters[i] = string(rune('a' + i%26))
		}
		s.flood(4, func(i int) error {
			c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("many-", i), Version: version(i)})
			if err != nil {
				return err
			}
			defer s.drop(c)
			_ = send(c, mqtt.Subscribe(c.Version, 1, 1, filters...)) // refused, which is well
			_, _ = c.Expect(mqtt.SUBACK, patience)
			_ = send(c, mqtt.Unsubscribe(c.Version, 2, filters...))
			_, _ = c.Expect(mqtt.UNSUBACK, patience)
			return nil
		})
	})
}

// valid are packets of every type that a client may send.
func valid(version byte) [][]byte {
	connect := mqtt.Connect{ID: "mutant", Version: version, WillTopic: "w", Will: "x", User: "u", Password: "p", Persistent: true, KeepAlive: 60}
	alias := []byte{0x23, 0, 1}
	publish := mqtt.Publish{Topic: "a/b", QoS: 1, ID: 1, Payload: []byte("x"), Properties: [][]byte{mqtt.UserProperty("k", "v"), alias}}
	twice := mqtt.Publish{Topic: "a/b", QoS: 2, ID: 2, Retain: true, Properties: [][]byte{{0x02, 0, 0, 0, 9}, {0x01, 1}}}
	return [][]byte{
		connect.Bytes(),
		publish.Bytes(version),
		twice.Bytes(version),
		mqtt.Ack(mqtt.PUBACK, 1),
		mqtt.Ack(mqtt.PUBREC, 1),
		mqtt.Ack(mqtt.PUBREL, 2),
		mqtt.Ack(mqtt.PUBCOMP, 1),
		mqtt.Subscribe(version, 3, 1, "a/+", "$share/g/b/#"),
		mqtt.Unsubscribe(version, 4, "a/+"),
		{mqtt.PINGREQ, 0},
		mqtt.Packet(0xf0, []byte{0x18}, mqtt.Properties(version, append([]byte{0x15}, mqtt.String("method")...))), // AUTH
		mqtt.Packet(mqtt.DISCONNECT, []byte{0x04}, mqtt.Properties(version, mqtt.SessionExpiry(1))),
		mqtt.Packet(mqtt.CONNACK, []byte{0, 0}),
		mqtt.Packet(mqtt.SUBACK, mqtt.Number(3), []byte{1}),
		{0x00, 0},
	}
}

// Every packet cut short at every byte, its length telling the truth: among them the ten bytes of a SUBSCRIBE without options.
func TestTruncatedPackets(t *testing.T) {
	withstand(t, func(s *siege) {
		var packets [][]byte
		for _, v := range []byte{mqtt.V31, mqtt.V311, mqtt.V5} {
			for _, whole := range valid(v) {
				for n := range len(whole) - 1 {
					packets = append(packets, mqtt.Packet(whole[0], whole[2:2+max(n-1, 0)]))
				}
			}
		}
		s.each(8, func(i int) {
			for n := i; n < len(packets); n += 8 {
				for v := range 2 {
					s.hit(fmt.Sprintf("cut-%d-%d", i, v), version(v), packets[n])
				}
			}
		})
		s.t.Logf("%d packets", 2*len(packets))
		s.hit("ten-bytes", mqtt.V5, []byte{mqtt.SUBSCRIBE, 8, 0, 1, 0, 0, 3, 'a', '/', 'b'})
	})
}

// hit connects, sends and leaves.
func (s *siege) hit(id string, version byte, b []byte) {
	c, err := s.open(&mqtt.Connect{ID: id, Version: version})
	if err != nil {
		return
	}
	defer s.drop(c)
	_ = send(c, b)                             // the hub may close the connection,
	_ = send(c, []byte{mqtt.PINGREQ, 0})       // or answer;
	_, _ = c.Expect(mqtt.PINGRESP, patience/4) // either way it has read it all
}

// Packets with bits flipped, bytes put in and left out, and bytes that are nothing at all, each in front of a CONNECT and behind.
func TestMutatedPackets(t *testing.T) {
	withstand(t, func(s *siege) {
		s.flood(8, func(i int) error {
			random := rand.New(rand.NewPCG(uint64(i), uint64(s.from.Load())))
			v := version(i)
			c, err := s.dial()
			if err != nil {
				return err
			}
			defer s.drop(c)
			if i%4 > 0 && c.Handshake(&mqtt.Connect{ID: fmt.Sprint("mutant-", i), Version: v}) != nil {
				return nil
			}
			packets := valid(v)
			for range 20 {
				if send(c, mutate(random, packets[random.IntN(len(packets))])) != nil {
					return nil
				}
			}
			_, _ = c.Expect(mqtt.PINGRESP, patience/100) // lets the hub read
			return nil
		})
	})
}

// mutate changes a copy of a packet in one to four places.
func mutate(random *rand.Rand, packet []byte) []byte {
	b := append([]byte(nil), packet...)
	for range 1 + random.IntN(4) {
		at := random.IntN(len(b))
		switch random.IntN(6) {
		case 0:
			b[at] ^= 1 << random.IntN(8)
		case 1:
			b[at] = byte(random.Uint32())
		case 2:
			b = append(b[:at], append([]byte{byte(random.Uint32())}, b[at:]...)...)
		case 3:
			if len(b) > 2 {
				b = append(b[:at], b[at+1:]...)
			}
		case 4:
			b = append(b, b[at:]...)
		default:
			for i := range min(8, len(b)-at) {
				b[at+i] = byte(random.Uint32())
			}
		}
	}
	if random.IntN(2) == 0 && len(b) > 2 && len(b) < 128 {
		b[1] = byte(len(b) - 2) // so that what is behind the length is reached
	}
	return b
}

// User properties as large as a packet may be: in CONNECT, PUBLISH and SUBSCRIBE.
func TestLargeUserProperties(t *testing.T) {
	var properties [][]byte
	for range 15 {
		properties = append(properties, mqtt.UserProperty(strings.Repeat("n", 30_000), strings.Repeat("v", 30_000)))
	}
	small := make([][]byte, 100_000)
	for i := range small {
		small[i] = mqtt.UserProperty("", "")
	}
	withstand(t, func(s *siege) {
		s.flood(4, func(i int) error {
			all := properties
			if i%2 == 0 {
				all = small
			}
			connect := mqtt.Connect{ID: fmt.Sprint("props-", i), Version: mqtt.V5, Properties: all}
			if big, err := s.dial(); err == nil {
				_ = send(big, connect.Bytes()) // refused, which is well
				s.drop(big)
			}
			c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("props-", i), Version: mqtt.V5})
			if err != nil {
				return err
			}
			defer s.drop(c)
			publish := mqtt.Publish{Topic: "props", QoS: 1, ID: 1, Properties: all}
			subscribe := mqtt.Packet(mqtt.SUBSCRIBE, mqtt.Number(2), mqtt.Properties(mqtt.V5, all...), mqtt.String("props"), []byte{1})
			_ = send(c, publish.Bytes(mqtt.V5))
			_ = send(c, subscribe)
			_, _ = c.Expect(mqtt.SUBACK, patience/4)
			return nil
		})
	})
}

package attack

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// 200 clients send a CONNECT a byte at a time, 100 never send anything: the hub gives none of them much time.
func TestHalfOpenConnects(t *testing.T) {
	withstand(t, func(s *siege) {
		connect := mqtt.Connect{ID: strings.Repeat("x", 200)}
		deadline := time.Now().Add(10 * time.Second)
		var held atomic.Int64
		s.each(300, func(i int) {
			c, err := s.dial()
			if err != nil {
				return
			}
			left := connect.Bytes()
			for i < 200 && len(left) > 1 && time.Now().Before(deadline) && send(c, left[:1]) == nil {
				left = left[1:]
				time.Sleep(100 * time.Millisecond) // what makes the attack
			}
			if !gone(c, deadline) {
				held.Add(1)
			}
		})
		if n := held.Load(); n > 0 {
			t.Errorf("%d of 300 connections without a CONNECT are there after 10 s", n)
		}
	})
}

// Five bytes that announce 256 MB, before CONNECT and after it, and lengths that never end.
func TestRemainingLengthBombs(t *testing.T) {
	bombs := [][]byte{
		{mqtt.CONNECT, 0xff, 0xff, 0xff, 0x7f},
		{mqtt.PUBLISH, 0xff, 0xff, 0xff, 0x7f},
		{mqtt.SUBSCRIBE, 0xff, 0xff, 0xff, 0x7f},
		{mqtt.CONNECT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		append([]byte{mqtt.PUBLISH}, strings.Repeat("\xff", 100_000)...),
		{mqtt.CONNECT, 0xff, 0xff, 0x3f, 0, 4, 'M', 'Q', 'T', 'T'}, // 1 MB
	}
	for _, connected := range []bool{false, true} {
		for _, n := range []int{10, 1000} {
			t.Run(fmt.Sprintf("connected %t, %d", connected, n), func(t *testing.T) {
				withstand(t, func(s *siege) {
					s.each(n, func(i int) {
						c, err := s.dial()
						if err != nil {
							return
						}
						if connected && c.Handshake(&mqtt.Connect{ID: fmt.Sprint("bomb-", i), Version: version(i)}) != nil {
							return
						}
						_ = send(c, bombs[i%len(bombs)]) // it may be gone
					})
					s.hold()
				})
			})
		}
	}
}

func version(i int) byte { return []byte{mqtt.V311, mqtt.V5}[i%2] }

// Clients ask for no keep-alive, or a long one, and fall silent.
func TestSilentClients(t *testing.T) {
	withstand(t, func(s *siege) {
		s.each(200, func(i int) {
			_, _ = s.open(&mqtt.Connect{ID: fmt.Sprint("silent-", i), KeepAlive: i % 2 * 65_535, Version: version(i)})
		})
		s.hold()
	})
}

// One name connects again and again, from everywhere at once.
func TestTakeoverStorm(t *testing.T) {
	withstand(t, func(s *siege) {
		s.flood(20, func(i int) error {
			c, err := s.open(&mqtt.Connect{ID: "the same", Version: version(i), Persistent: i%3 == 0, WillTopic: "storm/will", Will: "gone"})
			if err != nil {
				return err
			}
			if i%5 > 0 {
				defer s.drop(c)
			}
			return send(c, mqtt.Subscribe(c.Version, 1, 1, "storm/#"))
		})
	})
}

// Clients connect and disconnect as fast as they can, under ever new names, and leave sessions behind.
func TestConnectStorm(t *testing.T) {
	withstand(t, func(s *siege) {
		s.flood(20, func(i int) error {
			id := fmt.Sprintf("storm-%d-%d", i, rand.Uint32())
			c, err := s.open(&mqtt.Connect{ID: id, Version: version(i), Persistent: i%2 == 0})
			if err != nil {
				return err
			}
			defer s.drop(c)
			return send(c, []byte{mqtt.DISCONNECT, 0})
		})
	})
}

// Wills for topics that are the hub's own, that are no topics, or that are nothing but levels.
func TestWillsToForbiddenTopics(t *testing.T) {
	withstand(t, func(s *siege) {
		watch, err := s.open(&mqtt.Connect{ID: "watch"})
		if err != nil {
			t.Fatal(err)
		}
		if err := watch.Subscribe(1, "$SYS/#", "#"); err != nil {
			t.Fatal(err)
		}
		forged := make(chan string, 1000)
		go func() {
			defer close(forged)
			for {
				first, body, err := watch.Next()
				if err != nil {
					return
				}
				if p, err := watch.ParsePublish(first, body); err == nil && string(p.Payload) == "forged" {
					forged <- p.Topic
				}
			}
		}()
		for i, topic := range []string{"$SYS/broker/uptime", "$SYS/x", "a/#", "+", strings.Repeat("/", 65_535), "$share/g/a", "a\x00b", "\xff"} {
			for qos := range byte(3) {
				c, err := s.open(&mqtt.Connect{ID: fmt.Sprint("will-", i), WillTopic: topic, Will: "forged", WillQoS: qos, Version: version(i)})
				if err == nil {
					s.drop(c)
				}
			}
		}
		time.Sleep(300 * time.Millisecond) // for what should not come
		s.drop(watch)
		for topic := range forged {
			t.Errorf("a will was published to %.40q", topic)
		}
	})
}

// Other protocols on the port for MQTT get no answer, and not much time.
func TestOtherProtocols(t *testing.T) {
	withstand(t, func(s *siege) {
		s.each(20, func(i int) {
			nc, err := net.Dial("tcp", s.h.MQTT)
			if err != nil {
				return
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			switch i % 3 {
			case 0:
				if err := tls.Client(nc, &tls.Config{ServerName: "hub", MinVersion: tls.VersionTLS12}).Handshake(); err == nil {
					t.Error("the port for MQTT speaks TLS")
				}
				return
			case 1:
				_, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
			default:
				_, _ = io.WriteString(nc, "\x16\x03\x01\x00\x05hello\r\n")
			}
			if b, err := io.ReadAll(nc); len(b) > 0 || isTimeout(err) {
				t.Errorf("answered with % x, %v; want the connection closed", b, err)
			}
		})
	})
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// More clients than there may be: they are refused, the others are served, and when some leave there is room again.
func TestConnectionFlood(t *testing.T) {
	withstand(t, func(s *siege) {
		var open atomic.Int64
		s.each(300, func(i int) {
			if _, err := s.open(&mqtt.Connect{ID: fmt.Sprint("flood-", i)}); err == nil {
				open.Add(1)
			}
		})
		if n := open.Load(); n > 50 {
			t.Errorf("%d connections were accepted, want at most 50", n)
		}
		s.hold()
	}, hub.Flags("--max-connections", "50"))
}

// More connections than the process may have files: they wait or are refused, and when they are gone, ten of ten connect.
func TestFileDescriptorsExhausted(t *testing.T) {
	withstand(t, func(s *siege) {
		s.each(400, func(int) { _, _ = s.dial() })
		s.hold() // the hub is out of files
		s.release()
		for i := range 10 {
			hub.Eventually(t, 5*time.Second, "a client is served after file descriptors were freed", func() error {
				_, err := s.open(&mqtt.Connect{ID: fmt.Sprint("freed-", i)})
				return err
			})
		}
	}, hub.Under("/bin/sh", "-c", `ulimit -n 256; exec "$@"`, "sh"))
}

// No password is ever in what the hub says, whatever is wrong with the packet that carries it.
func TestPasswordsAreNotLogged(t *testing.T) {
	const secret = "canary-string-of-a-password"
	withstand(t, func(s *siege) {
		for i := range 40 {
			connect := mqtt.Connect{ID: fmt.Sprint("secretive-", i), User: "user", Password: secret, Version: version(i)}
			c, err := s.open(&mqtt.Connect{ID: connect.ID, Version: connect.Version})
			if err != nil {
				t.Fatal(err)
			}
			_ = send(c, connect.Bytes()) // a second CONNECT
			if c, err = s.dial(); err != nil {
				t.Fatal(err)
			}
			b := connect.Bytes()
			b[i%20] ^= 0x41 // broken at the beginning, where names and flags are
			_ = send(c, b)
			_, _ = s.open(&connect)
		}
		time.Sleep(200 * time.Millisecond) // for the last lines
		out := s.h.Output()
		if at := strings.Index(out, secret); at >= 0 {
			t.Errorf("the hub logged a password: …%s…", out[max(0, at-200):min(len(out), at+100)])
		}
		if out == "" {
			t.Error("the hub said nothing at all, so this proves nothing")
		}
	}, hub.Flags("--verbosity", "debug"))
}

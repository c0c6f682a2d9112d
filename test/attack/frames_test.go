package attack

import (
	"bytes"
	"compress/flate"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// deflated is what permessage-deflate makes of n spaces, about a thousandth.
func deflated(n int) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(bytes.Repeat([]byte(" "), n))
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// Compressed bombs on the stream: one that is a command of 15 MiB is answered, one of 128 MiB ends its session.
func TestCompressedBombs(t *testing.T) {
	small, large := deflated(15<<20), deflated(128<<20)
	t.Logf("%d bytes for 15 MiB, %d for 128 MiB", len(small), len(large))
	withstand(t, func(s *siege) {
		c := s.mustTalk()
		if _, err := c.NetConn().Write(frame(0xc1, uint64(len(small)), small)); err != nil {
			t.Fatal(err)
		}
		if r, err := c.next(); err != nil || r.Error.Code != "too_large" {
			t.Errorf("15 MiB: %+v, %v", r, err)
		}
		s.flood(8, func(int) error {
			c, err := s.talk("pulso.v1.json")
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.NetConn().Write(frame(0xc1, uint64(len(large)), large)); err != nil {
				return err
			}
			if code := c.farewell(); code != 4502 {
				t.Errorf("128 MiB: closed with %d", code)
			}
			return nil
		})
		if s.counted(`pulso_gateway_sessions_closed_total{code="too_large"}`) == 0 {
			t.Error("no session was counted as ended by it")
		}
	})
}

// Commands in pieces: one in a thousand of them is answered, one of pieces without end is refused, and pieces that hold nothing
// cost nobody anything.
func TestFragments(t *testing.T) {
	withstand(t, func(s *siege) {
		c := s.mustTalk()
		command := `{"id":1,"ping":{}}` + strings.Repeat(" ", 10_000)
		pieces := frame(0x01, 1, []byte(command[:1]))
		for i := range len(command) - 2 {
			pieces = append(pieces, frame(0x00, 1, []byte(command[i+1:i+2]))...)
		}
		pieces = append(pieces, frame(0x80, 1, []byte(" "))...)
		if _, err := c.NetConn().Write(pieces); err != nil {
			t.Fatal(err)
		}
		if r, err := c.next(); err != nil || r.Pong == nil {
			t.Errorf("a ping in pieces: %+v, %v", r, err)
		}
		endless := s.mustTalk()
		_, _ = endless.NetConn().Write(frame(0x01, 1, []byte(" ")))
		go func() {
			piece := bytes.Repeat(frame(0x00, 100, bytes.Repeat([]byte(" "), 100)), 100)
			for {
				if _, err := endless.NetConn().Write(piece); err != nil {
					return // as it should
				}
			}
		}()
		if code := endless.farewell(); code != 4502 {
			t.Errorf("pieces without end: closed with %d", code)
		}
		nothing := append(frame(0x01, 0, nil), bytes.Repeat(frame(0x00, 0, nil), 10_000)...)
		s.flood(8, func(int) error {
			c, err := s.talk("pulso.v1.json")
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.NetConn().Write(nothing)
			return err
		})
	})
}

// Frames that no client sends: each ends its connection at once.
func TestFramesOfNobody(t *testing.T) {
	for name, b := range map[string][]byte{
		"reserved bits":      frame(0xf1, 1, []byte(" ")),
		"an unknown opcode":  frame(0x83, 1, []byte(" ")),
		"a large ping":       frame(0x89, 126, make([]byte, 126)),
		"a ping in pieces":   frame(0x09, 1, []byte(" ")),
		"a piece of nothing": frame(0x80, 1, []byte(" ")),
		"two beginnings":     append(frame(0x01, 1, []byte(" ")), frame(0x01, 1, []byte(" "))...),
		"unmasked":           {0x81, 1, ' '},
		"a length below 0":   frame(0x81, 1<<63, nil),
		"not compressed":     frame(0xc1, 3, []byte("\xff\xff\xff")),
	} {
		t.Run(name, func(t *testing.T) {
			withstand(t, func(s *siege) {
				s.end = time.Now().Add(duration / 4) // there are many kinds
				s.flood(4, func(int) error {
					c, err := s.talk("pulso.v1.json")
					if err != nil {
						return err
					}
					defer c.Close()
					if _, err := c.NetConn().Write(b); err != nil {
						return err
					}
					began := time.Now()
					if c.farewell(); time.Since(began) > 5*time.Second {
						t.Errorf("the connection lived on for %v", time.Since(began))
					}
					return nil
				})
				if n := s.counted("pulso_gateway_sessions"); n > 4 {
					t.Errorf("%d sessions are there", n)
				}
				if s.counted(`pulso_gateway_sessions_closed_total{code="bad_frame"}`) == 0 {
					t.Error("none was counted")
				}
			})
		})
	}
}

// Pings by the thousand, whose answers are read or not.
func TestPingFloodOfScreens(t *testing.T) {
	withstand(t, func(s *siege) {
		pings := bytes.Repeat(frame(0x89, 125, make([]byte, 125)), 1000)
		var readers atomic.Int64
		s.flood(8, func(i int) error {
			c, err := s.talk("pulso.v1.json")
			if err != nil {
				return err
			}
			defer c.Close()
			if i%2 == 0 {
				go drainSession(c) // ends with the connection
				readers.Add(1)
			}
			for range 100 {
				_ = c.NetConn().SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := c.NetConn().Write(pings); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Clients that ask and ask and read no answer, or one byte a second: they wait, they are closed as slow, and they are counted.
func TestAnswersThatAreNotRead(t *testing.T) {
	withstandWithin(t, slowGrowth, func(s *siege) {
		const clients = 8
		commands := bytes.Repeat(frame(0x81, 18, []byte(`{"id":1,"ping":{}}`)), 1000)
		s.each(clients, func(i int) {
			c, err := s.talk("pulso.v1.json")
			if err != nil {
				t.Error(err)
				return
			}
			nc := c.NetConn()
			if i%2 == 0 {
				go readSlowly(nc)
			}
			_ = nc.SetWriteDeadline(time.Now().Add(50 * time.Second))
			for err == nil {
				_, err = nc.Write(commands)
			}
			if isTimeout(err) {
				t.Errorf("client %d was not closed", i)
			}
		})
		if n := s.counted(`pulso_gateway_sessions_closed_total{code="slow"}`); n != clients {
			t.Errorf("%d were closed as slow, want %d", n, clients)
		}
	})
}

// readSlowly reads a byte a second.
func readSlowly(c net.Conn) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for one := make([]byte, 1); ; <-tick.C {
		if _, err := c.Read(one); err != nil {
			return
		}
	}
}

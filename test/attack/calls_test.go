package attack

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pulsov1 "pulso/internal/gen/pulso/v1"
	"pulso/internal/gen/pulso/v1/pulsov1connect"
	"pulso/test/internal/hub"
)

const service = "/" + pulsov1connect.StreamServiceName

// enveloped is a message as streams of gRPC and Connect have it: flags (1: compressed), length, and what it holds.
func enveloped(flags byte, message []byte) string {
	return string(append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message))), message...))
}

// zipped compresses.
func zipped(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// good is a message of the proto.
func good(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A badCall is a request that must not be answered as if it were good.
type badCall struct {
	procedure, contentType string
	header                 [2]string
	body                   string
}

func badCalls(t *testing.T) []badCall {
	t.Helper()
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	publish := good(t, &pulsov1.PublishRequest{Publish: &pulsov1.Publish{Topic: "bad", Body: &pulsov1.Publish_PayloadText{PayloadText: "x"}}})
	large := good(t, &pulsov1.PublishRequest{Publish: &pulsov1.Publish{
		Topic: "bad", Body: &pulsov1.Publish_PayloadText{PayloadText: strings.Repeat("x", 1<<20)},
	}})
	bomb := zipped(t, make([]byte, 256<<20))
	inner := good(t, &pulsov1.SubscribeRequest{Subscribe: &pulsov1.Subscribe{Filters: []string{"#"}}})
	inner = append(inner[:1:1], append([]byte{inner[1] + byte(len(unknown))}, append(inner[2:], unknown...)...)...)
	pub, sub := service+"/Publish", service+"/Subscribe"
	return []badCall{
		{pub, "application/proto", [2]string{}, "\xff\xff\xff\xff"},
		{pub, "application/proto", [2]string{}, string(publish) + string(unknown)},
		{pub, "application/proto", [2]string{}, string(large)},
		{pub, "application/proto", [2]string{"Content-Encoding", "gzip"}, string(bomb)},
		{pub, "application/proto", [2]string{"Content-Encoding", "gzip"}, "not gzip"},
		{pub, "application/proto", [2]string{"Content-Encoding", "lzma"}, string(publish)},
		{pub, "application/proto", [2]string{"Connect-Timeout-Ms", "-1"}, string(publish)},
		{pub, "application/json", [2]string{}, `{"publish":{"topic":"bad","payload":"1"},"extra":1}`},
		{pub, "application/json", [2]string{}, strings.Repeat(`{"publish":`, 100_000)},
		{pub, "application/json", [2]string{}, `{"publish":{"topic":"bad/#","payload":"1"}}`},
		{pub, "application/json", [2]string{}, `{}`},
		{pub, "text/plain", [2]string{}, string(publish)},
		{pub, "application/x-www-form-urlencoded", [2]string{}, "publish=1"},
		{sub, "application/json", [2]string{}, `{"subscribe":{"filters":["#"]}}`},
		{sub, "application/connect+proto", [2]string{}, enveloped(0, []byte("\xff\xff"))},
		{sub, "application/connect+proto", [2]string{}, enveloped(0, inner)},
		{sub, "application/connect+proto", [2]string{"Connect-Content-Encoding", "gzip"}, enveloped(1, bomb)},
		{sub, "application/connect+proto", [2]string{}, "\x00\xff\xff\xff\xff"},
		{sub, "application/connect+proto", [2]string{}, "\x00\x00\x00\x00\xff"},
		{sub, "application/connect+json", [2]string{}, enveloped(0, []byte(`{"subscribe":{"filters":["a/#/b"]}}`))},
		{sub, "application/connect+json", [2]string{}, enveloped(0, []byte(`{"subscribe":{"filters":["a"],"speed":9}}`))},
		{sub, "application/grpc-web+proto", [2]string{}, enveloped(0, []byte("\xff\xff"))},
		{sub, "application/grpc", [2]string{}, enveloped(0, inner)},
		{service + "/Nothing", "application/proto", [2]string{}, string(publish)},
		{service + "/Session", "application/connect+proto", [2]string{}, enveloped(0, nil)}, // over HTTP/1.1
	}
}

// Calls that are none, of all kinds, by all who can make some: no message of them is stored, no subscription begins.
func TestBadCalls(t *testing.T) {
	calls := badCalls(t)
	withstandWithin(t, 128<<20, func(s *siege) {
		clients := make([]*http.Client, 8)
		for i := range clients {
			clients[i] = s.client()
		}
		var n atomic.Int64
		s.flood(len(clients), func(i int) error {
			c := calls[int(n.Add(1))%len(calls)]
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.h.HTTP+c.procedure, strings.NewReader(c.body))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", c.contentType)
			if c.header[0] != "" {
				req.Header.Set(c.header[0], c.header[1])
			}
			resp, err := clients[i].Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			if err != nil {
				return err
			}
			status := resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status")
			told := resp.StatusCode >= 400 || bytes.Contains(answer, []byte(`"error"`)) || bytes.Contains(answer, []byte("grpc-status: ")) ||
				(status != "" && status != "0")
			if !told {
				t.Errorf("%s, %s, %.30q: %s %.100q", c.procedure, c.contentType, c.body, resp.Status, answer)
			}
			return nil
		})
		for _, code := range []string{"bad_proto", "bad_command", "invalid_topic", "invalid_filter"} {
			if s.counted(`pulso_rpc_refused_total{code="`+code+`"}`) == 0 {
				t.Errorf("no %s has been counted", code)
			}
		}
		if n := s.counted("pulso_gateway_sessions"); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

// stream is a client of the service over HTTP/2 with small windows.
func (s *siege) stream() pulsov1connect.StreamServiceClient {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.address())}, Timeout: 5 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		DialContext: dialer.DialContext, Protocols: protocols,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 1 << 20},
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return pulsov1connect.NewStreamServiceClient(&http.Client{Transport: transport}, "http://"+s.h.HTTP, connect.WithGRPC())
}

// 30 streams on one connection that are not read, while much is published: they are closed, and counted, and the one beside
// them on the same connection has everything.
func TestCallsThatAreNotRead(t *testing.T) {
	withstandWithin(t, slowGrowth, func(s *siege) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := s.stream()
		request := func() *connect.Request[pulsov1.SubscribeRequest] {
			return connect.NewRequest(&pulsov1.SubscribeRequest{Subscribe: &pulsov1.Subscribe{Filters: []string{"flood"}, Rate: 1000}})
		}
		const deaf = 15 // together they may hold less than the connection's window
		for range deaf {
			if _, err := c.Subscribe(ctx, request()); err != nil {
				t.Fatal(err)
			}
		}
		other, err := c.Subscribe(ctx, request())
		if err != nil {
			t.Fatal(err)
		}
		var got atomic.Int64
		go func() { // it ends with the context
			for other.Receive() {
				got.Add(int64(len(other.Msg().GetMessage().GetFrame().GetEvents())))
			}
		}()
		hub.Eventually(t, 5*time.Second, "all are subscribed", func() error {
			if n := s.counted("pulso_gateway_sessions"); n != deaf+1 {
				return fmt.Errorf("%d sessions", n)
			}
			return nil
		})
		publisher, payload, published := s.client(), strings.Repeat("x", 64<<10), 0
		closed := `pulso_gateway_sessions_closed_total{code="slow"}`
		for end := time.Now().Add(30 * time.Second); s.counted(closed) < deaf && time.Now().Before(end); published++ {
			if _, _, err := post(publisher, "http://"+s.h.HTTP+"/api/v1/publish?topic=flood", "", payload); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Millisecond) // what makes the flood: 13 MB a second for each
		}
		if n := s.counted(closed); n != deaf {
			t.Errorf("%d of %d have been closed as slow", n, deaf)
		}
		hub.Eventually(t, 10*time.Second, "the other one has everything", func() error {
			if int(got.Load()) != published {
				return fmt.Errorf("%d of %d", got.Load(), published)
			}
			return nil
		})
	})
}

// Frames of HTTP/2 (RFC 9113, 6), by hand.
const (
	frameHeaders, frameReset, frameSettings = 1, 3, 4
	flagEndHeaders                          = 4
	preface                                 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

func h2Frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// callHeaders is the header block of a Session, each field a literal (RFC 7541, 6.2.2).
func callHeaders() []byte {
	var b []byte
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", "localhost"},
		{":path", service + "/Session"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		b = append(b, 0, byte(len(f[0])))
		b = append(b, f[0]...)
		b = append(b, byte(len(f[1])))
		b = append(b, f[1]...)
	}
	return b
}

// Thousands of calls on one connection: there are as many as there may be, and no more.
func TestManyCallsOnAConnection(t *testing.T) {
	withstand(t, func(s *siege) {
		c, err := s.raw(preface + string(h2Frame(frameSettings, 0, 0, nil)))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, c) }() // it ends with the connection
		_ = c.SetWriteDeadline(time.Time{})
		for i := range uint32(240) {
			if _, err := c.Write(h2Frame(frameHeaders, flagEndHeaders, 1+2*i, callHeaders())); err != nil {
				t.Fatal(err)
			}
		}
		hub.Eventually(t, 5*time.Second, "240 calls are sessions", func() error {
			if n := s.counted("pulso_gateway_sessions"); n != 240 {
				return fmt.Errorf("%d sessions", n)
			}
			return nil
		})
		_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		most := 0
		for i := range uint32(5000) {
			if _, err := c.Write(h2Frame(frameHeaders, flagEndHeaders, 481+2*i, callHeaders())); err != nil {
				break // the hub has had enough
			}
			if i%500 == 0 {
				most = max(most, s.counted("pulso_gateway_sessions"))
			}
		}
		if most = max(most, s.counted("pulso_gateway_sessions")); most > 250 {
			t.Errorf("%d sessions on one connection", most)
		}
	})
}

// Calls that are begun and reset at once, as fast as it goes (CVE-2023-44487), on eight connections at a time: no more than 250 of
// each have something done for them at one time, and that is what their memory may be.
func TestRapidReset(t *testing.T) {
	withstandWithin(t, 8*250*80<<10, func(s *siege) {
		var ended atomic.Int64
		s.flood(8, func(int) error {
			c, err := s.raw(preface + string(h2Frame(frameSettings, 0, 0, nil)))
			if err != nil {
				return err
			}
			defer c.Close()
			go func() { _, _ = io.Copy(io.Discard, c) }() // it ends with the connection
			_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
			for i := uint32(1); !s.over(); i += 2 {
				both := append(h2Frame(frameHeaders, flagEndHeaders, i, callHeaders()), h2Frame(frameReset, 0, i, []byte{0, 0, 0, 8})...)
				if _, err := c.Write(both); err != nil {
					ended.Add(1)
					return nil // the hub has had enough: that is what it should have
				}
			}
			return nil
		})
		t.Logf("%d connections were ended, after %d calls that became sessions", ended.Load(),
			s.counted(`pulso_gateway_sessions_opened_total{transport="rpc"}`))
		hub.Eventually(t, 10*time.Second, "all sessions are gone", func() error {
			if n := s.counted("pulso_gateway_sessions"); n != 0 {
				return fmt.Errorf("%d sessions", n)
			}
			return nil
		})
	})
}

// 500 calls whose request never comes: they are gone after the time that any request has.
func TestHalfOpenCalls(t *testing.T) {
	withstand(t, func(s *siege) {
		var held []net.Conn
		for i := range 500 {
			c, err := s.raw(fmt.Sprintf("POST %s/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/%s\r\nContent-Length: 1000\r\n\r\n\x00",
				service, []string{"Publish", "Subscribe"}[i%2], []string{"proto", "connect+proto"}[i%2]))
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		deadline := time.Now().Add(13 * time.Second)
		left := 0
		for _, c := range held {
			_ = c.SetReadDeadline(deadline)
			if _, err := io.Copy(io.Discard, c); isTimeout(err) {
				left++
			}
		}
		if left > 0 {
			t.Errorf("%d of 500 are there after 13 s", left)
		}
	}, hub.Flags("--connect-rate-per-address", "5000"))
}

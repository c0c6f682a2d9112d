package attack

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pulso/test/internal/hub"
)

// counted is what the hub has counted under a metric's name with its labels, as it stands in the exposition.
func (s *siege) counted(metric string) int {
	s.t.Helper()
	resp, err := http.Get("http://" + s.h.HTTP + "/metrics")
	if err != nil {
		s.t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), metric+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				s.t.Error(err)
			}
			return int(n)
		}
	}
	return 0
}

// client is an HTTP client from an address of its own, with connections that are kept.
func (s *siege) client() *http.Client {
	from := &net.TCPAddr{IP: net.ParseIP(s.address())}
	dialer := net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// raw connects and writes a request by hand. The connection is closed when the test is over.
func (s *siege) raw(request string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.address())}, Timeout: 5 * time.Second}
	c, err := dialer.DialContext(s.t.Context(), "tcp", s.h.HTTP)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	_, err = io.WriteString(c, request)
	return c, err
}

// get is a request for a stream, by hand.
func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }

// post posts a body and returns the status, and the answer up to a bound.
func post(c *http.Client, url, token, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Pulso-Session", token)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(answer), err
}

// session begins a session over SSE, whose stream is read and forgotten, and returns its token.
func (s *siege) session() (string, error) {
	c, err := s.raw(get("/sse"))
	if err != nil {
		return "", err
	}
	lines := bufio.NewReader(c)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		if _, rest, found := strings.Cut(line, `data: {"session":"`); found {
			_ = c.SetReadDeadline(time.Time{})
			go func() { _, _ = io.Copy(io.Discard, lines) }() // it ends with the connection
			return rest[:22], nil
		}
	}
}

// Subscriptions that are none, by SSE, by commands and by polls: each is refused with its reason.
func TestBadSubscriptions(t *testing.T) {
	withstand(t, func(s *siege) {
		foreign, future := "1son4ke.5", "zzzzzzz.18446744073709551615"
		queries := []string{
			"filter=a/%23/b", "filter=" + strings.Repeat("a%2F", 500) + "%2B%23", strings.Repeat("filter=a&", 1500), "filter=a&from=yesterday",
			"filter=a&from=-1.-1", "filter=a&rate=1e400", "filter=a&rate=NaN", "filter=a&history=99999999999999999999", "filter=a&unknown=1", "form=dances",
			"filter=a&from=%00", "filter=%ff%fe", "filter=a&name=" + strings.Repeat("n", 4000),
		}
		lists := []string{
			fmt.Sprintf(`{"id":1,"subscribe":{"filters":[%s"x"]}}`, strings.Repeat(`"a/b/c",`, 20_000)),
			fmt.Sprintf(`{"id":1,"subscribe":{"filters":[%q]}}`, strings.Repeat("+/", 200_000)+"#"),
			fmt.Sprintf(`{"id":1,"subscribe":{"filters":["a"],"devices":[%s"x"]}}`, strings.Repeat(`"d",`, 50_000)),
			`{"id":1,"subscribe":{"filters":["a"],"speed":9}}`, `{"id":1,"subscribe":{"filters":["a"],"from":"x.y.z"}}`,
			strings.Repeat(`{"id":1,`, 50_000), strings.Repeat("[", 500_000), "\xff\xfe",
		}
		clients := make([]*http.Client, 8)
		for i := range clients {
			clients[i] = s.client()
		}
		var n atomic.Int64
		s.flood(len(clients), func(i int) error {
			k := int(n.Add(1))
			switch k % 3 {
			case 0:
				resp, err := clients[i].Get("http://" + s.h.HTTP + "/sse?" + queries[k/3%len(queries)])
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if resp.StatusCode < 400 {
					t.Errorf("%.60s: %s", queries[k/3%len(queries)], resp.Status)
				}
			case 1:
				_, answer, err := post(clients[i], "http://"+s.h.HTTP+"/api/v1/poll", "", `{"n":1,"wait":0,"commands":[`+lists[k/3%len(lists)]+`]}`)
				if strings.Contains(answer, `"subscribed"`) {
					t.Errorf("%.60s: %.100s", lists[k/3%len(lists)], answer)
				}
				return err
			default: // positions of another log, and of the future, are told so
				from := []string{foreign, future}[k/3%2]
				body := fmt.Sprintf(`{"n":1,"wait":1000,"commands":[{"id":1,"subscribe":{"filters":["a"],"from":%q}}]}`, from)
				status, answer, err := post(clients[i], "http://"+s.h.HTTP+"/api/v1/poll", "", body)
				told := strings.Contains(answer, `"recovered":false,"reason":"insufficient_state"`) || strings.Contains(answer, "invalid_position")
				if err == nil && status == http.StatusOK && !told {
					t.Errorf("from %s: %.200s", from, answer)
				}
				return err
			}
			return nil
		})
		for _, code := range []string{"invalid_filter", "bad_command", "invalid_position"} {
			if s.counted(`pulso_sse_refused_total{code="`+code+`"}`) == 0 {
				t.Errorf("no %s has been counted", code)
			}
		}
	}, hub.Flags("--max-sessions", "2000"))
}

// Commands and publishes of a megabyte and more, on every way that takes them.
func TestLargeCommands(t *testing.T) {
	withstandWithin(t, 192<<20, func(s *siege) {
		clients := make([]*http.Client, 8)
		tokens := make([]string, len(clients))
		for i := range clients {
			clients[i] = s.client()
			var err error
			if tokens[i], err = s.session(); err != nil {
				t.Fatal(err)
			}
		}
		large := strings.Repeat("x", 1<<20)
		ways := []struct{ path, body string }{
			{"/api/v1/session", `{"id":1,"ping":{"x":"` + large + `"}}`},
			{"/api/v1/session", strings.Repeat(" ", 1<<20-20) + `{"id":1,"ping":{}}`},
			{"/api/v1/session", `{"id":1,"hello":{"name":"` + large[:1<<20-100] + `"}}`},
			{"/api/v1/publish?topic=large", large + "x"},
			{"/api/v1/poll", `{"n":1,"wait":0,"commands":["` + large + `"]}`},
			{"/api/v1/poll", `{"n":1,"wait":0,"commands":[{"id":1,"hello":{"name":"` + large + large + `"}}]}`},
		}
		var n atomic.Int64
		s.flood(len(clients), func(i int) error {
			way, token := ways[int(n.Add(1))%len(ways)], ""
			if strings.HasSuffix(way.path, "session") {
				token = tokens[i]
			}
			_, _, err := post(clients[i], "http://"+s.h.HTTP+way.path, token, way.body)
			return err
		})
		for _, part := range []string{"sse", "web_publishes", "poll"} {
			if s.counted("pulso_"+part+`_refused_total{code="too_large"}`) == 0 {
				t.Errorf("%s has counted nothing", part)
			}
		}
	}, hub.Flags("--max-sessions", "500"))
}

// 30 streams that are never read, and 10 that are read a byte a second, while much is published: they are closed, and counted.
func TestStreamsThatAreNotRead(t *testing.T) {
	withstandWithin(t, slowGrowth, func(s *siege) {
		for i := range 40 {
			c, err := s.raw(get("/sse?filter=%23&rate=1000"))
			if err != nil {
				t.Fatal(err)
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(4 << 10)
			}
			if i >= 30 {
				go func() {
					for one := make([]byte, 1); ; time.Sleep(time.Second) { // what makes the attack
						if _, err := c.Read(one); err != nil {
							return
						}
					}
				}()
			}
		}
		publisher := s.client()
		payload := strings.Repeat("x", 64<<10)
		closed := `pulso_gateway_sessions_closed_total{code="slow"}`
		for end := time.Now().Add(30 * time.Second); s.counted(closed) < 40 && time.Now().Before(end); {
			if _, _, err := post(publisher, "http://"+s.h.HTTP+"/api/v1/publish?topic=flood", "", payload); err != nil {
				t.Error(err)
			}
		}
		if n := s.counted(closed); n != 40 {
			t.Errorf("%d of 40 have been closed as slow", n)
		}
	})
}

// Tokens of sessions are guessed, and sessions begun by the thousand: no token is found, and there are as many sessions as
// there may be.
func TestSessionFloods(t *testing.T) {
	withstand(t, func(s *siege) {
		token, err := s.session()
		if err != nil {
			t.Fatal(err)
		}
		clients := make([]*http.Client, 8)
		for i := range clients {
			clients[i] = s.client()
		}
		var n atomic.Int64
		s.flood(len(clients), func(i int) error {
			k := n.Add(1)
			path := []string{"/api/v1/session", "/api/v1/poll"}[k%2]
			guess := token[:16] + fmt.Sprintf("%06d", k%1_000_000)
			status, _, err := post(clients[i], "http://"+s.h.HTTP+path, guess, `{"n":1,"wait":0,"commands":[{"id":1,"ping":{}}]}`)
			if err == nil && status != http.StatusNotFound {
				t.Errorf("a guess is answered with %d", status)
			}
			return err
		})
		if s.counted(`pulso_sse_refused_total{code="lost"}`) == 0 || s.counted(`pulso_poll_refused_total{code="lost"}`) == 0 {
			t.Error("guesses have not been counted")
		}
		s.end = time.Now().Add(duration)
		s.flood(len(clients), func(i int) error {
			status, answer, err := post(clients[i], "http://"+s.h.HTTP+"/api/v1/poll", "", `{"n":1,"wait":0}`)
			if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
				t.Errorf("a poll is answered with %d %.100s", status, answer)
			}
			return err
		})
		if sessions := s.counted("pulso_gateway_sessions"); sessions != 300 {
			t.Errorf("%d sessions, of 300 that there may be", sessions)
		}
		if s.counted(`pulso_gateway_sessions_refused_total{reason="sessions"}`) == 0 {
			t.Error("refused sessions have not been counted")
		}
		if status, _, err := post(clients[0], "http://"+s.h.HTTP+"/api/v1/session", token, `{"id":1,"ping":{}}`); err != nil || status != http.StatusAccepted {
			t.Errorf("who was there before: %d, %v", status, err)
		}
	}, hub.Flags("--max-sessions", "300"))
}

// One session is polled by many at once, with numbers that fit and others.
func TestPollFlood(t *testing.T) {
	withstand(t, func(s *siege) {
		first := s.client()
		_, answer, err := post(first, "http://"+s.h.HTTP+"/api/v1/poll", "", `{"n":1,"wait":0}`)
		var begun struct {
			Session string `json:"session"`
		}
		if err != nil || json.Unmarshal([]byte(answer), &begun) != nil {
			t.Fatalf("%s, %v", answer, err)
		}
		clients := make([]*http.Client, 16)
		for i := range clients {
			clients[i] = s.client()
		}
		commands := strings.Repeat(`{"id":1,"ping":{}},`, 63) + `{"id":1,"ping":{}}`
		var n atomic.Int64
		n.Store(1)
		s.flood(len(clients), func(i int) error {
			number := n.Load()
			if i%4 == 0 {
				number = n.Add(1)
			}
			body := fmt.Sprintf(`{"n":%d,"wait":%d,"commands":[%s]}`, number, i*10, commands)
			status, _, err := post(clients[i], "http://"+s.h.HTTP+"/api/v1/poll", begun.Session, body)
			if err == nil && status >= http.StatusInternalServerError {
				t.Errorf("poll %d: status %d", number, status)
			}
			return err
		})
		if sessions := s.counted("pulso_gateway_sessions"); sessions != 1 {
			t.Errorf("%d sessions", sessions)
		}
	})
}

// 2,000 requests for streams that are never complete, and as many bodies that are announced and do not come.
func TestHalfOpenRequests(t *testing.T) {
	withstand(t, func(s *siege) {
		var held []net.Conn
		for i := range 2000 {
			c, err := s.raw([]string{
				"GET /sse?filter=a HTTP/1.1\r\nHost: localhost\r\nX: ",
				"POST /api/v1/publish?topic=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{",
				"POST /api/v1/poll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{",
			}[i%3])
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
			t.Errorf("%d of 2,000 are there after 13 s", left)
		}
		if n := s.counted("pulso_gateway_sessions"); n != 0 {
			t.Errorf("%d sessions", n)
		}
	}, hub.Flags("--connect-rate-per-address", "5000"))
}

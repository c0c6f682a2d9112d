package examples

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/test/internal/hub"
)

// A publisher puts numbered messages into the log, each once.
type publisher struct {
	t    *testing.T
	conn *websocket.Conn
	next int
}

func dial(t *testing.T, h *hub.Hub) *publisher {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.Dial("ws://"+h.HTTP+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { conn.Close() })
	return &publisher{t: t, conn: conn}
}

// publish puts n messages into the log, one after the other.
func (p *publisher) publish(n int) {
	p.t.Helper()
	for range n {
		command := fmt.Sprintf(`{"id":1,"publish":{"topic":"counted/%d","payload":%d,"qos":1}}`, p.next%7, p.next)
		if err := p.conn.WriteMessage(websocket.TextMessage, []byte(command)); err != nil {
			p.t.Fatal(err)
		}
		if _, reply, err := p.conn.ReadMessage(); err != nil || !strings.Contains(string(reply), "published") {
			p.t.Fatalf("%s: %v", reply, err)
		}
		p.next++
	}
}

// last is the line that a client prints for the newest message, and all that it prints for them all.
func (p *publisher) last() string { return p.line(p.next - 1) }

func (p *publisher) line(n int) string { return fmt.Sprintf("counted/%d %d", n%7, n) }

func (p *publisher) all() (lines []string) {
	for n := range p.next {
		lines = append(lines, p.line(n))
	}
	return lines
}

// TestNothingIsMissedAndNothingComesTwice cuts the client's connection while messages arrive, keeps it away while others do, and
// kills the hub.
func TestNothingIsMissedAndNothingComesTwice(t *testing.T) {
	t.Parallel()
	for _, example := range programs() {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			h := hub.Start(t)
			r := newRelay(t, h.HTTP)
			greeting := "examples/" + example.name + ` {"hello":"hub"}`
			c := example.run(t, r.addr, "#")
			hub.Eventually(t, patience, "the client hears itself", func() error {
				if said := strings.ReplaceAll(c.stdout.String(), ": ", ":"); said != greeting+"\n" {
					return fmt.Errorf("it printed %q", said)
				}
				return nil
			})
			p := dial(t, h)
			for range 3 {
				p.publish(20)
				r.set(false)
				p.publish(20)
				c.await(p.last())
			}
			r.set(true)
			p.publish(100)
			r.set(false)
			p.publish(10)
			c.await(p.last())
			p.publish(50)
			h.Kill()
			h.Again()
			again := dial(t, h)
			again.next = p.next
			again.publish(50)
			c.await(again.last())
			got := strings.Split(strings.TrimSpace(c.stdout.String()), "\n")[1:]
			if want := again.all(); !slices.Equal(got, want) {
				t.Errorf("the client printed\n%q\nwant\n%q", got, want)
			}
			if said := c.stderr.String(); strings.Contains(said, "gap") || strings.Contains(said, "error") {
				t.Error("the client tells of a gap or an error")
			}
		})
	}
}

// A subscribe is what the script below reads of one.
type subscribe struct {
	Subscribe struct {
		From string `json:"from"`
	} `json:"subscribe"`
}

// TestGapsAreToldAndCloseCodesHonoured has a server that follows a script: a gap, a code to come back after, a log that is another
// one, and a code not to come back after.
func TestGapsAreToldAndCloseCodesHonoured(t *testing.T) {
	t.Parallel()
	scripts := [][]string{
		{
			`{"id":1,"subscribed":{"room":7,"position":"k3f.10","recovered":true}}`,
			`{"room":7,"position":"k3f.11","events":[{"topic":"a","time":1,"payload_text":"one","error":"no decoder understands it"}]}`,
			`{"room":7,"gap":{"from":"k3f.11","to":"k3f.20","events":9,"reason":"retention"}}`,
		},
		{`{"id":1,"error":{"code":"unavailable","message":"soon","retry":true}}`},
		{
			`{"id":1,"subscribed":{"room":7,"position":"zz.5","recovered":false,"reason":"insufficient_state"}}`,
			`{"room":7,"position":"zz.6","events":[{"topic":"b","time":1,"payload_base64":"/w=="}]}`,
		},
	}
	codes := []int{4000, 4001, 4501}
	from := []string{"", "k3f.20", "k3f.20"}
	for _, example := range programs() {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			visits := make(chan string, 10)
			upgrader := websocket.Upgrader{Subprotocols: []string{"pulso.v1.json"}}
			visit := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					return
				}
				defer conn.Close()
				var first subscribe
				if err := conn.ReadJSON(&first); err != nil {
					return
				}
				visits <- first.Subscribe.From
				for _, message := range scripts[visit] {
					_ = conn.WriteMessage(websocket.TextMessage, []byte(message))
				}
				_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(codes[visit], ""))
				visit++
				_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
				for err == nil {
					_, _, err = conn.NextReader()
				}
			}))
			defer server.Close()
			c := example.run(t, server.Listener.Addr().String(), "#")
			if status := c.ended(); status != 1 {
				t.Errorf("the client ended with %d", status)
			}
			close(visits)
			var got []string
			for f := range visits {
				got = append(got, f)
			}
			if !slices.Equal(got, from) {
				t.Errorf("the client came with %q, want %q", got, from)
			}
			if said := strings.ReplaceAll(c.stdout.String(), `"`, ""); said != "a one\nb /w==\n" {
				t.Errorf("the client printed %q", said)
			}
			if said := c.stderr.String(); strings.Count(said, "gap:") != 2 || !strings.Contains(said, "retention") || !strings.Contains(said, "soon") {
				t.Errorf("the client said\n%s", said)
			}
		})
	}
}

// TestFirstLinesOfTheProtocolPage runs what docs/PROTOCOL.md lets its reader paste into a browser's console.
func TestFirstLinesOfTheProtocolPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(at(t, "../docs/PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```js\n")
	lines, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the page has no lines in JavaScript")
	}
	h := hub.Start(t)
	r := newRelay(t, h.HTTP)
	script := filepath.Join(t.TempDir(), "page.mjs")
	if err := os.WriteFile(script, fmt.Appendf(nil, "globalThis.location = { origin: 'http://%s' }\n%s", r.addr, lines), 0o600); err != nil {
		t.Fatal(err)
	}
	pasted := program{"page", func(t *testing.T, _, _ string) []string {
		t.Helper()
		command := javascript(t, "", "")
		return append(command[:len(command)-3], script)
	}}
	c := pasted.run(t, "", "")
	p := dial(t, h)
	hub.Eventually(t, patience, "the page's lines are connected", func() error {
		p.publish(1)
		if c.stdout.String() == "" {
			return errors.New("they print nothing")
		}
		return nil
	})
	p.publish(10)
	r.set(false)
	p.publish(10)
	c.await(p.last())
	got, all := strings.Split(strings.TrimSpace(c.stdout.String()), "\n"), p.all()
	if !slices.Equal(got, all[max(0, len(all)-len(got)):]) {
		t.Errorf("the page's lines printed\n%q", got)
	}
}

package app

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/access/gate"
	"pulso/bridge/gateway/rpc"
	"pulso/test/conformance/wire"
)

// Pages of hostile origins get nothing, whatever the transport, although the browser brings a session that is good.
func TestHostileOrigins(t *testing.T) {
	g := runGuarded(t)
	b := g.browser()
	b.login("root", personPassword, "/")
	host, port, err := net.SplitHostPort(g.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	hostile := []string{
		"null", "http://evil.example", "http://" + host + ":1", "http://" + host, "http://localhost:" + port, "http://[::1]:" + port,
		"http://" + g.HTTPAddr() + ".evil.example", "http://evil.example:" + port, "http://" + host + ".:" + port,
		"http://evil.example/#" + g.HTTPAddr(), "http://evil.example?" + g.HTTPAddr(), "http://xn--127-0-0-1.example:" + port,
		"http:\\\\" + g.HTTPAddr(), "http://" + host + ":" + port + "0", "http://",
	}
	// No browser sends these, and forms are judged by what browsers send.
	impossible := []string{"http://root@" + g.HTTPAddr(), "http://" + g.HTTPAddr() + "/", "file://" + g.HTTPAddr()}
	for i, origin := range slices.Concat(hostile, impossible) {
		for _, request := range [][2]string{
			{http.MethodGet, "/sse?filter=%23"},
			{http.MethodPost, "/api/v1/poll"},
			{http.MethodPost, "/api/v1/session"},
			{http.MethodPost, rpc.Path + "Subscribe"},
			{http.MethodGet, "/api/v1/devices"},
			{http.MethodPost, "/api/v1/publish?topic=a"},
			{http.MethodPost, "/contracts/keep"},
			{http.MethodPost, "/account/revoke"},
			{http.MethodPost, "/logout"},
		} {
			form := strings.HasPrefix(request[1], "/contracts") || strings.HasPrefix(request[1], "/account") || request[1] == "/logout"
			if form && i >= len(hostile) {
				continue
			}
			p := b.do(request[0], request[1], "id=ben", "Origin", origin)
			if p.status != http.StatusForbidden || p.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s from %q: %d", request[0], request[1], origin, p.status)
			}
		}
		for _, path := range []string{"/ws", "/ws/past"} {
			c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+g.HTTPAddr()+path,
				http.Header{"Origin": {origin}, "Cookie": {"pulso_session=" + b.cookie()}})
			if err == nil {
				_ = c.Close()
			}
			if resp == nil {
				t.Fatalf("%s from %q: %v", path, origin, err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s from %q: %s", path, origin, resp.Status)
			}
		}
	}
	if b.do(http.MethodGet, "/api/v1/devices", "").status != http.StatusOK {
		t.Error("a page of another origin has done something")
	}
}

// Headers, cookies and lines that are too large are refused on every route, and cost nobody else anything.
func TestOversizedHeaders(t *testing.T) {
	g := runGuarded(t)
	cookies := strings.Repeat("pulso_session=x; ", 900)
	for name, head := range map[string]string{
		"one header":     "X: " + strings.Repeat("x", 1<<20) + "\r\n",
		"a bearer":       "Authorization: Bearer " + strings.Repeat("x", 64<<10) + "\r\n",
		"a cookie":       "Cookie: pulso_session=" + strings.Repeat("x", 64<<10) + "\r\n",
		"many headers":   strings.Repeat("X: y\r\n", 20_000),
		"many cookies":   strings.Repeat("Cookie: a=b\r\n", 5_000),
		"small cookies":  "Cookie: " + cookies + "\r\n",
		"a long token":   "Authorization: Bearer " + strings.Repeat("x", 12<<10) + "\r\n",
		"a foreign form": "Authorization: Bearer ey" + strings.Repeat("x.", 6<<10) + "\r\n",
	} {
		for _, path := range []string{"/ws", "/sse", "/api/v1/poll", rpc.Path, "/api/v1/devices", "/account", "/login", "/contracts", "/metrics", "/"} {
			c, err := net.Dial("tcp", g.HTTPAddr())
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			go func() { _, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: "+g.HTTPAddr()+"\r\n"+head+"\r\n") }()
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				if resp.StatusCode < 300 && path != "/login" {
					t.Errorf("%s on %s: %d", name, path, resp.StatusCode)
				}
				_ = resp.Body.Close()
			} // else the connection was cut while it was still sending
			_ = c.Close()
		}
	}
	if status := g.ask(http.MethodGet, "/api/v1/devices", g.tokens["root"]); status != http.StatusOK {
		t.Errorf("the others: %d", status)
	}
}

// Secrets, wherever they were sent, are in no log, metric, answer, event or file.
func TestSecretsAreNowhere(t *testing.T) {
	log := &lockedBuffer{}
	g := runGuardedLogging(t, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	const guess = "canary-password-that-was-mistyped"
	b := g.browser()
	b.login("root", guess, "/")
	b.login(guess, personPassword, "/")
	if p := b.login("root", personPassword, "/devices?x="+guess[:6]); p.status != http.StatusSeeOther {
		t.Fatalf("login: %d", p.status)
	}
	secrets := map[string]string{
		"guess": guess, "password": personPassword, "token": g.tokens["root"], "its secret": g.tokens["root"][strings.LastIndexByte(g.tokens["root"], '.')+1:],
		"device": g.secret, "session": b.cookie(),
	}
	var told strings.Builder
	tell := func(method, path string, header ...string) {
		req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := b.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		header2 := resp.Header.Clone()
		header2.Del("Set-Cookie") // which is where a session's token belongs
		_, _ = fmt.Fprintln(&told, method, resp.Status, header2, string(body))
	}
	for _, secret := range secrets {
		q := url.QueryEscape(secret)
		for _, path := range []string{"/api/v1/devices", "/api/v1/audit", "/account", "/contracts", "/metrics", "/login", "/readyz", "/api/v1/publish"} {
			tell(http.MethodGet, path, "Referer", g.url+"/?token="+q)
			tell(http.MethodGet, path, "Authorization", "Bearer "+secret)
			tell(http.MethodPost, path, "Authorization", "Basic "+secret, "X-Api-Key", secret)
			tell(http.MethodGet, path, "User-Agent", secret, "Accept-Language", secret)
		}
		_, answer := g.hello(secret)
		told.WriteString(answer)
		refused := wire.Dial(t, g.MQTTAddr())
		refused.Send(&wire.Connect{ClientID: "c", User: new("plug"), Password: new(secret + "x")})
		refused.ExpectCode(wire.CONNACK, 0x86)
	}
	ok := wire.Open(t, g.MQTTAddr(), &wire.Connect{ClientID: "plug", User: new("plug"), Password: &g.secret})
	ok.Publish(&wire.Publish{Topic: "plug/x", QoS: 1, Payload: "1"})
	for _, path := range []string{"/metrics", "/api/v1/audit?format=jsonl", "/account", "/api/v1/export?what=events", "/api/v1/devices", "/asyncapi.json"} {
		told.WriteString(g.read("root", path))
	}
	for name, secret := range secrets {
		for where, text := range map[string]string{"the log": log.String(), "an answer": told.String()} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s: %s has it: …%s…", name, where, text[max(0, at-200):min(len(text), at+20)])
			}
		}
		err := filepath.WalkDir(filepath.Dir(g.path), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(text), secret) {
				t.Errorf("%s: the file %s has it", name, path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(log.String(), "a login was refused") || !strings.Contains(told.String(), "pulso_access_accounts") {
		t.Error("nothing was said, so this proves nothing")
	}
}

// What is below assets/ is all that is served without an account, however a path is written.
func TestPathsThatClimb(t *testing.T) {
	g := runGuarded(t)
	for _, path := range []string{
		"/assets/../api/v1/devices", "/assets/..%2fapi/v1/devices", "/assets/%2e%2e/account", "/assets/..%5c..%5caccess.json", "//api/v1/devices",
		"/assets/../../../../etc/passwd", "/assets/....//access.json", "/./api/v1/audit", "/api//v1/devices", "/assets/%00", "/access.json",
	} {
		c, err := net.Dial("tcp", g.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: "+g.HTTPAddr()+"\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		_ = c.Close()
		if resp.StatusCode == http.StatusOK || strings.Contains(string(body), "hash") || strings.Contains(string(body), "root:") {
			t.Errorf("%s: %d %.100s", path, resp.StatusCode, body)
		}
	}
	if got := g.ask(http.MethodGet, gate.StylePath, ""); got != http.StatusOK {
		t.Errorf("the style: %d", got)
	}
}

package dashboard

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func testFiles() fs.FS {
	return fstest.MapFS{
		"index.html":          {Data: []byte("<!doctype html>page")},
		"index.html.gz":       {Data: []byte("gz page")},
		"index.html.br":       {Data: []byte("br page")},
		"assets/app-1a2b.js":  {Data: []byte("plain script")},
		"assets/icon-9f.svg":  {Data: []byte("<svg/>")},
		"assets/app-1a2b.css": {Data: []byte("a{}")},
	}
}

// answer is what a response said.
type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, handler http.Handler, method, target string, header http.Header) answer {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)

	return answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	handler := newHandler(testFiles())
	for target, want := range map[string]struct {
		status int
		cache  string
	}{
		"/":                        {http.StatusOK, "no-cache"},
		"/index.html":              {http.StatusOK, "no-cache"},
		"/devices":                 {http.StatusOK, "no-cache"},
		"/devices/a.b%2Fc?tab=x":   {http.StatusOK, "no-cache"},
		"/topics?path=a/b":         {http.StatusOK, "no-cache"},
		"/connect":                 {http.StatusOK, "no-cache"},
		"/assets/app-1a2b.js":      {http.StatusOK, "public, max-age=31536000, immutable"},
		"/assets/gone-0000.js":     {http.StatusNotFound, ""},
		"/assets/":                 {http.StatusNotFound, ""},
		"/assets/../../embed.go":   {http.StatusNotFound, ""},
		"/index.html.gz":           {http.StatusNotFound, ""},
		"/favicon.ico":             {http.StatusNotFound, ""},
		"/nothing":                 {http.StatusNotFound, ""},
		"/devices/../assets/x.css": {http.StatusNotFound, ""},
	} {
		response := ask(t, handler, http.MethodGet, target, nil)
		if response.status != want.status || response.header.Get("Cache-Control") != want.cache {
			t.Errorf("GET %s: %d, Cache-Control %q; want %d, %q",
				target, response.status, response.header.Get("Cache-Control"), want.status, want.cache)
		}
		if response.header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(response.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("GET %s: security headers are missing: %v", target, response.header)
		}
	}
}

func TestOnlyReading(t *testing.T) {
	t.Parallel()
	handler := newHandler(testFiles())
	response := ask(t, handler, http.MethodPost, "/", nil)
	if response.status != http.StatusMethodNotAllowed || response.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", response.status, response.header.Get("Allow"))
	}
	response = ask(t, handler, http.MethodHead, "/", nil)
	if response.status != http.StatusOK || response.header.Get("Content-Length") != "19" || response.body != "" {
		t.Errorf("HEAD: %d, length %q", response.status, response.header.Get("Content-Length"))
	}
}

func TestEncoding(t *testing.T) {
	t.Parallel()
	handler := newHandler(testFiles())
	for accept, want := range map[string]struct{ encoding, body string }{
		"":                       {"", "<!doctype html>page"},
		"gzip, deflate, br":      {"br", "br page"},
		"gzip":                   {"gzip", "gz page"},
		"GZIP;q=0.5, br;q=0":     {"gzip", "gz page"},
		"*":                      {"br", "br page"},
		"*;q=0":                  {"", "<!doctype html>page"},
		"br;q=nonsense":          {"", "<!doctype html>page"},
		"identity, zstd":         {"", "<!doctype html>page"},
		"br ; q = 0, * ; q = .1": {"gzip", "gz page"},
	} {
		response := ask(t, handler, http.MethodGet, "/", http.Header{"Accept-Encoding": {accept}, "Range": {"bytes=0-1"}})
		if want.encoding == "" {
			response = ask(t, handler, http.MethodGet, "/", http.Header{"Accept-Encoding": {accept}})
		}
		got := response.body
		if response.header.Get("Content-Encoding") != want.encoding || got != want.body {
			t.Errorf("Accept-Encoding %q: %q, %q; want %q, %q",
				accept, response.header.Get("Content-Encoding"), got, want.encoding, want.body)
		}
		if response.header.Get("Vary") != "Accept-Encoding" || response.status != http.StatusOK {
			t.Errorf("Accept-Encoding %q: %d, Vary %q", accept, response.status, response.header.Get("Vary"))
		}
	}
}

func TestRevalidation(t *testing.T) {
	t.Parallel()
	handler := newHandler(testFiles())
	plain := ask(t, handler, http.MethodGet, "/", nil).header.Get("ETag")
	packed := ask(t, handler, http.MethodGet, "/", http.Header{"Accept-Encoding": {"br"}}).header.Get("ETag")
	if plain == "" || plain == packed {
		t.Fatalf("tags: plain %s, packed %s", plain, packed)
	}
	response := ask(t, handler, http.MethodGet, "/", http.Header{"Accept-Encoding": {"br"}, "If-None-Match": {packed}})
	if response.status != http.StatusNotModified || response.body != "" {
		t.Errorf("the same tag: %d", response.status)
	}
	response = ask(t, handler, http.MethodGet, "/", http.Header{"Accept-Encoding": {"br"}, "If-None-Match": {plain}})
	if response.status != http.StatusOK {
		t.Errorf("the tag of another encoding: %d", response.status)
	}
}

func TestMissingBuild(t *testing.T) {
	t.Parallel()
	response := ask(t, newHandler(fstest.MapFS{}), http.MethodGet, "/", nil)
	if response.status != http.StatusServiceUnavailable {
		t.Errorf("without index.html: %d", response.status)
	}
}

// TestBuild holds what is committed to what the policy and the handler promise.
func TestBuild(t *testing.T) {
	t.Parallel()
	handler := Handler()
	page := ask(t, handler, http.MethodGet, "/", nil).body
	if regexp.MustCompile(`<style|<script>|\son\w+=|\sstyle=|https?://`).MatchString(page) {
		t.Errorf("the page has something inline or from elsewhere:\n%s", page)
	}
	linked := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(linked) < 3 {
		t.Fatalf("the page links %d assets, want script, style and icon", len(linked))
	}
	for _, match := range linked {
		response := ask(t, handler, http.MethodGet, match[1], nil)
		if response.status != http.StatusOK || strings.HasPrefix(response.header.Get("Content-Type"), "application/octet") {
			t.Errorf("GET %s: %d %s", match[1], response.status, response.header.Get("Content-Type"))
		}
	}
	err := fs.WalkDir(dist, "dist", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".gz" {
			return err
		}
		checkPacked(t, name)

		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkPacked fails when a compressed file is not what stands beside it.
func checkPacked(t *testing.T, name string) {
	t.Helper()
	packed, err := dist.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := dist.ReadFile(strings.TrimSuffix(name, ".gz"))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(unpacked, plain) {
		t.Errorf("%s is not the compressed form of the file beside it (%v)", name, err)
	}
}

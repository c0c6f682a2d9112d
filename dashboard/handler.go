package dashboard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	index       = "index.html"
	assets      = "assets/"
	contentType = "Content-Type"

	// policy lets the page load from its own origin alone and talk to its own hub, with nothing inline; nobody may frame it.
	policy = "default-src 'self'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; form-action 'self'; " +
		"frame-ancestors 'none'"
)

// routes are the first levels of the paths that the application shows a screen for; src/core/router.ts knows the same.
var routes = []string{"", "devices", "topics", "boards", "query", "alerts", "errors", "connect", "settings"}

// encodings by preference: the suffix of a file and its name in HTTP.
var encodings = []struct{ suffix, name string }{{".br", "br"}, {".gz", "gzip"}}

// variant is one form of a file, ready to be sent.
type variant struct {
	encoding string // "" is the file itself
	etag     string
	data     []byte
}

// file is what one path answers with: its variants by preference, the plain one last.
type file struct {
	contentType string
	cache       string
	variants    []variant
}

// Handler returns the handler of the dashboard. It answers GET and HEAD for the application's routes and for its assets, and
// 404 for everything else. It may be used concurrently.
func Handler() http.Handler {
	root, err := fs.Sub(dist, "dist")
	if err != nil { // The name is a constant and valid.
		return unavailable(err)
	}

	return newHandler(root)
}

// newHandler reads all of root, once.
func newHandler(root fs.FS) http.Handler {
	files, err := load(root)
	if err != nil {
		return unavailable(err)
	}
	if _, ok := files[index]; !ok {
		return unavailable(fmt.Errorf("open %s: %w", index, fs.ErrNotExist))
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, files) })
}

func serve(w http.ResponseWriter, r *http.Request, files map[string]file) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)

		return
	}
	found, ok := files[name(r.URL.Path)]
	if !ok {
		http.NotFound(w, r)

		return
	}

	chosen := choose(found.variants, r.Header.Values("Accept-Encoding"))
	header.Set(contentType, found.contentType)
	header.Set("Cache-Control", found.cache)
	header.Set("ETag", chosen.etag)
	header.Add("Vary", "Accept-Encoding")
	if chosen.encoding != "" {
		header.Set("Content-Encoding", chosen.encoding)
		// A range would be one of the compressed bytes; ServeContent omits the length of encoded content.
		r.Header.Del("Range")
		header.Set("Content-Length", strconv.Itoa(len(chosen.data)))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(chosen.data))
}

// name is the file that answers for a path: the asset itself, or the application for the routes that it shows.
func name(urlPath string) string {
	clean := strings.TrimPrefix(path.Clean("/"+urlPath), "/")
	first, _, _ := strings.Cut(clean, "/")
	if slices.Contains(routes, first) {
		return index
	}

	return clean
}

// load reads the files of root with their compressed forms.
func load(root fs.FS) (map[string]file, error) {
	files := map[string]file{}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || slices.ContainsFunc(encodings, hasSuffix(name)) {
			return err
		}
		f, err := loadFile(root, name)
		files[name] = f

		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the dashboard's files: %w", err)
	}

	return files, nil
}

func hasSuffix(name string) func(struct{ suffix, name string }) bool {
	return func(encoding struct{ suffix, name string }) bool { return strings.HasSuffix(name, encoding.suffix) }
}

func loadFile(root fs.FS, name string) (file, error) {
	plain, err := fs.ReadFile(root, name)
	if err != nil {
		return file{}, fmt.Errorf("read %s: %w", name, err)
	}
	sum := sha256.Sum256(plain)
	tag := hex.EncodeToString(sum[:12])

	f := file{contentType: typeOf(name), cache: "no-cache"}
	if strings.HasPrefix(name, assets) {
		f.cache = "public, max-age=31536000, immutable"
	}
	for _, encoding := range encodings {
		packed, err := fs.ReadFile(root, name+encoding.suffix)
		if err != nil {
			continue // Not every file is smaller when compressed.
		}
		etag := `"` + tag + "-" + encoding.name + `"`
		f.variants = append(f.variants, variant{encoding: encoding.name, etag: etag, data: packed})
	}
	f.variants = append(f.variants, variant{etag: `"` + tag + `"`, data: plain})

	return f, nil
}

// typeOf does not ask the system, whose table differs from machine to machine.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	case ".png":
		return "image/png"
	case ".woff2":
		return "font/woff2"
	default:
		return "application/octet-stream"
	}
}

// choose returns the first variant that the client accepts; the plain one, which is last, is accepted by all.
func choose(variants []variant, accepted []string) variant {
	for _, v := range variants {
		if v.encoding == "" || accepts(accepted, v.encoding) {
			return v
		}
	}

	return variants[len(variants)-1]
}

// accepts reads Accept-Encoding [RFC 9110, 12.5.3]: an encoding counts when it is named, or "*" is, with a weight above zero.
func accepts(values []string, encoding string) bool {
	anything := false
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			wanted := weight(parameters) > 0
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case encoding:
				return wanted
			case "*":
				anything = wanted
			}
		}
	}

	return anything
}

// weight is the q of an item, 1 where it has none and 0 where it cannot be read.
func weight(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, ok := strings.Cut(strings.TrimSpace(parameter), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0
		}

		return q
	}

	return 1
}

// unavailable answers when the dashboard was not built into the binary: everything else of the hub still works.
func unavailable(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the dashboard is not part of this build: "+err.Error(), http.StatusServiceUnavailable)
	})
}

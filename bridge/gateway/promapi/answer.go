package promapi

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	// smallAnswer is how many bytes wait for a reader without a slot. Those who read larger answers keep theirs, so that slow
	// readers hold only so many large ones.
	smallAnswer = 1 << 20
	// writeTimeout is how long a reader may take.
	writeTimeout = 30 * time.Second
	// worthCompressing is from how many bytes on an answer is compressed.
	worthCompressing = 1 << 10
)

var compressors = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		return gzip.NewWriter(io.Discard) // BestSpeed is a level
	}
	return w
}}

// write answers with what was gathered.
func (e *encoder) write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept-Encoding")
	status := http.StatusOK
	if e.failed != nil {
		status = e.failed.kind.status()
	}
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "5")
	}
	head, tail := "", ""
	if e.contentType == "" {
		e.contentType = "application/json"
		head, tail = e.frame()
	}
	header.Set("Content-Type", e.contentType)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
	size := len(head) + len(e.buf) + len(tail)
	if e.encoding != "" || size < worthCompressing || !acceptsGzip(r) {
		if e.encoding != "" {
			header.Set("Content-Encoding", e.encoding)
		}
		header.Set("Content-Length", strconv.Itoa(size))
		w.WriteHeader(status)
		_ = writeAll(w, head, e.buf, tail) // whether the client hears it is beyond us
		return
	}
	header.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	if z, ok := compressors.Get().(*gzip.Writer); ok {
		z.Reset(w)
		if writeAll(z, head, e.buf, tail) == nil {
			_ = z.Close() // as above
		}
		compressors.Put(z)
	}
}

// frame is what stands before and behind the data of the API's JSON.
func (e *encoder) frame() (head, tail string) {
	var t encoder
	if e.failed != nil {
		t.raw(`,"errorType":`)
		t.string(string(e.failed.kind))
		t.raw(`,"error":`)
		t.string(e.failed.Error())
		head = `{"status":"error"`
	} else {
		head = `{"status":"success","data":`
	}
	if len(e.warnings) > 0 {
		t.raw(`,"warnings":`)
		t.strings(e.warnings)
	}
	if len(e.infos) > 0 {
		t.raw(`,"infos":`)
		t.strings(e.infos)
	}
	t.raw("}")
	return head, string(t.buf)
}

func writeAll(w io.Writer, head string, body []byte, tail string) error {
	for _, part := range [][]byte{[]byte(head), body, []byte(tail)} {
		if len(part) == 0 {
			continue
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// acceptsGzip reports whether a request names gzip among the encodings that it takes (RFC 9110, 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(part), ";")
		if strings.TrimSpace(name) != "gzip" {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		value, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && value > 0
	}
	return false
}

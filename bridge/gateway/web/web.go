// Package web is what the transports over plain HTTP requests have in common: errors as problems (RFC 9457), bodies that
// are bounded one by one and together, tokens that name sessions, and publishing without a session.
package web

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/wire"
)

const (
	// SessionHeader is the request header that names a session by its token.
	SessionHeader = "Pulso-Session"
	// MaxCommands is how many commands one request may have.
	MaxCommands = 64
)

// A Problem is the body of an answer that says what is wrong (RFC 9457), application/problem+json.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Code is an error code, or the name of a close code.
	Code string `json:"code"`
	// Retry says that the same request may succeed later.
	Retry bool `json:"retry"`
	// Close is the close code where the session is over, or could not begin.
	Close wire.CloseCode `json:"close,omitempty"`

	after time.Duration // when to come again; 0: retryAfter
}

// retryAfter is the Retry-After of requests that may succeed later, in seconds.
const retryAfter = "5"

// A Refuser answers requests with problems and counts them.
type Refuser struct{ refused *prometheus.CounterVec }

// NewRefuser makes a Refuser whose metric has a name. reg may be nil.
func NewRefuser(reg prometheus.Registerer, name string) *Refuser {
	r := &Refuser{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: name, Help: "Requests answered with a problem, by its code.",
	}, []string{"code"})}
	if reg != nil {
		reg.MustRegister(r.refused)
	}
	return r
}

// Error answers with an error.
func (r *Refuser) Error(w http.ResponseWriter, err *wire.Error) {
	r.write(w, Problem{Status: status(err), Detail: err.Message, Code: err.Code, Retry: err.Retry, after: err.After})
}

// Codes of problems that only plain requests have.
const (
	CodeNotFound = "not_found" // 404: there is no such thing
	CodeConflict = "conflict"  // 409: it has changed since the client read it
)

// Fail answers with a status of its own; detail says what is wrong, for people.
func (r *Refuser) Fail(w http.ResponseWriter, status int, code, detail string) {
	r.write(w, Problem{Status: status, Detail: detail, Code: code})
}

// Count counts a request that was answered in another way than with a problem.
func (r *Refuser) Count(code string) { r.refused.WithLabelValues(code).Inc() }

// Closed answers that a session is over, or cannot begin.
func (r *Refuser) Closed(w http.ResponseWriter, code wire.CloseCode) {
	info := code.Info()
	p := Problem{Status: http.StatusServiceUnavailable, Detail: info.Meaning, Code: info.Name, Retry: code.ComesBack(), Close: code}
	if code == wire.CloseLost || !code.ComesBack() {
		p.Status, p.Retry = http.StatusNotFound, false // another session would have another token
	}
	r.write(w, p)
}

// Method refuses a request's method, unless it is the one allowed, and reports whether it did.
func (r *Refuser) Method(w http.ResponseWriter, req *http.Request, allowed string) bool {
	if req.Method == allowed {
		return false
	}
	w.Header().Set("Allow", allowed)
	r.write(w, Problem{Status: http.StatusMethodNotAllowed, Detail: "the method is " + allowed, Code: wire.CodeBadCommand})
	return true
}

func (r *Refuser) write(w http.ResponseWriter, p Problem) {
	r.refused.WithLabelValues(p.Code).Inc()
	p.Title = http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		return // a struct of strings and numbers always can be
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if p.Retry {
		h.Set("Retry-After", cmp.Or(seconds(p.after), retryAfter))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // whether the client hears it is beyond us
}

// seconds are those of a time, one at least; empty for none.
func seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// status is the HTTP status for an error.
func status(err *wire.Error) int {
	switch err.Code {
	case wire.CodeUnauthorized:
		return http.StatusUnauthorized
	case wire.CodeForbidden:
		return http.StatusForbidden
	case wire.CodeNotSubscribed:
		return http.StatusNotFound
	case wire.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case wire.CodeContract:
		return http.StatusUnprocessableEntity
	case wire.CodeTooMany:
		if err.Retry {
			return http.StatusTooManyRequests
		}
		return http.StatusBadRequest
	case wire.CodeUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

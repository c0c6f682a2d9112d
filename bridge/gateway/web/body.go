package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"pulso/bridge/wire"
)

const (
	// smallBody is how many bytes of a body are read of as many requests as there are connections.
	smallBody = 64 << 10
	// maxLarge is how many requests may have larger bodies at one time.
	maxLarge = 64
)

// Bodies bounds what request bodies take together: only so many that are not small are held at one time.
type Bodies struct{ large chan struct{} }

// NewBodies makes Bodies.
func NewBodies() *Bodies { return &Bodies{make(chan struct{}, maxLarge)} }

// Read reads a request's body of at most limit bytes. release is called when the body is not needed any more; it is never
// nil.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, release func(), bad *wire.Error) {
	release = func() {}
	reader := http.MaxBytesReader(w, r.Body, limit)
	var buf bytes.Buffer
	_, err := io.CopyN(&buf, reader, smallBody)
	if err == nil { // there may be more
		select {
		case b.large <- struct{}{}:
			release = func() { <-b.large }
		default:
			return nil, release, &wire.Error{Code: wire.CodeUnavailable, Message: "too many large requests at one time", Retry: true}
		}
		_, err = io.Copy(&buf, reader)
	}
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return buf.Bytes(), release, nil
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, release, wire.Errorf(wire.CodeTooLarge, "the body is larger than %d bytes", limit)
	default:
		return nil, release, wire.Errorf(wire.CodeBadCommand, "the body ended too early: %v", err)
	}
}

package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// publishTimeout is how long a publish may wait for the log.
const publishTimeout = 10 * time.Second

var errPublishTimeout = errors.New("the log takes nothing at present; the message may yet be stored")

// A Publisher publishes the bodies of requests, POST …?topic=…&qos=…&retain=…. It is an [http.Handler].
type Publisher struct {
	gateway *gateway.Gateway
	refuser *Refuser
	bodies  *Bodies
}

// NewPublisher makes a Publisher; reg takes its metric and may be nil.
func NewPublisher(g *gateway.Gateway, reg prometheus.Registerer) *Publisher {
	return &Publisher{gateway: g, refuser: NewRefuser(reg, "pulso_web_publishes_refused_total"), bodies: NewBodies()}
}

// ServeHTTP stores the body as a message and answers with the position after it.
func (p *Publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.refuser.Method(w, r, http.MethodPost) {
		return
	}
	q := ParseQuery(r.URL, "topic", "qos", "retain")
	c := &wire.Publish{Topic: q.Text("topic"), QoS: q.Int("qos"), Retain: q.Bool("retain")}
	if err := q.Err(); err != nil {
		p.refuser.Error(w, err)
		return
	}
	body, release, err := p.bodies.Read(w, r, wire.MaxMessage)
	defer release()
	if err != nil {
		p.refuser.Error(w, err)
		return
	}
	payload := string(body) // any bytes: what text is made of is not looked at
	c.Text = &payload
	if err := c.Check(); err != nil {
		p.refuser.Error(w, err)
		return
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), publishTimeout, errPublishTimeout)
	defer cancel()
	pos, err := p.gateway.Publish(ctx, "http", c)
	if err != nil {
		p.refuser.Error(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(`{"position":"` + pos.String() + "\"}\n")) // whether the client hears it is beyond us
}

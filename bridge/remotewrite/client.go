package remotewrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRetryAfter bounds how long the far side may ask to be left alone.
	maxRetryAfter = 5 * time.Minute
	// maxReason bounds what is read of an answer.
	maxReason = 512
	// complainEvery is the least time between two lines in the log about the same trouble.
	complainEvery = time.Minute
)

// A client posts requests to one target.
type client struct {
	target     Target
	http       *http.Client
	userAgent  string
	minBackoff time.Duration
	maxBackoff time.Duration
	logger     *slog.Logger
	metrics    *senderMetrics

	// When it was last logged that requests fail, that samples were dropped.
	failed, dropped time.Time
}

func newClient(c Config, t Target, logger *slog.Logger, m *senderMetrics) (*client, error) {
	config, _, err := t.tls()
	if err != nil {
		return nil, err
	}
	return &client{
		target: t, logger: logger, metrics: m, minBackoff: c.MinBackoff, maxBackoff: c.MaxBackoff,
		userAgent: strings.TrimSuffix("pulso/"+c.Version, "/"),
		http: &http.Client{
			Timeout: c.Timeout,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
				MaxIdleConns: 1, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			},
			// What a request carries is for the one whom the configuration names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// A refusal is an answer that is no success.
type refusal struct {
	status int
	reason string
	after  time.Duration // how long the far side wants to be left alone; 0: it does not say
}

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), r.reason)
}

// final reports that the far side has looked at the samples and does not want them. Answers about who asks, and where, are the
// configuration's fault: samples wait until it has been put right.
func (r *refusal) final() bool {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	default:
		return r.status >= 400 && r.status < 500
	}
}

// maxSplits is how often a batch that is refused is divided. It finds one sample that is not good, or where those that the far
// side has already end and the new ones begin, among thousands.
const maxSplits = 32

// deliver sends a batch, again and again if need be. What the far side finally refuses is divided, so that the rest gets there;
// what remains of it is counted, and is done with. Its error is the context's.
func (c *client) deliver(ctx context.Context, b *batch) error {
	splits := maxSplits
	return c.send(ctx, b, b.entries, &splits)
}

func (c *client) send(ctx context.Context, b *batch, entries []entry, splits *int) error {
	if len(entries) == 0 {
		return nil
	}
	body, err := b.encode(entries)
	if err != nil {
		c.drop(reasonUnfit, len(entries), err)
		return nil
	}
	err = c.insist(ctx, body)
	refused, final := errors.AsType[*refusal](err)
	switch {
	case err == nil:
		c.metrics.sent.Add(float64(len(entries)))
		return nil
	case !final:
		return err
	case len(entries) > 1 && (*splits > 0 || refused.status == http.StatusRequestEntityTooLarge):
		*splits--
		half := len(entries) / 2
		if err := c.send(ctx, b, entries[:half], splits); err != nil {
			return err
		}
		return c.send(ctx, b, entries[half:], splits)
	default:
		c.drop(strconv.Itoa(refused.status), len(entries), err)
		return nil
	}
}

// insist makes a request until it has been taken or finally refused. Its error is the refusal, or the context's.
func (c *client) insist(ctx context.Context, body []byte) error {
	for wait := c.minBackoff; ; wait = min(2*wait, c.maxBackoff) {
		err := c.post(ctx, body)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Hubs that lost the same target do not come back in step.
		pause := wait/2 + rand.N(wait/2+1) //nolint:gosec // chance, not secrecy
		if refused, answered := errors.AsType[*refusal](err); answered {
			if refused.final() {
				return refused
			}
			pause = max(pause, refused.after)
		}
		c.metrics.failed.Inc()
		if time.Since(c.failed) >= complainEvery {
			c.failed = time.Now()
			c.logger.Warn("remote write fails and is tried again", "error", err)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

func (c *client) drop(reason string, samples int, err error) {
	c.metrics.dropped.WithLabelValues(reason).Add(float64(samples))
	if time.Since(c.dropped) >= complainEvery {
		c.dropped = time.Now()
		c.logger.Warn("remote write drops samples that the far side refuses", "samples", samples, "error", err)
	}
}

// post makes one request. Its error is a refusal, or why there is no answer.
func (c *client) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range c.target.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	if err := c.authorize(req); err != nil {
		return err
	}
	began := time.Now()
	resp, err := c.http.Do(req)
	c.metrics.seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	reason, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason)) // what there is of it
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return &refusal{resp.StatusCode, strings.TrimSpace(strings.ToValidUTF8(string(reason), "")), retryAfter(resp.Header.Get("Retry-After"), time.Now())}
}

// authorize puts the secrets into a request, as they are now.
func (c *client) authorize(req *http.Request) error {
	switch {
	case c.target.BearerTokenFile != "":
		token, err := secret(c.target.BearerTokenFile)
		if err != nil {
			return fmt.Errorf("bearer-token-file: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	case c.target.Username != "":
		password, err := secret(c.target.PasswordFile)
		if err != nil {
			return fmt.Errorf("password-file: %w", err)
		}
		req.SetBasicAuth(c.target.Username, password)
	}
	return nil
}

// retryAfter reads a Retry-After (RFC 9110, 10.2.3): seconds, or a date. What it cannot read is 0.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

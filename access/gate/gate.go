// Package gate stands before everything that the hub serves over HTTP: it finds out who a request comes from, by a session of the
// dashboard or a token, and lets pass what that account may do. It serves the page to log in on.
//
// While there are no accounts everybody passes, as somebody who may do everything; with the first account that ends.
package gate

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"pulso/access"
	"pulso/access/audit"
	"pulso/access/oidc"
	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Config of a Gate.
type Config struct {
	Directory *access.Directory
	// OpenID lets people log in by way of a provider; nil: nobody does.
	OpenID *oidc.Provider
	// OpenIDRoles are the roles of those who have none of this hub's; none: they are not let in.
	OpenIDRoles []string
	// OpenIDLasts is how long such a login lasts; at most, and where it is 0, [access.MaxOutside].
	OpenIDLasts time.Duration
	// Path is the file that sessions are kept in; empty: they end with the process.
	Path string
	// Logger takes logins, and what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
	// Audit takes what people do; it must not block. nil is nowhere.
	Audit func(audit.Record)
	// Records are the newest of what people did, for the page of the accounts; nil: there are none.
	Records func(limit int) []audit.Record
	// Readers are those who have asked for a topic, the last first; nil: nobody knows.
	Readers func(topic string, limit int) []audit.Reader
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// A Gate guards handlers. Its methods are safe for concurrent use.
type Gate struct {
	directory *access.Directory
	sessions  *sessions
	openID    *oidc.Provider
	otherwise []string
	outside   time.Duration
	throttle  *throttle
	setup     setup
	logger    *slog.Logger
	record    func(audit.Record)
	records   func(limit int) []audit.Record
	readers   func(topic string, limit int) []audit.Reader
	now       func() time.Time
	refuser   *web.Refuser
	foreign   *http.CrossOriginProtection
	refusals  *rate.Limiter // of what is recorded
}

// Refusals that are recorded a second, and at once. Those beyond are counted only.
const (
	refusalsRecorded = 1
	refusalsAtOnce   = 100
)

// New makes a Gate.
func New(cfg Config) *Gate {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Records == nil {
		cfg.Records = func(int) []audit.Record { return nil }
	}
	if cfg.Readers == nil {
		cfg.Readers = func(string, int) []audit.Reader { return nil }
	}
	if cfg.Audit == nil {
		cfg.Audit = func(audit.Record) {}
	}
	if cfg.OpenIDLasts <= 0 || cfg.OpenIDLasts > access.MaxOutside {
		cfg.OpenIDLasts = access.MaxOutside
	}
	kept := openSessions(cfg.Directory, cfg.Path, cfg.Logger, cfg.Now)
	kept.otherwise = cfg.OpenIDRoles
	return &Gate{
		openID: cfg.OpenID, otherwise: cfg.OpenIDRoles, outside: cfg.OpenIDLasts,
		record: cfg.Audit, records: cfg.Records, readers: cfg.Readers, now: cfg.Now,
		directory: cfg.Directory, sessions: kept,
		throttle: newThrottle(cfg.Now), logger: cfg.Logger,
		refuser: web.NewRefuser(cfg.Metrics, "pulso_access_refused_total"),
		foreign: http.NewCrossOriginProtection(), refusals: rate.NewLimiter(refusalsRecorded, refusalsAtOnce),
	}
}

// A Need is what a request must be allowed to do before it passes: to administer, on every topic; anything else, on one at least. What
// is told is then narrowed to the topics that may be read (see [event.Scope]), and what is done is judged by its topic, further in.
type Need access.Rights

// The needs there are.
const (
	// NeedLogin: to be somebody.
	NeedLogin Need = 0
	// NeedRead: to see what there is and was.
	NeedRead = Need(access.Subscribe | access.History)
	// NeedOperate: to see and to command.
	NeedOperate = NeedRead | Need(access.Command)
	// NeedAdminister: to change how the hub works.
	NeedAdminister = Need(access.Administer)
)

// Guard lets requests pass that may read, or write where they do: GET, HEAD and OPTIONS read.
func (g *Gate) Guard(read, write Need, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		grant, bad := g.grant(r)
		if bad != nil {
			g.refuse(w, bad)
			return
		}
		need, recorded := write, write&(NeedAdminister|Need(access.Command)) != 0
		if isSafe(r.Method) {
			need, recorded = read, false
		}
		if !meets(grant, access.Rights(need)) {
			if recorded {
				g.audit(r, grant.Name(), r.Method, r.URL.Path, false)
			}
			g.refuse(w, forbidden(grant, need))
			return
		}
		r = r.WithContext(g.within(r.Context(), grant))
		if !recorded {
			next.ServeHTTP(w, r)
			return
		}
		watched := &watchedWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(watched, r)
		g.audit(r, grant.Name(), r.Method, r.URL.Path, watched.status < http.StatusBadRequest)
	})
}

// audit records what somebody did, or tried to do.
func (g *Gate) audit(r *http.Request, who, what, about string, done bool) {
	outcome := audit.Done
	if !done {
		outcome = audit.Refused
		if !g.refusals.Allow() { // the log is not for who would fill it
			g.refuser.Count("unrecorded")
			return
		}
	}
	g.record(audit.Record{Time: g.now().UnixMilli(), Who: who, What: what, About: about, From: r.RemoteAddr, Outcome: outcome})
}

// A watchedWriter knows the status of an answer.
type watchedWriter struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *watchedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] through.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// meets reports whether somebody has rights: to administer everywhere, the others somewhere.
func meets(grant *access.Grant, rights access.Rights) bool {
	if rights&access.Administer != 0 {
		return grant.MayEverywhere(access.Administer)
	}
	return grant.MaySomewhere(rights)
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// within says in a context whom the request comes from.
func (g *Gate) within(ctx context.Context, grant *access.Grant) context.Context {
	ctx = gateway.WithPerson(ctx, grant)
	if !grant.MayEverywhere(access.Rights(NeedRead)) {
		ctx = event.WithScope(ctx, grant.Reader())
	}
	return ctx
}

// grant finds out who a request comes from.
func (g *Gate) grant(r *http.Request) (*access.Grant, *wire.Error) {
	if !g.directory.Enabled() {
		return g.directory.Open(), nil
	}
	if token, ok := bearer(r); ok {
		return g.byToken(r.Context(), token)
	}
	if token := cookieOf(r); token != "" {
		if grant := g.sessions.find(token); grant != nil {
			// A browser sends the cookie whatever page it is on.
			if err := g.foreign.Check(r); err != nil {
				return nil, wire.Errorf(wire.CodeForbidden, "the request comes from a page of another origin")
			}
			return grant, nil
		}
	}
	return nil, wire.Errorf(wire.CodeUnauthorized, "log in, or send a token: Authorization: Bearer …")
}

func (g *Gate) byToken(ctx context.Context, token string) (*access.Grant, *wire.Error) {
	grant, err := g.directory.Login(ctx, access.Credentials{Token: token}, nil)
	if err != nil {
		return nil, wire.Errorf(wire.CodeUnauthorized, "the token is not good, or not any more")
	}
	return grant, nil
}

// Stream is Guard for WebSockets: a handshake without credentials passes, too, whose client then has to introduce itself before anything
// else (see [gateway.Introduction]). Scripts of pages can send no header with it.
func (g *Gate) Stream(need Need, next http.Handler) http.Handler {
	guarded := g.Guard(need, need, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.directory.Enabled() || !websocket.IsWebSocketUpgrade(r) || r.Header.Get("Authorization") != "" || cookieOf(r) != "" {
			guarded.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(gateway.WithIntroduction(r.Context(), func(ctx context.Context, token string) (context.Context, *wire.Error) {
			grant, bad := g.introduced(ctx, token, need)
			if bad != nil {
				g.refuser.Count(bad.Code)
				return nil, bad
			}
			return g.within(ctx, grant), nil
		})))
	})
}

// introduced is whom a token is of, where that may do what is needed.
func (g *Gate) introduced(ctx context.Context, token string, need Need) (*access.Grant, *wire.Error) {
	if token == "" {
		return nil, wire.Errorf(wire.CodeUnauthorized, "say who you are: hello with a token, before anything else")
	}
	grant, bad := g.byToken(ctx, token)
	if bad == nil && !meets(grant, access.Rights(need)) {
		return nil, forbidden(grant, need)
	}
	return grant, bad
}

func forbidden(grant *access.Grant, need Need) *wire.Error {
	return wire.Errorf(wire.CodeForbidden, "%s may not do this: it takes the rights %s", grant.Name(), access.Rights(need))
}

// ReadsAll reports whether a request comes from somebody who may read everything.
func (g *Gate) ReadsAll(r *http.Request) bool {
	grant, bad := g.grant(r)
	return bad == nil && grant.MayEverywhere(access.Rights(NeedRead))
}

// bearer is the token of a request (RFC 6750, 2.1). One in a URL is not looked at: URLs stand in logs.
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

func (g *Gate) refuse(w http.ResponseWriter, err *wire.Error) {
	if err.Code == wire.CodeUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="pulso"`) // (RFC 6750, 3)
	}
	g.refuser.Error(w, err)
}

// Pages lets people who have logged in see pages, and leads the others to where they do. What is below assets/ has nothing to hide.
func (g *Gate) Pages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.directory.Enabled() || strings.HasPrefix(r.URL.Path, "/assets/") || !isSafe(r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		token := cookieOf(r)
		if token == "" || g.sessions.find(token) == nil {
			toLogin(w, r)
			return
		}
		if grant := g.sessions.find(token); grant != nil && !grant.MaySomewhere(access.Rights(NeedRead)) {
			g.show(w, r, http.StatusForbidden, page{Problem: fmt.Sprintf(say(r)["nothing"], grant.Account)})
			return
		}
		if fresh := g.sessions.rotate(token); fresh != "" {
			setCookie(w, r, fresh)
		}
		w.Header().Add("Vary", "Cookie")
		next.ServeHTTP(w, r)
	})
}

// Authenticate finds out who connects by MQTT.
func (g *Gate) Authenticate(ctx context.Context, c access.Credentials, remote string) (*access.Grant, error) {
	if !g.directory.Enabled() {
		return g.directory.Open(), nil
	}
	grant, err := g.directory.Login(ctx, c, func() error {
		if wait := g.throttle.wait(remote, c.User); wait > 0 {
			return access.ErrBusy
		}
		return nil
	})
	if err == nil {
		g.throttle.forgive(remote, c.User)
	}
	return grant, err
}

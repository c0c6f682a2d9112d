package gate

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pulso/access"
	"pulso/access/oidc"
	made "pulso/internal/pages"
)

// OpenIDPath is where a login by OpenID Connect begins; answerPath, below it, is where the provider sends the browser back to.
const (
	OpenIDPath = "/login/oidc"
	answerPath = OpenIDPath + "/callback"
)

const (
	// begunCookie names the cookie that binds a login to the browser in which it began.
	begunCookie = "pulso_login"
	// begunFor is how long a browser keeps it.
	begunFor = 10 * time.Minute
	// maxAnswer bounds what the provider has a browser bring, in bytes.
	maxAnswer = 16 << 10
)

// beginOpenID sends a browser to the provider.
func (g *Gate) beginOpenID(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	// It is begun on the page to log in on. A page of another site only leads there.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, LoginPath+"?next="+url.QueryEscape(next), http.StatusSeeOther)
		return
	}
	if wait := g.throttle.begin(r.RemoteAddr); wait > 0 {
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		g.refuseOpenID(w, r, http.StatusTooManyRequests, page{Problem: fmt.Sprintf(say(r)["slow"], seconds), Next: next}, access.ErrBusy)
		return
	}
	address, cookie, err := g.openID.Begin(r.Context(), ownURL(r, answerPath), next)
	if err != nil {
		g.refuseOpenID(w, r, http.StatusBadGateway, page{Problem: say(r)["byFailed"], Next: next}, err)
		return
	}
	made.Secure(w.Header())
	setBegun(w, r, cookie)
	http.Redirect(w, r, address, http.StatusSeeOther) //nolint:gosec // to the provider, whose addresses were judged
}

// finishOpenID takes back a browser that the provider sends.
func (g *Gate) finishOpenID(w http.ResponseWriter, r *http.Request) {
	said := say(r)
	cookie := ""
	if c, err := r.Cookie(begunCookie); err == nil {
		cookie = c.Value
	}
	setBegun(w, r, "")
	if cookie == "" || len(r.URL.RawQuery) > maxAnswer {
		g.refuseOpenID(w, r, http.StatusBadRequest, page{Problem: said["begunElsewhere"], Next: "/"}, oidc.ErrBegun)
		return
	}
	person, err := g.openID.Finish(r.Context(), cookie, r.URL.Query())
	var grant *access.Grant
	if err == nil {
		now := g.now()
		grant, err = g.directory.Vouch(&access.Outsider{Name: person.Name, Roles: person.Roles, Began: now, Expires: now.Add(g.outside)}, g.otherwise)
	}
	if err != nil {
		status, problem := problemOf(said, err)
		if errors.Is(err, oidc.ErrBusy) {
			w.Header().Set("Retry-After", "5")
		}
		g.refuseOpenID(w, r, status, page{Problem: problem, Next: "/"}, err)
		return
	}
	g.logger.Info("somebody logged in", "account", grant.Account, "remote", r.RemoteAddr)
	g.audit(r, grant.Account, "login", g.openID.Name(), true)
	g.sessions.end(cookieOf(r)) // as with a password: nobody can have put the new one there
	setCookie(w, r, g.sessions.begin(grant))
	made.Secure(w.Header())
	http.Redirect(w, r, localPath(person.Next), http.StatusSeeOther)
}

// problemOf is how a login that failed is answered, in words.
func problemOf(said words, err error) (status int, problem string) {
	switch {
	case errors.Is(err, oidc.ErrBegun):
		return http.StatusBadRequest, said["begunElsewhere"]
	case errors.Is(err, access.ErrNoRole):
		return http.StatusForbidden, said["byNoRole"]
	case errors.Is(err, oidc.ErrRefused), errors.Is(err, access.ErrDenied):
		return http.StatusForbidden, said["byRefused"]
	case errors.Is(err, oidc.ErrBusy):
		return http.StatusServiceUnavailable, said["busy"]
	}
	return http.StatusBadGateway, said["byFailed"]
}

// refuseOpenID says why somebody is not let in, to them and to the operator.
func (g *Gate) refuseOpenID(w http.ResponseWriter, r *http.Request, status int, p page, err error) {
	g.refuser.Count("login")
	g.audit(r, "", "login", g.openID.Name(), false)
	g.logger.Warn("a login was refused", "by", g.openID.Name(), "remote", r.RemoteAddr, "reason", err)
	g.show(w, r, status, p)
}

// ownURL is the address of a path of this hub, as the browser knows it. The provider knows which there may be.
func ownURL(r *http.Request, path string) string {
	u := url.URL{Scheme: "http", Host: r.Host, Path: path}
	if isSecure(r) {
		u.Scheme = "https"
	}
	return u.String()
}

// isSecure reports whether a request came by TLS, here or at a proxy that is believed.
func isSecure(r *http.Request) bool { return r.TLS != nil || r.URL.Scheme == "https" }

// setBegun gives a browser the cookie of a login that has begun; an empty one takes it away. It comes back from the provider's page, which
// leads there by a GET: that is what Lax allows.
func setBegun(w http.ResponseWriter, r *http.Request, value string) {
	c := &http.Cookie{ //nolint:gosec // secure where there is TLS: without it a browser would not take the cookie
		Name: begunCookie, Value: value, Path: OpenIDPath, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: isSecure(r),
		MaxAge: int(begunFor / time.Second),
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

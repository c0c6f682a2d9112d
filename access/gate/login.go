package gate

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pulso/access"
	made "pulso/internal/pages"
)

// Paths that a Gate serves itself.
const (
	LoginPath  = "/login"
	LogoutPath = "/logout"

	StylePath = "/access.css"
)

//go:embed pages
var files embed.FS

var pages = template.Must(template.ParseFS(files, "pages/*.html"))

const (
	cookieName = "pulso_session"
	// maxForm bounds the body of a form, in bytes.
	maxForm = 16 << 10
)

// cookieOf is the session's token that a request brings; empty: none.
func cookieOf(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie gives a browser a session's token; an empty one takes it away. No script can read it, and no page of another site has
// it sent.
func setCookie(w http.ResponseWriter, r *http.Request, token string) {
	c := &http.Cookie{ //nolint:gosec // secure where there is TLS: without it a browser would not take the cookie
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: isSecure(r),
		MaxAge: int(lastsFor / time.Second),
	}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// Routes are the handlers of the pages, by the patterns under which a [http.ServeMux] is to know them.
func (g *Gate) Routes() map[string]http.Handler {
	act := func(administer bool, how func(p *accountPage, r *http.Request) error) http.Handler {
		return g.form(g.account(administer, how).ServeHTTP)
	}
	routes := map[string]http.Handler{
		"GET " + AccountPath:              g.account(false, g.look),
		"POST " + AccountPath + "/mine":   act(false, g.setPassword),
		"POST " + AccountPath + "/add":    act(true, g.add),
		"POST " + AccountPath + "/token":  act(true, g.addToken),
		"POST " + AccountPath + "/revoke": act(true, g.revoke),
		"POST " + AccountPath + "/give":   act(true, g.give),
		"POST " + AccountPath + "/role":   act(true, g.setRole),

		"GET " + SetupPath:   http.HandlerFunc(g.showSetup),
		"POST " + SetupPath:  g.form(g.makeFirst),
		"GET " + LoginPath:   http.HandlerFunc(g.showLogin),
		"POST " + LoginPath:  g.form(g.login),
		"POST " + LogoutPath: g.form(g.logout),
		"GET " + StylePath:   http.HandlerFunc(style),
	}
	if g.openID != nil {
		routes["GET "+OpenIDPath], routes["GET "+answerPath] = http.HandlerFunc(g.beginOpenID), http.HandlerFunc(g.finishOpenID)
	}
	return routes
}

// form guards a handler of a form: it must come from a page of the hub, and be small.
func (g *Gate) form(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.foreign.Check(r); err != nil {
			g.show(w, r, http.StatusForbidden, page{Problem: say(r)["foreign"]})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			g.show(w, r, http.StatusBadRequest, page{Problem: say(r)["badForm"]})
			return
		}
		next(w, r)
	})
}

// page is what the page to log in on shows.
type page struct {
	Words         words
	Problem, Next string
	User          string
	// Closed leaves the form out.
	Closed bool
	// By is where else one can log in; empty: nowhere.
	By string
}

// Elsewhere is the address to begin there.
func (p page) Elsewhere() string { return OpenIDPath + "?next=" + url.QueryEscape(p.Next) }

func (g *Gate) show(w http.ResponseWriter, r *http.Request, status int, p page) {
	p.Words = say(r)
	if g.openID != nil {
		p.By = g.openID.Name()
	}
	g.write(w, status, "login.html", p.Words, p)
}

// write makes a page and sends it.
func (g *Gate) write(w http.ResponseWriter, status int, name string, said words, p any) {
	if err := made.Write(w, status, pages, name, said, p); err != nil {
		g.logger.Error("a page could not be made", "error", err)
	}
}

func (g *Gate) showLogin(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if token := cookieOf(r); !g.directory.Enabled() || token != "" && g.sessions.find(token) != nil {
		http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // localPath has judged it
		return
	}
	g.show(w, r, http.StatusOK, page{Next: next})
}

func (g *Gate) login(w http.ResponseWriter, r *http.Request) {
	user, next := r.PostForm.Get("user"), localPath(r.PostForm.Get("next"))
	wait := time.Duration(0)
	grant, err := g.directory.Login(r.Context(), access.Credentials{User: user, Password: r.PostForm.Get("password")}, func() error {
		if wait = g.throttle.wait(r.RemoteAddr, user); wait > 0 {
			return access.ErrBusy
		}
		return nil
	})
	if err == nil && grant.Kind != access.Person { // devices and services have no business here
		err = access.ErrDenied
	}
	said, status := say(r), http.StatusUnauthorized
	switch {
	case err == nil:
		g.throttle.forgive(r.RemoteAddr, user)
		g.logger.Info("somebody logged in", "account", grant.Account, "remote", r.RemoteAddr)
		g.audit(r, grant.Account, "login", "", true)
		// A new token, whatever the browser brought: nobody can have put it there.
		g.sessions.end(cookieOf(r))
		setCookie(w, r, g.sessions.begin(grant))
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	case wait > 0:
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		g.show(w, r, http.StatusTooManyRequests, page{Problem: fmt.Sprintf(said["slow"], seconds), Next: next, User: user})
	case errors.Is(err, access.ErrDenied):
		g.show(w, r, status, page{Problem: said["denied"], Next: next, User: user})
	default:
		g.show(w, r, http.StatusServiceUnavailable, page{Problem: said["busy"], Next: next, User: user})
	}
	g.refuser.Count("login")
	if !g.directory.Knows(user) {
		user = "nobody of this hub" // it may be a password, in the wrong field
	}
	g.audit(r, "", "login", user, false)
	g.logger.Warn("a login was refused", "user", user, "remote", r.RemoteAddr, "reason", err)
}

func (g *Gate) logout(w http.ResponseWriter, r *http.Request) {
	if grant := g.sessions.find(cookieOf(r)); grant != nil {
		g.audit(r, grant.Account, "logout", "", true)
	}
	g.sessions.end(cookieOf(r))
	setCookie(w, r, "")
	http.Redirect(w, r, LoginPath, http.StatusSeeOther)
}

func style(w http.ResponseWriter, _ *http.Request) {
	text, err := files.ReadFile("pages/access.css")
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text) // whether the client hears it is beyond us
}

// toLogin leads a browser to the page to log in on, and from there back.
func toLogin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, LoginPath+"?next="+url.QueryEscape(localPath(r.URL.RequestURI())), http.StatusSeeOther)
}

// localPath is a path of this hub, whatever it was: a login must not lead to another site.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.Opaque != "" || u.User != nil || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(u.Path, "/log") {
		return "/"
	}
	return next
}

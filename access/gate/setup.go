package gate

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"pulso/access"
)

// SetupPath is the page on which the first person is made, by who comes with the code of a link that the hub has shown once.
const SetupPath = "/setup"

const (
	setupCookie = "pulso_setup"
	// setupFor is how long the link is good.
	setupFor = 24 * time.Hour
)

// setup is the code of the link. It is good until there is an account, and for a day.
type setup struct {
	mu    sync.Mutex
	code  string
	until time.Time
}

// errSetup is what is wrong with a code, or with the time for it.
var errSetup = errors.New("the link is not good, or not any more")

// SetupPathWithCode begins a new link, and makes those from before worthless. It is empty where the hub has accounts already, or can have
// none. The code is a secret: it is to be shown to who runs the hub, once.
//
// It stands in a URL, so that it can be clicked. The page answers such a URL with a cookie in its place, and tells nobody where it was.
func (g *Gate) SetupPathWithCode() string {
	if g.directory.Enabled() || !g.directory.Keeps() {
		return ""
	}
	g.setup.mu.Lock()
	defer g.setup.mu.Unlock()
	g.setup.code, g.setup.until = access.NewSecret(), g.now().Add(setupFor)
	return SetupPath + "?code=" + url.QueryEscape(g.setup.code)
}

// opens reports whether a code is that of the link.
func (g *Gate) opens(code string) bool {
	g.setup.mu.Lock()
	defer g.setup.mu.Unlock()
	return access.SameSecret(code, g.setup.code) && g.setup.code != "" && g.now().Before(g.setup.until) && !g.directory.Enabled()
}

// showSetup takes a code out of the URL, and shows the form to who has it.
func (g *Gate) showSetup(w http.ResponseWriter, r *http.Request) {
	if g.directory.Enabled() {
		http.Redirect(w, r, LoginPath, http.StatusSeeOther)
		return
	}
	if code := r.URL.Query().Get("code"); code != "" {
		if !g.opens(code) {
			g.refuseSetup(w, r)
			return
		}
		http.SetCookie(w, setupCookieOf(r, code, int(setupFor/time.Second)))
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, SetupPath, http.StatusSeeOther)
		return
	}
	c, err := r.Cookie(setupCookie)
	if err != nil || !g.opens(c.Value) {
		g.refuseSetup(w, r)
		return
	}
	g.showForm(w, r, http.StatusOK, page{})
}

func setupCookieOf(r *http.Request, code string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // secure where there is TLS: without it a browser would not take the cookie
		Name: setupCookie, Value: code, Path: SetupPath, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: age,
		Secure: r.TLS != nil || r.URL.Scheme == "https",
	}
}

func (g *Gate) refuseSetup(w http.ResponseWriter, r *http.Request) {
	g.refuser.Count("setup")
	g.audit(r, "", "setup", "", false)
	g.showForm(w, r, http.StatusForbidden, page{Problem: say(r)["badLink"], Closed: true})
}

func (g *Gate) showForm(w http.ResponseWriter, r *http.Request, status int, p page) {
	p.Words = say(r)
	g.write(w, status, "setup.html", p.Words, p)
}

// makeFirst makes the first person, who administers, and logs them in.
func (g *Gate) makeFirst(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie(setupCookie)
	if err != nil || !g.opens(c.Value) {
		g.refuseSetup(w, r)
		return
	}
	user, password := r.PostForm.Get("user"), r.PostForm.Get("password")
	if err := g.addFirst(user, password); err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, access.ErrAccounts) {
			status = http.StatusServiceUnavailable
		}
		g.showForm(w, r, status, page{Problem: err.Error(), User: user})
		return
	}
	g.logger.Info("the first person was made by the link", "account", user, "remote", r.RemoteAddr)
	g.audit(r, user, "setup", user, true)
	http.SetCookie(w, setupCookieOf(r, "", -1))
	never := func() error { return nil }
	grant, err := g.directory.Login(r.Context(), access.Credentials{User: user, Password: password}, never)
	if err != nil { // too much is going on: there is the page to log in on
		http.Redirect(w, r, LoginPath, http.StatusSeeOther)
		return
	}
	g.sessions.end(cookieOf(r))
	setCookie(w, r, g.sessions.begin(grant))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// addFirst adds a person, if nobody else was quicker.
func (g *Gate) addFirst(user, password string) error {
	hash, err := access.HashPassword(password)
	if err != nil {
		return err
	}
	return g.directory.Edit(func(c *access.Content) error {
		if len(c.Accounts) > 0 {
			return fmt.Errorf("%w: there are accounts already", errSetup)
		}
		return c.Add(access.Account{
			ID: user, Kind: access.Person, Roles: []string{access.RoleAdministrator}, Hash: hash, Created: time.Now().UTC(),
		})
	})
}

package gate

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pulso/access"
	"pulso/access/audit"
)

// AccountPath is the page on which people see their account, and administrators everybody's.
const AccountPath = "/account"

// accountPage is what that page shows.
type accountPage struct {
	Words         words
	Problem, Done string
	// Made is a secret that has just been made, and is not shown again; Connect how a device uses it.
	Made, Connect string
	Me            string
	MyRoles       []string
	Person        bool // who has a password of their own
	Administrator bool
	Accounts      []access.Account
	Roles         []access.Role
	BuiltIn       []access.Role
	As, Topic     string
	Decisions     []decision
	Records       []recorded
	// Outsiders are those who have logged in by OpenID Connect.
	Outsiders []string
}

// A recorded thing is one that somebody did, with its time in words.
type recorded struct {
	audit.Record

	At string
}

// maxRecorded is how many of them the page shows.
const maxRecorded = 50

// A decision is what somebody may do with a topic, and why.
type decision struct {
	Right   string
	Allowed bool
	Why     string
}

// account serves the page, for those who have logged in.
func (g *Gate) account(administer bool, act func(p *accountPage, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.directory.Enabled() {
			g.showAccount(w, http.StatusOK, &accountPage{Words: say(r)})
			return
		}
		grant := g.sessions.find(cookieOf(r))
		if grant == nil {
			toLogin(w, r)
			return
		}
		p := &accountPage{
			Words: say(r), Me: grant.Account, Person: grant.Kind == access.Person && grant.Outsider() == nil,
			Administrator: grant.MayEverywhere(access.Administer),
		}
		if o := grant.Outsider(); o != nil {
			p.MyRoles = o.Roles
		}
		if administer && !p.Administrator {
			p.Problem = p.Words["notYours"]
			g.refuser.Count("account")
			g.fill(p)
			g.showAccount(w, http.StatusForbidden, p)
			return
		}
		status := http.StatusOK
		err := act(p, r)
		if r.Method == http.MethodPost {
			g.audit(r, grant.Account, r.URL.Path, strings.TrimSpace(r.PostForm.Get("id")+r.PostForm.Get("name")+" "+r.PostForm.Get("token")), err == nil)
		}
		if err != nil {
			p.Problem, status = err.Error(), http.StatusBadRequest
			if errors.Is(err, access.ErrBusy) || errors.Is(err, access.ErrAccounts) {
				status = http.StatusServiceUnavailable
			}
		}
		g.fill(p)
		g.showAccount(w, status, p)
	})
}

// fill adds what there is.
func (g *Gate) fill(p *accountPage) {
	content := g.directory.Content()
	if a := content.Account(p.Me); a != nil {
		p.MyRoles = a.Roles
	}
	if !p.Administrator {
		return
	}
	for _, r := range g.records(maxRecorded) {
		p.Records = append(p.Records, recorded{r, time.UnixMilli(r.Time).UTC().Format("2006-01-02 15:04:05 MST")})
	}
	p.Outsiders = g.sessions.outsiders()
	p.Accounts, p.Roles, p.BuiltIn = content.Accounts, content.Roles, access.BuiltIn()
	slices.SortFunc(p.Accounts, func(a, b access.Account) int {
		return strings.Compare(string(a.Kind)+" "+a.ID, string(b.Kind)+" "+b.ID)
	})
}

func (g *Gate) showAccount(w http.ResponseWriter, status int, p *accountPage) {
	g.write(w, status, "account.html", p.Words, p)
}

// look shows the page, and explains somebody's rights where that is asked for.
func (g *Gate) look(p *accountPage, r *http.Request) error {
	p.As, p.Topic = r.URL.Query().Get("as"), r.URL.Query().Get("topic")
	if !p.Administrator || p.As == "" || p.Topic == "" {
		return nil
	}
	for _, right := range access.Each() {
		d, err := g.directory.Explain(p.As, "", right, p.Topic)
		if err != nil {
			return err
		}
		why := p.Words["noRule"]
		if d.Rule != "" {
			why = d.Role + ": " + d.Rule
		}
		p.Decisions = append(p.Decisions, decision{right.String(), d.Allowed, why})
	}
	return nil
}

// setPassword changes one's own password, for who knows the one before, and ends the sessions that others may have.
func (g *Gate) setPassword(p *accountPage, r *http.Request) error {
	if wait := g.throttle.wait(r.RemoteAddr, p.Me); wait > 0 {
		return fmt.Errorf(p.Words["slow"], int(wait/time.Second)+1)
	}
	never := func() error { return nil }
	if _, err := g.directory.Login(r.Context(), access.Credentials{User: p.Me, Password: r.PostForm.Get("old")}, never); err != nil {
		return errors.New(p.Words["denied"])
	}
	g.throttle.forgive(r.RemoteAddr, p.Me)
	hash, err := access.HashPassword(r.PostForm.Get("new"))
	if err != nil {
		return err
	}
	p.Done = p.Words["loggedOut"]
	return g.change(p.Me, func(_ *access.Content, a *access.Account) error { a.Hash = hash; return nil })
}

// change changes one account.
func (g *Gate) change(id string, how func(c *access.Content, a *access.Account) error) error {
	return g.directory.Edit(func(c *access.Content) error {
		a := c.Account(id)
		if a == nil {
			return fmt.Errorf("%w: %q", access.ErrNoAccount, id)
		}
		return how(c, a)
	})
}

// add makes an account, with a secret that is shown once.
func (g *Gate) add(p *accountPage, r *http.Request) error {
	id, kind, now := r.PostForm.Get("id"), access.Kind(r.PostForm.Get("kind")), time.Now().UTC()
	a := access.Account{ID: id, Kind: kind, Roles: fields(r.PostForm.Get("roles")), Created: now}
	secret := access.NewSecret()
	switch kind {
	case access.Person:
		secret = secret[:20]
		hash, err := access.HashPassword(secret)
		if err != nil {
			return err
		}
		a.Hash = hash
	case access.Device:
		a.Hash = access.HashSecret(secret)
	case access.Service:
	}
	err := g.directory.Edit(func(c *access.Content) (err error) {
		if err := c.Add(a); err != nil || kind != access.Service {
			return err
		}
		secret, err = c.AddToken(id, now, time.Time{})
		return err
	})
	if err != nil {
		return err
	}
	p.Made = secret
	if kind == access.Device {
		p.Connect = fmt.Sprintf("mosquitto_pub -h HOST -u %s -P %s -t %s/telemetry -m '{\"temperature\":21.5}'", id, secret, id)
	}
	return nil
}

// addToken makes a token, which is shown once.
func (g *Gate) addToken(p *accountPage, r *http.Request) error {
	days, err := strconv.Atoi(r.PostForm.Get("days"))
	if err != nil || days < 0 || days > 36_500 {
		return errors.New(p.Words["badDays"])
	}
	until, now := time.Time{}, time.Now().UTC()
	if days > 0 {
		until = now.AddDate(0, 0, days).Truncate(time.Second)
	}
	id := r.PostForm.Get("id")
	return g.directory.Edit(func(c *access.Content) (err error) {
		p.Made, err = c.AddToken(id, now, until)
		return err
	})
}

// revoke takes an account or one of its tokens away.
func (g *Gate) revoke(p *accountPage, r *http.Request) error {
	id, token := r.PostForm.Get("id"), r.PostForm.Get("token")
	if token == "" && id == p.Me {
		return errors.New(p.Words["notSelf"])
	}
	if token == "" && access.IsOutsider(id) {
		return g.directory.Edit(func(c *access.Content) error { return c.End(id, g.now().UTC()) })
	}
	return g.change(id, func(c *access.Content, a *access.Account) error {
		if token == "" {
			c.Remove(id)
			return nil
		}
		a.Tokens = slices.DeleteFunc(slices.Clone(a.Tokens), func(t access.Token) bool { return t.ID == token })
		return nil
	})
}

// give gives an account roles.
func (g *Gate) give(p *accountPage, r *http.Request) error {
	id := r.PostForm.Get("id")
	if id == p.Me {
		return errors.New(p.Words["notSelf"])
	}
	return g.change(id, func(_ *access.Content, a *access.Account) error {
		a.Roles = fields(r.PostForm.Get("roles"))
		return nil
	})
}

// setRole makes, changes or, without rules, removes a role.
func (g *Gate) setRole(_ *accountPage, r *http.Request) error {
	name, rules := r.PostForm.Get("name"), []string(nil)
	for line := range strings.Lines(r.PostForm.Get("rules")) {
		if line = strings.TrimSpace(line); line != "" {
			rules = append(rules, line)
		}
	}
	return g.directory.Edit(func(c *access.Content) error {
		c.Roles = slices.DeleteFunc(c.Roles, func(role access.Role) bool { return role.Name == name })
		if len(rules) > 0 {
			c.Roles = append(c.Roles, access.Role{Name: name, Rules: rules})
		}
		return nil
	})
}

// fields are words with commas or spaces between them.
func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

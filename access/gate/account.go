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
	"pulso/access/meter"
	"pulso/bridge/event"
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
	MyLimits      []string // those that hold, such as "messages=100"
	Person        bool     // who has a password of their own
	// Administrator is who manages accounts: of Namespace, or of all where that is empty.
	Administrator bool
	Namespace     string
	Namespaces    []access.Namespace
	Accounts      []access.Account
	Roles         []access.Role
	BuiltIn       []access.Role
	As, Topic     string
	Decisions     []decision
	// Able are who may do something with the topic, Readers who has asked for it.
	Able     []able
	AbleMore bool
	Readers  []reader
	Records  []recorded
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
		p := &accountPage{Words: say(r), Me: grant.Account, Person: grant.Kind == access.Person && grant.Outsider() == nil}
		p.Namespace, p.Administrator = grant.MayAdminister()
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
		for k, figure := range g.directory.Limits(p.Me) {
			if figure > 0 {
				p.MyLimits = append(p.MyLimits, fmt.Sprintf("%v=%d", meter.Kind(k), figure))
			}
		}
	}
	if !p.Administrator {
		return
	}
	for _, r := range g.records(maxRecorded) {
		if p.Namespace != "" && !p.manages(&content, r.Who) {
			continue
		}
		p.Records = append(p.Records, recorded{r, time.UnixMilli(r.Time).UTC().Format("2006-01-02 15:04:05 MST")})
	}
	p.BuiltIn = access.BuiltIn()
	if p.Namespace == "" {
		p.Namespaces, p.Outsiders = content.Namespaces, g.sessions.outsiders()
	}
	p.Accounts = slices.DeleteFunc(content.Accounts, func(a access.Account) bool { return p.Namespace != "" && a.Namespace != p.Namespace })
	p.Roles = slices.DeleteFunc(content.Roles, func(r access.Role) bool { return p.Namespace != "" && r.Namespace != p.Namespace })
	slices.SortFunc(p.Accounts, func(a, b access.Account) int {
		return strings.Compare(string(a.Kind)+" "+a.ID, string(b.Kind)+" "+b.ID)
	})
}

// manages reports whether an account is one of those that the page is about.
func (p *accountPage) manages(c *access.Content, id string) bool {
	a := c.Account(id)
	return a != nil && (p.Namespace == "" || a.Namespace == p.Namespace)
}

func (g *Gate) showAccount(w http.ResponseWriter, status int, p *accountPage) {
	g.write(w, status, "account.html", p.Words, p)
}

// An able account is one that may do something with a topic.
type able struct{ Who, Rights string }

// A reader is who has asked for a topic, with the time in words.
type reader struct {
	audit.Reader

	At string
}

const (
	maxAble    = 200 // that are shown
	maxJudged  = 10_000
	maxReaders = 200
)

// who shows who may do what with a topic, and who has asked for it.
func (g *Gate) who(p *accountPage) error {
	if err := event.CheckTopic(p.Topic); err != nil {
		return err
	}
	content := g.directory.Content()
	judged := 0
	for i := range content.Accounts {
		a := &content.Accounts[i]
		if !p.manages(&content, a.ID) {
			continue
		}
		if judged++; judged > maxJudged || len(p.Able) == maxAble {
			p.AbleMore = true
			break
		}
		var rights access.Rights
		for _, right := range access.Each() {
			if d, err := g.directory.Explain(a.ID, "", right, p.Topic); err == nil && d.Allowed && !a.Disabled {
				rights |= right
			}
		}
		if rights != 0 {
			p.Able = append(p.Able, able{a.ID, rights.String()})
		}
	}
	for _, r := range g.readers(p.Topic, maxReaders) {
		if p.Namespace == "" || p.manages(&content, r.Who) {
			p.Readers = append(p.Readers, reader{r, time.UnixMilli(r.Last).UTC().Format("2006-01-02 15:04 MST")})
		}
	}
	return nil
}

// look shows the page, and explains somebody's rights where that is asked for.
func (g *Gate) look(p *accountPage, r *http.Request) error {
	p.As, p.Topic = r.URL.Query().Get("as"), r.URL.Query().Get("topic")
	if !p.Administrator || p.Topic == "" {
		return nil
	}
	if p.As == "" {
		return g.who(p)
	}
	if content := g.directory.Content(); !p.manages(&content, p.As) {
		return fmt.Errorf("%w: %q", access.ErrNoAccount, p.As)
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
	return g.directory.Edit(func(c *access.Content) error {
		a := c.Account(p.Me)
		if a == nil {
			return fmt.Errorf("%w: %q", access.ErrNoAccount, p.Me)
		}
		a.Hash = hash
		return nil
	})
}

// change changes one account, of those that the page is about: the others are as if they were not there.
func (g *Gate) change(p *accountPage, id string, how func(c *access.Content, a *access.Account) error) error {
	return g.directory.Edit(func(c *access.Content) error {
		if !p.manages(c, id) {
			return fmt.Errorf("%w: %q", access.ErrNoAccount, id)
		}
		return how(c, c.Account(id))
	})
}

// add makes an account, with a secret that is shown once.
func (g *Gate) add(p *accountPage, r *http.Request) error {
	id, kind, now := r.PostForm.Get("id"), access.Kind(r.PostForm.Get("kind")), time.Now().UTC()
	a := access.Account{ID: id, Kind: kind, Namespace: p.Namespace, Roles: fields(r.PostForm.Get("roles")), Created: now}
	if p.Namespace == "" {
		a.Namespace = r.PostForm.Get("namespace")
	}
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
		topic := id + "/telemetry"
		if a.Namespace != "" {
			topic = a.Namespace + "/" + topic
		}
		p.Connect = fmt.Sprintf("mosquitto_pub -h HOST -u %s -P %s -t %s -m '{\"temperature\":21.5}'", id, secret, topic)
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
	return g.change(p, id, func(c *access.Content, _ *access.Account) (err error) {
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
	if token == "" && p.Namespace == "" && access.IsOutsider(id) {
		return g.directory.Edit(func(c *access.Content) error { return c.End(id, g.now().UTC()) })
	}
	return g.change(p, id, func(c *access.Content, a *access.Account) error {
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
	return g.change(p, id, func(_ *access.Content, a *access.Account) error {
		a.Roles = fields(r.PostForm.Get("roles"))
		return nil
	})
}

// setRole makes, changes or, without rules, removes a role.
func (g *Gate) setRole(p *accountPage, r *http.Request) error {
	name, rules := r.PostForm.Get("name"), []string(nil)
	for line := range strings.Lines(r.PostForm.Get("rules")) {
		if line = strings.TrimSpace(line); line != "" {
			rules = append(rules, line)
		}
	}
	return g.directory.Edit(func(c *access.Content) error {
		namespace := p.Namespace
		var limits access.Limits // which stay
		if i := slices.IndexFunc(c.Roles, func(role access.Role) bool { return role.Name == name }); i >= 0 {
			if p.Namespace != "" && c.Roles[i].Namespace != p.Namespace {
				return fmt.Errorf("%w: the name %q is taken", access.ErrRule, name)
			}
			namespace, limits = c.Roles[i].Namespace, c.Roles[i].Limits
			c.Roles = slices.Delete(c.Roles, i, i+1)
		}
		if len(rules) > 0 {
			c.Roles = append(c.Roles, access.Role{Name: name, Namespace: namespace, Rules: rules, Limits: limits})
		}
		return nil
	})
}

// fields are words with commas or spaces between them.
func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

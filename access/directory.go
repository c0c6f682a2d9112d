package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/access/meter"
	"pulso/internal/watched"
)

// Errors of a login.
var (
	// ErrDenied is returned for credentials that are not good. It does not say what is wrong with them.
	ErrDenied = errors.New("these credentials are not good")
	// ErrAccounts is wrapped where the accounts cannot be read.
	ErrAccounts = errors.New("the accounts cannot be read")
)

// Config of a [Directory].
type Config struct {
	// Path is the file of accounts; empty: there are none, and never will be.
	Path string
	// OnChange hears what a change of the file changes; it must not block. nil: nobody does.
	OnChange func([]Change)
	// Verify says who comes with a token that another has made, such as a JSON Web Token; nil: nobody does. With it the hub is shut
	// even without accounts.
	Verify func(ctx context.Context, token string) (*Outsider, error)
	// Limits are those of accounts that name none, themselves or by their roles.
	Limits meter.Limits
	// Vouched says that another vouches for people, see [Directory.Vouch]. With it the hub is shut, too.
	Vouched bool
	// Every is how often the file is looked at; 0 is 250 ms.
	Every time.Duration
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

// A Directory is the accounts as they stand in their file. Whoever changes the file, this program or another, changes who
// may do what within Every: those who may no longer do what they could are cut off.
type Directory struct {
	cfg     Config
	hasher  *hasher
	metrics *metrics
	meters  *meter.Table

	reading sync.Mutex // of the file
	file    *watched.File

	mu      sync.RWMutex
	state   *state
	live    map[*Grant]struct{}
	timed   map[*Grant]struct{} // those of them that may end by themselves
	changed chan struct{}       // closed, and made anew, with each change
}

// state is what the file says.
type state struct {
	content  *Content
	policy   *Policy
	accounts map[string]*Account
	digests  map[string]digest
	rules    map[string][]string  // of the roles
	limits   map[string]Limits    // of the roles that name any
	ended    map[string]time.Time // when the sessions of outsiders were
	// enabled says that there are accounts, or were.
	enabled bool

	mu sync.Mutex
	// subjects are those that have been made: all connections of an account share one, and what it remembers.
	subjects map[string]*Subject
}

// maxSubjects bounds the subjects that are kept. Beyond it all are made anew.
const maxSubjects = 100_000

// subject is what an account may do with a client id.
func (s *state) subject(a *Account, client string) *Subject {
	if !s.policy.clients {
		client = ""
	}
	key := a.ID + "/" + client
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.subjects[key]
	if made == nil {
		if s.subjects == nil || len(s.subjects) >= maxSubjects {
			s.subjects = make(map[string]*Subject)
		}
		made = s.policy.Subject(a.who(client))
		s.subjects[key] = made
	}
	return made
}

type digest [sha256.Size]byte

// Open reads the accounts. A file that is there and cannot be read is an error: a hub that forgot its accounts would be open
// to everybody.
func Open(cfg Config) (*Directory, error) {
	if cfg.Every == 0 {
		cfg.Every = 250 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Directory{
		cfg: cfg, hasher: newHasher(), file: watched.New(cfg.Path, maxFile),
		live: map[*Grant]struct{}{}, timed: map[*Grant]struct{}{}, changed: make(chan struct{}),
	}
	d.metrics = newMetrics(cfg.Metrics, d)
	d.meters = meter.NewTable(cfg.Logger, cfg.Metrics)
	if err := d.refresh(); err != nil {
		return nil, err
	}
	return d, nil
}

// Run looks at the file, and at what expires, until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	tick := time.NewTicker(d.cfg.Every)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := d.refresh()
		if err != nil && err.Error() != failed {
			d.metrics.failures.Inc()
			d.cfg.Logger.Error("the accounts cannot be read: those that are known go on counting", "error", err)
		}
		failed = ""
		if err != nil {
			failed = err.Error()
		}
		d.sweep(d.timed, time.Now())
		d.meters.Sweep()
	}
}

// refresh reads the file if it is another one than before.
func (d *Directory) refresh() error {
	d.reading.Lock()
	defer d.reading.Unlock()
	text, changed, err := d.file.Read()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAccounts, err)
	}
	if !changed {
		return nil
	}
	content, policy, err := readContent(d.cfg.Path, text)
	if err != nil {
		d.file.Forget()
		return fmt.Errorf("%w: %w", ErrAccounts, err)
	}
	d.take(content, policy)
	return nil
}

// take makes a content the one that counts.
func (d *Directory) take(content *Content, policy *Policy) {
	s := &state{
		content: content, policy: policy, enabled: len(content.Accounts) > 0,
		accounts: make(map[string]*Account, len(content.Accounts)), digests: make(map[string]digest, len(content.Accounts)),
	}
	s.ended = make(map[string]time.Time, len(content.Ended))
	for _, e := range content.Ended {
		s.ended[e.Name] = e.Time
	}
	s.rules = make(map[string][]string, len(content.Roles))
	for _, r := range slices.Concat(BuiltIn(), content.Roles) {
		s.rules[r.Name] = append([]string{r.Namespace}, r.Rules...)
		if !r.Limits.IsZero() {
			if s.limits == nil {
				s.limits = make(map[string]Limits)
			}
			s.limits[r.Name] = r.Limits
		}
	}
	for i := range content.Accounts {
		a := &content.Accounts[i]
		s.accounts[a.ID] = a
		s.digests[a.ID] = digestOf(a, s.rules)
	}
	d.mu.Lock()
	before := d.state
	s.enabled = s.enabled || d.cfg.Verify != nil || d.cfg.Vouched || d.state != nil && d.state.enabled
	d.state = s
	close(d.changed)
	d.changed = make(chan struct{})
	d.mu.Unlock()
	d.sweep(d.live, time.Now())
	d.meters.Refresh()
	if before != nil && d.cfg.OnChange != nil {
		if changes := changesOf(before.content, content); len(changes) > 0 {
			d.cfg.OnChange(changes)
		}
	}
}

// digestOf is of all about an account that decides what its open connections may do: its secret and roles, and what these
// say. Its tokens are looked at one by one.
func digestOf(a *Account, rules map[string][]string) digest {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%q %q %q %t %d", a.Kind, a.Namespace, a.Hash, a.Disabled, a.Created.UnixNano())
	for _, name := range a.Roles {
		_, _ = fmt.Fprintf(sum, " %q %q", name, rules[name])
	}
	return digest(sum.Sum(nil))
}

// rolesDigest is of what some roles say.
func (s *state) rolesDigest(roles []string) digest {
	return digestOf(&Account{Roles: roles}, s.rules)
}

// Enabled reports whether there are accounts: then nobody does anything without one. It stays so when the last of them is
// removed, for as long as the process lives: that must not open the hub to everybody.
func (d *Directory) Enabled() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.state.enabled
}

// Knows reports whether there is an account of a name.
func (d *Directory) Knows(account string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.state.accounts[account] != nil
}

// Keeps reports whether there can be accounts at all.
func (d *Directory) Keeps() bool { return d.cfg.Path != "" }

// Changed is closed when the accounts next change.
func (d *Directory) Changed() <-chan struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.changed
}

// Content is a copy of the accounts and roles, for those who show or change them.
func (d *Directory) Content() Content {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c := d.state.content
	return Content{
		Accounts: slices.Clone(c.Accounts), Namespaces: slices.Clone(c.Namespaces), Roles: slices.Clone(c.Roles), Ended: slices.Clone(c.Ended),
	}
}

// Edit changes the accounts in their file, and here at once.
func (d *Directory) Edit(change func(*Content) error) error {
	if d.cfg.Path == "" {
		return fmt.Errorf("%w: this hub keeps nothing", ErrAccounts)
	}
	if err := Edit(d.cfg.Path, change); err != nil {
		return err
	}
	return d.refresh()
}

// Credentials are what somebody shows. Client is the MQTT client id, if there is one.
type Credentials struct {
	User, Password string
	// Token stands for a user and a password.
	Token  string
	Client string
	// Certificate is the name on a client's certificate that was verified; a device of that name needs nothing else.
	Certificate string
}

// Login makes a Grant for good credentials. Its error wraps [ErrDenied] or [ErrBusy], or is ctx's; whatever is wrong, the
// answer takes as long. before is called before a password is checked that somebody could guess, with its error as Login's.
func (d *Directory) Login(ctx context.Context, c Credentials, before func() error) (*Grant, error) {
	d.mu.RLock()
	seen := d.state
	d.mu.RUnlock()
	g, err := d.login(ctx, c, before)
	if !errors.Is(err, ErrDenied) || d.refresh() != nil {
		return g, err
	}
	d.mu.RLock()
	newer := d.state != seen
	d.mu.RUnlock()
	if newer { // the account may have been made a moment ago
		return d.login(ctx, c, before)
	}
	return g, err
}

func (d *Directory) login(ctx context.Context, c Credentials, before func() error) (*Grant, error) {
	if token := cmp.Or(c.Token, c.Password); d.cfg.Verify != nil && isForeign(token) {
		return d.byVerifying(ctx, token, c.Client)
	}
	if c.Token != "" {
		return d.byToken(c)
	}
	if c.Certificate != "" && c.Password == "" && (c.User == "" || c.User == c.Certificate) {
		return d.byCertificate(c)
	}
	if strings.HasPrefix(c.Password, tokenPrefix) { // where a program has room for a password only
		g, err := d.byToken(Credentials{Token: c.Password, Client: c.Client})
		if err == nil && c.User != "" && c.User != g.Account {
			return nil, d.denied()
		}
		return g, err
	}
	d.mu.RLock()
	a := d.state.accounts[c.User]
	hash := ""
	if a != nil {
		hash = a.Hash
	}
	seen := d.state
	d.mu.RUnlock()
	same, err := d.hasher.compare(ctx, hash, c.Password, before)
	if err != nil {
		return nil, err
	}
	if !same || a == nil || a.Disabled {
		return nil, d.denied()
	}
	return d.grant(seen, a, c.Client, ""), nil
}

// isForeign reports whether a token is another's: three parts, and none of ours.
func isForeign(token string) bool {
	return strings.Count(token, ".") == 2 && strings.HasPrefix(token, "ey") && !strings.HasPrefix(token, tokenPrefix)
}

// byCertificate lets a device in that has proved its name.
func (d *Directory) byCertificate(c Credentials) (*Grant, error) {
	d.mu.RLock()
	s := d.state
	d.mu.RUnlock()
	if a := s.accounts[c.Certificate]; a != nil && a.Kind == Device && !a.Disabled {
		return d.grant(s, a, c.Client, ""), nil
	}
	return nil, d.denied()
}

func (d *Directory) denied() error {
	d.metrics.denied.Inc()
	return ErrDenied
}

func (d *Directory) byToken(c Credentials) (*Grant, error) {
	account, id, secret, ok := splitToken(c.Token)
	d.mu.RLock()
	s := d.state
	d.mu.RUnlock()
	a := s.accounts[account]
	if !ok || a == nil || a.Disabled {
		return nil, d.denied()
	}
	hash := HashSecret(secret)
	for _, t := range a.Tokens {
		if t.ID == id && equal(t.Hash, hash) && !t.over(time.Now()) {
			return d.grant(s, a, c.Client, t.ID), nil
		}
	}
	return nil, d.denied()
}

// Of makes a Grant for an account whose login was proved before, by a session of the dashboard that began at a time. A
// session that began before the password was changed is worth nothing: holds says what the account was then.
func (d *Directory) Of(account string, holds [32]byte) (*Grant, error) {
	d.mu.RLock()
	s := d.state
	d.mu.RUnlock()
	a := s.accounts[account]
	if a == nil || a.Disabled || secretDigest(a) != holds {
		return nil, ErrDenied
	}
	return d.grant(s, a, "", ""), nil
}

// secretDigest is of what a login proved.
func secretDigest(a *Account) [32]byte {
	return sha256.Sum256([]byte(a.Hash + a.Created.UTC().Format(time.RFC3339Nano)))
}

// Explain says which rule decides on a topic for an account.
func (d *Directory) Explain(account, client string, r Rights, topic string) (Decision, error) {
	d.mu.RLock()
	s := d.state
	d.mu.RUnlock()
	a := s.accounts[account]
	if a == nil {
		return Decision{}, fmt.Errorf("%w: %q", ErrNoAccount, account)
	}
	return s.subject(a, client).Explain(r, topic), nil
}

func (a *Account) who(client string) *Who {
	w := &Who{User: a.ID, Client: client, Namespace: a.Namespace, Roles: a.Roles}
	if a.Kind == Device {
		w.Device = a.ID
	}
	return w
}

package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pulso/internal/watched"
)

// A Kind is what an account is for.
type Kind string

// The kinds there are.
const (
	// Person logs in with a password, on a page.
	Person Kind = "person"
	// Device connects by MQTT with a secret.
	Device Kind = "device"
	// Service comes with a token.
	Service Kind = "service"
)

// An Account is somebody who may use the hub.
type Account struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Namespace is where the account lives: its rules count below that level of topics only. Empty: everywhere.
	Namespace string   `json:"namespace,omitempty"`
	Roles     []string `json:"roles"`
	// Hash is of the password or secret; empty: it has none.
	Hash     string  `json:"hash,omitempty"`
	Tokens   []Token `json:"tokens,omitempty"`
	Disabled bool    `json:"disabled,omitempty"`
	// Limits are its own; they win over those of its roles.
	Limits  Limits    `json:"limits,omitzero"`
	Created time.Time `json:"created"`
}

// A Token is a secret that stands for its account, beside its password.
type Token struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash"`
	Created time.Time `json:"created"`
	// Expires is when it ends; zero: never.
	Expires time.Time `json:"expires,omitzero"`
}

// over reports whether a token has expired.
func (t *Token) over(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// Bounds of the accounts.
const (
	maxAccounts     = 100_000
	maxTokens       = 100 // of an account
	maxAccountRoles = 32
	maxNamespaces   = 1_000
	maxFile         = 128 << 20 // bytes
)

// Content is all that the file of accounts says.
type Content struct {
	Accounts   []Account   `json:"accounts"`
	Namespaces []Namespace `json:"namespaces,omitempty"`
	// Roles are those besides [BuiltIn].
	Roles []Role `json:"roles,omitempty"`
	// Ended are outsiders whose sessions were ended.
	Ended []Ended `json:"ended,omitempty"`
}

// A Namespace is a tenant: accounts and roles that have a first level of topics to themselves.
type Namespace struct {
	// Name is that level.
	Name string `json:"name"`
	// Limits are of all accounts in it together.
	Limits Limits `json:"limits,omitzero"`
}

// HasNamespace reports whether there is a namespace.
func (c *Content) HasNamespace(name string) bool {
	return slices.ContainsFunc(c.Namespaces, func(n Namespace) bool { return n.Name == name })
}

// RemoveNamespace removes a namespace with its accounts and roles, and reports whether there was one.
func (c *Content) RemoveNamespace(name string) bool {
	if !c.HasNamespace(name) {
		return false
	}
	c.Namespaces = slices.DeleteFunc(c.Namespaces, func(n Namespace) bool { return n.Name == name })
	c.Accounts = slices.DeleteFunc(c.Accounts, func(a Account) bool { return a.Namespace == name })
	c.Roles = slices.DeleteFunc(c.Roles, func(r Role) bool { return r.Namespace == name })
	return true
}

// Errors about accounts.
var (
	// ErrAccount is wrapped by what is wrong with an account.
	ErrAccount = errors.New("account")
	// ErrNoAccount is wrapped where there is none of a name.
	ErrNoAccount = errors.New("no such account")
)

// Account finds an account by its name; nil: there is none.
func (c *Content) Account(id string) *Account {
	i := slices.IndexFunc(c.Accounts, func(a Account) bool { return a.ID == id })
	if i < 0 {
		return nil
	}
	return &c.Accounts[i]
}

// Add adds an account. A name that differs from another one in case only is taken: people would mix them up.
func (c *Content) Add(a Account) error {
	if err := CheckID(a.ID); err != nil {
		return err
	}
	if slices.ContainsFunc(c.Accounts, func(b Account) bool { return strings.EqualFold(a.ID, b.ID) }) {
		return fmt.Errorf("%w: the name %q is taken", ErrAccount, a.ID)
	}
	c.Accounts = append(c.Accounts, a)
	return nil
}

// Remove removes an account and reports whether there was one.
func (c *Content) Remove(id string) bool {
	before := len(c.Accounts)
	c.Accounts = slices.DeleteFunc(c.Accounts, func(a Account) bool { return a.ID == id })
	return len(c.Accounts) < before
}

// AddToken gives an account a token and returns it: it cannot be had again. expires zero: never.
func (c *Content) AddToken(id string, now, expires time.Time) (string, error) {
	a := c.Account(id)
	if a == nil {
		return "", fmt.Errorf("%w: %q", ErrNoAccount, id)
	}
	if len(a.Tokens) >= maxTokens {
		return "", fmt.Errorf("%w %s: %d tokens, the most that one may have", ErrAccount, id, len(a.Tokens))
	}
	t := Token{ID: NewSecret()[:8], Created: now, Expires: expires}
	secret := NewSecret()
	t.Hash = HashSecret(secret)
	a.Tokens = append(a.Tokens, t)
	return tokenPrefix + a.ID + "." + t.ID + "." + secret, nil
}

// tokenPrefix begins every token, so that people and scanners know one when they see it.
const tokenPrefix = "pulso."

// splitToken takes a token apart. The name of an account may have dots itself.
func splitToken(token string) (account, id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	i := strings.LastIndexByte(rest, '.')
	if !ok || i < 0 {
		return "", "", "", false
	}
	rest, secret = rest[:i], rest[i+1:]
	i = strings.LastIndexByte(rest, '.')
	if i < 0 {
		return "", "", "", false
	}
	return rest[:i], rest[i+1:], secret, true
}

// check returns the policy that the content makes, or what is wrong with it.
func (c *Content) check() (*Policy, error) {
	policy, err := NewPolicy(c.Roles)
	if err != nil {
		return nil, err
	}
	if len(c.Accounts) > maxAccounts {
		return nil, fmt.Errorf("%w: %d of them, at most %d", ErrAccount, len(c.Accounts), maxAccounts)
	}
	if err := c.checkNamespaces(); err != nil {
		return nil, err
	}
	if len(c.Ended) > maxEnded {
		return nil, fmt.Errorf("%w: sessions of %d people were ended, at most %d", ErrAccount, len(c.Ended), maxEnded)
	}
	seen := make(map[string]bool, len(c.Accounts))
	for i := range c.Accounts {
		a := &c.Accounts[i]
		if err := CheckID(a.ID); err != nil {
			return nil, err
		}
		folded := strings.ToLower(a.ID)
		switch {
		case seen[folded]:
			return nil, fmt.Errorf("%w: %q is there twice", ErrAccount, a.ID)
		case !slices.Contains([]Kind{Person, Device, Service}, a.Kind):
			return nil, fmt.Errorf("%w %s: kind %.20q: there are person, device and service", ErrAccount, a.ID, a.Kind)
		case len(a.Tokens) > maxTokens || len(a.Roles) > maxAccountRoles:
			return nil, fmt.Errorf("%w %s: at most %d roles and %d tokens", ErrAccount, a.ID, maxAccountRoles, maxTokens)
		}
		seen[folded] = true
		if a.Namespace != "" && !c.HasNamespace(a.Namespace) {
			return nil, fmt.Errorf("%w %s: there is no namespace %.40q", ErrAccount, a.ID, a.Namespace)
		}
		for _, role := range a.Roles {
			if of := policy.namespaces[role]; !policy.Has(role) || of != "" && of != a.Namespace {
				return nil, fmt.Errorf("%w %s: there is no role %.40q", ErrAccount, a.ID, role)
			}
		}
	}
	return policy, nil
}

func (c *Content) checkNamespaces() error {
	if len(c.Namespaces) > maxNamespaces {
		return fmt.Errorf("%w: %d namespaces, at most %d", ErrAccount, len(c.Namespaces), maxNamespaces)
	}
	seen := make(map[string]bool, len(c.Namespaces))
	for _, n := range c.Namespaces {
		if err := CheckID(n.Name); err != nil {
			return fmt.Errorf("namespace: %w", err)
		}
		if folded := strings.ToLower(n.Name); seen[folded] {
			return fmt.Errorf("%w: the namespace %q is there twice", ErrAccount, n.Name)
		}
		seen[strings.ToLower(n.Name)] = true
	}
	for _, r := range c.Roles {
		if r.Namespace != "" && !c.HasNamespace(r.Namespace) {
			return fmt.Errorf("%w: role %s: there is no namespace %.40q", ErrRule, r.Name, r.Namespace)
		}
	}
	return nil
}

// readContent reads what a file of accounts says. Of no text it is empty.
func readContent(path string, text []byte) (*Content, *Policy, error) {
	c := new(Content)
	if err := watched.Strictly(text, c); err != nil {
		return nil, nil, fmt.Errorf("accounts: %s is not what it should be: %w", path, err)
	}
	policy, err := c.check()
	if err != nil {
		return nil, nil, fmt.Errorf("accounts: %s: %w", path, err)
	}
	return c, policy, nil
}

// Exist reports whether a file holds accounts. One that cannot be read is an error.
func Exist(path string) (bool, error) {
	if path == "" {
		return false, nil
	}
	c, err := Read(path)
	return err == nil && len(c.Accounts) > 0, err
}

// Read is what a file of accounts says. One that is not there says nothing.
func Read(path string) (*Content, error) {
	text, _, err := watched.New(path, maxFile).Read()
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	c, _, err := readContent(path, text)
	return c, err
}

// Edit changes the file of accounts: nobody sees it half written, and of two who change it at one time the second goes on
// from what the first wrote. The file is its owner's alone.
func Edit(path string, change func(*Content) error) error {
	err := watched.Edit(path, maxFile, func(text []byte) (any, error) {
		c, _, err := readContent(path, text)
		if err == nil {
			err = change(c)
		}
		if err == nil {
			_, err = c.check()
		}
		return c, err
	})
	if err != nil && !errors.Is(err, ErrRule) && !errors.Is(err, ErrAccount) && !errors.Is(err, ErrNoAccount) {
		return fmt.Errorf("accounts: %w", err)
	}
	return err
}

package access

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulso/access/meter"
)

func mustLimits(t testing.TB, text string) Limits {
	t.Helper()
	l, err := ParseLimits(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseLimits(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"messages=100":                       "messages=100",
		"samples=5, connections=0,bytes=1":   "connections=0,bytes=1,samples=5",
		"subscriptions=16777216,messages=01": "messages=1,subscriptions=16777216",
	} {
		if l, err := ParseLimits(text); err != nil || l.String() != want || l.IsZero() != (want == "") {
			t.Errorf("%q: %q, %v", text, l.String(), err)
		}
	}
	for text, names := range map[string]string{
		"messages=-1": "messages", "messages=1000000001": "messages", "connections=16777217": "connections", "bytes=1.5": "bytes",
		"samples=99999999999999999999": "samples", "speed=1": "speed", "messages": "messages", "bytes=1,bytes=2": "bytes", ",": "like",
		strings.Repeat("x", 300): "300 bytes",
	} {
		if _, err := ParseLimits(text); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), names) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func FuzzParseLimits(f *testing.F) {
	f.Add("messages=100,connections=3")
	f.Add("samples=-1,,bytes=")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLimits(text)
		if err != nil {
			if !errors.Is(err, ErrLimit) || l != (Limits{}) {
				t.Fatalf("%v, %v", l, err)
			}
			return
		}
		again, err := ParseLimits(l.String())
		if err != nil || again != l {
			t.Fatalf("%q became %q: %v", text, l.String(), err)
		}
	})
}

// An account's own limits win, then the most generous of its roles', then the hub's; and a file that is read again says the same.
func TestWhichLimitHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.json")
	err := Edit(path, func(c *Content) error {
		c.Roles = []Role{
			{Name: "some", Rules: []string{"allow publish a/#"}, Limits: mustLimits(t, "messages=10,bytes=500")},
			{Name: "more", Rules: []string{"allow publish a/#"}, Limits: mustLimits(t, "messages=20,connections=2")},
			{Name: "any", Rules: []string{"allow publish a/#"}, Limits: mustLimits(t, "messages=0")},
		}
		c.Accounts = []Account{
			{ID: "none", Kind: Device, Roles: []string{RoleDevice}},
			{ID: "two", Kind: Device, Roles: []string{"more", "some"}},
			{ID: "three", Kind: Device, Roles: []string{"more", "any", "some"}},
			{ID: "own", Kind: Device, Roles: []string{"more", "any"}, Limits: mustLimits(t, "messages=1,samples=0")},
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{Path: path, Limits: meter.Limits{7, 7, 7, 7, 7}})
	if err != nil {
		t.Fatal(err)
	}
	for account, want := range map[string]meter.Limits{
		"none": {7, 7, 7, 7, 7}, "two": {2, 20, 500, 7, 7}, "three": {2, 0, 500, 7, 7}, "own": {2, 1, 7, 7, 0}, "gone": {7, 7, 7, 7, 7},
	} {
		if got := d.Limits(account); got != want {
			t.Errorf("%s: %v, want %v", account, got, want)
		}
	}
}

// What changes in the file holds for who is there, whom it does not cut off, and is recorded.
func TestLimitsChangeWithoutCutting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.json")
	secret := NewSecret()
	limit := func(text string) {
		t.Helper()
		if err := Edit(path, func(c *Content) error {
			if len(c.Accounts) == 0 {
				c.Accounts = []Account{{ID: "plug", Kind: Device, Roles: []string{RoleDevice}, Hash: HashSecret(secret), Created: time.Now().UTC()}}
			}
			c.Accounts[0].Limits = mustLimits(t, text)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	limit("")
	var told []Change
	d, err := Open(Config{Path: path, OnChange: func(c []Change) { told = append(told, c...) }})
	if err != nil {
		t.Fatal(err)
	}
	grant, err := d.Login(t.Context(), Credentials{User: "plug", Password: secret}, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	cut := false
	release := grant.While(func(bool) { cut = true })
	defer release()
	chain := grant.Meter()
	defer chain.Close()
	for range 5 {
		chain.Subscribe(false)
	}
	limit("subscriptions=3")
	if err := d.refresh(); err != nil {
		t.Fatal(err)
	}
	if chain.Subscribe(false) || cut || !grant.Holds() {
		t.Errorf("over the new limit; cut off: %v", cut)
	}
	if len(told) != 1 || told[0].About != "plug: limits subscriptions=3" {
		t.Errorf("%+v", told)
	}
	limit("")
	if err := d.refresh(); err != nil {
		t.Fatal(err)
	}
	if !chain.Subscribe(false) || told[len(told)-1].About != "plug: no limits of its own" {
		t.Errorf("the limit stays: %+v", told)
	}
	if (&Grant{}).Meter() != nil {
		t.Error("nobody is counted")
	}
}

// Who comes with another's token has the limits of its roles, as they are now.
func TestOutsidersHaveTheLimitsOfTheirRoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.json")
	limit := func(text string) {
		t.Helper()
		if err := Edit(path, func(c *Content) error {
			c.Roles = []Role{{Name: "guest", Rules: []string{"allow subscribe #"}, Limits: mustLimits(t, text)}}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	limit("connections=1")
	d, err := Open(Config{Path: path, Verify: func(context.Context, string) (*Outsider, error) {
		return &Outsider{Name: "id:anna", Subject: "anna", Roles: []string{"guest"}, Expires: time.Now().Add(time.Hour)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	come := func() *meter.Chain {
		t.Helper()
		g, err := d.Login(t.Context(), Credentials{Token: "eyJ.x.y"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		chain := g.Meter()
		t.Cleanup(chain.Close)
		return chain
	}
	first, second := come(), come()
	if !first.Connect(false) || second.Connect(false) {
		t.Error("the role's limit does not hold for both")
	}
	limit("connections=2")
	if err := d.refresh(); err != nil {
		t.Fatal(err)
	}
	if !second.Connect(false) || come().Connect(false) {
		t.Error("the changed limit does not hold")
	}
}

package access

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// Who logs in elsewhere has the roles that this hub has, for as long as the login lasts, and not in the name of an account.
func TestOutsidersAreVouchedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.json")
	err := Edit(path, func(c *Content) error {
		c.Roles = []Role{{Name: "own", Rules: []string{"allow publish %u/#", "allow publish d/%d"}}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{Path: path, Vouched: true})
	if err != nil {
		t.Fatal(err)
	}
	if !d.Enabled() {
		t.Error("the hub is open")
	}
	now := time.Now()
	person := func(roles ...string) *Outsider {
		return &Outsider{Name: "id:ben", Subject: "ben", Roles: roles, Began: now, Expires: now.Add(time.Hour)}
	}
	for _, roles := range [][]string{nil, {"king"}} {
		if _, err := d.Vouch(person(roles...), nil); !errors.Is(err, ErrNoRole) {
			t.Errorf("with the roles %q: %v", roles, err)
		}
		if _, err := d.Vouch(person(roles...), []string{"nor this"}); !errors.Is(err, ErrNoRole) {
			t.Errorf("with the roles %q, and one that there is not: %v", roles, err)
		}
		if g, err := d.Vouch(person(roles...), []string{RoleViewer}); err != nil || !g.MayHear("a") {
			t.Errorf("with the roles %q, or else a viewer's: %v", roles, err)
		}
	}
	over := person("own")
	over.Expires = now
	if _, err := d.Vouch(over, nil); !errors.Is(err, ErrDenied) {
		t.Errorf("a login that is over: %v", err)
	}
	g, err := d.Vouch(person("own", "king"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Holds() || g.Kind != Person || !g.MayPublish("id:ben/x") || g.MayPublish("ben/x") || g.MayPublish("d/ben") || g.MayPublish("d/id:ben") {
		t.Errorf("%+v", g)
	}
	cut := make(chan bool, 1)
	release := g.While(func(gone bool) { cut <- gone })
	defer release()
	if err := d.Edit(func(c *Content) error { return c.End("id:ben", now) }); err != nil {
		t.Fatal(err)
	}
	if g.Holds() || !<-cut {
		t.Error("it goes on after it was ended")
	}
	if _, err := d.Vouch(person("own"), nil); !errors.Is(err, ErrDenied) {
		t.Errorf("a login that was ended: %v", err)
	}
	later := person("own")
	later.Began = now.Add(time.Millisecond)
	if _, err := d.Vouch(later, nil); err != nil {
		t.Errorf("a later login: %v", err)
	}
}

// Those whose sessions were ended are bounded, and forgotten when the sessions would be over anyhow.
func TestEndedAreBounded(t *testing.T) {
	var c Content
	now := time.Now()
	for _, name := range []string{"", "ben", ":", "id:", ":ben"} {
		if err := c.End(name, now); !errors.Is(err, ErrNoAccount) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for i := range maxEnded {
		c.Ended = append(c.Ended, Ended{fmt.Sprint("id:", i), now})
	}
	if err := c.End("id:1", now); err != nil || len(c.Ended) != maxEnded {
		t.Errorf("one that is there: %v, %d", err, len(c.Ended))
	}
	if err := c.End("id:x", now); !errors.Is(err, ErrAccount) {
		t.Errorf("one more: %v", err)
	}
	if err := c.End("id:x", now.Add(MaxOutside+time.Second)); err != nil || len(c.Ended) != 1 {
		t.Errorf("a day later: %v, %d", err, len(c.Ended))
	}
}

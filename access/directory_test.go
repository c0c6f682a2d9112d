package access

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password = "correct horse battery"
	secret   = "abcdefghijklmnopqrstuvwxyz234567"
)

func never() error { return nil }

// newDirectory has a person, a device and a service, and watches its file.
func newDirectory(t *testing.T) (d *Directory, token string) {
	t.Helper()
	hash, err := HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "access.json")
	now := time.Now().UTC()
	err = Edit(path, func(c *Content) error {
		c.Roles = []Role{{Name: "own", Rules: []string{"allow all home/%u/#"}}}
		err := errors.Join(
			c.Add(Account{ID: "anna", Kind: Person, Roles: []string{RoleAdministrator}, Hash: hash, Created: now}),
			c.Add(Account{ID: "plug", Kind: Device, Roles: []string{"own"}, Hash: HashSecret(secret), Created: now}),
			c.Add(Account{ID: "my.service", Kind: Service, Roles: []string{RoleViewer}, Created: now}),
		)
		if err != nil {
			return err
		}
		token, err = c.AddToken("my.service", now, time.Time{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err = Open(Config{Path: path, Every: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return d, token
}

func (d *Directory) edit(t *testing.T, change func(*Content)) {
	t.Helper()
	// As another program does it.
	if err := Edit(d.cfg.Path, func(c *Content) error { change(c); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestLogin(t *testing.T) {
	d, token := newDirectory(t)
	asked := 0
	before := func() error { asked++; return nil }
	for _, c := range []struct {
		name    string
		with    Credentials
		account string
	}{
		{"a person", Credentials{User: "anna", Password: password}, "anna"},
		{"a device", Credentials{User: "plug", Password: secret}, "plug"},
		{"a token", Credentials{Token: token}, "my.service"},
		{"a token as password", Credentials{Password: token}, "my.service"},
		{"with its name", Credentials{User: "my.service", Password: token}, "my.service"},
		{"with another's name", Credentials{User: "anna", Password: token}, ""},
		{"a wrong password", Credentials{User: "anna", Password: password + "x"}, ""},
		{"no password", Credentials{User: "anna"}, ""},
		{"a long password", Credentials{User: "anna", Password: strings.Repeat("x", 1<<16)}, ""},
		{"nobody", Credentials{User: "nobody", Password: password}, ""},
		{"no user", Credentials{}, ""},
		{"another's secret", Credentials{User: "anna", Password: secret}, ""},
		{"the hash for a password", Credentials{User: "plug", Password: HashSecret(secret)}, ""},
		{"a service without a password", Credentials{User: "my.service"}, ""},
		{"half a token", Credentials{Token: token[:len(token)-1]}, ""},
		{"another case", Credentials{User: "Anna", Password: password}, ""},
		{"no token", Credentials{Token: "pulso.x"}, ""},
		{"empty parts", Credentials{Token: "pulso..."}, ""},
	} {
		g, err := d.Login(t.Context(), c.with, before)
		switch {
		case c.account == "" && !errors.Is(err, ErrDenied):
			t.Errorf("%s: %v", c.name, err)
		case c.account != "" && (err != nil || g.Account != c.account):
			t.Errorf("%s: %+v, %v", c.name, g, err)
		}
	}
	if asked == 0 {
		t.Error("nobody was asked before passwords were checked")
	}
	throttled := errors.New("later")
	if _, err := d.Login(t.Context(), Credentials{User: "anna", Password: password}, func() error { return throttled }); !errors.Is(err, throttled) {
		t.Errorf("not held back: %v", err)
	}
	if _, err := d.Login(t.Context(), Credentials{User: "plug", Password: secret}, func() error { return throttled }); err != nil {
		t.Errorf("a device with its secret was held back: %v", err)
	}
}

// Each change cuts off those whom it concerns, says whether they may come back, and leaves the others alone.
func TestChangesCutOff(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Content)
		user   string
		gone   bool
	}{
		{"the account is removed", func(c *Content) { c.Remove("plug") }, "plug", true},
		{"the account is disabled", func(c *Content) { c.Account("plug").Disabled = true }, "plug", true},
		{"another secret", func(c *Content) { c.Account("plug").Hash = HashSecret("x") }, "plug", true},
		{"other roles", func(c *Content) { c.Account("plug").Roles = []string{RoleDevice} }, "plug", false},
		{"another rule", func(c *Content) { c.Roles[0].Rules = []string{"allow publish home/#"} }, "plug", false},
		{"another of the same name", func(c *Content) { c.Account("plug").Created = time.Now().Add(time.Hour) }, "plug", true},
		{"the token is revoked", func(c *Content) { c.Account("my.service").Tokens = nil }, "my.service", true},
		{"the token expires", func(c *Content) { c.Account("my.service").Tokens[0].Expires = time.Now().Add(-time.Second) }, "my.service", true},
		{"another password", func(c *Content) { c.Account("anna").Hash = HashSecret("x") }, "anna", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, token := newDirectory(t)
			grants := map[string]*Grant{}
			cuts := map[string]chan bool{}
			for user, with := range map[string]Credentials{
				"anna": {User: "anna", Password: password}, "plug": {User: "plug", Password: secret}, "my.service": {Token: token},
			} {
				g, err := d.Login(t.Context(), with, never)
				if err != nil {
					t.Fatal(err)
				}
				cut := make(chan bool, 2)
				t.Cleanup(g.While(func(gone bool) { cut <- gone }))
				grants[user], cuts[user] = g, cut
			}
			d.edit(t, c.change)
			select {
			case gone := <-cuts[c.user]:
				if gone != c.gone {
					t.Errorf("gone: %t", gone)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("was not cut off")
			}
			for user, g := range grants {
				if g.Holds() == (user == c.user) {
					t.Errorf("%s: holds %t", user, g.Holds())
				}
				if user != c.user && len(cuts[user]) > 0 {
					t.Errorf("%s was cut off, too", user)
				}
			}
			late := make(chan bool, 1) // who comes with a grant that does not hold is cut at once
			grants[c.user].While(func(gone bool) { late <- gone })()
			if len(late) == 0 {
				t.Error("a grant that does not hold was taken")
			}
		})
	}
}

func TestTokensExpire(t *testing.T) {
	d, _ := newDirectory(t)
	token := ""
	err := d.Edit(func(c *Content) (err error) {
		token, err = c.AddToken("my.service", time.Now(), time.Now().Add(300*time.Millisecond))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.Login(t.Context(), Credentials{Token: token}, never)
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan bool, 1)
	t.Cleanup(g.While(func(gone bool) { cut <- gone }))
	select {
	case gone := <-cut:
		if !gone {
			t.Error("it may come back")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("a token that has expired goes on")
	}
	if _, err := d.Login(t.Context(), Credentials{Token: token}, never); !errors.Is(err, ErrDenied) {
		t.Errorf("an expired token: %v", err)
	}
}

// The first account ends what everybody might do, and no removal brings it back.
func TestFirstAccountShutsTheHub(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "access.json")
	d, err := Open(Config{Path: path})
	if err != nil || d.Enabled() {
		t.Fatalf("enabled without accounts, or %v", err)
	}
	cut := make(chan bool, 1)
	open := d.Open()
	t.Cleanup(open.While(func(gone bool) { cut <- gone }))
	if !open.May(All, "x") || !open.Holds() {
		t.Error("everybody may not do everything")
	}
	if err := d.Edit(func(c *Content) error { return c.Add(Account{ID: "a", Kind: Person}) }); err != nil {
		t.Fatal(err)
	}
	if !d.Enabled() || open.Holds() || !<-cut {
		t.Error("the first account has changed nothing")
	}
	if err := d.Edit(func(c *Content) error { c.Remove("a"); return nil }); err != nil {
		t.Fatal(err)
	}
	if !d.Enabled() {
		t.Error("the removal of the last account has opened the hub")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := d.refresh(); err != nil || !d.Enabled() {
		t.Error("the removal of the file has opened the hub")
	}
}

// Who has just been added may come at once.
func TestAddedAMomentAgo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.json")
	d, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	err = Edit(path, func(c *Content) error { return c.Add(Account{ID: "plug", Kind: Device, Hash: HashSecret(secret)}) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Login(t.Context(), Credentials{User: "plug", Password: secret}, never); err != nil {
		t.Error(err)
	}
}

// A file that is damaged changes nothing while the hub runs, and lets none start.
func TestDamagedFile(t *testing.T) {
	d, token := newDirectory(t)
	g, err := d.Login(t.Context(), Credentials{Token: token}, never)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "{", `{"accounts":[{"id":"a/b","kind":"person"}]}`, `{"accounts":[{"id":"a","kind":"king"}]}`,
		`{"accounts":[{"id":"a","kind":"person","roles":["none"]}]}`, `{"accounts":[],"more":1}`,
		`{"accounts":[{"id":"a","kind":"person"},{"id":"A","kind":"person"}]}`,
	} {
		if err := os.WriteFile(d.cfg.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Path: d.cfg.Path}); !errors.Is(err, ErrAccounts) {
			t.Errorf("%q: %v", text, err)
		}
		if err := d.refresh(); err == nil {
			t.Errorf("%q was taken", text)
		}
		if !g.Holds() || !d.Enabled() {
			t.Errorf("%q has changed who may do what", text)
		}
	}
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	d, token := newDirectory(t)
	info, err := os.Stat(d.cfg.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(d.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{password, secret, token[strings.LastIndexByte(token, '.')+1:]} {
		if strings.Contains(string(text), s) {
			t.Errorf("the file has the secret %s", s)
		}
	}
}

// Of changes at one time none is lost.
func TestEditsAreOneAfterTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.json")
	var wg sync.WaitGroup
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, name := range names {
		wg.Go(func() {
			if err := Edit(path, func(c *Content) error { return c.Add(Account{ID: name, Kind: Device}) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range c.Accounts {
		got = append(got, a.ID)
	}
	if slices.Sort(got); !slices.Equal(got, names) {
		t.Errorf("accounts %q", got)
	}
}

// Passwords that wait to be checked are bounded.
func TestPasswordsWaitBounded(t *testing.T) {
	d, _ := newDirectory(t)
	for range hashTurns {
		d.hasher.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range hashWaiting {
		wg.Go(func() {
			if _, err := d.Login(ctx, Credentials{User: "nobody"}, never); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
	for deadline := time.Now().Add(5 * time.Second); d.hasher.waiting.Load() < hashWaiting; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they do not wait")
		}
	}
	if _, err := d.Login(t.Context(), Credentials{User: "anna", Password: password}, never); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	if _, err := d.Login(t.Context(), Credentials{User: "plug", Password: secret}, never); err != nil {
		t.Errorf("a device beside them: %v", err)
	}
	cancel()
	wg.Wait()
	for range hashTurns {
		<-d.hasher.turns
	}
}

func FuzzSplitToken(f *testing.F) {
	f.Add("pulso.a.b.c")
	f.Add("pulso.a.b.c.d")
	f.Add("pulso...")
	f.Fuzz(func(t *testing.T, text string) {
		account, id, secret, ok := splitToken(text)
		if ok && tokenPrefix+account+"."+id+"."+secret != text {
			t.Fatalf("%q becomes %q %q %q", text, account, id, secret)
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	h := newHasher()
	hash, err := HashPassword(password)
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]struct{ hash, password string }{
		"password": {hash, password}, "wrong": {hash, "x"}, "nobody": {"", "x"},
		"secret": {HashSecret(secret), secret}, "wrong secret": {HashSecret(secret), "x"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = h.compare(b.Context(), c.hash, c.password, never)
			}
		})
	}
}

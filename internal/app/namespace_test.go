package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pulso/access"
	"pulso/test/conformance/wire"
)

// A tenant is one of two in a hub: a namespace, its administrator, and a gateway that may use all of its topics.
type tenant struct {
	name, admin, gateway string
}

var tenants = []tenant{{"acme", "amy", "gate-a"}, {"bolt", "bea", "gate-b"}}

// runTenants is a guarded hub with two tenants, whose administrators have personPassword, and all of whose accounts have tokens.
func runTenants(t *testing.T) *guardedHub {
	t.Helper()
	g := runGuarded(t)
	hash, err := access.HashPassword(personPassword)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	g.edit(func(c *access.Content) {
		for _, n := range tenants {
			c.Namespaces = append(c.Namespaces, access.Namespace{Name: n.name})
			for _, a := range []access.Account{
				{ID: n.admin, Kind: access.Person, Namespace: n.name, Roles: []string{access.RoleAdministrator}, Hash: hash, Created: now},
				{ID: n.gateway, Kind: access.Device, Namespace: n.name, Roles: []string{access.RoleGateway}, Created: now},
			} {
				if err := c.Add(a); err != nil {
					t.Fatal(err)
				}
				if g.tokens[a.ID], err = c.AddToken(a.ID, now, time.Time{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	eventually(t, "the namespaces are known", func() bool {
		return len(g.namespaces()) == 2 && g.ask(http.MethodGet, "/api/v1/devices", g.tokens["amy"]) == http.StatusOK
	})
	return g
}

// read is what an account is told.
func (g *guardedHub) read(account, path string) string {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url+path, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.tokens[account])
	return text(g.t, http.DefaultClient, req)
}

func text(t testing.TB, c *http.Client, req *http.Request) string {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// mqtt connects an account.
func (g *guardedHub) device(account string) *wire.Client {
	g.t.Helper()
	token := g.tokens[account]
	return wire.Open(g.t, g.MQTTAddr(), &wire.Connect{ClientID: account, User: &account, Password: &token})
}

// Nobody gets out of a namespace, by whatever way a topic is written.
func TestNamespaceEscapes(t *testing.T) {
	g := runTenants(t)
	a, b := g.device("gate-a"), g.device("gate-b")
	b.Subscribe("#", 1)
	for _, topic := range []string{
		"bolt/x", "acme/../bolt/x", "/bolt/x", "//acme/x", "ACME/x", "аcme/x", "acme", "acmé/x", "acme//../../bolt/x", "./acme/x", "../bolt/x",
		"acme%2f../bolt", "$dead/acme/x", "$SYS/x", "x", "acme2/x",
	} {
		ack := a.TryPublish(&wire.Publish{Topic: topic, QoS: 1, Payload: "out"})
		// What begins with the tenant's own level is the tenant's own, whatever stands behind it.
		if inside := topic == "acme" || strings.HasPrefix(topic, "acme/"); inside == (ack.Code >= 0x80) {
			t.Errorf("publish to %q: %v", topic, ack)
		}
	}
	for _, filter := range []string{"bolt/#", "bolt/x", "ACME/#", "$SYS/#", "$share/g/#", "$share/g/bolt/#", "$share/g/+/x", "$dead/bolt/#"} {
		if ack := a.TrySubscribe(&wire.Subscribe{ID: a.NextID(), Filters: []wire.Filter{{Filter: filter, Options: 1}}}); ack.Codes[0] < 0x80 {
			t.Errorf("subscribe to %s: %v", filter, ack)
		}
	}
	for _, filter := range []string{"#", "+/+", "+/#", "acme/#", "$dead/#"} {
		a.Subscribe(filter, 1)
	}
	b.Publish(&wire.Publish{Topic: "bolt/x", QoS: 1, Payload: "secret", Retain: true})
	b.ReceiveMessage("bolt/x", "secret")
	fence := func(c *wire.Client, topic string) { // what comes next is this
		t.Helper()
		c.Publish(&wire.Publish{Topic: topic, QoS: 1, Payload: "fence"})
		c.ReceiveMessage(topic, "fence")
	}
	fence(b, "bolt/fence")
	fence(a, "acme/fence")
	late := wire.Open(t, g.MQTTAddr(), &wire.Connect{ClientID: "late", User: new("gate-a"), Password: new(g.tokens["gate-a"])})
	late.Subscribe("#", 1)
	fence(late, "acme/late")
	// A will, and an alias, are judged as all is.
	refused := wire.Dial(t, g.MQTTAddr())
	refused.Send(&wire.Connect{ClientID: "w", User: new("gate-a"), Password: new(g.tokens["gate-a"]), Will: &wire.Will{Topic: "bolt/will", Payload: "x"}})
	refused.ExpectCode(wire.CONNACK, 0x87)
}

// Two tenants have devices, series and figures of their own, although they call them the same; and the hub's totals are nobody's.
func TestNamespacesSeeThemselves(t *testing.T) {
	g := runTenants(t)
	for _, n := range tenants {
		c := g.device(n.gateway)
		c.Publish(&wire.Publish{Topic: n.name + "/plug/telemetry", QoS: 1, Payload: `{"temperature":21.5,"secret_` + n.name + `":1}`})
	}
	hub := wire.Open(t, g.MQTTAddr(), &wire.Connect{ClientID: "r", User: new("root"), Password: new(g.tokens["root"])})
	hub.Publish(&wire.Publish{Topic: "plug/telemetry", QoS: 1, Payload: `{"temperature":1}`})
	eventually(t, "all is known", func() bool { return strings.Count(g.read("root", "/api/v1/devices"), `/plug"`) >= 2 })
	for i, n := range tenants {
		other := tenants[1-i]
		for _, path := range []string{
			"/api/v1/devices", "/api/v1/topics", "/api/v1/events?filter=%23&limit=100", "/api/v1/label/device/values", "/api/v1/label/topic/values",
			"/api/v1/series?match[]=%7B__name__=~%22.%2B%22%7D", "/api/v1/history?device=" + n.name + "/plug", "/asyncapi.json", "/api/v1/export",
		} {
			got := g.read(n.admin, path)
			if !strings.Contains(got, n.name) || strings.Contains(got, other.name) {
				t.Errorf("%s is told %s: %s", n.admin, path, got)
			}
		}
		if got := g.read(n.admin, "/api/v1/devices/"+other.name+"/plug"); strings.Contains(got, "secret_") {
			t.Errorf("%s is told of the other's device: %s", n.admin, got)
		}
		for _, path := range []string{"/metrics", "/api/v1/audit", "/api/v1/overrides"} {
			if status := g.ask(http.MethodGet, path, g.tokens[n.admin]); status != http.StatusForbidden {
				t.Errorf("%s may ask for %s: %d", n.admin, path, status)
			}
		}
		ws := g.stream(g.tokens[n.admin])
		if err := ws.WriteJSON(map[string]any{"id": 1, "subscribe": map[string]any{"form": "hub"}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its own figures are told", func() bool {
			_, message, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			var frame struct {
				Hub *struct {
					Devices struct {
						Total int `json:"total"`
					} `json:"devices"`
					Conns int `json:"connections"`
					Log   struct {
						Events int `json:"events"`
					} `json:"log"`
				} `json:"hub"`
			}
			if json.Unmarshal(message, &frame) != nil || frame.Hub == nil {
				return false
			}
			if frame.Hub.Devices.Total != 1 || frame.Hub.Conns != 0 || frame.Hub.Log.Events != 0 {
				t.Errorf("%s is told %s", n.admin, message)
			}
			return true
		})
	}
}

// page is what a browser is shown.
func (b *browser) page(method, path, form string) string {
	b.g.t.Helper()
	req, err := http.NewRequestWithContext(b.g.t.Context(), method, b.g.url+path, strings.NewReader(form))
	if err != nil {
		b.g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", formType)
	return text(b.g.t, b.Client, req)
}

// The administrator of a namespace manages its accounts and roles, and cannot see, touch or make others.
func TestNamespaceAdministrators(t *testing.T) {
	g := runTenants(t)
	b := g.browser()
	if p := b.login("amy", personPassword, "/"); p.status != http.StatusSeeOther {
		t.Fatalf("login: %d", p.status)
	}
	post := func(what string, pairs ...string) string {
		form := url.Values{}
		for i := 0; i+1 < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return b.page(http.MethodPost, "/account/"+what, form.Encode())
	}
	content := func() access.Content { return g.accounts.Content() }
	page := b.page(http.MethodGet, "/account", "")
	for _, hidden := range []string{"root", "ben", "bea", "gate-b", "bolt", "hall"} {
		if strings.Contains(page, hidden) {
			t.Errorf("the page shows %s", hidden)
		}
	}
	if !strings.Contains(page, "gate-a") {
		t.Error("the page does not show its own")
	}
	post("add", "id", "lamp", "kind", "device", "roles", "device", "namespace", "bolt")
	post("add", "id", "boss", "kind", "service", "roles", "administrator", "namespace", "")
	c := content()
	for _, id := range []string{"lamp", "boss"} {
		if a := c.Account(id); a == nil || a.Namespace != "acme" {
			t.Errorf("%s was made as %+v", id, a)
		}
	}
	before := content()
	for what, answer := range map[string]string{
		"revoke":       post("revoke", "id", "bea"),
		"revoke root":  post("revoke", "id", "root"),
		"token":        post("token", "id", "root", "days", "1"),
		"token, other": post("token", "id", "gate-b", "days", "1"),
		"give":         post("give", "id", "gate-b", "roles", "viewer"),
		"give a role":  post("give", "id", "lamp", "roles", "hall-b"),
		"role":         post("role", "name", "hall", "rules", "allow all #"),
		"built in":     post("role", "name", "viewer", "rules", "allow all #"),
		"explain":      b.page(http.MethodGet, "/account?as=root&topic=x", ""),
	} {
		if !strings.Contains(answer, `role="alert"`) {
			t.Errorf("%s: is not refused", what)
		}
	}
	now := content()
	if x, y := mustJSON(t, before), mustJSON(t, now); x != y {
		t.Errorf("something has changed:\n%s\n%s", x, y)
	}
	// A role of its own counts below its level only, whatever it says.
	post("role", "name", "king", "rules", "allow all #\nallow publish $dead2/x")
	post("give", "id", "lamp", "roles", "king")
	for topic, want := range map[string]bool{"acme/x": true, "acme": true, "bolt/x": false, "x": false, "$SYS/x": false} {
		if d, err := g.accounts.Explain("lamp", "", access.Publish, topic); err != nil || d.Allowed != want {
			t.Errorf("%s: %+v, %v", topic, d, err)
		}
	}
	// Nobody else gets that role: not the hub's own accounts, nor those of another namespace.
	err := g.accounts.Edit(func(c *access.Content) error {
		c.Account("ben").Roles = []string{"king"}
		return nil
	})
	if err == nil {
		t.Error("an account of the hub has a tenant's role")
	}
	// The namespace goes, and all who live there with it.
	ws := g.stream(g.tokens["amy"])
	g.edit(func(c *access.Content) { c.RemoveNamespace("acme") })
	if code := closeCode(ws); code != 4501 {
		t.Errorf("closed with %d", code)
	}
}

// A namespace's limits are of all who live there together, and of nobody else.
func TestNamespaceLimits(t *testing.T) {
	g := runTenants(t)
	limits, err := access.ParseLimits("connections=1")
	if err != nil {
		t.Fatal(err)
	}
	first := g.device("gate-a")
	g.edit(func(c *access.Content) { c.Namespaces[0].Limits = limits })
	open := func(account string) byte {
		token := g.tokens[account]
		c := wire.Dial(t, g.MQTTAddr())
		defer c.Close()
		return c.TryConnect(&wire.Connect{ClientID: account + "-2", User: &account, Password: &token}).Code
	}
	eventually(t, "another account of the namespace is refused", func() bool { return open("amy") == 0x97 })
	if code := open("gate-b"); code != 0 {
		t.Errorf("another namespace: 0x%x", code)
	}
	if code := open("root"); code != 0 {
		t.Errorf("the hub's own: 0x%x", code)
	}
	first.Publish(&wire.Publish{Topic: "acme/x", QoS: 1, Payload: "who was there before stays"})
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

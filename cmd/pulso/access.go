package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"pulso/access"
	"pulso/internal/app"
)

// accountsFlags say which hub's accounts a command is about. It works on the file, so the hub may run or not: one that runs
// knows of it within a second.
type accountsFlags struct {
	Data string `name:"data" env:"PULSO_DATA" default:"pulso-data" placeholder:"DIR" help:"The hub's data folder."`
}

func (f *accountsFlags) edit(change func(*access.Content) error) error {
	path := app.AccessFile(f.Data)
	if path == "" {
		return fmt.Errorf("a hub that keeps nothing (%s) has no accounts", f.Data)
	}
	return access.Edit(path, change)
}

// Account commands: what each makes is printed once, and nowhere kept in a readable form.
type (
	userCmd struct {
		Add      userAddCmd      `cmd:"" help:"Add a person, who logs in to the dashboard."`
		Password userPasswordCmd `cmd:"" help:"Give a person another password."`
	}
	deviceCmd struct {
		Add deviceAddCmd `cmd:"" help:"Add a device, and print how it connects."`
	}
	namespaceCmd struct {
		Add    namespaceAddCmd    `cmd:"" help:"Make a namespace."`
		Remove namespaceRemoveCmd `cmd:"" help:"Remove a namespace, with its accounts and roles; messages stay."`
	}
	roleCmd struct {
		Set    roleSetCmd    `cmd:"" help:"Make a role, or change its rules."`
		Remove roleRemoveCmd `cmd:"" help:"Remove a role that nobody has."`
		Give   roleGiveCmd   `cmd:"" help:"Give an account these roles and no others."`
	}
	limitCmd struct {
		Account limitAccountCmd `cmd:"" help:"Give an account limits of its own, which win over those of its roles."`
		Role    limitRoleCmd    `cmd:"" help:"Give a role limits, which are those of who has it."`

		Namespace limitNamespaceCmd `cmd:"" help:"Give a namespace limits, for all who live in it together."`
	}
)

type userAddCmd struct {
	accountsFlags
	limitFlags

	Name          string   `arg:"" help:"The name to log in with."`
	Role          []string `help:"Roles; administrator for the first person, else viewer." placeholder:"ROLE"`
	Namespace     string   `help:"Where the person lives; what the roles allow counts below this level of topics only."`
	PasswordStdin bool     `help:"Read the password from the standard input; else one is made and printed."`
}

// Run adds a person.
func (c *userAddCmd) Run(out io.Writer) error {
	password, made, err := password(c.PasswordStdin)
	if err != nil {
		return err
	}
	hash, err := access.HashPassword(password)
	if err != nil {
		return err
	}
	err = c.edit(func(content *access.Content) error {
		if len(c.Role) == 0 {
			c.Role = []string{access.RoleViewer}
			first := func(a access.Account) bool { return a.Kind == access.Person && a.Namespace == c.Namespace }
			if !slices.ContainsFunc(content.Accounts, first) {
				c.Role = []string{access.RoleAdministrator}
			}
		}
		return content.Add(access.Account{
			ID: c.Name, Kind: access.Person, Namespace: c.Namespace, Roles: c.Role, Limits: c.Limit, Hash: hash, Created: time.Now().UTC(),
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s may log in, as %s.\n", c.Name, strings.Join(c.Role, ", "))
	if made {
		fmt.Fprintf(out, "The password, shown this once: %s\n", password)
	}
	return nil
}

type userPasswordCmd struct {
	accountsFlags

	Name          string `arg:"" help:"The person."`
	PasswordStdin bool   `help:"Read the password from the standard input; else one is made and printed."`
}

// Run changes a password, which logs the person out everywhere.
func (c *userPasswordCmd) Run(out io.Writer) error {
	password, made, err := password(c.PasswordStdin)
	if err != nil {
		return err
	}
	hash, err := access.HashPassword(password)
	if err != nil {
		return err
	}
	err = c.edit(func(content *access.Content) error {
		a := content.Account(c.Name)
		if a == nil || a.Kind != access.Person {
			return fmt.Errorf("%w: no person is called %q", access.ErrNoAccount, c.Name)
		}
		a.Hash = hash
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s has another password, and is logged out everywhere.\n", c.Name)
	if made {
		fmt.Fprintf(out, "The password, shown this once: %s\n", password)
	}
	return nil
}

// password reads a password, or makes one.
func password(stdin bool) (text string, made bool, err error) {
	if !stdin {
		return access.NewSecret()[:20], true, nil
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), false, nil
}

type deviceAddCmd struct {
	accountsFlags
	limitFlags

	ID        string   `arg:"" help:"The device's name: its MQTT user, and what stands in its topics."`
	Namespace string   `help:"Where the device lives: the first level of its topics."`
	Role      []string `default:"device" help:"Roles: device (topics with its name), gateway (all topics), or your own." placeholder:"ROLE"`
	Host      string   `default:"127.0.0.1" help:"The hub's address, for the lines that are printed."`
	Port      int      `default:"1883" help:"The hub's MQTT port, for the same."`
}

// Run adds a device and prints how it connects.
func (c *deviceAddCmd) Run(out io.Writer) error {
	secret := access.NewSecret()
	err := c.edit(func(content *access.Content) error {
		return content.Add(access.Account{
			ID: c.ID, Kind: access.Device, Namespace: c.Namespace, Roles: c.Role, Limits: c.Limit, Hash: access.HashSecret(secret),
			Created: time.Now().UTC(),
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, deviceText, c.ID, secret, c.Host, c.Port, path.Join(c.Namespace, c.ID))
	return nil
}

// deviceText tells how a device connects: its name, its secret, the hub's host and port, and how its topics begin.
const deviceText = `The device and its secret, which is shown this once:

  user      %[1]s
  password  %[2]s

Try it:

  mosquitto_pub -h %[3]s -p %[4]d -u %[1]s -P %[2]s -t %[5]s/telemetry -m '{"temperature":21.5}'

ESP32, with the Arduino library PubSubClient:

  #include <WiFi.h>
  #include <PubSubClient.h>
  WiFiClient net;
  PubSubClient mqtt(net);
  void setup() {
    WiFi.begin("your network", "its password");
    mqtt.setServer("%[3]s", %[4]d);
  }
  void loop() {
    if (!mqtt.connected()) mqtt.connect("%[1]s", "%[1]s", "%[2]s");
    mqtt.loop();
    mqtt.publish("%[5]s/telemetry", "{\"temperature\":21.5}");
    delay(5000);
  }
`

type tokenCmd struct {
	accountsFlags

	Name      string        `arg:"" help:"The account that the token stands for; a service is made where there is none."`
	Role      []string      `default:"viewer" help:"Roles of a service that is made." placeholder:"ROLE"`
	Namespace string        `help:"Where a service that is made lives."`
	Expires   time.Duration `default:"8760h" help:"How long it is good; 0: for ever."`
}

// Run makes a token.
func (c *tokenCmd) Run(out io.Writer) error {
	token, now := "", time.Now().UTC()
	until := time.Time{}
	if c.Expires > 0 {
		until = now.Add(c.Expires).Truncate(time.Second)
	}
	err := c.edit(func(content *access.Content) (err error) {
		if content.Account(c.Name) == nil {
			if err := content.Add(access.Account{
				ID: c.Name, Kind: access.Service, Namespace: c.Namespace, Roles: c.Role, Created: now,
			}); err != nil {
				return err
			}
		}
		token, err = content.AddToken(c.Name, now, until)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The token, shown this once: %s\n", token)
	fmt.Fprintf(out, "Over HTTP: Authorization: Bearer TOKEN. By MQTT: the password, with %s or nothing as user.\n", c.Name)
	return nil
}

type revokeCmd struct {
	accountsFlags

	Name  string `arg:"" help:"The account; PROVIDER:SUBJECT ends the sessions of who logged in by OpenID Connect."`
	Token string `help:"Only the token of this id; else the account, with all that it has." placeholder:"ID"`
}

// Run takes a token or an account away. Who uses it is cut off within a second.
func (c *revokeCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		if access.IsOutsider(c.Name) && c.Token == "" {
			return content.End(c.Name, time.Now().UTC())
		}
		a := content.Account(c.Name)
		if a == nil {
			return fmt.Errorf("%w: %q", access.ErrNoAccount, c.Name)
		}
		if c.Token == "" {
			content.Remove(c.Name)
			return nil
		}
		before := len(a.Tokens)
		a.Tokens = slices.DeleteFunc(a.Tokens, func(t access.Token) bool { return t.ID == c.Token })
		if len(a.Tokens) == before {
			return fmt.Errorf("%w: %s has no token %q", access.ErrNoAccount, c.Name, c.Token)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is revoked.\n", strings.TrimSpace(c.Name+" "+c.Token))
	return err
}

type listCmd struct{ accountsFlags }

// Run lists accounts, their tokens and the roles.
func (c *listCmd) Run(out io.Writer) error {
	content, err := access.Read(app.AccessFile(c.Data))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tKIND\tNAMESPACE\tROLES\tLIMITS\tTOKENS")
	slices.SortFunc(content.Accounts, func(a, b access.Account) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	for i := range content.Accounts {
		a := &content.Accounts[i]
		var tokens []string
		for _, t := range a.Tokens {
			until := "for ever"
			if !t.Expires.IsZero() {
				until = "until " + t.Expires.Format(time.RFC3339)
			}
			tokens = append(tokens, t.ID+" ("+until+")")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", a.ID, a.Kind, cmp.Or(a.Namespace, "-"), strings.Join(a.Roles, ", "), a.Limits, strings.Join(tokens, ", "))
	}
	if len(content.Namespaces) > 0 {
		fmt.Fprintln(w, "\nNAMESPACE\tLIMITS")
	}
	for _, n := range content.Namespaces {
		fmt.Fprintf(w, "%s\t%s\n", n.Name, n.Limits)
	}
	fmt.Fprintln(w, "\nROLE\tNAMESPACE\tLIMITS\tRULES")
	for _, r := range slices.Concat(access.BuiltIn(), content.Roles) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, cmp.Or(r.Namespace, "-"), r.Limits, strings.Join(r.Rules, "; "))
	}
	return w.Flush()
}

type roleSetCmd struct {
	accountsFlags
	limitFlags

	Name      string   `arg:"" help:"The role."`
	Namespace string   `help:"The namespace that may have it; else all may."`
	Rules     []string `arg:"" help:"Rules such as \"allow publish,subscribe plant/#\" and \"deny command #\"; %u is the account, %c the client id, %d the device."`
}

// Run makes a role.
func (c *roleSetCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		var limits access.Limits // which stay
		content.Roles = slices.DeleteFunc(content.Roles, func(r access.Role) bool {
			if r.Name == c.Name {
				limits = r.Limits
			}
			return r.Name == c.Name
		})
		if !c.Limit.IsZero() {
			limits = c.Limit
		}
		content.Roles = append(content.Roles, access.Role{Name: c.Name, Namespace: c.Namespace, Rules: c.Rules, Limits: limits})
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The role %s has %d rules.\n", c.Name, len(c.Rules))
	return err
}

type namespaceAddCmd struct {
	accountsFlags
	limitFlags

	Name string `arg:"" help:"The namespace: the first level of its topics."`
}

// Run makes a namespace.
func (c *namespaceAddCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		content.Namespaces = append(content.Namespaces, access.Namespace{Name: c.Name, Limits: c.Limit})
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The namespace %s has the topics %s/#. Its administrator: pulso user add NAME --namespace %s\n", c.Name, c.Name, c.Name)
	return err
}

type namespaceRemoveCmd struct {
	accountsFlags

	Name string `arg:"" help:"The namespace."`
}

// Run removes a namespace. Who lives there is cut off within a second.
func (c *namespaceRemoveCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		if !content.RemoveNamespace(c.Name) {
			return fmt.Errorf("%w: no namespace is called %q", access.ErrNoAccount, c.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The namespace %s is gone, with its accounts and roles.\n", c.Name)
	return err
}

type roleRemoveCmd struct {
	accountsFlags

	Name string `arg:"" help:"The role."`
}

// Run removes a role.
func (c *roleRemoveCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		before := len(content.Roles)
		content.Roles = slices.DeleteFunc(content.Roles, func(r access.Role) bool { return r.Name == c.Name })
		if len(content.Roles) == before {
			return fmt.Errorf("%w: no role of your own is called %q", access.ErrRule, c.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The role %s is gone.\n", c.Name)
	return err
}

type roleGiveCmd struct {
	accountsFlags

	Account string   `arg:"" help:"The account."`
	Role    []string `arg:"" help:"Its roles."`
}

// Run gives an account roles.
func (c *roleGiveCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		a := content.Account(c.Account)
		if a == nil {
			return fmt.Errorf("%w: %q", access.ErrNoAccount, c.Account)
		}
		a.Roles = c.Role
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is %s.\n", c.Account, strings.Join(c.Role, ", "))
	return err
}

// rightsFlags say whose rights `pulso check access` is to explain.
type rightsFlags struct {
	As     string `placeholder:"ACCOUNT" help:"access: whose rights."`
	Topic  string `help:"access: on which topic."`
	Client string `help:"access: the MQTT client id, where rules have %c." placeholder:"ID"`
}

// explain says which rule decides on each right.
func (c *rightsFlags) explain(data string, out io.Writer) error {
	if c.As == "" || c.Topic == "" {
		return errors.New("check access: --as and --topic are needed")
	}
	d, err := access.Open(access.Config{Path: app.AccessFile(data)})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, right := range access.Each() {
		decision, err := d.Explain(c.As, c.Client, right, c.Topic)
		if err != nil {
			return err
		}
		answer, why := "no", "no rule allows it"
		if decision.Allowed {
			answer = "yes"
		}
		if decision.Rule != "" {
			why = fmt.Sprintf("role %s: %s", decision.Role, decision.Rule)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", right, answer, why)
	}
	return w.Flush()
}

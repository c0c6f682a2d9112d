package main

import (
	"fmt"
	"io"
	"slices"

	"pulso/access"
)

// limitFlags are the limits of an account or a role.
type limitFlags struct {
	Limit access.Limits `placeholder:"KIND=FIGURE,…" help:"Limits of its own: connections, messages (a second), bytes (a second), subscriptions, samples (a minute that questions read); 0: none."`
}

type limitAccountCmd struct {
	accountsFlags

	Name  string        `arg:"" help:"The account."`
	Limit access.Limits `arg:"" optional:"" help:"Limits such as connections=3,messages=100; without any, those of its roles hold."`
}

// Run gives an account limits. They hold within a second, and cut nobody off.
func (c *limitAccountCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		a := content.Account(c.Name)
		if a == nil {
			return fmt.Errorf("%w: %q", access.ErrNoAccount, c.Name)
		}
		a.Limits = c.Limit
		return nil
	})
	if err != nil {
		return err
	}
	return tellLimits(out, c.Name, c.Limit)
}

type limitRoleCmd struct {
	accountsFlags

	Name  string        `arg:"" help:"The role, one of your own."`
	Limit access.Limits `arg:"" optional:"" help:"Limits such as connections=3,messages=100; without any, those of the hub hold."`
}

// Run gives a role limits. They hold within a second, and cut nobody off.
func (c *limitRoleCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		i := slices.IndexFunc(content.Roles, func(r access.Role) bool { return r.Name == c.Name })
		if i < 0 {
			return fmt.Errorf("%w: no role of your own is called %q", access.ErrRule, c.Name)
		}
		content.Roles[i].Limits = c.Limit
		return nil
	})
	if err != nil {
		return err
	}
	return tellLimits(out, c.Name, c.Limit)
}

func tellLimits(out io.Writer, name string, l access.Limits) error {
	if l.IsZero() {
		_, err := fmt.Fprintf(out, "%s has no limits of its own.\n", name)
		return err
	}
	_, err := fmt.Fprintf(out, "%s has the limits %s.\n", name, l)
	return err
}

type limitNamespaceCmd struct {
	accountsFlags

	Name  string        `arg:"" help:"The namespace."`
	Limit access.Limits `arg:"" optional:"" help:"Limits such as connections=300,messages=1000, for all in it together; without any, there are none."`
}

// Run gives a namespace limits. They hold within a second, and cut nobody off.
func (c *limitNamespaceCmd) Run(out io.Writer) error {
	err := c.edit(func(content *access.Content) error {
		i := slices.IndexFunc(content.Namespaces, func(n access.Namespace) bool { return n.Name == c.Name })
		if i < 0 {
			return fmt.Errorf("%w: no namespace is called %q", access.ErrNoAccount, c.Name)
		}
		content.Namespaces[i].Limits = c.Limit
		return nil
	})
	if err != nil {
		return err
	}
	return tellLimits(out, c.Name, c.Limit)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pulso/internal/app"
)

// bridgeCmd is a hub without a broker of its own, for those who run one.
type bridgeCmd struct {
	hubFlags

	From         []string      `group:"broker" sep:"none" placeholder:"URL" env:"PULSO_FROM" help:"Broker to take messages from: tcp://, tls://, ws:// or wss://. Repeated for several."`
	Filter       []string      `group:"broker" sep:"none" placeholder:"FILTER" env:"PULSO_FILTER" help:"What is taken; all (#) by default. Repeated for several."`
	Prefix       string        `group:"broker" placeholder:"TEXT" env:"PULSO_PREFIX" help:"What stands before each topic in the hub, such as plant1/."`
	Share        string        `group:"broker" placeholder:"GROUP" env:"PULSO_SHARE" help:"Share the messages with the other hubs of this group (shared subscriptions)."`
	User         string        `group:"broker" env:"PULSO_USER" help:"User name at the broker."`
	PasswordFile string        `group:"broker" placeholder:"FILE" env:"PULSO_PASSWORD_FILE" help:"File with the password."`
	PasswordEnv  string        `group:"broker" placeholder:"NAME" env:"PULSO_PASSWORD_ENV" help:"Variable of the environment with the password."`
	CAFile       string        `name:"ca-file" group:"broker" placeholder:"FILE" env:"PULSO_CA_FILE" help:"PEM file with the authorities that sign the broker's certificate; the system's by default."`
	CertFile     string        `group:"broker" placeholder:"FILE" env:"PULSO_CERT_FILE" help:"PEM file with the hub's own certificate."`
	KeyFile      string        `group:"broker" placeholder:"FILE" env:"PULSO_KEY_FILE" help:"PEM file with its key."`
	Insecure     bool          `group:"broker" env:"PULSO_INSECURE" help:"Take any certificate: whoever is in between reads and changes everything."`
	Protocol     string        `group:"broker" placeholder:"VERSION" env:"PULSO_PROTOCOL" help:"MQTT version, 5 or 3.1.1; by default the newer that the broker speaks."`
	Expiry       time.Duration `name:"remote-session-expiry" group:"broker" default:"24h" env:"PULSO_REMOTE_SESSION_EXPIRY" help:"How long the broker keeps messages while the hub is away (MQTT 5)."`
}

// errOwnBroker: what a bridge has not.
var errOwnBroker = errors.New("a bridge has no broker of its own: leave --mqtt away, or use pulso serve with sources in its configuration file")

// Run runs the hub until ctx ends.
func (c *bridgeCmd) Run(ctx context.Context) error {
	const byDefault = "127.0.0.1:1883"
	if c.MQTT != byDefault && c.MQTT != app.NoBroker {
		return errOwnBroker
	}
	c.MQTT = app.NoBroker
	for _, url := range c.From {
		c.Sources = append(c.Sources, app.Source{
			URL: url, Filters: c.Filter, Prefix: c.Prefix, Share: c.Share, User: c.User, PasswordFile: c.PasswordFile,
			PasswordEnv: c.PasswordEnv, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile, Insecure: c.Insecure,
			Protocol: c.Protocol, SessionExpiry: c.Expiry,
		})
	}
	if len(c.Sources) == 0 {
		return fmt.Errorf("%w: no broker is named: pulso bridge --from tcp://HOST:PORT", app.ErrConfig)
	}
	hub, err := app.New(ctx, c.Config, newLogger(c.LogLevel, c.LogFormat), versionString())
	if err != nil {
		return err
	}
	return hub.Run(ctx)
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"pulso/internal/app"
	"pulso/simulators"
)

type serveCmd struct{ hubFlags }

// AfterApply takes from the configuration file what no flag can hold.
func (f *hubFlags) AfterApply(file *configValues) error { //nolint:unparam // kong's form of a hook
	f.Sources, f.Decode, f.RemoteWrite, f.JWT = file.sources, file.overrides, file.remote, file.issuers
	return nil
}

// Run runs the hub until ctx ends.
func (c *serveCmd) Run(ctx context.Context) error {
	c.Simulate = simulate
	hub, err := app.New(ctx, c.Config, newLogger(c.LogLevel, c.LogFormat), versionString())
	if err != nil {
		return err
	}
	return hub.Run(ctx)
}

// simulate runs the few simulated devices that a person may start from the dashboard.
func simulate(ctx context.Context, mqttAddress string) error {
	fleet, err := simulators.NewFleet(simulators.FleetConfig{
		Broker: simulators.Broker{URL: "tcp://" + mqttAddress}, Devices: 12, Flaky: 0.05,
	})
	if err != nil {
		return err
	}
	return fleet.Run(ctx)
}

// newLogger logs to the standard error.
func newLogger(level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

type checkCmd struct {
	hubFlags
	rightsFlags

	What   string `arg:"" optional:"" enum:"config,access" default:"config" help:"config: the configuration; access: what an account may do with a topic, and by which rule."`
	Health string `placeholder:"URL" help:"Ask this address (http://127.0.0.1:8080/readyz) whether the hub is well, instead."`
}

// Run checks and prints the configuration that would be used.
func (c *checkCmd) Run(ctx context.Context) error {
	if c.Health != "" {
		return app.Ask(ctx, c.Health)
	}
	if c.What == "access" {
		return c.explain(c.Data, os.Stdout)
	}
	if err := c.Check(); err != nil {
		return err
	}
	text, err := c.YAML()
	if err != nil {
		return err
	}
	fmt.Printf("# This configuration is good.\n%s", text)
	return nil
}

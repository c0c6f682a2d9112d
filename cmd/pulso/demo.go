package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"pulso/internal/app"
	"pulso/simulators"
)

type demoCmd struct {
	hubFlags

	Devices int      `default:"60" help:"Simulated devices; 0 for a hub without."`
	Rate    float64  `default:"1" help:"Messages a second of each."`
	Profile []string `placeholder:"KIND" help:"Kinds of devices; all by default."`
	Seed    uint64   `default:"1" help:"The same seed gives the same devices."`
	Flaky   float64  `default:"0.05" help:"Part of the devices that loses its connection in a minute."`
}

// temporary is the configured default, which a demo takes as: a folder that is gone afterwards.
const temporary = "pulso-data"

// Run runs a hub and a fleet until ctx ends.
func (c *demoCmd) Run(ctx context.Context, out io.Writer) error {
	if c.Data == temporary {
		dir, err := os.MkdirTemp("", "pulso-demo-")
		if err != nil {
			return fmt.Errorf("folder for the demo: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // the system cleans its temporary folder, too
		c.Data = filepath.Join(dir, "data")
	}
	c.MQTT = freeAddress(ctx, out, "MQTT", c.MQTT)
	c.HTTP = freeAddress(ctx, out, "HTTP", c.HTTP)
	if c.LogLevel == "info" {
		c.LogLevel = "warn" // what a demo prints is for whoever tries it
	}
	if c.Devices == 0 {
		c.Simulate = simulate // its devices would have the names of the demo's own
	}
	hub, err := app.New(ctx, c.Config, newLogger(c.LogLevel, c.LogFormat), versionString())
	if err != nil {
		return err
	}
	// The fleet goes first, so that it says goodbye to a hub that is still there.
	hubCtx, stopHub := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHub()
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(hubCtx) }()
	select {
	case err := <-ended:
		return err
	case <-hub.Ready():
	}
	fmt.Fprintf(out, "\n  Pulso is up.  Open  http://%s\n\n  MQTT for your own devices: %s    Ctrl-C ends it.\n\n", hub.HTTPAddr(), hub.MQTTAddr())
	err = c.fleet(ctx, hub.MQTTAddr())
	stopHub()
	return errors.Join(err, <-ended)
}

func (c *demoCmd) fleet(ctx context.Context, broker string) error {
	if c.Devices == 0 {
		<-ctx.Done()
		return nil
	}
	fleet, err := simulators.NewFleet(simulators.FleetConfig{
		Broker: simulators.Broker{URL: "tcp://" + broker}, Devices: c.Devices, Rate: c.Rate, Profiles: c.Profile,
		Seed: c.Seed, Flaky: c.Flaky,
	})
	if err != nil {
		return err
	}
	return fleet.Run(ctx)
}

// freeAddress returns addr, or one with another port if that is taken: a demo should start beside whatever runs already.
func freeAddress(ctx context.Context, out io.Writer, what, addr string) string {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err == nil {
		_ = l.Close()
		return addr
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return addr // the hub will say what is wrong with it
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	fmt.Fprintf(out, "  %s is taken: %s gets another port.\n", addr, what)
	return net.JoinHostPort(host, "0")
}

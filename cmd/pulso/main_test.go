package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pulso/internal/app"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pulso": main})
}

// The scripts show what each command says, and with which exit code, to good and to bad input.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// Ports that are free now, and one that stays taken.
			for _, name := range []string{"MQTT", "HTTP"} {
				l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				e.Setenv(name, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			taken, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = taken.Close() })
			e.Setenv("TAKEN", taken.Addr().String())
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready": ready,
		},
	})
}

// ready waits until the hub at $HTTP is.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := app.Ask(context.Background(), "http://"+ts.Getenv("HTTP")+"/readyz")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the hub is not ready: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // the interval of polling
	}
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

type pubCmd struct {
	Topic   string `arg:"" help:"Topic to publish to."`
	Message string `arg:"" optional:"" help:"The payload; without it, the standard input is one."`

	Broker   string `default:"tcp://127.0.0.1:1883" env:"PULSO_BROKER" placeholder:"URL" help:"Broker: tcp://, ssl://, ws:// or wss://."`
	Username string `env:"PULSO_USERNAME" help:"User name."`
	Password string `env:"PULSO_PASSWORD" help:"Password."`
	ID       string `help:"Client id; the broker's choice by default."`
	QoS      byte   `short:"q" name:"qos" default:"1" enum:"0,1,2" help:"Quality of service."`
	Retain   bool   `short:"r" help:"Keep the message for later subscribers."`
	Lines    bool   `short:"l" help:"Each line of the standard input is a message."`

	Timeout time.Duration `default:"10s" help:"How long to wait for an answer."`
}

// maxLine is the longest line that --lines takes.
const maxLine = 1 << 20

// Run publishes and waits for the acknowledgements.
func (c *pubCmd) Run(ctx context.Context) error {
	if strings.ContainsAny(c.Topic, "+#") || c.Topic == "" {
		return fmt.Errorf("topic %q: wildcards are for subscribing", c.Topic)
	}
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(c.Broker).SetClientID(c.ID).SetUsername(c.Username).
		SetPassword(c.Password).SetConnectTimeout(c.Timeout).SetAutoReconnect(false).SetProtocolVersion(4))
	if err := c.wait(client.Connect(), "connect to "+c.Broker); err != nil {
		return err
	}
	defer client.Disconnect(250)
	if !c.Lines {
		payload := []byte(c.Message)
		if c.Message == "" {
			var err error
			if payload, err = io.ReadAll(os.Stdin); err != nil {
				return fmt.Errorf("read the message: %w", err)
			}
		}
		return c.wait(client.Publish(c.Topic, c.QoS, c.Retain, payload), "publish to "+c.Topic)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLine)
	for lines.Scan() && ctx.Err() == nil {
		if err := c.wait(client.Publish(c.Topic, c.QoS, c.Retain, lines.Text()), "publish to "+c.Topic); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *pubCmd) wait(t mqtt.Token, what string) error {
	if !t.WaitTimeout(c.Timeout) {
		return fmt.Errorf("%s: no answer in %v", what, c.Timeout)
	}
	if err := t.Error(); err != nil {
		return fmt.Errorf("%s: %w (a broker hangs up where the topic is not allowed)", what, err)
	}
	return nil
}

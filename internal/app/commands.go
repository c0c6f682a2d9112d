package app

import (
	"errors"

	"pulso/bridge/command"
	"pulso/bridge/gateway/commands"
	"pulso/broker"
)

// errNoWay is why a command cannot be sent where the hub has no broker of its own.
var errNoWay = errors.New("this hub has no broker of its own, and none of those that it takes messages from is for this topic")

// buildCommands makes what sends commands to devices; before the broker, which tells it what was delivered.
func (h *Hub) buildCommands() (err error) {
	c := command.Config{
		Publisher: h.admitted(true), View: h.sent, Logger: h.logger.With("part", "commands"), Metrics: h.registry,
	}
	if h.cfg.MQTT != NoBroker {
		c.Watch = func(offset uint64) bool { return h.broker.Watch(offset) }
		c.Unwatch = func(offset uint64) { h.broker.Unwatch(offset) }
	} else {
		c.Reach = func(topic string) error {
			if !h.sources.Takes(topic) {
				return errNoWay
			}
			return nil
		}
	}
	if h.commands, err = command.New(c); err != nil {
		return err
	}
	h.commanding = commands.New(commands.Config{Sender: h.commands, View: h.sent, Catch: h.catch, Metrics: h.registry})
	return nil
}

// delivered hears of the broker what became of commands.
func (h *Hub) delivered(d broker.Delivery) { h.commands.Delivered(d.Offset, d.Client) }

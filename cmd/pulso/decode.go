package main

import (
	"io"
	"os"

	"pulso/internal/explain"
)

type decodeCmd struct {
	explain.Config

	File string `name:"config" env:"PULSO_CONFIG" placeholder:"FILE" help:"Configuration file whose overrides (decode:) count."`
}

// Run explains messages.
func (c *decodeCmd) Run(out io.Writer, file *configValues) error {
	return c.Config.Run(os.Stdin, out, file.overrides)
}

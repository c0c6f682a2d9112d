package main

import (
	"context"
	"io"
	"os"

	"pulso/internal/tail"
)

type tailCmd struct {
	tail.Config

	JSON bool `help:"JSON lines also in a terminal."`
}

// Run follows the hub until ctx ends: in colour in a terminal, as JSON lines in a pipe.
func (c *tailCmd) Run(ctx context.Context) error {
	return c.Config.Run(ctx, os.Stdout, !c.JSON && isTerminal(os.Stdout))
}

// isTerminal reports whether f is one.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progressOutput is where commands write what a person reads while they run.
func progressOutput() (io.Writer, error) { return os.Stdout, nil }

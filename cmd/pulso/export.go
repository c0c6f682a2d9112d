package main

import (
	"context"
	"os"

	"pulso/internal/export"
)

type exportCmd struct {
	export.Config
}

// Run fetches what a running hub keeps.
func (c *exportCmd) Run(ctx context.Context) error { return c.Config.Run(ctx, os.Stdout) }

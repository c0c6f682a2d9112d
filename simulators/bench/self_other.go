//go:build !unix

package bench

import (
	"os/exec"
	"time"
)

func ownGroup(*exec.Cmd) {}

func ownCPU() (time.Duration, bool) { return 0, false }

func descriptorLimit() (uint64, bool) { return 0, false }

//go:build unix

package bench

import (
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownGroup lets a child live through an interrupt of the terminal: it is asked to end when its measuring has.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// ownCPU returns the processor time that this process has used.
func ownCPU() (time.Duration, bool) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0, false
	}

	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}

// descriptorLimit returns how many files the process may have open.
func descriptorLimit() (uint64, bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}

	return uint64(limit.Cur), true //nolint:unconvert // It is signed on some systems.
}

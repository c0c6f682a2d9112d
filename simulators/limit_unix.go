//go:build unix

package simulators

import "golang.org/x/sys/unix"

// descriptorLimit returns how many files the process may have open.
func descriptorLimit() (uint64, bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}

	return uint64(limit.Cur), true //nolint:unconvert // It is signed on some systems.
}

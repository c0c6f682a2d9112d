//go:build unix

package limit

import (
	"fmt"
	"math"
	"syscall"
)

// RaiseDescriptors makes the process's limit of open files (RLIMIT_NOFILE) as large as it may by itself, and returns it.
// If it cannot be raised, the error says why and the limit is what it was.
func RaiseDescriptors() (Descriptors, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	count := func(n uint64) Descriptors { return Descriptors(min(n, math.MaxInt32)) }
	if l.Cur >= l.Max {
		return count(l.Cur), nil
	}
	raised := syscall.Rlimit{Cur: l.Max, Max: l.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return count(l.Cur), fmt.Errorf("raise the limit of open files from %d to %d: %w", l.Cur, l.Max, err)
	}
	return count(raised.Cur), nil
}

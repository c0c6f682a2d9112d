package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// shortSleep holds a system thread for d, which the kernel keeps to within its timer slack of 50 µs.
func shortSleep(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal ends it early: the message goes out early by less than it would be late otherwise
}

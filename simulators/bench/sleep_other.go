//go:build !linux

package bench

import "time"

// shortSleep waits for d, as exactly as the runtime can.
func shortSleep(d time.Duration) { <-time.After(d) }

// Package load is what the measuring programs share: rounds of figures, limits of files, and a server's memory and time.
package load

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Main runs a measuring program until it is done or interrupted, with as many open files as the system allows, and returns the
// exit status.
func Main(run func(ctx context.Context, out io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		files.Cur = files.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files) // fewer may be enough
	}
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

// Durations gathers durations from many goroutines.
type Durations struct {
	mu  sync.Mutex
	all []time.Duration
}

// Add takes one in.
func (d *Durations) Add(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, took)
}

// Take returns what was gathered, sorted, and begins anew.
func (d *Durations) Take() Sorted {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.all
	d.all = nil
	slices.Sort(all)
	return all
}

// Sorted are durations in ascending order.
type Sorted []time.Duration

// At returns the quantile q, from 0 to 1, of the durations: 0 if there are none.
func (s Sorted) At(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[int(q*float64(len(s)-1))]
}

// Milliseconds is a duration as a table shows it.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Sleep waits unless the context ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

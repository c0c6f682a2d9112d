package simulators

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How often progress is told: on a terminal, where one line is written over and over, and elsewhere.
const (
	terminalInterval = time.Second
	plainInterval    = 5 * time.Second
)

// progress writes a line about a running simulation now and then.
type progress struct {
	out      io.Writer
	terminal bool
	line     func() string
}

func newProgress(out io.Writer, line func() string) *progress {
	return &progress{out: out, terminal: isTerminal(out), line: line}
}

// isTerminal reports whether out is a character device, as terminals are.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}

	info, err := file.Stat()

	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// during runs work and tells of it until it returns.
func (p *progress) during(ctx context.Context, work func(context.Context) error) error {
	done := make(chan struct{})

	var teller sync.WaitGroup

	teller.Go(func() { p.tell(ctx, done) })

	err := work(ctx)

	close(done)
	teller.Wait()

	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}

	return err
}

// tell tells of the work until it is done or its end has begun: while everybody says goodbye, the figures would say that
// connections are missing.
func (p *progress) tell(ctx context.Context, done <-chan struct{}) {
	interval := plainInterval
	if p.terminal {
		interval = terminalInterval
	}

	ticker := time.NewTicker(interval)
	defer ticker.Stop()

	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
			if p.terminal {
				fmt.Fprintf(p.out, "\r\033[K%s", p.line())
			} else {
				fmt.Fprintln(p.out, p.line())
			}
		}
	}
}

// meter turns successive Stats into a line with rates. It is not safe for concurrent use.
type meter struct {
	broker string
	qos    byte
	last   Stats
}

// line describes what s says, with the rates since the call before.
func (m *meter) line(s Stats) string {
	before := m.last
	m.last = s

	if s.Connected == 0 && s.LastProblem != "" {
		return fmt.Sprintf("waiting for broker at %s: %s (%s)", m.broker, s.LastProblem, s.Elapsed.Round(time.Second))
	}

	parts := []string{
		fmt.Sprintf("connected %s of %s", count(s.Connected), count(s.Devices)),
		fmt.Sprintf("sent %s (%s/s)", count(s.Sent), count(rate(s.Sent-before.Sent, s.Elapsed-before.Elapsed))),
	}

	if m.qos > 0 {
		parts = append(parts, fmt.Sprintf("acknowledged %s (%s/s)",
			count(s.Acknowledged), count(rate(s.Acknowledged-before.Acknowledged, s.Elapsed-before.Elapsed))))
	}

	parts = append(parts, "errors "+count(s.Errors))
	if s.Late > before.Late {
		parts = append(parts, "behind schedule")
	}

	return strings.Join(parts, "  ")
}

func rate(n int64, d time.Duration) int64 {
	if d <= 0 {
		return 0
	}

	return int64(float64(n)/d.Seconds() + 0.5)
}

// count writes n with thousands apart.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}

	return text
}

// plural writes n with what it counts.
func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}

	return count(n) + " " + what + "s"
}

// summarize writes what has come of a simulation that is over.
func summarize(out io.Writer, qos byte, s Stats) {
	fmt.Fprintf(out, "%s sent in %s, %s a second\n",
		plural(s.Sent, "message"), s.Elapsed.Round(10*time.Millisecond), count(rate(s.Sent, s.Elapsed)))

	if qos > 0 {
		fmt.Fprintf(out, "%s acknowledged, %s not, %s sent again\n",
			count(s.Acknowledged), count(s.Sent-s.Acknowledged), count(s.Resent))
	}

	if s.Missed > 0 || s.HeldBack > 0 {
		fmt.Fprintf(out, "%s due while not connected, %s held back by a full window: not sent\n", count(s.Missed), count(s.HeldBack))
	}

	if s.Commands > 0 {
		fmt.Fprintf(out, "%s received, %s refused\n", plural(s.Commands, "command"), count(s.Refused))
	}

	fmt.Fprintf(out, "%s made by %s, %s lost, %s\n",
		plural(s.Connects, "connection"), plural(s.Devices, "device"), count(s.Dropped), plural(s.Errors, "error"))

	described := int64(0)
	for _, p := range s.Problems {
		fmt.Fprintf(out, "  %s: %s\n", count(p.Count), p.Text)
		described += p.Count
	}

	if others := s.Errors - described; others > 0 {
		fmt.Fprintf(out, "  %s: others\n", count(others))
	}
}

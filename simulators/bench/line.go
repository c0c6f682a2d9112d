package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// A line tells a person how a run is doing: on a terminal one line that is written over and over, elsewhere a line each time.
type line struct {
	out      io.Writer
	terminal bool
}

func newLine(out io.Writer) *line {
	l := &line{out: out}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		l.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}

	return l
}

func (l *line) show(p Progress) {
	if l.terminal {
		fmt.Fprintf(l.out, "\r\033[K%s", p)
	} else {
		fmt.Fprintln(l.out, p)
	}
}

func (l *line) clear() {
	if l.terminal {
		fmt.Fprint(l.out, "\r\033[K")
	}
}

// String describes it in one line.
func (p Progress) String() string {
	unit := " s"
	if p.Phase == phaseConnecting {
		unit = ""
	}

	parts := []string{fmt.Sprintf("%-12s %-10s %d/%d%s", p.Workload, p.Phase, p.Done, p.Of, unit)}

	if s := p.Sample; s != nil {
		if s.Sent > 0 || s.Received > 0 {
			parts = append(parts, count(int64(s.Sent))+" in/s", count(int64(s.Received))+" out/s")
		}

		if s.Acknowledged > 0 {
			parts = append(parts, count(int64(s.Acknowledged))+" acked/s")
		}

		if s.P99 != nil {
			parts = append(parts, "p50 "+number3(*s.P50)+" ms", "p99 "+number3(*s.P99)+" ms")
		}

		if s.Cores != nil {
			parts = append(parts, fmt.Sprintf("server %.2f cores", *s.Cores), fmt.Sprintf("%d MiB", *s.RSS>>20))
		}
	}

	return strings.Join(parts, "   ")
}

// phaseConnecting is the phase that counts connections, not seconds.
const phaseConnecting = "connecting"

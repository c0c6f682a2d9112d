package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used so far.
type usage struct {
	cpu time.Duration // user and system
	rss int64         // bytes resident
}

// A meter reads the usage of a server. It may be nil: then there is none to be had.
type meter struct {
	source string
	cheap  bool // reading costs the server nothing, so it may be read often
	read   func(context.Context) (usage, error)
}

// newMeter returns how the server's usage can be had, or why it cannot.
func newMeter(ctx context.Context, t *Target) (*meter, error) {
	if t.PID > 0 {
		m := &meter{source: "process " + strconv.Itoa(t.PID), cheap: true, read: func(context.Context) (usage, error) { return processUsage(t.PID) }}
		if _, err := m.read(ctx); err != nil {
			return nil, fmt.Errorf("--pid %d: %w", t.PID, err)
		}

		return m, nil
	}

	if t.Metrics == "" {
		return nil, errNoMeter
	}

	m := &meter{source: t.Metrics, read: func(ctx context.Context) (usage, error) { return metricsUsage(ctx, t.Metrics) }}
	if _, err := m.read(ctx); err != nil {
		return nil, err
	}

	return m, nil
}

var (
	errNoMeter   = errors.New("no --pid and no --metrics says what the server uses")
	errNoFigures = errors.New("the page has no process_cpu_seconds_total or no process_resident_memory_bytes")
	errStat      = errors.New("/proc holds no figures of it")
)

// Bounds of reading metrics.
const (
	metricsTimeout = 5 * time.Second
	maxMetrics     = 16 << 20 // bytes of the page
)

// metricsUsage reads the usage from a page in Prometheus' text format.
func metricsUsage(ctx context.Context, address string) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return usage{}, fmt.Errorf("metrics: %w", err)
	}

	answer, err := metricsClient.Do(request)
	if err != nil {
		return usage{}, fmt.Errorf("metrics: %w", err)
	}
	defer answer.Body.Close()

	if answer.StatusCode != http.StatusOK {
		return usage{}, fmt.Errorf("metrics of %s: %s", address, answer.Status)
	}

	u, err := parseMetrics(io.LimitReader(answer.Body, maxMetrics))
	if err != nil {
		return u, fmt.Errorf("metrics of %s: %w", address, err)
	}

	return u, nil
}

// metricsClient keeps no connection, so that none is left when a run ends.
var metricsClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func parseMetrics(page io.Reader) (usage, error) {
	cpu, rss := -1.0, -1.0

	for lines := bufio.NewScanner(page); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), " ")

		var to *float64

		switch name {
		case "process_cpu_seconds_total":
			to = &cpu
		case "process_resident_memory_bytes":
			to = &rss
		default:
			continue
		}

		value, _, _ := strings.Cut(rest, " ") // a time stamp may follow

		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return usage{}, fmt.Errorf("%s: %w", name, err)
		}

		*to = n
	}

	if cpu < 0 || rss < 0 {
		return usage{}, errNoFigures
	}

	return usage{cpu: time.Duration(cpu * float64(time.Second)), rss: int64(rss)}, nil
}

// tick is the unit of processor time in /proc: Linux has 100 of them a second on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// processUsage reads the usage of a process on this machine from /proc (proc(5)).
func processUsage(pid int) (usage, error) {
	folder := "/proc/" + strconv.Itoa(pid)

	stat, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return usage{}, err
	}

	// The name, in parentheses, may hold spaces. utime and stime are the 12th and 13th fields behind it, rss in pages the 22nd.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 22 {
		return usage{}, errStat
	}

	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	pages, err3 := strconv.ParseInt(fields[21], 10, 64)

	return usage{cpu: time.Duration(user+system) * tick, rss: pages * int64(os.Getpagesize())}, errors.Join(err1, err2, err3)
}

// sameProcessors reports whether a process may run on the same processors as this one.
func sameProcessors(pid int) bool {
	theirs, ok := allowed(strconv.Itoa(pid))
	ours, known := allowed("self")

	return ok && known && theirs == ours
}

func allowed(process string) (string, bool) {
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return "", false
	}

	_, rest, ok := strings.Cut(string(status), "Cpus_allowed_list:")
	list, _, _ := strings.Cut(rest, "\n")

	return strings.TrimSpace(list), ok
}

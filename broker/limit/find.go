package limit

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// Where a memory limit is from.
const (
	// SourceConfigured: it was given.
	SourceConfigured = "configuration"
	// SourceGo: Go's soft limit, GOMEMLIMIT.
	SourceGo = "GOMEMLIMIT"
	// SourceCgroup: 80 % of what the control group allows.
	SourceCgroup = "cgroup"
	// SourceMachine: 75 % of the machine's memory.
	SourceMachine = "machine"
	// SourceNone: nothing is known.
	SourceNone = "none"
)

// FindMemory finds what the process may take: GOMEMLIMIT, else 80 % of the limit of its control group (version 2 or 1,
// with those above it), else 75 % of the machine's memory, else no limit. What is left of the latter two is for what the
// guard does not see: buffers of the kernel, and files that are in memory because they were read.
func FindMemory() (bytes int64, source string) {
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		return n, SourceGo
	}
	machine := machineMemory("/proc/meminfo")
	if n := cgroupMemory("/proc/self/cgroup", "/sys/fs/cgroup"); n > 0 && (machine == 0 || n < machine) {
		return n / 10 * 8, SourceCgroup
	}
	if machine > 0 {
		return machine / 4 * 3, SourceMachine
	}
	return math.MaxInt64, SourceNone
}

// machineMemory is the MemTotal of a file like /proc/meminfo in bytes, 0 if there is none.
func machineMemory(meminfo string) int64 {
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kB, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 53)
			return max(0, kB) << 10
		}
	}
	return 0
}

// cgroupMemory is the least limit of the control groups that a file like /proc/self/cgroup names, in bytes, 0 if there is
// none. Its lines are "0::/path" for version 2 and "4:memory:/path" for version 1 (cgroups(7)). Within a container the
// path may not be what is mounted, so the root counts as well.
func cgroupMemory(self, root string) int64 {
	text, err := os.ReadFile(self)
	if err != nil {
		return 0
	}
	var least int64
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			least = lesser(least, walkUp(root, parts[2], "memory.max"))
		case parts[1] == "memory":
			least = lesser(least, walkUp(filepath.Join(root, "memory"), parts[2], "memory.limit_in_bytes"))
		}
	}
	return least
}

// walkUp is the least figure of a file in a folder and those above it, up to the root.
func walkUp(root, path, file string) (least int64) {
	for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
		text, err := os.ReadFile(filepath.Join(root, path, file))
		if err == nil {
			// "max" is no number, and version 1 says so with one that no machine has.
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < 1<<60 {
				least = lesser(least, n)
			}
		}
		if path == "/" {
			return least
		}
	}
}

// lesser is the smaller of two limits, of which 0 is none.
func lesser(a, b int64) int64 {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

package simulators

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is a snapshot of what a simulation has done. All counts are totals since it began, but Connected.
type Stats struct {
	// Devices is how many devices there are; Connected, how many of them are connected now.
	Devices, Connected int64
	// Connects counts connections made; Dropped, connections lost, wanted or not.
	Connects, Dropped int64
	// Sent counts telemetry messages handed to the connection, each once; Resent, QoS 1 messages sent again after a
	// connection was lost with their acknowledgement outstanding. Acknowledged counts PUBACKs for telemetry, so it stays
	// 0 at QoS 0. Announced counts status and info messages, which are in none of the others.
	Sent, Resent, Acknowledged, Announced int64
	// Missed counts messages that were due while the device was not connected; HeldBack, those that were due while it
	// had a full window of unacknowledged messages. Neither was sent.
	Missed, HeldBack int64
	// Late counts how often a part of the fleet fell so far behind its schedule that the schedule was moved.
	Late int64
	// Commands counts commands received; Refused, those that the device refused.
	Commands, Refused int64
	// Errors counts failed connects, lost connections that nobody wanted, and refused subscriptions.
	Errors int64
	// Problems are the first few different errors, with how often each came.
	Problems []Problem
	// LastProblem is the newest error; empty if there was none since the last connection was made.
	LastProblem string
	// Elapsed is the time since the simulation began.
	Elapsed time.Duration
}

// A Problem is an error and how often it came.
type Problem struct {
	Text  string
	Count int64
}

// maxProblems is how many different errors are described; more are only counted.
const maxProblems = 5

// counters is the live form of Stats.
type counters struct {
	devices, connected, connects, dropped     atomic.Int64
	sent, resent, acknowledged, announced     atomic.Int64
	missed, heldBack, late, commands, refused atomic.Int64
	errors                                    atomic.Int64
	began                                     atomic.Int64 // nanoseconds since the Unix epoch; 0 before Run

	mu       sync.Mutex
	problems []Problem
	last     string
}

func (c *counters) begin() { c.began.Store(time.Now().UnixNano()) }

// problem counts an error and keeps its text if it is among the first few.
func (c *counters) problem(text string) {
	c.errors.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()

	c.last = text

	known := slices.IndexFunc(c.problems, func(p Problem) bool { return p.Text == text })
	switch {
	case known >= 0:
		c.problems[known].Count++
	case len(c.problems) < maxProblems:
		c.problems = append(c.problems, Problem{text, 1})
	}
}

// healed forgets the newest error: a connection has been made.
func (c *counters) healed() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.last = ""
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	problems, last := slices.Clone(c.problems), c.last
	c.mu.Unlock()

	s := Stats{
		Devices: c.devices.Load(), Connected: c.connected.Load(),
		Connects: c.connects.Load(), Dropped: c.dropped.Load(),
		Resent: c.resent.Load(), Acknowledged: c.acknowledged.Load(), Sent: c.sent.Load(), Announced: c.announced.Load(),
		Missed: c.missed.Load(), HeldBack: c.heldBack.Load(), Late: c.late.Load(),
		Commands: c.commands.Load(), Refused: c.refused.Load(),
		Errors: c.errors.Load(), Problems: problems, LastProblem: last,
	}
	if began := c.began.Load(); began != 0 {
		s.Elapsed = time.Since(time.Unix(0, began))
	}

	return s
}

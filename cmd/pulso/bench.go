package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/alecthomas/kong"

	"pulso/simulators/bench"
)

// benchCmd measures a server with the workloads of docs/BENCHMARKS.md.
type benchCmd struct {
	FanOut       benchRun     `cmd:"" name:"fan-out" help:"1,000 messages a second to 200 subscribers."`
	Ingest       benchRun     `cmd:"" help:"20,000 messages a second in, one subscriber."`
	Devices      benchRun     `cmd:"" help:"10,000 devices, a message a second each, to 20 subscribers."`
	Lone         benchRun     `cmd:"" help:"50 messages a second on an otherwise idle server, one subscriber."`
	Acknowledged benchRun     `cmd:"" help:"As many QoS 1 messages as are acknowledged, 16 publishers; each is looked for at a subscriber."`
	Idle         benchRun     `cmd:"" help:"2,000 subscribers and nothing to tell them: the memory of each."`
	Slow         benchRun     `cmd:"" help:"As fan-out; half-way, half of the subscribers stop reading."`
	All          benchRun     `cmd:"" help:"All of these, one after the other."`
	Compare      benchCompare `cmd:"" help:"Show the results of several runs beside each other."`
}

type benchRun struct {
	bench.Flags
}

// Run runs the workload that the command is called after.
func (c *benchRun) Run(ctx context.Context, parsed *kong.Context, out io.Writer) error {
	program, err := thisProgram()
	if err != nil {
		return err
	}
	workloads := []string{parsed.Selected().Name}
	if workloads[0] == "all" {
		workloads = workloads[:0]
		for _, w := range bench.Workloads() {
			workloads = append(workloads, w.Name)
		}
	}
	command := bench.Command{Flags: c.Flags, Workloads: workloads, Program: program, Version: versionString(), Out: out, Err: os.Stderr}
	return command.Run(ctx)
}

// thisProgram is what --self starts: the name by which this was called, so that a program of several names is started by the same.
func thisProgram() (string, error) {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		return path, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return path, nil
}

type benchCompare struct {
	Files []string `arg:"" help:"Files that --json has written." type:"existingfile"`
	Plot  string   `placeholder:"FILE" help:"Draw them here, too: .html or .svg."`
}

// Run compares.
func (c *benchCompare) Run(out io.Writer) error { return bench.Compare(c.Files, c.Plot, out) }
